// Which names of a state_dict are one tensor: what becomes of one becomes of all, or parts them.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// ENTRIES by index in groups of those that are tied, in order; a tensor of its own is a group too.
/// What has no tensor is in none.
std::vector<std::vector<size_t>> tied_entries(const Checkpoint& checkpoint,
                                              std::span<const StateDictEntry> entries);

/// "b is a" for each of ENTRIES that is not among KEYS and tied to one that is.
std::vector<std::string> tied_to(const Checkpoint& checkpoint,
                                 std::span<const StateDictEntry> entries,
                                 std::span<const std::string> keys);

}  // namespace mlc::cli
