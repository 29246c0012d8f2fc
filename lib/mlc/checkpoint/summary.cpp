#include "mlc/checkpoint/summary.h"

#include "mlc/base/checked_math.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/tensor_identity.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

namespace mlc {
namespace {

/// A storage, and the index of a tensor on it.
using Use = std::pair<uint32_t, uint32_t>;

/// Bytes of a storage that at least one of the tensors spans, gaps between strided elements too.
uint64_t spanned_bytes(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                       std::span<const Use> uses) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const auto& [storage, user] : uses) {
    spans.push_back(byte_span(checkpoint, checkpoint.tensors[tensors[user].tensor]));
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

/// Counts the storage that all of USES are of; tensors that show the same elements count once.
void add_storage(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                 std::span<const Use> uses, Summary& out) {
  const auto tensor_of = [&](const Use& use) -> const Tensor& {
    return checkpoint.tensors[tensors[use.second].tensor];
  };
  std::set<TensorIdentity> seen;
  uint64_t apart = 0;  // what copies of the tensors alone would take
  const bool alone = uses.size() == 1;
  for (const Use& use : uses) {
    const Tensor& tensor = tensor_of(use);
    if (!alone && !seen.insert(identity_of(checkpoint, tensor)).second) continue;
    out.parameters += stored_elements(checkpoint, tensor);
    out.bytes += checkpoint.byte_size(tensor);
    apart = checked_add(apart, compact_size(checkpoint, tensor)).value_or(UINT64_MAX);
  }
  const uint64_t size = checkpoint.storages[uses[0].first].byte_size();
  const auto [begin, end] = byte_span(checkpoint, tensor_of(uses[0]));
  const uint64_t spanned = alone ? end - begin : spanned_bytes(checkpoint, tensors, uses);
  out.storage_bytes += size;
  out.wasted_bytes += size - std::min({size, spanned, apart});
  const bool dense = std::ranges::all_of(
      uses, [&](const Use& use) { return tensor_of(use).kind == TensorKind::dense; });
  if (dense) out.droppable_bytes += size - std::min(size, apart);
  if (uses.size() < 2) return;
  std::vector<std::string>& group = out.shared.emplace_back();
  for (const Use& use : uses) group.push_back(tensors[use.second].path);
}

}  // namespace

Summary summarize(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors) {
  Summary out;
  out.tensors = tensors.size();
  std::map<DType, uint64_t> dtypes;
  std::map<std::string_view, uint64_t> devices;
  std::vector<Use> uses;  // of storages
  uses.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[tensors[i].tensor];
    ++dtypes[tensor.dtype];
    if (tensor.storage == kNoIndex) {
      out.parameters += stored_elements(checkpoint, tensor);
      out.bytes += stored_bytes(checkpoint, tensor);
      continue;
    }
    uses.push_back({tensor.storage, static_cast<uint32_t>(i)});
    const Storage& storage = checkpoint.storages[tensor.storage];
    if (!storage.location.empty()) ++devices[storage.location];
  }
  if (!std::is_sorted(uses.begin(), uses.end())) std::sort(uses.begin(), uses.end());
  for (size_t begin = 0, end = 0; begin < uses.size(); begin = end) {
    while (end < uses.size() && uses[end].first == uses[begin].first) ++end;
    add_storage(checkpoint, tensors, std::span(uses).subspan(begin, end - begin), out);
  }
  out.dtypes = most_first(dtypes);
  for (const auto& [device, count] : most_first(devices)) out.devices.emplace_back(device, count);
  return out;
}

}  // namespace mlc
