// Recovering the state_dict of a pickled nn.Module from its attributes, without its class.
//
// nn.Module pickles its __dict__; `_parameters`, `_buffers` and `_modules` in it are all that
// state_dict() reads (torch/nn/modules/module.py, _save_to_state_dict). What only the class knows
// (get_extra_state, _version) cannot be recovered; the known versions are put back.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <vector>

namespace mlc {

/// Whether NODE is an object whose state has the three dicts of nn.Module, a torch.fx.GraphModule,
/// which pickles as a call with them, or what torch.compile makes of one of these: its keys begin
/// with `_orig_mod.`, as those of PyTorch do.
bool is_module(const pickle::Graph& graph, NodeId node);

/// Whether NODE is such a module, or a mapping, list or tuple with one in it.
bool holds_module(const pickle::Graph& graph, NodeId node);

struct RecoveredModule {
  NodeId mapping = kNoNode;  // an OrderedDict, `_metadata` included
  /// The keys under which state_dict() would show more tensors, had one the classes: what quantised
  /// modules pack into C++ objects (`0._packed_params`), children that pickle in a way of their
  /// own.
  std::vector<std::string> packed;
};

/// Adds to the graph what state_dict() of the module at NODE would be, keys in PyTorch's order.
/// Tied parameters stay one node. Errors: corrupt for a module inside itself, unsupported for
/// nesting beyond 200 levels or more than 1,000,000 keys.
Result<RecoveredModule> recover_state_dict(Checkpoint& checkpoint, NodeId node);

}  // namespace mlc
