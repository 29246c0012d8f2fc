// What a file of DeepSpeed's ZeRO holds in place of weights: they lie in pieces in the files of all
// ranks, which only together are a checkpoint.
//
// Names and places as in deepspeed/checkpoint/constants.py: model states have `module` and
// `param_shapes`, a list with a mapping of names to torch.Size for each group; at stage 3 the
// tensors of `module` have no elements. Optimizer states have flat float32 tensors.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace mlc {

struct DeepSpeedParts {
  /// Tensors without elements, in Checkpoint::tensors, and the shapes of the parameters that they
  /// stand for.
  std::map<uint32_t, std::vector<int64_t>> placeholders;
  uint64_t flat_parts = 0;            // flat tensors with one rank's piece of all weights
  std::optional<int64_t> zero_stage;  // 1 to 3, where the file says so
};

/// Looks at names and shapes only; nothing found where the file is none of DeepSpeed's ZeRO.
DeepSpeedParts deepspeed_parts(const Checkpoint& checkpoint);

}  // namespace mlc
