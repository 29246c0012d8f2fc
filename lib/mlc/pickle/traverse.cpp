#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <vector>

namespace mlc::pickle {

void append_children(const Graph& graph, NodeId node, std::vector<NodeId>& out) {
  switch (graph.kind(node)) {
    case NodeKind::tuple:
      for (const NodeId item : graph.tuple(node)) out.push_back(item);
      return;
    case NodeKind::list:
    case NodeKind::set:
    case NodeKind::frozenset:
      out.insert(out.end(), graph.list(node).begin(), graph.list(node).end());
      return;
    case NodeKind::dict:
      for (const auto& [key, value] : graph.dict(node)) {
        out.push_back(key);
        out.push_back(value);
      }
      return;
    case NodeKind::persistent:
      out.push_back(graph.persistent_id(node));
      return;
    case NodeKind::object:
      break;
    default:
      return;
  }
  out.push_back(graph.callable(node));
  out.push_back(graph.args(node));
  if (const NodeId keywords = graph.keyword_args(node); keywords != kNoNode)
    out.push_back(keywords);
  const ObjectContent* content = graph.content(node);
  if (content == nullptr) return;
  out.insert(out.end(), content->appended.begin(), content->appended.end());
  for (const auto& [key, value] : content->items) {
    out.push_back(key);
    out.push_back(value);
  }
  if (content->state != kNoNode) out.push_back(content->state);
}

void for_each_reachable(const Graph& graph, NodeId root, const std::function<void(NodeId)>& visit) {
  std::vector<bool> seen(graph.size(), false);
  std::vector<NodeId> stack = {root};
  std::vector<NodeId> children;
  while (!stack.empty()) {
    const NodeId node = stack.back();
    stack.pop_back();
    if (node >= seen.size()) seen.resize(graph.size(), false);
    if (seen[node]) continue;
    seen[node] = true;
    visit(node);
    children.clear();
    append_children(graph, node, children);
    stack.insert(stack.end(), children.rbegin(), children.rend());
  }
}

}  // namespace mlc::pickle
