#include "mlc/checkpoint/parts_of_two.h"

#include "mlc/checkpoint/diff.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/sparse_entries.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/pickle/render.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

// torch._utils._rebuild_qtensor(storage, offset, size, stride, quantizer, ...).
Result<bool> PartsOfTwo::same_quantizer(const Tensor& a, const Tensor& b) const {
  const auto args_a = rebuild_args(a_, a);
  const auto args_b = rebuild_args(b_, b);
  if (args_a.size() < 5 || args_b.size() < 5) return false;
  return same_parts(args_a[4], args_b[4]);
}

/// Whether two values around or inside special tensors are equal. What it does not know differs.
Result<bool> PartsOfTwo::same_parts(NodeId a, NodeId b, int depth) const {
  constexpr int kMaxDepth = 8;
  if (depth > kMaxDepth) return false;
  const uint32_t tensor_in_a = a_.tensor_at(a);
  const uint32_t tensor_in_b = b_.tensor_at(b);
  if (tensor_in_a != kNoIndex && tensor_in_b != kNoIndex) {
    return same_elements(tensor_in_a, tensor_in_b);
  }
  if (a_.graph.is(a, pickle::NodeKind::tuple) && b_.graph.is(b, pickle::NodeKind::tuple)) {
    const auto items_a = a_.graph.tuple(a);
    const auto items_b = b_.graph.tuple(b);
    if (items_a.size() != items_b.size()) return false;
    for (size_t i = 0; i < items_a.size(); ++i) {
      MLC_TRY(const bool same, same_parts(items_a[i], items_b[i], depth + 1));
      if (!same) return false;
    }
    return true;
  }
  if (!all_tensors(a_, a).empty() || !all_tensors(b_, b).empty()) return false;
  return pickle::render(a_.graph, a) == pickle::render(b_.graph, b);
}

Result<bool> PartsOfTwo::same_elements(uint32_t a, uint32_t b) const {
  const Tensor& x = a_.tensors[a];
  const Tensor& y = b_.tensors[b];
  if (!has_elements(x) || !has_elements(y) || x.dtype != y.dtype) return false;
  if (!std::ranges::equal(a_.sizes(x), b_.sizes(y))) return false;
  MLC_TRY(const TensorView view_a, a_.view(a));
  MLC_TRY(const TensorView view_b, b_.view(b));
  MLC_TRY(const CompareResult result, compare_tensors(view_a, view_b, tolerance_));
  return result.mismatches == 0;
}

/// Of storages that lie under no tensor that mlc reads.
Result<bool> PartsOfTwo::same_bytes(uint32_t a, uint32_t b) const {
  if (a_.storages[a].dtype != b_.storages[b].dtype) return false;
  MLC_TRY(const Bytes bytes_a, a_.storage_bytes(a));
  MLC_TRY(const Bytes bytes_b, b_.storage_bytes(b));
  return std::ranges::equal(bytes_a, bytes_b);
}

/// Whether two sparse tensors of one type are equal once the entries of each are coalesced.
Result<bool> PartsOfTwo::same_entries(const Tensor& a, const Tensor& b) const {
  if (layout_name(a_, a) != "sparse_coo" || !can_coalesce(a.dtype)) return false;
  MLC_TRY(const SparseEntries of_a, coalesced_entries(a_, a));
  MLC_TRY(const SparseEntries of_b, coalesced_entries(b_, b));
  const bool same_places =
      of_a.coordinates == of_b.coordinates && of_a.values.size() == of_b.values.size();
  if (!same_places) return false;
  Comparer comparer(a.dtype, b.dtype, tolerance_);
  comparer.add(as_bytes(of_a.values), as_bytes(of_b.values));
  return comparer.result().mismatches == 0;
}

/// Whether two values without tensors in them are equal. MOST nodes are looked at for that, which
/// is less afterwards: there may be many such values.
bool PartsOfTwo::same_literals(NodeId a, NodeId b, size_t& most) const {
  constexpr size_t kTextPerNode = 64;  // bytes that cost as much
  const auto text_of = [&most](const Checkpoint& checkpoint, NodeId node) {
    bool plain = true;
    auto text = pickle::canonical_text(checkpoint.graph, node, most, [&](NodeId one) {
      const bool stored = one != node && (checkpoint.tensor_at(one) != kNoIndex ||
                                          checkpoint.storage_at(one) != kNoIndex);
      plain = plain && !stored;
      return stored;
    });
    most -= text ? std::min(most, 1 + text->size() / kTextPerNode) : most;
    return plain ? std::move(text) : std::nullopt;
  };
  const std::optional<std::string> text_a = text_of(a_, a);
  return text_a && text_a == text_of(b_, b);
}

/// Whether two tensors that mlc cannot read are rebuilt in the same way from equal parts. Sets, and
/// what the protocol of the pickle may spell as a call (sets and bytes), are compared as values.
Result<bool> PartsOfTwo::same_build(NodeId a, NodeId b) const {
  size_t most = 10'000 + 8 * (a_.graph.size() + b_.graph.size());
  const auto is_set = [](pickle::NodeKind kind) {
    return kind == pickle::NodeKind::set || kind == pickle::NodeKind::frozenset;
  };
  std::set<std::pair<NodeId, NodeId>> seen;
  std::vector<std::pair<NodeId, NodeId>> stack = {{a, b}};
  while (!stack.empty()) {
    const auto pair = stack.back();
    stack.pop_back();
    if (!seen.insert(pair).second) continue;
    const auto [left, right] = pair;
    const uint32_t in_a = a_.tensor_at(left);
    const uint32_t in_b = b_.tensor_at(right);
    if (in_a != kNoIndex && in_b != kNoIndex && has_elements(a_.tensors[in_a])) {
      MLC_TRY(const bool same, same_elements(in_a, in_b));
      if (!same) return false;
      continue;
    }
    const uint32_t storage_a = a_.storage_at(left);
    const uint32_t storage_b = b_.storage_at(right);
    if (storage_a != kNoIndex && storage_b != kNoIndex) {
      MLC_TRY(const bool same, same_bytes(storage_a, storage_b));
      if (!same) return false;
      continue;
    }
    const pickle::NodeKind kind = a_.graph.kind(left);
    if (kind != b_.graph.kind(right) || is_set(kind)) {
      if (!same_literals(left, right, most)) return false;
      continue;
    }
    std::vector<NodeId> below_a;
    std::vector<NodeId> below_b;
    pickle::append_children(a_.graph, left, below_a);
    pickle::append_children(b_.graph, right, below_b);
    if (below_a.size() != below_b.size()) return false;
    for (size_t i = 0; i < below_a.size(); ++i) stack.emplace_back(below_a[i], below_b[i]);
    if (below_a.empty() && !same_literals(left, right, most)) return false;
  }
  return true;
}

Result<bool> PartsOfTwo::same_place(const Tensor& a, const Tensor& b) const {
  const std::vector<NodeId> place_a = place_of_part(a_, a);
  const std::vector<NodeId> place_b = place_of_part(b_, b);
  if (place_a.empty() || place_a.size() != place_b.size()) return false;
  for (size_t i = 0; i < place_a.size(); ++i) {
    MLC_TRY(const bool same, same_build(place_a[i], place_b[i]));
    if (!same) return false;
  }
  return true;
}

}  // namespace mlc
