// Tensors as torch.jit.save pickles them, where torch.save does it otherwise.
#pragma once

#include "mlc/pickle/graph.h"

namespace mlc {

/// Gives what the nodes from FIRST on rebuild the form that Python's pickles have, which the rest
/// of this room reads and writes:
///
///   _rebuild_sparse_tensor(1, size, requires_grad, indices, values, hooks), and 2 with compressed
///   and plain indices: a call with a layout, and the parts and the size in a tuple
///
///   _rebuild_tensor_v2 over torch.Float8_e4m3fnStorage, and what else has no class of that name in
///   Python: _rebuild_tensor_v3 over an untyped storage
///
/// Calls of other forms stay, for those who read tensors to refuse. Source of the forms: the
/// Pickler of torch/csrc/jit/serialization/pickler.cpp.
void use_python_forms(pickle::Graph& graph, pickle::NodeId first);

}  // namespace mlc
