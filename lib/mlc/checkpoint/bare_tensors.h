// Tensors that were saved without names: torch.save(tensor), torch.save([a, b]).
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <vector>

namespace mlc {

/// Gives the tensors of CHECKPOINT names where its root is a tensor ("tensor"), a list or tuple of
/// tensors ("0", "1", ...) or a dict of tensors under whole numbers (these): the root becomes a
/// state_dict of them. Returns the names in order; none, and nothing is changed, for any other
/// root.
std::vector<std::string> name_bare_tensors(Checkpoint& checkpoint);

}  // namespace mlc
