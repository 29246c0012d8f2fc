#include "save/tied_entries.h"

#include "mlc/base/sentence_key.h"
#include "mlc/checkpoint/tensor_identity.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace mlc::cli {

std::vector<std::vector<size_t>> tied_entries(const Checkpoint& checkpoint,
                                              std::span<const StateDictEntry> entries) {
  std::vector<std::vector<size_t>> out;
  std::map<TensorIdentity, size_t> by_identity;
  std::unordered_map<uint32_t, size_t> by_tensor;
  for (size_t i = 0; i < entries.size(); ++i) {
    const uint32_t index = entries[i].tensor;
    if (index == kNoIndex) continue;
    const Tensor& tensor = checkpoint.tensors[index];
    const auto [same, is_new] = by_tensor.try_emplace(index, out.size());
    if (is_new && tensor.storage != kNoIndex) {
      same->second =
          by_identity.try_emplace(identity_of(checkpoint, tensor), out.size()).first->second;
    }
    if (same->second == out.size()) out.emplace_back();
    out[same->second].push_back(i);
  }
  return out;
}

std::vector<std::string> tied_to(const Checkpoint& checkpoint,
                                 std::span<const StateDictEntry> entries,
                                 std::span<const std::string> keys) {
  const std::unordered_set<std::string_view> names(keys.begin(), keys.end());
  std::vector<std::string> out;
  if (names.empty()) return out;
  for (const std::vector<size_t>& group : tied_entries(checkpoint, entries)) {
    const auto is_named = [&](size_t i) { return names.contains(entries[i].key); };
    const auto named = std::ranges::find_if(group, is_named);
    if (named == group.end()) continue;
    for (const size_t i : group) {
      if (is_named(i)) continue;
      out.push_back(sentence_key(entries[i].key) + " is " + sentence_key(entries[*named].key));
    }
  }
  return out;
}

}  // namespace mlc::cli
