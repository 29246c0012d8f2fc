// Axes that torch.onnx exchanges with two Reshapes around a Transpose.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_write/check.h"

#include <cstddef>

namespace mlc::onnx {

/// Reshape to [-1, a, b], Transpose and Reshape to [..., b, a], as the dynamo exporter writes keys
/// of attention that are transposed, become the one Transpose that they are, which does not put
/// heads into one axis with the batch. How many. Requires: lift_constants() was called, SIZES are
/// those of DOCUMENT. Errors: those of reading constants.
Result<size_t> join_turned_axes(Document& document, const InferredSizes& sizes);

}  // namespace mlc::onnx
