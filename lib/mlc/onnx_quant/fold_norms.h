// Batch norms that follow a convolution, as part of its weights.
#pragma once

#include "mlc/onnx_edit/document.h"

#include <cstddef>

namespace mlc::onnx {

/// W' = W * f and b' = (b - mean) * f + beta with f = gamma / sqrt(var + epsilon), a channel each,
/// for every BatchNormalization in inference mode whose input is a Conv that nothing else reads.
/// Constants must be f32. How many were folded. Errors: those of reading weights.
Result<size_t> fold_norms(Document& document);

}  // namespace mlc::onnx
