#include "mlc/checkpoint/module_pickle.h"

#include "mlc/checkpoint/state_dict.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

constexpr size_t kMaxNesting = 200;
constexpr size_t kMaxKeys = 1'000'000;

/// Modules that pickle as a call: what its first argument is.
enum class FirstArgument : uint8_t { none, attributes, wrapped_module };

FirstArgument first_argument(const Graph& graph, NodeId callable) {
  struct Row {
    std::string_view module;
    std::string_view name;
    FirstArgument is;
  };
  static constexpr std::array kRows = {
      // torch.fx.GraphModule.__reduce__: its __dict__, without the graph.
      Row{"torch.fx.graph_module", "reduce_graph_module", FirstArgument::attributes},
      Row{"torch.fx.graph_module", "reduce_package_graph_module", FirstArgument::attributes},
      // What torch.compile makes of a module, and of which it is the child `_orig_mod`.
      Row{"torch._dynamo.eval_frame", "OptimizedModule", FirstArgument::wrapped_module},
  };
  if (!graph.is(callable, NodeKind::global)) return FirstArgument::none;
  for (const Row& row : kRows) {
    if (graph.is_global(callable, row.module, row.name)) return row.is;
  }
  return FirstArgument::none;
}

/// The first argument of the call at NODE, if it is what EXPECTED says.
NodeId argument_of(const Graph& graph, NodeId node, FirstArgument expected) {
  if (!graph.is(node, NodeKind::object)) return kNoNode;
  if (first_argument(graph, graph.callable(node)) != expected) return kNoNode;
  const auto args = graph.sequence(graph.args(node));
  return args.empty() ? kNoNode : args[0];
}

/// The module that the compiled one at NODE is a wrapper of.
NodeId wrapped_module(const Graph& graph, NodeId node) {
  return argument_of(graph, node, FirstArgument::wrapped_module);
}

NodeId attributes_of(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::object)) return kNoNode;
  if (const NodeId dict = argument_of(graph, node, FirstArgument::attributes); dict != kNoNode) {
    return graph.is(dict, NodeKind::dict) ? dict : kNoNode;
  }
  const pickle::ObjectContent* content = graph.content(node);
  if (content == nullptr || content->state == kNoNode) return kNoNode;
  return graph.is(content->state, NodeKind::dict) ? content->state : kNoNode;
}

/// The class of a module: its callable, or the first argument of copyreg._reconstructor.
std::string class_path(const Graph& graph, NodeId node) {
  NodeId cls = graph.callable(node);
  if (graph.is(cls, NodeKind::persistent)) {
    // Legacy files: ('module', class, source_file, source).
    const auto items = graph.sequence(graph.persistent_id(cls));
    if (items.size() > 1) cls = items[1];
  } else if (graph.is(cls, NodeKind::global) && graph.global_name(cls) == "_reconstructor") {
    const auto args = graph.tuple(graph.args(node));
    if (!args.empty()) cls = args[0];
  }
  return graph.is(cls, NodeKind::global) ? graph.global_path(cls) : "";
}

/// Module._version, a class attribute that the pickle lacks. Source: the torch.nn modules that
/// override it.
int64_t module_version(std::string_view path) {
  struct Row {
    std::string_view prefix;
    int64_t version;
  };
  static constexpr std::array kRows = {
      Row{"torch.nn.modules.batchnorm.", 2},
      Row{"torch.nn.modules.instancenorm.", 2},
      Row{"torch.nn.modules.activation.MultiheadAttention", 1},
  };
  for (const Row& row : kRows) {
    if (path.starts_with(row.prefix)) return row.version;
  }
  return 1;
}

/// Whether ATTRIBUTES, if any, has the three dicts of nn.Module.
bool is_plain_module(const Graph& graph, NodeId attributes) {
  return attributes != kNoNode && graph.find(attributes, "_parameters") != kNoNode &&
         graph.find(attributes, "_buffers") != kNoNode &&
         graph.find(attributes, "_modules") != kNoNode;
}

class Recovery {
 public:
  explicit Recovery(Checkpoint& checkpoint) : checkpoint_(checkpoint), graph_(checkpoint.graph) {}

  Result<RecoveredModule> run(NodeId module) {
    MLC_CHECK(visit(module, ""));
    const NodeId ordered = graph_.add_global("collections", "OrderedDict");
    const NodeId out = graph_.add_object(pickle::ObjectForm::reduce, ordered, graph_.empty_tuple());
    const NodeId versions =
        graph_.add_object(pickle::ObjectForm::reduce, ordered, graph_.empty_tuple());
    graph_.content_for_edit(versions).items = std::move(versions_);
    const NodeId state = graph_.add_dict();
    const NodeId name = graph_.add_text("_metadata");
    graph_.dict(state) = {{name, versions}};
    pickle::ObjectContent& content = graph_.content_for_edit(out);
    content.items = std::move(items_);
    content.state = state;
    return RecoveredModule{out, std::move(packed_)};
  }

 private:
  Status visit(NodeId module, const std::string& prefix) {
    if (path_.size() > kMaxNesting) return unsupported("modules nested deeper than 200");
    if (!path_.insert(module).second) return corrupt("a module that contains itself");
    // Shared submodules count wherever they occur: a small file can spell out an enormous tree.
    if (versions_.size() >= kMaxKeys) return unsupported("a model with over a million modules");
    add_version(module, prefix);
    const NodeId attributes = attributes_of(graph_, module);
    if (is_plain_module(graph_, attributes)) {
      MLC_CHECK(visit_attributes(attributes, prefix));
    } else {
      MLC_CHECK(visit(wrapped_module(graph_, module), prefix + "_orig_mod."));
    }
    path_.erase(module);
    return {};
  }

  Status visit_attributes(NodeId attributes, const std::string& prefix) {
    MLC_CHECK(add_tensors(graph_.find(attributes, "_parameters"), kNoNode, prefix));
    MLC_CHECK(add_tensors(graph_.find(attributes, "_buffers"),
                          graph_.find(attributes, "_non_persistent_buffers_set"), prefix));
    if (const auto* modules = graph_.entries(graph_.find(attributes, "_modules"))) {
      const std::vector<Entry> children = *modules;  // the graph grows while they are visited
      for (const auto& [key, child] : children) {
        if (!graph_.is(key, NodeKind::text)) continue;
        const std::string name = prefix + std::string(graph_.text(key));
        if (is_module(graph_, child)) {
          MLC_CHECK(visit(child, name + "."));
        } else {
          note_packed(child, name);
        }
      }
    }
    note_script_objects(attributes, prefix);
    return {};
  }

  void note_script_objects(NodeId attributes, const std::string& prefix) {
    for (const auto& [key, value] : *graph_.entries(attributes)) {
      const bool packs = graph_.is_call_of(value, "torch", "ScriptObject") ||
                         graph_.is_call_of(value, "torch._C", "ScriptObject");
      if (packs && graph_.is(key, NodeKind::text)) {
        note_packed(value, prefix + std::string(graph_.text(key)));
      }
    }
  }

  void note_packed(NodeId node, const std::string& name) {
    if (packed_.size() < kMaxKeys && count_names(checkpoint_, node) > 0) packed_.push_back(name);
  }

  void add_version(NodeId module, const std::string& prefix) {
    const NodeId version = graph_.add_dict();
    const NodeId number = graph_.add_integer(module_version(class_path(graph_, module)));
    const NodeId word = version_word();
    graph_.dict(version) = {{word, number}};
    const std::string name = prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1);
    const NodeId key = graph_.add_text(name);
    versions_.emplace_back(key, version);
  }

  NodeId version_word() {
    if (word_ == kNoNode) word_ = graph_.add_text("version");
    return word_;
  }

  Status add_tensors(NodeId mapping, NodeId skipped, const std::string& prefix) {
    if (mapping == kNoNode) return {};
    const auto* entries = graph_.entries(mapping);
    if (entries == nullptr) return {};
    const std::vector<Entry> copy = *entries;
    for (const auto& [key, value] : copy) {
      const bool shown = graph_.is(key, NodeKind::text) && !graph_.is(value, NodeKind::none) &&
                         !is_listed(skipped, graph_.text(key));
      if (!shown) continue;
      if (items_.size() >= kMaxKeys) return unsupported("a module with over a million parameters");
      const NodeId name = graph_.add_text(prefix + std::string(graph_.text(key)));
      items_.emplace_back(name, detached(value));
    }
    return {};
  }

  /// What state_dict() shows of a Parameter: the plain tensor in it, which needs no gradient.
  NodeId detached(NodeId value) const {
    if (!graph_.is_call_of(value, "torch._utils", "_rebuild_parameter")) return value;
    const auto args = graph_.tuple(graph_.args(value));
    return args.empty() || checkpoint_.tensor_at(args[0]) == kNoIndex ? value : args[0];
  }

  bool is_listed(NodeId set, std::string_view name) const {
    if (set == kNoNode) return false;
    std::span<const NodeId> members;
    if (graph_.is(set, NodeKind::set) || graph_.is(set, NodeKind::frozenset)) {
      members = graph_.list(set);
    } else if (graph_.is(set, NodeKind::object)) {  // protocol 2: set([...])
      const auto args = graph_.tuple(graph_.args(set));
      if (!args.empty()) members = graph_.sequence(args[0]);
    }
    return std::any_of(members.begin(), members.end(), [&](NodeId member) {
      return graph_.is(member, NodeKind::text) && graph_.text(member) == name;
    });
  }

  const Checkpoint& checkpoint_;
  Graph& graph_;
  std::vector<Entry> items_;
  std::vector<Entry> versions_;
  std::vector<std::string> packed_;
  std::unordered_set<NodeId> path_;
  NodeId word_ = kNoNode;
};

}  // namespace

bool is_module(const Graph& graph, NodeId node) {
  for (size_t i = 0; i <= kMaxNesting; ++i) {
    if (is_plain_module(graph, attributes_of(graph, node))) return true;
    node = wrapped_module(graph, node);
    if (node == kNoNode) return false;
  }
  return false;
}

bool holds_module(const Graph& graph, NodeId node) {
  std::unordered_set<NodeId> seen;
  std::vector<NodeId> stack = {node};
  while (!stack.empty()) {
    const NodeId next = stack.back();
    stack.pop_back();
    if (!seen.insert(next).second) continue;
    if (is_module(graph, next)) return true;
    if (const auto* entries = graph.entries(next)) {
      for (const auto& [key, value] : *entries) stack.push_back(value);
    }
    const auto items = graph.sequence(next);
    stack.insert(stack.end(), items.begin(), items.end());
  }
  return false;
}

Result<RecoveredModule> recover_state_dict(Checkpoint& checkpoint, NodeId node) {
  return Recovery(checkpoint).run(node);
}

}  // namespace mlc
