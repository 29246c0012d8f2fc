#include "mlc/pickle/globals.h"

#include "mlc/pickle/allowed_globals.h"
#include "mlc/pickle/names_today.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <unordered_map>

namespace mlc::pickle {
namespace {

class Census {
 public:
  explicit Census(const Graph& graph) : graph_(graph), seen_(graph.size(), false) {}

  void visit(NodeId node, bool reachable) {
    seen_[node] = true;
    if (graph_.is(node, NodeKind::global)) add(node, reachable);
    children_.clear();
    append_children(graph_, node, children_);
    for (const NodeId child : children_) {
      if (graph_.is(child, NodeKind::global)) ++uses_[child].count;
    }
    if (graph_.is(node, NodeKind::object)) uses_[graph_.callable(node)].called = true;
  }

  bool seen(NodeId node) const { return seen_[node]; }

  std::vector<GlobalUse> result() {
    for (size_t i = 0; i < out_.size(); ++i) {
      out_[i].count = uses_[order_[i]].count;
      out_[i].called = uses_[order_[i]].called;
    }
    return std::move(out_);
  }

 private:
  struct Uses {
    uint64_t count = 0;
    bool called = false;
  };

  void add(NodeId node, bool reachable) {
    order_.push_back(node);
    out_.push_back({std::string(graph_.global_module(node)), std::string(graph_.global_name(node)),
                    0, false, reachable});
  }

  const Graph& graph_;
  std::vector<bool> seen_;
  std::vector<NodeId> children_;
  std::vector<NodeId> order_;
  std::unordered_map<NodeId, Uses> uses_;
  std::vector<GlobalUse> out_;
};

}  // namespace

std::vector<GlobalUse> list_globals(const Graph& graph, NodeId root) {
  Census census(graph);
  for_each_reachable(graph, root, [&](NodeId node) { census.visit(node, true); });
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (!census.seen(node)) census.visit(node, false);
  }
  return census.result();
}

namespace {

/// Modules most of whose functions run commands or code, load libraries or reach other machines.
constexpr std::string_view kCodeModules[] = {
    "os",
    "posix",
    "nt",
    "subprocess",
    "commands",
    "pty",
    "runpy",
    "code",
    "codeop",
    "ctypes",
    "_ctypes",
    "imp",
    "importlib",
    "multiprocessing",
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "dill._dill",
    "marshal",
    "shutil",
    "socket",
    "webbrowser",
    "timeit",
    "pdb",
    "bdb",
    "sys",
    "cloudpickle",
    "cloudpickle.cloudpickle",
};

constexpr std::string_view kCodeFunctions[] = {
    "builtins.__import__",
    "builtins.breakpoint",
    "builtins.compile",
    "builtins.delattr",
    "builtins.eval",
    "builtins.exec",
    "builtins.execfile",
    "builtins.getattr",
    "builtins.input",
    "builtins.open",
    "builtins.setattr",

    "io.open",
    "_io.open",
    "operator.attrgetter",
    "operator.methodcaller",
    "_operator.attrgetter",
    "_operator.methodcaller",
    "torch.load",
    "torch.serialization.load",
    "torch.hub.load",
    "torch.jit.load",
    "types.CodeType",
    "types.FunctionType",
};

}  // namespace

bool runs_code(std::string_view module, std::string_view name) {
  module = module_today(module);
  if (std::ranges::find(kCodeModules, module) != std::end(kCodeModules)) return true;
  const std::string path = std::string(module).append(1, '.').append(name);
  // Since protocol 4 names may have dots: the module "builtins" and "eval.__call__".
  return std::ranges::any_of(kCodeFunctions, [&path](std::string_view one) {
    return path.starts_with(one) && (path.size() == one.size() || path[one.size()] == '.');
  });
}

bool weights_only_allows(std::string_view module, std::string_view name) {
  module = module_today(module);
  // PyTorch compares the joined name, whichever dot it was split at.
  const std::string path = std::string(module).append(1, '.').append(name);
  return std::ranges::binary_search(kAllowedGlobals, std::string_view(path));
}

bool weights_only_allows_all(const Graph& graph) {
  return std::ranges::all_of(graph.globals(), [&graph](NodeId node) {
    return weights_only_allows(graph.global_module(node), graph.global_name(node));
  });
}

}  // namespace mlc::pickle
