// Constants of float32 and float16 as float32, and back.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_edit/document.h"

#include <cstdint>
#include <vector>

namespace mlc::onnx {

/// Whether TENSOR, which may be null, has elements that read_floats() reads.
bool is_single_or_half(const DocTensor* tensor);
/// The elements of DATA. Errors: those of reading it. Requires: f32 or f16.
Result<std::vector<float>> read_floats(const TensorData& data);

/// VALUES as a tensor of DTYPE, f32 or f16, which keeps them.
DataRef tensor_of(std::vector<float> values, std::vector<int64_t> sizes, DType dtype = DType::f32);
/// SOURCE, f32 or f16, as f32, made when it is asked for.
DataRef widened(const DataRef& source);
/// SOURCE times FACTOR, of its type, made when it is asked for. Requires: f32 or f16.
DataRef scaled(const DataRef& source, float factor);
/// SOURCE with slice i along DIMENSION times FACTORS[i]; the same way. Requires: as many factors as
/// slices.
DataRef scaled_along(const DataRef& source, size_t dimension, std::vector<float> factors);

}  // namespace mlc::onnx
