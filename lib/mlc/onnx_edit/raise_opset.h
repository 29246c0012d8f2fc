// Old models in the operators of opset 13, from which on DequantizeLinear has a scale a channel.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"

namespace mlc::onnx {

inline constexpr int64_t kRaisedOpset = 13;

/// Rewrites what changed between the opset of DOCUMENT and 13 (docs/Changelog.md of ONNX): numbers
/// that were attributes become inputs. A document of opset 13 or newer stays as it is. Errors:
/// unsupported for opsets below 7, inner graphs, and nodes that 13 cannot say so, by name.
Status raise_opset(Document& document);

}  // namespace mlc::onnx
