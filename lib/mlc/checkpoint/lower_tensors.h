// From tensors in a checkpoint to the calls and storage references that torch.save would have
// written.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <vector>

namespace mlc {

/// Turns the tensor nodes reachable from the root into PyTorch's rebuild calls
/// (torch/_tensor.py, _reduce_ex_internal), and gives every storage the key that its first place in
/// the pickle asks for: "0", "1", ... References that are right already are left alone, so the
/// pickle of an unchanged torch.save file stays the same to the byte. Returns the storages in that
/// order. Errors: unsupported for a tensor without plain elements made outside of a pickle.
Result<std::vector<uint32_t>> lower_tensors(Checkpoint& checkpoint);

/// Whether NODE calls _rebuild_from_type_v2(function, type, args, state), which gives a tensor its
/// class and its Python attributes. In memory `function` may be a tensor itself, with no `args`: a
/// derived one has neither before it is lowered.
bool is_wrapped_tensor(const pickle::Graph& graph, NodeId node);

}  // namespace mlc
