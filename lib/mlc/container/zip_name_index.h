// Finding zip entries by name in constant time, at 5 to 10 bytes per entry.
#pragma once

#include "mlc/container/zip_format.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc {

/// A hash table of positions in a list of entries that it does not own. The hash is keyed per
/// process, so that a hostile archive cannot choose names that collide.
class ZipNameIndex {
 public:
  using Duplicate = std::pair<uint32_t, uint32_t>;

  /// Indexes ENTRIES (at most 2^22). FOLD_CASE: names that differ in the case of ASCII letters only
  /// count as equal. Returns the first pair of equal names, if there is one, and is unusable then.
  std::optional<Duplicate> build(std::span<const ZipEntry> entries, bool fold_case);

  /// The entry of the indexed list with this name, in any case if built so, or null.
  const ZipEntry* find(std::span<const ZipEntry> entries, std::string_view name) const;

 private:
  bool is_same(std::string_view a, std::string_view b) const;
  uint64_t hash(std::string_view name) const;
  std::optional<Duplicate> insert(std::span<const ZipEntry> entries, uint32_t position,
                                  uint64_t hash);

  std::vector<uint32_t> slots_;  // 0 empty, else position + 1 below 9 bits of the hash
  bool fold_case_ = false;
};

}  // namespace mlc
