#include "mlc/checkpoint/computed_offsets.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/pickle/reader.h"

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr uint64_t kLocalHeader = 30;
constexpr uint64_t kFieldHead = 4;  // of an extra field: id and length
constexpr uint64_t kMaxAlignment = 1U << 16U;
constexpr uint64_t kMaxAlignmentText = 32;

/// The places of its persistent ids, read anew: that the edit kept their order is what is asked.
std::optional<std::vector<std::string_view>> keys_of_pickle(Bytes bytes, Graph& graph) {
  if (!pickle::read(bytes, graph).ok()) return std::nullopt;
  std::vector<std::string_view> keys;
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (!graph.is(node, NodeKind::persistent)) continue;
    const auto items = graph.sequence(graph.persistent_id(node));
    const bool good = items.size() == 5 && (graph.is(items[2], NodeKind::text) ||
                                            graph.is(items[2], NodeKind::old_string));
    if (!good) return std::nullopt;
    keys.push_back(graph.text(items[2]));
  }
  return keys;
}

std::vector<std::string_view> keys_of(const Checkpoint& checkpoint) {
  std::vector<std::string_view> keys;
  keys.reserve(checkpoint.storage_nodes.size());
  for (const auto& [node, storage] : checkpoint.storage_nodes) {
    keys.push_back(checkpoint.storages[storage].key);
  }
  return keys;
}

std::optional<uint64_t> alignment_of(const ZipReader& zip) {
  const ZipEntry* entry = zip.record(".storage_alignment");
  if (entry == nullptr) return 64;
  const auto text = zip.read(*entry, kMaxAlignmentText);
  if (!text.ok()) return std::nullopt;
  const std::string_view digits = trim(*text);
  uint64_t alignment = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), alignment);
  const bool good = error == std::errc() && end == digits.data() + digits.size() && alignment > 0 &&
                    alignment <= kMaxAlignment;
  return good ? std::optional(alignment) : std::nullopt;
}

}  // namespace

bool computes_places(std::span<const StorageRecord> records, uint64_t alignment) {
  uint64_t header = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    const StorageRecord& record = records[i];
    const bool wide_size = record.size >= kZip64Threshold;
    uint64_t data = record.data_offset;
    if (i == 0) {
      header = record.header_offset;
    } else {
      const bool wide_offset = header >= kZip64Threshold;
      data = header + kLocalHeader + record.name_length + kFieldHead;
      if (wide_size || wide_offset) {
        data += kFieldHead + (wide_size ? 16U : 0U) + (wide_offset ? 8U : 0U);
      }
      data += padding_to(data, alignment);
      if (data != record.data_offset) return false;
    }
    const uint64_t descriptor = wide_size || header >= kZip64Threshold ? 24 : 16;
    header = data + record.size + (record.size > 0 ? descriptor : 0);
  }
  return true;
}

bool computed_offsets_hold(const Checkpoint& checkpoint, std::optional<Bytes> new_pickle,
                           const std::function<int64_t(size_t entry)>& shift) {
  const ZipReader& zip = checkpoint.archives[0];
  const auto alignment = alignment_of(zip);
  Graph graph;
  const auto keys = new_pickle ? keys_of_pickle(*new_pickle, graph) : keys_of(checkpoint);
  if (!alignment || !keys) return false;
  if (!keys->empty() && keys->front() != "0") return false;

  std::vector<bool> met(zip.entries().size(), false);
  std::vector<StorageRecord> records;
  records.reserve(keys->size());
  std::string name;
  for (const std::string_view key : *keys) {
    const ZipEntry* entry = zip.record(name.assign("data/").append(key));
    if (entry == nullptr || !entry->is_stored()) return false;
    const auto index = static_cast<size_t>(entry - zip.entries().data());
    if (met[index]) continue;
    met[index] = true;
    const auto data = zip.data_offset(*entry);
    if (!data.ok()) return false;
    const auto moved = static_cast<uint64_t>(shift(index));
    records.push_back(
        {entry->header_offset + moved, *data + moved, entry->size, entry->name.size()});
  }
  return computes_places(records, *alignment);
}

}  // namespace mlc
