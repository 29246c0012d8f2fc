// Finds the position of a name in a list, without a second copy of the names.
//
// A hash table of 32-bit positions; the names stay with the caller, who hands in a way to read them
// back. Made for 100,000 keys in a few milliseconds. Not safe for writing from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace mlc {

class NameIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  NameIndex() = default;
  /// Room for EXPECTED names. Requires: no more than that are inserted, EXPECTED < 2^31.
  explicit NameIndex(size_t expected);

  /// Enters POSITION under NAME and returns kNone; where NAME is there already, changes nothing and
  /// returns the position that holds it. NAME_OF(position) must give the name entered there.
  template <class NameOf>
  uint32_t insert(std::string_view name, uint32_t position, const NameOf& name_of) {
    const size_t hash = std::hash<std::string_view>{}(name);
    size_t slot = hash & mask();
    for (; slots_[slot].position != kNone; slot = (slot + 1) & mask()) {
      if (slots_[slot].tag == tag(hash) && name_of(slots_[slot].position) == name)
        return slots_[slot].position;
    }
    slots_[slot] = {position, tag(hash)};
    return kNone;
  }

  /// The position entered under NAME, or kNone.
  template <class NameOf>
  uint32_t find(std::string_view name, const NameOf& name_of) const {
    if (slots_.empty()) return kNone;
    const size_t hash = std::hash<std::string_view>{}(name);
    for (size_t slot = hash & mask(); slots_[slot].position != kNone; slot = (slot + 1) & mask()) {
      if (slots_[slot].tag == tag(hash) && name_of(slots_[slot].position) == name)
        return slots_[slot].position;
    }
    return kNone;
  }

 private:
  struct Slot {
    uint32_t position = kNone;
    uint32_t tag = 0;
  };
  static uint32_t tag(size_t hash) { return static_cast<uint32_t>(hash >> 32U); }
  size_t mask() const { return slots_.size() - 1; }

  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace mlc
