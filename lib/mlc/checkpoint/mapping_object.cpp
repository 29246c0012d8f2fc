#include "mlc/checkpoint/mapping_object.h"

#include "mlc/checkpoint/state_dict.h"

#include <unordered_map>

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
  std::unordered_map<std::string, NodeId> same;
  for (const auto& [key, value] : *attributes) same.emplace(key_text(graph, key), pickle::kNoNode);
  for (const auto& [key, value] : *entries) {
    const auto at = same.find(key_text(graph, key));
    if (at != same.end()) at->second = value;
  }
  for (const auto& [key, value] : *attributes) {
    std::string name = key_text(graph, key);
    if (name != "_metadata" && same[name] != value) out.emplace_back(std::move(name), value);
  }
  return out;
}

}  // namespace mlc
