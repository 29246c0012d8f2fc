// What can be wrong with key rules though each of them is a valid one.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/keys/follow_optimizers.h"
#include "mlc/keys/plan.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

using PlanMaker = std::function<Result<Plan>(std::span<const KeyInfo>)>;

/// Rules hold for the keys of a state_dict. One that is applied in none of PLANS, but would be to a
/// key at the root of CHECKPOINT, was meant for that. Errors: usage for one of the command line; of
/// one from a rule file, which serves many checkpoints, it warns. PLACE: the path of the state_dict
/// of the first plan; where that is the root, its plan has all.
Status check_misplaced(const Checkpoint& checkpoint, const std::string& place,
                       const std::vector<const Plan*>& plans, const PlanMaker& make_plan,
                       Reporter& reporter);

/// Warns of tensors of STATE_DICT that share their memory and will no more after PLAN.
void warn_of_parted_ties(const Checkpoint& checkpoint, const StateDict& state_dict,
                         const Plan& plan, Reporter& reporter);

/// The same of tensors in several of ALL, the state_dicts of an output that holds them all.
void warn_of_parted_state_dicts(const Checkpoint& checkpoint,
                                const std::vector<PlannedStateDict>& all, Reporter& reporter);

}  // namespace mlc::cli
