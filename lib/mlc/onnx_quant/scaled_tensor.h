// A constant whose slices along one dimension are multiplied, made when it is asked for.
#pragma once

#include "mlc/onnx/model.h"

#include <cstddef>
#include <vector>

namespace mlc::onnx {

/// SOURCE with slice i along DIMENSION times FACTORS[i]. Requires: f32, as many factors as slices.
DataRef scaled_along(const DataRef& source, size_t dimension, std::vector<float> factors);

}  // namespace mlc::onnx
