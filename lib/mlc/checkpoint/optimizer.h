// Finding the states of torch.optim optimizers inside a checkpoint.
//
// Optimizer.state_dict() is {'state': {id: {...}}, 'param_groups': [{'params': [id, ...]}]}. The
// ids are numbers; since PyTorch 2.6 'param_names' may name them, and distributed checkpoints use
// the names as ids. torch.distributed's flatten_optimizer_state_dict makes one mapping of it:
// 'state.NAME.exp_avg', 'param_groups.NAME.lr'.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct OptimizerState {
  std::string path;  // dotted path in the tree: "optimizer", "optimizer_states.0"
  NodeId node = kNoNode;
  NodeId state = kNoNode;  // the mapping of ids to states; none where it is flat
  std::vector<NodeId> groups;
  bool is_flat = false;  // the keys of `node` hold the names
};

/// A parameter that an optimizer names.
struct OptimizerParameter {
  std::string name;
  uint32_t times = 1;           // how often the groups name it: two models may have the same names
  std::vector<NodeId> moments;  // tensors that have the shape of the parameter: exp_avg
};

/// Whether an optimizer may hold ENTRY: PyTorch gives gradients to numbers with a fraction only,
/// and the buffers of its normalizations are no parameters.
bool may_be_parameter(const Checkpoint& checkpoint, const StateDictEntry& entry);

/// The shapes of the parameters that OPTIMIZER steps, told by moments that each of them has. Empty
/// where that cannot be told: one of them has no state yet, or none with a moment.
std::set<std::vector<int64_t>> shapes_of_parameters(const Checkpoint& checkpoint,
                                                    const OptimizerState& optimizer);

/// A key of a flat state: "state." and the name of the parameter and "exp_avg".
struct FlatKey {
  std::string_view head;  // with its dot
  std::string_view name;
  std::string_view field;
};
/// KEY in parts, which are views of it; nothing if it is none.
std::optional<FlatKey> split_flat_key(std::string_view key);

/// Whether the mapping at NODE has the layout of Optimizer.state_dict(), flat or not.
bool is_optimizer(const pickle::Graph& graph, NodeId node);

/// Whether the mapping at NODE holds nothing under texts but what torch.optim's algorithms keep of
/// one parameter: {'step': 3, 'exp_avg': ...}.
bool is_parameter_state(const pickle::Graph& graph, NodeId node);

/// The optimizers of the tree, in tree order.
std::vector<OptimizerState> find_optimizers(const Checkpoint& checkpoint);

/// The parameters that OPTIMIZER names, once each, in its order; none where it numbers them.
std::vector<OptimizerParameter> named_parameters(const pickle::Graph& graph,
                                                 const OptimizerState& optimizer);

}  // namespace mlc
