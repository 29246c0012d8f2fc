// Lets the optimizers of a checkpoint follow when the keys of its state_dicts change.
//
// torch.optim keeps its state by the number of a parameter; `param_names` and distributed
// checkpoints name them as the state_dict of their model does, or with its place before that.
// optimizer_owners.h says whose they are.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/keys/plan.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// A state_dict of the file and what will become of its keys; without a plan it stays as it is.
struct PlannedStateDict {
  const StateDict* state_dict = nullptr;
  const Plan* plan = nullptr;
};

/// An optimizer that was left as it is, and the places of the state_dicts it may belong to.
struct UnclearOptimizer {
  std::string path;
  std::vector<std::string> owners;
};

struct FollowedOptimizers {
  uint64_t renamed = 0;            // names that got another one
  uint64_t removed = 0;            // parameters that went with their tensor
  std::vector<std::string> stale;  // paths of optimizers whose state fits its tensors no more
  std::vector<UnclearOptimizer> unclear;
};

/// Renames in `params`, `param_names` and `state`, and takes the parameters of dropped tensors out
/// of them, before apply_plan() changes the state_dicts: ALL of the file, in their order. Stale are
/// optimizers of tensors that are split, joined or transposed, and those that only number their
/// parameters when tensors are dropped or changed, unless another name of the tensor stays or no
/// moment has its shape. Unclear are those whose names fit several
/// state_dicts that the plans treat differently, or tensors with another prefix.
FollowedOptimizers follow_optimizers(Checkpoint& checkpoint, std::span<const PlannedStateDict> all);

}  // namespace mlc
