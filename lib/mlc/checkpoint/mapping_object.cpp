#include "mlc/checkpoint/mapping_object.h"

#include "mlc/checkpoint/state_dict.h"

#include <set>
#include <unordered_set>

namespace mlc {

using pickle::Graph;
using pickle::NodeKind;

NodeId only_argument(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::object)) return kNoNode;
  const auto args = graph.sequence(graph.args(node));
  return args.size() == 1 && graph.entries(args[0]) != nullptr ? args[0] : kNoNode;
}

std::vector<std::pair<std::string, NodeId>> attributes_beside(const Graph& graph, NodeId node) {
  std::vector<std::pair<std::string, NodeId>> out;
  const auto* entries = graph.is(node, NodeKind::object) ? graph.entries(node) : nullptr;
  const auto* content = entries != nullptr ? graph.content(node) : nullptr;
  if (content == nullptr || content->state == pickle::kNoNode || content->state == node) return out;
  const auto items = graph.sequence(content->state);
  for (size_t i = 0; i < items.size(); ++i) out.emplace_back(std::to_string(i), items[i]);
  const auto* attributes = graph.entries(content->state);
  if (attributes == nullptr) return out;
  std::unordered_set<NodeId> values;
  for (const auto& [key, value] : *attributes) {
    std::string name = key_text(graph, key);
    if (name == "_metadata") continue;
    values.insert(value);
    out.emplace_back(std::move(name), value);
  }
  if (values.empty()) return out;
  std::set<std::pair<std::string, NodeId>> same;
  for (const auto& [key, value] : *entries) {
    if (values.contains(value)) same.emplace(key_text(graph, key), value);
  }
  std::erase_if(out, [&same](const auto& attribute) { return same.contains(attribute); });
  return out;
}

}  // namespace mlc
