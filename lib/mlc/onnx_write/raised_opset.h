// Old models as ONNX can infer more of: for sizes alone, never to be written.
#pragma once

namespace onnx {
class ModelProto;
}

namespace mlc::onnx {

/// Makes a model of opset 14 of an older MODEL, as far as sizes go: from there on ONNX follows the
/// numbers that a Reshape is given through the nodes that compute them. What Squeeze, Unsqueeze,
/// ReduceSum and Split have as attributes before opset 13 become inputs. Sizes of what changed in
/// other ways have to be known before.
void raise_opset(::onnx::ModelProto& model);

}  // namespace mlc::onnx
