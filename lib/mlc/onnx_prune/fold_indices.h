// Indices that a model computes of constants: exporters write out what PyTorch does to find an
// axis.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"

namespace mlc::onnx {

/// Makes initializers of what Add, Sub, Mul, Mod, Reshape, Squeeze and Unsqueeze give of integers
/// that are all constant; ONNX itself follows all of them but Mod, and no size is known behind one.
/// Requires: lift_constants() was called. Errors: those of reading constants.
Status fold_indices(Document& document);

}  // namespace mlc::onnx
