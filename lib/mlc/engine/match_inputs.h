// Whether the inputs that somebody gives are those that a model takes, told in the model's words.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <span>
#include <string>

namespace mlc {

/// Errors: usage, all unknown and missing names at once, with what the model takes.
Status match_inputs(const Signature& signature, std::span<const InputSpec> specs);

/// "image: Tensor, traced with f32[1, 3, 224, 224]" for each argument.
std::string describe_inputs(const Signature& signature, const std::string& between = "\n");

/// "--input 'image:f32[batch=1,3,224,224]'": options to start from. Sizes that the file does not
/// tell are an example.
std::string example_options(const Signature& signature);

/// Adds to the error of a run what the model takes, where the inputs differ from it in type, rank
/// or size.
Error explain_run_error(Error error, const Signature& signature,
                        std::span<const NamedValue> inputs);

}  // namespace mlc
