// Indices that a model computes of constants: exporters write out what PyTorch does to find an
// axis.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_write/check.h"

namespace mlc::onnx {

/// Makes initializers of what Add, Sub, Mul, Div, Mod, Reshape, Squeeze and Unsqueeze give of
/// integers that are all constant; ONNX itself follows all of them but Mod, and no size is known
/// behind one. Requires: lift_constants() was called. Errors: those of reading constants.
Status fold_indices(Document& document);

/// Makes initializers of the sizes that Gather and Slice take of Shape, where SIZES, which
/// infer_sizes() gave, have them: an exporter asks for all of them where one may vary. How many
/// there were. Requires: lift_constants() was called. Errors: those of reading constants.
Result<size_t> fold_sizes(Document& document, const InferredSizes& sizes);

}  // namespace mlc::onnx
