#include "mlc/checkpoint/bare_tensors.h"

#include "mlc/checkpoint/state_dict.h"

#include <algorithm>
#include <utility>

namespace mlc {
namespace {

using pickle::NodeKind;

using Named = std::vector<std::pair<std::string, NodeId>>;

/// The bare tensors at PLACE; none where anything else is among them.
Named bare_tensors(const Checkpoint& checkpoint, NodeId place) {
  const pickle::Graph& graph = checkpoint.graph;
  Named out;
  if (place == kNoNode) return out;
  if (checkpoint.tensor_at(place) != kNoIndex) {
    if (place == checkpoint.root) out.emplace_back(kBareTensorName, place);
    return out;
  }
  if (const auto* entries = graph.entries(place)) {
    for (const auto& [key, value] : *entries) {
      if (!graph.is(key, NodeKind::integer)) return {};
      out.emplace_back(std::to_string(graph.integer(key)), value);
    }
  } else {
    for (const NodeId item : graph.sequence(place)) {
      out.emplace_back(std::to_string(out.size()), item);
    }
  }
  const auto is_tensor = [&](const auto& named) {
    return checkpoint.tensor_at(named.second) != kNoIndex;
  };
  return std::ranges::all_of(out, is_tensor) ? out : Named();
}

}  // namespace

bool are_bare_tensors(const Checkpoint& checkpoint, std::string_view path) {
  return !bare_tensors(checkpoint, node_at(checkpoint, path)).empty();
}

void keep_bare_tensors(Checkpoint& checkpoint, std::string_view path) {
  checkpoint.root = node_at(checkpoint, path);
  checkpoint.extra_records.clear();
}

std::vector<std::string> name_bare_tensors(Checkpoint& checkpoint, std::string_view path) {
  const NodeId place = node_at(checkpoint, path);
  const Named named = bare_tensors(checkpoint, place);
  if (named.empty()) return {};
  std::vector<std::string> names;
  const NodeId made = checkpoint.graph.add_dict();
  for (const auto& [name, node] : named) {
    const NodeId key = checkpoint.graph.add_text(name);
    checkpoint.graph.dict(made).emplace_back(key, node);
    names.push_back(name);
  }
  if (place == checkpoint.root)
    checkpoint.root = made;
  else
    checkpoint.graph.replace(place, made);
  return names;
}

}  // namespace mlc
