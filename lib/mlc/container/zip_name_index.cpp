#include "mlc/container/zip_name_index.h"

#include "mlc/base/bytes.h"

#include <algorithm>
#include <array>
#include <bit>

#include <sys/auxv.h>

namespace mlc {
namespace {

constexpr unsigned kPositionBits = 23;
constexpr uint32_t kPositionMask = (1U << kPositionBits) - 1;

// The 16 random bytes the kernel gives every process.
struct HashKey {
  uint64_t a = 0x9E3779B97F4A7C15;
  uint64_t b = 0xD1B54A32D192ED03;
};
const HashKey& hash_key() {
  static const HashKey key = [] {
    HashKey k;
    if (const auto* random = reinterpret_cast<const char*>(getauxval(AT_RANDOM))) {
      k.a ^= load_le<uint64_t>(random);
      k.b ^= load_le<uint64_t>(random + 8);
    }
    return k;
  }();
  return key;
}

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Eight ASCII letters to lower case at once; bytes above 0x7F stay.
uint64_t fold(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t low = word & (kOnes * 0x7F);
  const uint64_t above_at = low + kOnes * (0x80 - 'A');     // high bit: >= 'A'
  const uint64_t above_z = low + kOnes * (0x80 - 'Z' - 1);  // high bit: > 'Z'
  const uint64_t upper = above_at & ~above_z & ~word & (kOnes * 0x80);
  return word | upper >> 2;
}

char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool equal_folded(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (fold(a[i]) != fold(b[i])) return false;
  }
  return true;
}

}  // namespace

bool ZipNameIndex::is_same(std::string_view a, std::string_view b) const {
  return fold_case_ ? equal_folded(a, b) : a == b;
}

uint64_t ZipNameIndex::hash(std::string_view name) const {
  const HashKey& key = hash_key();
  uint64_t h = key.a ^ name.size();
  const auto add = [&](uint64_t word) {
    h = mix(h ^ (fold_case_ ? fold(word) : word), key.b | 1) ^ key.a;
  };
  const char* p = name.data();
  size_t left = name.size();
  for (; left > 8; left -= 8, p += 8) add(load_le<uint64_t>(p));
  if (name.size() >= 8) {
    add(load_le<uint64_t>(p + left - 8));  // overlaps the one before
  } else {
    uint64_t word = 0;
    std::memcpy(&word, p, left);
    add(word);
  }
  return mix(h, key.b | 1);
}

std::optional<ZipNameIndex::Duplicate> ZipNameIndex::insert(std::span<const ZipEntry> entries,
                                                            uint32_t position, uint64_t h) {
  const std::string_view name = entries[position].name;
  const size_t mask = slots_.size() - 1;
  const uint32_t tag = static_cast<uint32_t>(h >> 32) & ~kPositionMask;
  size_t slot = h & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if ((slots_[slot] & ~kPositionMask) != tag) continue;
    const uint32_t other = (slots_[slot] & kPositionMask) - 1;
    if (is_same(entries[other].name, name)) return Duplicate(other, position);
  }
  slots_[slot] = tag | (position + 1);
  return std::nullopt;
}

std::optional<ZipNameIndex::Duplicate> ZipNameIndex::build(std::span<const ZipEntry> entries,
                                                           bool fold_case) {
  fold_case_ = fold_case;
  slots_.assign(std::bit_ceil(entries.size() + entries.size() / 4 + 1), 0);
  // In groups, so that the memory of a group's slots is fetched while its names are hashed.
  std::array<uint64_t, 16> hashes;
  for (size_t begin = 0; begin < entries.size(); begin += hashes.size()) {
    const size_t count = std::min(hashes.size(), entries.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash(entries[begin + i].name);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (size_t i = 0; i < count; ++i) {
      const auto duplicate = insert(entries, static_cast<uint32_t>(begin + i), hashes[i]);
      if (duplicate) return duplicate;
    }
  }
  return std::nullopt;
}

const ZipEntry* ZipNameIndex::find(std::span<const ZipEntry> entries, std::string_view name) const {
  if (slots_.empty()) return nullptr;
  const uint64_t h = hash(name);
  const auto tag = static_cast<uint32_t>(h >> 32) & ~kPositionMask;
  const size_t mask = slots_.size() - 1;
  for (size_t slot = h & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if ((slots_[slot] & ~kPositionMask) != tag) continue;
    const ZipEntry& entry = entries[(slots_[slot] & kPositionMask) - 1];
    if (is_same(entry.name, name)) return &entry;
  }
  return nullptr;
}

}  // namespace mlc
