#include "files/unsafe_values.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/mapping_object.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/weights_only.h"
#include "mlc/pickle/globals.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>

namespace mlc::cli {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

/// What a defaultdict calls for missing keys holds nothing.
bool is_default_factory(const Graph& graph, NodeId object, std::span<const NodeId> args) {
  return graph.is_call_of(object, "collections", "defaultdict") && args.size() == 1 &&
         (graph.is(args[0], NodeKind::global) || graph.is(args[0], NodeKind::none));
}

/// What the mapping at NODE has besides its entries, with the tensors in them.
std::vector<std::string> dropped_attributes(const Checkpoint& checkpoint, NodeId node) {
  std::vector<std::string> out;
  for (const auto& [name, value] : attributes_beside(checkpoint.graph, node)) {
    const uint64_t tensors = count_names(checkpoint, value);
    out.push_back((tensors > 0 ? plural(tensors, "tensor") + " in " : "") + sentence_key(name));
  }
  return out;
}

}  // namespace

PlainMapping make_plain_mapping(Checkpoint& checkpoint, NodeId node) {
  Graph& graph = checkpoint.graph;
  if (!graph.is(node, NodeKind::object) || graph.content(node) == nullptr) return {};
  const NodeId callable = graph.callable(node);
  if (!graph.is(callable, NodeKind::global)) return {};
  const pickle::ObjectContent content = *graph.content(node);
  const auto args = graph.sequence(graph.args(node));
  const bool bare = !content.items.empty() &&
                    (args.empty() || is_default_factory(graph, node, args)) &&
                    content.appended.empty() && graph.keyword_args(node) == kNoNode;
  if (!bare ||
      pickle::weights_only_allows(graph.global_module(callable), graph.global_name(callable))) {
    return {};
  }
  PlainMapping out{graph.global_path(callable), dropped_attributes(checkpoint, node)};
  const NodeId versions =
      content.state != kNoNode ? graph.find(content.state, "_metadata") : kNoNode;
  NodeId plain = kNoNode;
  if (versions != kNoNode) {
    plain = graph.add_object(pickle::ObjectForm::reduce,
                             graph.add_global("collections", "OrderedDict"), graph.empty_tuple());
    const NodeId state = graph.add_dict();
    const NodeId key = graph.add_text("_metadata");
    graph.dict(state) = {{key, versions}};
    graph.content_for_edit(plain).items = content.items;
    graph.content_for_edit(plain).state = state;
  } else {
    plain = graph.add_dict();
    graph.dict(plain) = content.items;
  }
  graph.replace(node, plain);
  return out;
}

namespace {

/// Says of nodes whether weights_only=True accepts all that they reach.
class SafeNodes {
 public:
  explicit SafeNodes(const Graph& graph) : graph_(graph) {}

  /// What was found safe is not walked again.
  bool contains(NodeId node) {
    std::set<NodeId> seen;
    std::vector<NodeId> stack = {node};
    while (!stack.empty()) {
      const NodeId next = stack.back();
      stack.pop_back();
      if (safe_.contains(next) || !seen.insert(next).second) continue;
      if (!refused_once_written(graph_, next).empty()) return false;
      pickle::append_children(graph_, next, stack);
    }
    safe_.insert(seen.begin(), seen.end());
    return true;
  }

 private:
  const Graph& graph_;
  std::unordered_set<NodeId> safe_;
};

/// Those of TENSORS whose own class weights_only=True refuses.
std::vector<NamedTensor> refused_among(const Checkpoint& checkpoint,
                                       std::vector<NamedTensor> tensors) {
  SafeNodes safe(checkpoint.graph);
  std::erase_if(tensors, [&](const NamedTensor& named) {
    const NodeId node = checkpoint.tensors[named.tensor].node;
    return node == kNoNode || safe.contains(node);
  });
  return tensors;
}

bool any_distributed(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors) {
  return std::ranges::any_of(tensors, [&](const NamedTensor& named) {
    return local_part(checkpoint, checkpoint.tensors[named.tensor]) != kNoIndex;
  });
}

class UnsafeDropper {
 public:
  explicit UnsafeDropper(Checkpoint& checkpoint)
      : checkpoint_(checkpoint), graph_(checkpoint.graph) {
    if (place_.empty()) return;
    const auto there = all_tensors(checkpoint, node_at(checkpoint, place_));
    const auto refused = refused_among(checkpoint, there);
    if (refused.empty()) return;
    distributed_ = any_distributed(checkpoint, refused);
    place_is_refused_ = true;
  }

  Result<std::vector<std::string>> run() {
    const bool had_tensors = !all_tensors(checkpoint_, checkpoint_.root).empty();
    if (!visit(checkpoint_.root, "", 0)) return refusal(checkpoint_.root);
    if (had_tensors && all_tensors(checkpoint_, checkpoint_.root).empty()) {
      return unsupported(
          "every tensor lies in what weights_only=True refuses: " + join_list(dropped_), way_out());
    }
    return std::move(dropped_);
  }

 private:
  /// How to get at the tensors all the same. What was dropped is gone from the tree by now.
  std::string way_out() const {
    if (distributed_) return std::string(kGatherDistributed);
    if (place_.empty() || place_is_refused_)
      return "leave --safe out; `mlc load --tree` shows what is in the file";
    return "--key " + shell_word(place_) + " --weights-only writes the tensors there";
  }

  /// Says which part of the root, which is refused, is the reason.
  Error refusal(NodeId root) {
    const auto items = graph_.sequence(root);
    std::vector<std::string> refused;
    for (size_t i = 0; i < items.size(); ++i) {
      if (!is_safe(items[i])) refused.push_back(std::to_string(i));
    }
    const bool plain = graph_.is(root, NodeKind::list) || graph_.is(root, NodeKind::tuple);
    if (!plain) {
      return unsupported("the whole file is a Python object that weights_only=True refuses: " +
                             join_list(verdict_once_written(checkpoint_).texts(), 3),
                         way_out());
    }
    return unsupported(plural(refused.size(), "item") + " of the " +
                           (graph_.is(root, NodeKind::list) ? "list" : "tuple") +
                           " that is the whole file cannot be dropped, though weights_only=True "
                           "refuses what is in it: " +
                           join_list(refused),
                       way_out());
  }

  bool is_safe(NodeId node) { return safe_.contains(node); }

  /// Makes NODE safe by removing entries below it; false if it is unsafe itself.
  bool visit(NodeId node, const std::string& path, int depth) {
    if (is_safe(node)) return true;
    if (checkpoint_.tensor_at(node) != kNoIndex || depth > kMaxDepth) return false;
    if (graph_.is(node, NodeKind::list) || graph_.is(node, NodeKind::tuple)) {
      const auto items = graph_.sequence(node);
      for (size_t i = 0; i < items.size(); ++i) {
        if (!visit(items[i], join_path(path, std::to_string(i)), depth + 1)) return false;
      }
      return is_safe(node);
    }
    const bool ordered = graph_.is_call_of(node, "collections", "OrderedDict");
    if (graph_.entries(node) == nullptr) return false;
    if (!ordered && !graph_.is(node, NodeKind::dict)) return false;
    drop_entries(*graph_.entries_for_edit(node), path, depth);
    if (ordered) drop_attributes(node, path);
    return is_safe(node);
  }

  void drop_entries(std::vector<Entry>& entries, const std::string& path, int depth) {
    const std::vector<Entry> old = entries;  // a mapping may lie in itself
    std::vector<Entry> kept;
    for (const Entry& entry : old) {
      const std::string name = join_path(path, key_text(graph_, entry.first));
      if (is_safe(entry.first) && visit(entry.second, name, depth + 1)) {
        kept.push_back(entry);
      } else {
        dropped_.push_back(printable(name));
      }
    }
    entries = std::move(kept);
  }

  /// The attributes of an OrderedDict: the `_metadata` of a state_dict. Whole ones go, since it
  /// means little in parts.
  void drop_attributes(NodeId node, const std::string& path) {
    const pickle::ObjectContent* content = graph_.content(node);
    if (content == nullptr || content->state == kNoNode) return;
    if (!graph_.is(content->state, NodeKind::dict)) return;
    drop_entries(graph_.dict(content->state), path, kMaxDepth);
  }

  static constexpr int kMaxDepth = 16;
  Checkpoint& checkpoint_;
  Graph& graph_;
  const std::string place_ = first_mapping_of_tensors(checkpoint_);
  bool place_is_refused_ = false;  // tensors there are what weights_only=True refuses
  bool distributed_ = false;       // ... for being distributed
  SafeNodes safe_{graph_};
  std::vector<std::string> dropped_;
};

}  // namespace

std::string refusal_way_out(const Checkpoint& checkpoint, bool weights_only) {
  const auto refused = refused_among(checkpoint, all_tensors(checkpoint, checkpoint.root));
  if (refused.empty()) {
    return std::string("--safe drops such values") +
           (weights_only ? "" : ", --weights-only keeps the tensors only");
  }
  std::vector<std::string> names;
  for (const NamedTensor& named : refused) names.push_back(printable(named.path));
  return "such are the tensors themselves: " + join_list(names) +
         (any_distributed(checkpoint, refused) ? "; " + std::string(kGatherDistributed) : "");
}

Result<std::vector<std::string>> drop_unsafe_values(Checkpoint& checkpoint) {
  return UnsafeDropper(checkpoint).run();
}

}  // namespace mlc::cli
