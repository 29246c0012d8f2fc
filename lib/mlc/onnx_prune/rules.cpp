#include "mlc/onnx_prune/rules.h"

#include <algorithm>
#include <array>
#include <map>

namespace mlc::onnx {
namespace {

/// Those that may read numbers which are sizes and make numbers of the same kind of them.
constexpr std::array<std::string_view, 11> kShapeOps = {"Shape",     "Gather",  "Slice", "Concat",
                                                        "Unsqueeze", "Squeeze", "Cast",  "Reshape",
                                                        "Identity",  "Resize",  "Expand"};

const std::map<std::string_view, ChannelRule>& all_rules() {
  static const auto* const rules = [] {
    auto* out = new std::map<std::string_view, ChannelRule>();
    for (const auto rows : {weight_rules(), pass_rules(), shape_rules()}) {
      for (const RuleRow& row : rows) out->emplace(row.op, row.rule);
    }
    return out;
  }();
  return *rules;
}

}  // namespace

bool is_shape_rule(const DocNode& node) {
  return node.domain.empty() && std::ranges::find(kShapeOps, node.op) != kShapeOps.end();
}

void keep_all_inputs(Walker& walker) {
  for (const std::string& name : walker.node().inputs)
    walker.keep_input(name, walker.here() + " reads it");
}

void apply_rule(Walker& walker) {
  const DocNode& node = walker.node();
  const auto found = all_rules().find(node.op);
  if (!node.domain.empty() || found == all_rules().end() || node.outputs.empty())
    return keep_all_inputs(walker);
  found->second(walker);
}

}  // namespace mlc::onnx
