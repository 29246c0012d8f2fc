// The shapes of Expand as torch.onnx writes them: -1 of expand() becomes 1 by a Where.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"

namespace mlc::onnx {

/// Gives Expand the sizes themselves, put together by a Concat, where each of them is a constant
/// (1 for -1) or was asked for by Shape: the Where gives the same then, but neither ONNX
/// nor the rules for channels see through it. What nobody reads then is taken away. Requires:
/// lift_constants() was called. Errors: those of reading constants.
Status simplify_expand_shapes(Document& document);

}  // namespace mlc::onnx
