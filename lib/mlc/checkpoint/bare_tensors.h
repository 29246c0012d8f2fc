// Tensors that were saved without names: torch.save(tensor), torch.save([a, b]).
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The name of a tensor that is all of a file.
inline constexpr std::string_view kBareTensorName = "tensor";

/// Whether at PATH (of node_at(); the root where it is empty) stands what name_bare_tensors()
/// names.
bool are_bare_tensors(const Checkpoint& checkpoint, std::string_view path);

/// Makes what are_bare_tensors() at PATH the root of the tree: everything around it is left behind.
void keep_bare_tensors(Checkpoint& checkpoint, std::string_view path);

/// Gives the tensors of CHECKPOINT names where at PATH stands a list or tuple of tensors ("0", "1",
/// ...), a dict of tensors under whole numbers (these), or at the root a tensor
/// (kBareTensorName): the place becomes a state_dict of them. Returns the names in order; none, and
/// nothing is changed, for anything else.
std::vector<std::string> name_bare_tensors(Checkpoint& checkpoint, std::string_view path);

}  // namespace mlc
