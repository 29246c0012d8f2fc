#include "mlc/checkpoint/optimizer.h"

#include "mlc/base/text.h"

#include <unordered_set>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxDepth = 8;           // mappings around an optimizer in real files
constexpr size_t kMostEntries = 4096;  // larger mappings are state_dicts

class Search {
 public:
  explicit Search(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint), graph_(checkpoint.graph) {}

  std::vector<OptimizerState> run() {
    visit(checkpoint_.root, "", 0);
    return std::move(found_);
  }

 private:
  void visit(NodeId node, const std::string& path, int depth) {
    if (depth > kMaxDepth || !seen_.insert(node).second) return;
    if (is_optimizer(graph_, node)) return add(node, path);
    const std::string prefix = path.empty() ? "" : path + ".";
    if (const auto* entries = graph_.entries(node); entries && entries->size() <= kMostEntries) {
      for (const auto& [key, value] : *entries) {
        const bool text = graph_.is(key, NodeKind::text);
        visit(value, prefix + (text ? std::string(graph_.text(key)) : "?"), depth + 1);
      }
    }
    const auto items = graph_.sequence(node);
    if (items.size() > kMostEntries) return;
    for (size_t i = 0; i < items.size(); ++i) {
      visit(items[i], prefix + std::to_string(i), depth + 1);
    }
  }

  void add(NodeId node, const std::string& path) {
    const auto groups = graph_.sequence(graph_.find(node, "param_groups"));
    found_.push_back({path, node, graph_.find(node, "state"),
                      std::vector<NodeId>(groups.begin(), groups.end())});
  }

  const Checkpoint& checkpoint_;
  const Graph& graph_;
  std::unordered_set<NodeId> seen_;
  std::vector<OptimizerState> found_;
};

}  // namespace

bool is_optimizer(const Graph& graph, NodeId node) {
  return graph.find(node, "param_groups") != kNoNode && graph.find(node, "state") != kNoNode;
}

std::vector<OptimizerState> find_optimizers(const Checkpoint& checkpoint) {
  return Search(checkpoint).run();
}

std::vector<std::string> parameter_names(const Graph& graph, const OptimizerState& optimizer) {
  std::vector<std::string> names;
  std::unordered_set<std::string_view> seen;
  const auto add = [&](NodeId node) {
    if (graph.is(node, NodeKind::text) && seen.insert(graph.text(node)).second) {
      names.emplace_back(graph.text(node));
    }
  };
  for (const NodeId group : optimizer.groups) {
    for (const std::string_view list : {"params", "param_names"}) {
      const NodeId items = graph.find(group, list);
      if (items == kNoNode) continue;
      for (const NodeId item : graph.sequence(items)) add(item);
    }
  }
  if (const auto* entries = graph.entries(optimizer.state)) {
    for (const auto& entry : *entries) add(entry.first);
  }
  return names;
}

}  // namespace mlc
