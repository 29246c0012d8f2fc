#include "mlc/checkpoint/bare_tensors.h"

#include <utility>

namespace mlc {
namespace {

using pickle::NodeKind;

using Named = std::vector<std::pair<std::string, NodeId>>;

Named candidates(const Checkpoint& checkpoint) {
  const pickle::Graph& graph = checkpoint.graph;
  Named out;
  if (checkpoint.tensor_at(checkpoint.root) != kNoIndex) {
    out.emplace_back("tensor", checkpoint.root);
  } else if (const auto* entries = graph.entries(checkpoint.root)) {
    for (const auto& [key, value] : *entries) {
      if (!graph.is(key, NodeKind::integer)) return {};
      out.emplace_back(std::to_string(graph.integer(key)), value);
    }
  } else {
    for (const NodeId item : graph.sequence(checkpoint.root)) {
      out.emplace_back(std::to_string(out.size()), item);
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> name_bare_tensors(Checkpoint& checkpoint) {
  const Named named = candidates(checkpoint);
  for (const auto& [name, node] : named) {
    if (checkpoint.tensor_at(node) == kNoIndex) return {};
  }
  if (named.empty()) return {};
  std::vector<std::string> names;
  const NodeId root = checkpoint.graph.add_dict();
  for (const auto& [name, node] : named) {
    const NodeId key = checkpoint.graph.add_text(name);
    checkpoint.graph.dict(root).emplace_back(key, node);
    names.push_back(name);
  }
  checkpoint.root = root;
  return names;
}

}  // namespace mlc
