// Distributed tensors (torch.distributed.tensor.DTensor). torch.save writes the part of one rank,
// `_local_tensor`, and in `_spec` the mesh of devices and how the whole tensor lies on it.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// What makes plain tensors of those that are spread over ranks, where the model still is.
inline constexpr std::string_view kGatherDistributed =
    "before torch.save, `full_tensor()` of each DTensor, or "
    "`get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))`, makes whole "
    "plain tensors";

/// Index of the local part of TENSOR, which may lie in a Parameter; kNoIndex where it is no
/// DTensor.
uint32_t local_part(const Checkpoint& checkpoint, const Tensor& tensor);

/// Whether the local part of TENSOR is all of it: a plain tensor of the shape of the whole, and no
/// summand of it (Partial).
bool is_whole_distributed(const Checkpoint& checkpoint, const Tensor& tensor);

/// Whether TENSOR is a DTensor of which this file has a part only.
bool is_distributed_part(const Checkpoint& checkpoint, const Tensor& tensor);

/// What tells which part of the whole the local part of TENSOR is: placements, mesh of devices and
/// place in it. Equal ones are the same part. None where TENSOR is no DTensor, or its file does not
/// tell.
std::vector<NodeId> place_of_part(const Checkpoint& checkpoint, const Tensor& tensor);

/// Makes plain tensors of those of TENSORS that are whole, wherever they are referred to; a
/// Parameter stays one. Returns their paths.
std::vector<std::string> take_whole_distributed(Checkpoint& checkpoint,
                                                const std::vector<NamedTensor>& tensors);

}  // namespace mlc
