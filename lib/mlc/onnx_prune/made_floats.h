// Weights that pruning computes.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <vector>

namespace mlc::onnx {

/// VALUES, f32, as the data of a tensor of SIZES.
DataRef made_floats(std::vector<float> values, std::vector<int64_t> sizes);

}  // namespace mlc::onnx
