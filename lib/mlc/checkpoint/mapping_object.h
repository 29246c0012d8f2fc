// What instances of subclasses of dict pickle beside their entries.
#pragma once

#include "mlc/pickle/graph.h"

#include <string>
#include <utility>
#include <vector>

namespace mlc {

/// The mapping that the object at NODE was made from, where that is all: a subclass of dict that
/// pickles as the call `MyDict({...})`. pickle::kNoNode for anything else.
pickle::NodeId only_argument(const pickle::Graph& graph, pickle::NodeId node);

/// What the mapping at NODE has besides its entries: attributes, or the items of a state that only
/// its class understands. PyTorch's own `_metadata` is none, nor is what stands under the same key
/// too, as in classes whose `__dict__` is the mapping itself. Empty for anything else.
std::vector<std::pair<std::string, pickle::NodeId>> attributes_beside(const pickle::Graph& graph,
                                                                      pickle::NodeId node);

}  // namespace mlc
