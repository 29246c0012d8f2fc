// What nodes compute of constants alone: exporters write the sizes of pads, shapes and masks that
// way.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/onnx_edit/document.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// A model of no inputs: the nodes that read nothing but small constants, and nothing random.
struct ConstantNodes {
  Document model;
  std::vector<std::string> values;  // that other nodes read: what it is to be run for
};
/// Weights are no small constants: what is made of them is for rules to follow. Nothing where there
/// are no such nodes. What comes out refers to DOCUMENT. Requires: lift_constants() was called.
/// Errors: those of Document::parse().
Result<std::optional<ConstantNodes>> find_constant_nodes(const Document& document);

/// Makes initializers of VALUES, what the model of find_constant_nodes() gives, where they are
/// small; nodes that nobody reads then are taken away.
void replace_constant_nodes(Document& document, std::span<const NamedValue> values);

}  // namespace mlc::onnx
