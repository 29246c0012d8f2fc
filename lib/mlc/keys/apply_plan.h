// Carries out a Plan on a checkpoint in memory: keys, split and joined tensors, and the modules
// that `_metadata` names after them. Optimizers follow by follow_optimizers.h.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/keys/plan.h"

#include <string>
#include <vector>

namespace mlc {

/// What the tensors of STATE_DICT look like to rules. The views live as long as CHECKPOINT.
std::vector<KeyInfo> key_infos(const Checkpoint& checkpoint, const StateDict& state_dict);

/// The same, and behind them what else has a text as key: all that a plan to be applied is made of.
std::vector<KeyInfo> plan_keys(const Checkpoint& checkpoint, const StateDict& state_dict);

struct AppliedPlan {
  uint64_t module_versions = 0;  // entries of `_metadata` that got another name
  // Split and joined tensors that are plain ones, made of a subclass, of what has attributes, or of
  // Parameters and others together; those that are transposed stay what they are.
  std::vector<std::string> made_plain;
};

/// Renames, drops and derives the entries of STATE_DICT, of whose plan_keys() PLAN was made; its
/// `_metadata` follows. What has no text as key keeps its place. STATE_DICT is read anew. Errors:
/// unsupported, usage, from deriving tensors.
Result<AppliedPlan> apply_plan(Checkpoint& checkpoint, StateDict& state_dict, const Plan& plan);

}  // namespace mlc
