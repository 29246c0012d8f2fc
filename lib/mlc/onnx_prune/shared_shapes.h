// Shapes that several nodes read.
#pragma once

#include "mlc/onnx_edit/document.h"

namespace mlc::onnx {

/// Gives every Reshape and Expand a Concat of its own to put its shape together: exporters have one
/// for all layers, of which each may lose other channels.
void part_shared_shapes(Document& document);

}  // namespace mlc::onnx
