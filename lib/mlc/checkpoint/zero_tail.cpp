#include "mlc/checkpoint/zero_tail.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

namespace mlc {
namespace {

constexpr uint64_t kLeast = 16 << 10;  // four pages: less is what a bias may be
constexpr uint64_t kBlock = uint64_t{256} << 10U;
constexpr uint64_t kElement = 16;  // the largest has as many bytes; the last of them may be 0

/// Where the zeros begin that FILE ends with; not before BEGIN.
Result<uint64_t> zeros_from(const InputFile& file, uint64_t begin, Reporter& reporter) {
  const auto block = std::make_unique_for_overwrite<std::byte[]>(kBlock);
  uint64_t end = file.size();
  while (end > begin) {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const uint64_t length = std::min(kBlock, end - begin);
    const std::span bytes(block.get(), static_cast<size_t>(length));
    MLC_CHECK(file.read_at(end - length, bytes));
    for (size_t i = bytes.size(); i-- > 0;) {
      if (bytes[i] != std::byte{0}) return end - length + i + 1;
    }
    end -= length;
  }
  return begin;
}

/// INSIDE: the storages of the file, by their offset; at least one.
Result<std::optional<ZeroTail>> tail_of(const Checkpoint& checkpoint, uint32_t file,
                                        const std::vector<uint32_t>& inside, Reporter& reporter) {
  const auto offset_of = [&](uint32_t index) { return checkpoint.storages[index].offset; };
  MLC_TRY(const uint64_t zeros,
          zeros_from(*checkpoint.files[file], offset_of(inside.front()), reporter));
  const auto first = std::ranges::lower_bound(inside, zeros, {}, offset_of);
  ZeroTail tail;
  tail.file = file;
  tail.bytes = checkpoint.files[file]->size() - zeros;
  tail.storages = static_cast<uint64_t>(inside.end() - first);
  if (tail.storages == 0 || tail.bytes < kLeast) return std::optional<ZeroTail>();
  tail.first = *first;
  tail.begins_within_other = offset_of(*first) - zeros >= kElement;
  if (tail.storages == 1 && !tail.begins_within_other) return std::optional<ZeroTail>();
  return std::optional(tail);
}

}  // namespace

Result<std::vector<ZeroTail>> find_zero_tails(const Checkpoint& checkpoint, Reporter& reporter) {
  std::map<uint32_t, std::vector<uint32_t>> files;
  for (uint32_t i = 0; i < checkpoint.storages.size(); ++i) {
    const Storage& storage = checkpoint.storages[i];
    const bool plain = storage.archive == kNoIndex && storage.file != kNoIndex && !storage.crc32;
    if (plain && storage.byte_size() > 0) files[storage.file].push_back(i);
  }
  std::vector<ZeroTail> tails;
  for (auto& [file, inside] : files) {
    std::ranges::stable_sort(inside, {},
                             [&](uint32_t index) { return checkpoint.storages[index].offset; });
    MLC_TRY(const auto tail, tail_of(checkpoint, file, inside, reporter));
    if (tail) tails.push_back(*tail);
  }
  return tails;
}

}  // namespace mlc
