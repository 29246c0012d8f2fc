// Applies rules to the names (and shapes) of a state_dict.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/key_rules.h"
#include "mlc/keys/plan.h"

#include <span>

namespace mlc {

struct RuleOptions {
  bool strict = false;  // a rule that matched nothing, and a plan that changes nothing, are errors
  bool require_all = false;  // every key must be matched by a rule
};

/// The plan for KEYS, in their order. Errors: conflict where two tensors get one name, and as
/// OPTIONS ask; usage where a tensor does not fit its rule (a split that does not divide, a group
/// to join that is incomplete, a wrong number of dimensions); each lists the first ten cases.
/// Warnings are in the plan.
Result<Plan> make_plan(std::span<const KeyInfo> keys, const RuleSet& rules,
                       const RuleOptions& options = {});

}  // namespace mlc
