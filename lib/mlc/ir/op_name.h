// Names of operators as PyTorch writes them: aten::add.Tensor, prim::If, torchvision::nms.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlc::ir {

struct OpName {
  std::string domain;    // "aten"
  std::string name;      // "add"
  std::string overload;  // "Tensor"; empty for the default one

  friend bool operator==(const OpName&, const OpName&) = default;
};

/// "aten::add.Tensor".
std::string to_text(const OpName& op);
/// "aten::add.Tensor", "torch.ops.aten.add.Tensor" and "_operator.mul" (as .pt2 files write them;
/// the overload "default" is no name). Nothing for what is neither.
std::optional<OpName> op_name(std::string_view text);

}  // namespace mlc::ir
