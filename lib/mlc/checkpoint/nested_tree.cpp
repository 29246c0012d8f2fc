#include "mlc/checkpoint/nested_tree.h"

#include <algorithm>

namespace mlc {
namespace {

constexpr size_t kMaxPath = 64;

}  // namespace

Status NestedTree::add(const std::vector<Step>& path, pickle::NodeId value) {
  if (path.empty() || path.size() > kMaxPath) {
    return corrupt("a path of " + std::to_string(path.size()) + " steps");
  }
  uint32_t at = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    Branch& branch = branches_[at];
    const auto [it, is_new] = branch.by_step.try_emplace(path[i], branch.children.size());
    const bool last = i + 1 == path.size();
    if (!is_new) {
      const Child& child = branch.children[it->second];
      if (last || child.value != pickle::kNoNode) {
        return corrupt("its path leads to a place that is taken");
      }
      at = child.branch;
      continue;
    }
    Child child{path[i], last ? value : pickle::kNoNode, 0};
    if (!last) child.branch = static_cast<uint32_t>(branches_.size());
    at = child.branch;
    branch.children.push_back(child);
    if (!last) branches_.emplace_back();  // moves the branches, so it comes last
  }
  return {};
}

Result<pickle::NodeId> NestedTree::build(pickle::Graph& graph) const {
  return build(graph, branches_[0]);
}

// Recursive: paths are at most kMaxPath long.
Result<pickle::NodeId> NestedTree::build_child(pickle::Graph& graph, const Child& child) const {
  if (child.value != pickle::kNoNode) return child.value;
  return build(graph, branches_[child.branch]);
}

Result<pickle::NodeId> NestedTree::build(pickle::Graph& graph, const Branch& branch) const {
  const auto is_index = [](const Child& child) {
    return std::holds_alternative<int64_t>(child.step);
  };
  if (!branch.children.empty() && is_index(branch.children[0])) return build_list(graph, branch);
  const pickle::NodeId dict = graph.add_dict();
  for (const Child& child : branch.children) {
    const auto* key = std::get_if<std::string_view>(&child.step);
    if (key == nullptr) return corrupt("paths mix names and numbers in one place");
    const pickle::NodeId name = graph.add_text(*key);
    MLC_TRY(const pickle::NodeId value, build_child(graph, child));
    graph.dict(dict).emplace_back(name, value);
  }
  return dict;
}

Result<pickle::NodeId> NestedTree::build_list(pickle::Graph& graph, const Branch& branch) const {
  std::vector<pickle::NodeId> items(branch.children.size(), pickle::kNoNode);
  for (const Child& child : branch.children) {
    const auto* index = std::get_if<int64_t>(&child.step);
    if (index == nullptr) return corrupt("paths mix names and numbers in one place");
    if (*index < 0 || static_cast<uint64_t>(*index) >= items.size()) {
      return corrupt("a list of " + std::to_string(items.size()) + " items has number " +
                     std::to_string(*index));
    }
    MLC_TRY(items[static_cast<size_t>(*index)], build_child(graph, child));
  }
  const pickle::NodeId list = graph.add_list();
  graph.list(list) = std::move(items);
  return list;
}

}  // namespace mlc
