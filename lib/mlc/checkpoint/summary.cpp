#include "mlc/checkpoint/summary.h"

#include <algorithm>
#include <map>

namespace mlc {
namespace {

/// Bytes of a storage that at least one of the tensors spans (gaps between strided elements count
/// as used: they cannot be cut out).
uint64_t used_bytes(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                    const std::vector<size_t>& users) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const size_t user : users) {
    const Tensor& tensor = checkpoint.tensors[tensors[user].tensor];
    if (checkpoint.element_count(tensor) == 0) continue;
    const Dims sizes = checkpoint.sizes(tensor);
    const Dims strides = checkpoint.strides(tensor);
    int64_t last = tensor.offset;
    for (size_t d = 0; d < sizes.size(); ++d) last += (sizes[d] - 1) * strides[d];
    const uint64_t width = element_bytes(tensor.dtype);
    spans.emplace_back(static_cast<uint64_t>(tensor.offset) * width,
                       (static_cast<uint64_t>(last) + 1) * width);
  }
  std::sort(spans.begin(), spans.end());
  uint64_t used = 0;
  uint64_t reached = 0;
  for (const auto& [begin, end] : spans) {
    const uint64_t from = std::max(begin, reached);
    if (end > from) used += end - from;
    reached = std::max(reached, end);
  }
  return used;
}

template <class Key>
std::vector<std::pair<Key, uint64_t>> most_first(const std::map<Key, uint64_t>& counts) {
  std::vector<std::pair<Key, uint64_t>> rows(counts.begin(), counts.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return rows;
}

bool same_view(const Checkpoint& checkpoint, const Tensor& a, const Tensor& b) {
  const auto equal = [](Dims x, Dims y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end());
  };
  return a.offset == b.offset && a.dtype == b.dtype &&
         equal(checkpoint.sizes(a), checkpoint.sizes(b)) &&
         equal(checkpoint.strides(a), checkpoint.strides(b));
}

}  // namespace

Summary summarize(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors) {
  Summary out;
  out.tensors = tensors.size();
  std::map<DType, uint64_t> dtypes;
  std::map<std::string, uint64_t> devices;
  std::vector<std::vector<size_t>> users(checkpoint.storages.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[tensors[i].tensor];
    ++dtypes[tensor.dtype];
    if (tensor.storage == kNoIndex) {
      out.parameters += static_cast<uint64_t>(checkpoint.element_count(tensor));
      continue;
    }
    const Storage& storage = checkpoint.storages[tensor.storage];
    if (!storage.location.empty()) ++devices[std::string(storage.location)];
    auto& list = users[tensor.storage];
    const bool repeated = std::any_of(list.begin(), list.end(), [&](size_t other) {
      return same_view(checkpoint, checkpoint.tensors[tensors[other].tensor], tensor);
    });
    if (!repeated) {
      out.parameters += static_cast<uint64_t>(checkpoint.element_count(tensor));
      out.bytes += checkpoint.byte_size(tensor);
    }
    list.push_back(i);
  }
  for (size_t s = 0; s < users.size(); ++s) {
    if (users[s].empty()) continue;
    const uint64_t size = checkpoint.storages[s].byte_size();
    out.storage_bytes += size;
    out.wasted_bytes += size - std::min(size, used_bytes(checkpoint, tensors, users[s]));
    if (users[s].size() < 2) continue;
    std::vector<std::string>& group = out.shared.emplace_back();
    for (const size_t user : users[s]) group.push_back(tensors[user].path);
  }
  out.dtypes = most_first(dtypes);
  out.devices = most_first(devices);
  return out;
}

}  // namespace mlc
