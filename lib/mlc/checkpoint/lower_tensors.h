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

}  // namespace mlc
