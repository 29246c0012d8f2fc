// The rules that undo a plan, for `remap-keys --emit-inverse`.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/plan.h"

#include <string>

namespace mlc {

/// A rule file of exact names that turns the output of PLAN back into its input: renames backwards,
/// splits joined, joined tensors split, transposes undone. The order of tensors is restored as far
/// as rules can. Errors: conflict where the plan drops tensors or joins some of unknown shape;
/// unsupported where a name is not UTF-8, which YAML cannot hold, or the file would be larger than
/// mlc reads.
Result<std::string> invert(const Plan& plan);

}  // namespace mlc
