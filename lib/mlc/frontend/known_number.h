// Numbers in the text of a method that are known before the run: how often a loop over modules
// turns, whether `if i < len(self.blocks) - 1:` holds in one of its turns.
#pragma once

#include "mlc/frontend/module_path.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::arch {

/// Whether PATH ends at a module that can be iterated over.
bool leads_to_list(const std::optional<ModulePath>& path);

/// `len(self.blocks)` that REST begins with: its characters and the number of modules.
std::optional<std::pair<size_t, size_t>> read_len(std::string_view rest,
                                                  const std::vector<Alias>& aliases);

/// What TEXT says: a number as of read_number(), the number of modules in a list, an argument of
/// the class, `self.depth`, or one of these with another added to it or taken away. Nothing for all
/// else.
std::optional<int64_t> known_number(std::string_view text, const std::vector<Alias>& aliases);

/// Whether CONDITION, a comparison of two such numbers, holds. Nothing for all else.
std::optional<bool> known_condition(std::string_view condition, const std::vector<Alias>& aliases);

}  // namespace mlc::arch
