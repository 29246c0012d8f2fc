#include "mlc/ir/op_name.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <vector>

namespace mlc::ir {
namespace {

bool is_identifier(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_op(const OpName& op) {
  return is_identifier(op.domain) && is_identifier(op.name) &&
         (op.overload.empty() || is_identifier(op.overload));
}

// aten.add.Tensor, the part behind torch.ops.; _operator.mul.
std::optional<OpName> dotted(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '.');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  OpName op{std::string(parts[0]), std::string(parts[1]), {}};
  if (parts.size() == 3 && parts[2] != "default") op.overload = parts[2];
  return is_op(op) ? std::optional(op) : std::nullopt;
}

}  // namespace

std::string to_text(const OpName& op) {
  std::string out = op.domain + "::" + op.name;
  if (!op.overload.empty()) out += "." + op.overload;
  return out;
}

std::optional<OpName> op_name(std::string_view text) {
  const size_t colons = text.find("::");
  if (colons == std::string_view::npos) {
    constexpr std::string_view kOps = "torch.ops.";
    return dotted(text.starts_with(kOps) ? text.substr(kOps.size()) : text);
  }
  std::string_view rest = text.substr(colons + 2);
  OpName op{std::string(text.substr(0, colons)), {}, {}};
  if (const size_t dot = rest.find('.'); dot != std::string_view::npos) {
    op.overload = rest.substr(dot + 1);
    rest = rest.substr(0, dot);
    if (op.overload.empty()) return std::nullopt;
  }
  op.name = rest;
  return is_op(op) ? std::optional(op) : std::nullopt;
}

}  // namespace mlc::ir
