// One network in several floating types, fed with the same inputs.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace mlc {

/// The floating type in which a model with SIGNATURE computes: that of its parameters, or, where
/// they have none, of its first floating input, or of the first one of MADE_WITH, the inputs that
/// its file keeps. Nothing where none is known.
std::optional<DType> computing_type(const Signature& signature,
                                    std::span<const InputSpec> made_with);

/// INPUTS, where floating ones become the type that SIGNATURE tells of the input, or COMPUTING.
/// Only between half precision and other types: what else a model is given in another type than its
/// own it may well mean to take. Errors: those of convert_block().
Result<std::vector<NamedValue>> cast_inputs(const Signature& signature,
                                            std::optional<DType> computing,
                                            std::span<const NamedValue> inputs);

/// MODEL, which takes what cast_inputs() makes of what it is given.
std::unique_ptr<Model> with_cast_inputs(std::unique_ptr<Model> model,
                                        std::optional<DType> computing);

}  // namespace mlc
