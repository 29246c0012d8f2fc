// Finding the states of torch.optim optimizers inside a checkpoint.
//
// Optimizer.state_dict() is {'state': {id: {...}}, 'param_groups': [{'params': [id, ...]}]}. The
// ids are numbers; since PyTorch 2.6 'param_names' may name them, and distributed checkpoints use
// the names as ids.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <vector>

namespace mlc {

struct OptimizerState {
  std::string path;  // dotted path in the tree: "optimizer", "optimizer_states.0"
  NodeId node = kNoNode;
  NodeId state = kNoNode;  // the mapping of ids to states
  std::vector<NodeId> groups;
};

/// Whether the mapping at NODE has the layout of Optimizer.state_dict().
bool is_optimizer(const pickle::Graph& graph, NodeId node);

/// The optimizers of the tree, in tree order.
std::vector<OptimizerState> find_optimizers(const Checkpoint& checkpoint);

/// The names of parameters in OPTIMIZER, once each, in its order; none where it numbers them.
std::vector<std::string> parameter_names(const pickle::Graph& graph,
                                         const OptimizerState& optimizer);

}  // namespace mlc
