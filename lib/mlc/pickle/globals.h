// The names that a pickle refers to: classes and functions that Python would import for it.
#pragma once

#include "mlc/pickle/graph.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::pickle {

struct GlobalUse {
  std::string module;
  std::string name;
  uint64_t count = 0;     // how many values refer to it
  bool called = false;    // by one of them as the function or class of a call
  bool reachable = true;  // false: only values that the pickle makes and drops use it
};

/// Every name in GRAPH, once: first those that ROOT reaches, in the order in which a pickle of it
/// first uses them, then the others, which Python imports (and calls) all the same. A graph with
/// several pickles in it counts what only the others reach as not reachable. Iterative: depth does
/// not matter.
std::vector<GlobalUse> list_globals(const Graph& graph, NodeId root);

/// Whether torch.load(weights_only=True) of PyTorch 2.13 knows the name after a plain
/// `import torch`: its own closed list, with the Python 2 names of the same things. Names that it
/// knows only once another package was imported (torch.distributed.tensor) are not among them.
bool weights_only_allows(std::string_view module, std::string_view name);

/// Whether that holds for every name in GRAPH. Quick: no value is looked at.
bool weights_only_allows_all(const Graph& graph);

/// Whether the name is known to run code or commands once it is called: os.system, builtins.eval,
/// those that give access to such by its name (builtins.getattr), and those that load pickles.
/// False says nothing good of a name.
bool runs_code(std::string_view module, std::string_view name);

}  // namespace mlc::pickle
