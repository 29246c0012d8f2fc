// The numbers of an activation that a model gave, for who looks at samples.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <span>
#include <vector>

namespace mlc::onnx {

/// The elements of VALUE as float32: where they lie, or, of float16, in BUFFER. Errors: unsupported
/// for activations of other types.
Result<std::span<const float>> floats_of(const NamedValue& value, std::vector<float>& buffer);

}  // namespace mlc::onnx
