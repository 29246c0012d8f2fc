#include "mlc/checkpoint/deepspeed.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;
using Shapes = std::unordered_map<std::string_view, std::vector<int64_t>>;

/// torch.Size is pickled as a call with a tuple; nothing for what has no sizes.
std::optional<std::vector<int64_t>> shape_at(const Graph& graph, NodeId node) {
  if (graph.is(node, NodeKind::object)) {
    const auto args = graph.sequence(graph.args(node));
    if (args.empty()) return std::nullopt;
    node = args[0];
  }
  if (!graph.is(node, NodeKind::tuple) && !graph.is(node, NodeKind::list)) return std::nullopt;
  std::vector<int64_t> shape;
  for (const NodeId size : graph.sequence(node)) {
    if (!graph.is(size, NodeKind::integer)) return std::nullopt;
    shape.push_back(graph.integer(size));
  }
  return shape;
}

void add_shapes(const Graph& graph, NodeId group, Shapes& out) {
  const auto* entries = graph.entries(group);
  if (entries == nullptr) return;
  for (const auto& [key, value] : *entries) {
    if (!graph.is(key, NodeKind::text)) continue;
    if (auto shape = shape_at(graph, value)) out.emplace(graph.text(key), std::move(*shape));
  }
}

/// The parameters that `param_shapes` names, of all groups.
Shapes parameter_shapes(const Graph& graph, NodeId root) {
  Shapes out;
  const NodeId listed = graph.find(root, "param_shapes");
  if (listed == kNoNode) return out;
  add_shapes(graph, listed, out);  // old versions have one mapping
  for (const NodeId group : graph.sequence(listed)) add_shapes(graph, group, out);
  return out;
}

void find_placeholders(const Checkpoint& checkpoint, DeepSpeedParts& out) {
  const Graph& graph = checkpoint.graph;
  const NodeId module = graph.find(checkpoint.root, "module");
  const auto* entries = module != kNoNode ? graph.entries(module) : nullptr;
  if (entries == nullptr) return;
  const Shapes shapes = parameter_shapes(graph, checkpoint.root);
  for (const auto& [key, value] : *entries) {
    const uint32_t index = checkpoint.tensor_at(value);
    if (index == kNoIndex || !graph.is(key, NodeKind::text)) continue;
    const auto shape = shapes.find(graph.text(key));
    if (shape == shapes.end() || std::ranges::find(shape->second, 0) != shape->second.end()) {
      continue;
    }
    const Tensor& tensor = checkpoint.tensors[index];
    if (checkpoint.element_count(tensor) == 0) out.placeholders.emplace(index, shape->second);
  }
}

void find_flat_parts(const Checkpoint& checkpoint, DeepSpeedParts& out) {
  constexpr std::string_view kGroups[] = {"single_partition_of_fp32_groups", "fp32_flat_groups"};
  const Graph& graph = checkpoint.graph;
  const NodeId optimizer = graph.find(checkpoint.root, "optimizer_state_dict");
  if (optimizer == kNoNode) return;
  for (const std::string_view name : kGroups) {
    const NodeId groups = graph.find(optimizer, name);
    if (groups == kNoNode) continue;
    out.flat_parts += static_cast<uint64_t>(std::ranges::count_if(
        graph.sequence(groups),
        [&checkpoint](NodeId one) { return checkpoint.tensor_at(one) != kNoIndex; }));
  }
  const NodeId stage = graph.find(optimizer, "zero_stage");
  if (stage != kNoNode && graph.is(stage, NodeKind::integer)) {
    out.zero_stage = graph.integer(stage);
  }
}

}  // namespace

DeepSpeedParts deepspeed_parts(const Checkpoint& checkpoint) {
  DeepSpeedParts out;
  if (checkpoint.root == kNoNode || checkpoint.graph.entries(checkpoint.root) == nullptr) {
    return out;
  }
  find_placeholders(checkpoint, out);
  find_flat_parts(checkpoint, out);
  if (!out.placeholders.empty()) out.zero_stage = 3;
  return out;
}

}  // namespace mlc
