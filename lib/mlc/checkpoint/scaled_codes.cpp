#include "mlc/checkpoint/scaled_codes.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

namespace mlc {
namespace {

constexpr std::string_view kSuffixes[] = {"_scale_inv", "_scale"};

bool is_code(const Tensor& tensor) {
  switch (tensor.dtype) {
    case DType::f8_e4m3fn:
    case DType::f8_e5m2:
    case DType::f8_e4m3fnuz:
    case DType::f8_e5m2fnuz:
      return tensor.kind == TensorKind::dense;
    default:
      return false;
  }
}

}  // namespace

std::vector<ScaledCodes> scaled_codes(const Checkpoint& checkpoint, const StateDict& state_dict) {
  const std::vector<StateDictEntry>& entries = state_dict.entries;
  const auto has_codes = [&](const StateDictEntry& entry) {
    return is_code(checkpoint.tensors[entry.tensor]);
  };
  if (std::ranges::none_of(entries, has_codes)) return {};  // nearly always: no table is made
  std::unordered_map<std::string_view, size_t> scales;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[entries[i].tensor];
    const bool floating = info(tensor.dtype).kind == DTypeClass::floating;
    if (floating && !is_code(tensor)) scales.emplace(entries[i].key, i);
  }
  std::vector<ScaledCodes> out;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!is_code(checkpoint.tensors[entries[i].tensor])) continue;
    for (const std::string_view suffix : kSuffixes) {
      const auto at = scales.find(std::string(entries[i].key).append(suffix));
      if (at == scales.end()) continue;
      out.push_back({i, at->second});
      break;
    }
  }
  return out;
}

}  // namespace mlc
