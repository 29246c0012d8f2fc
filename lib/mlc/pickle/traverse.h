// Walking a graph in the order in which it is written, each node once.
#pragma once

#include "mlc/pickle/graph.h"

#include <functional>
#include <vector>

namespace mlc::pickle {

/// Appends what NODE refers to, in the order of the writer.
void append_children(const Graph& graph, NodeId node, std::vector<NodeId>& out);

/// Calls VISIT for every node reachable from ROOT, once each, a node before its children and
/// children in the order of the writer. VISIT may replace() the node it is given; its new children
/// are walked then. Iterative: depth does not matter, cycles end.
void for_each_reachable(const Graph& graph, NodeId root, const std::function<void(NodeId)>& visit);

}  // namespace mlc::pickle
