#include "compress/deflate_zeros.h"

#include "mlc/compress/float_rows.h"

#include <algorithm>
#include <set>
#include <string>

namespace mlc::cli {
namespace {

constexpr int64_t kRowsLookedAt = 64;

/// Of rows all over the tensor.
Result<bool> is_half_zeros(const Checkpoint& checkpoint, uint32_t tensor) {
  MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, tensor));
  const int64_t step = std::max<int64_t>(rows.rows() / kRowsLookedAt, 1);
  std::vector<float> buffer;
  size_t zeros = 0;
  size_t all = 0;
  for (int64_t row = 0; row < rows.rows(); row += step) {
    MLC_TRY(const std::span<const float> weights, rows.read(row, row + 1, buffer));
    zeros += static_cast<size_t>(std::ranges::count(weights, 0.0F));
    all += weights.size();
  }
  return 2 * zeros >= all;
}

}  // namespace

Result<std::vector<std::string>> names_to_deflate(const Checkpoint& checkpoint,
                                                  const QuantizePlan& plan, DeflateZeros how) {
  std::vector<std::string> out;
  if (how == DeflateZeros::none) return out;
  for (const WeightPlan& weight : plan.weights) {
    const bool has_codes = weight.is_quantized() && weight.scheme.is_integer();
    if (!has_codes || !has_float_elements(checkpoint.tensors[weight.tensor])) continue;
    bool is_wanted = how == DeflateZeros::deflate;
    if (!is_wanted) {
      MLC_TRY(is_wanted, is_half_zeros(checkpoint, weight.tensor));
    }
    if (is_wanted) out.insert(out.end(), weight.names.begin(), weight.names.end());
  }
  return out;
}

std::vector<uint32_t> storages_of_codes(const Checkpoint& checkpoint, const StateDict& state_dict,
                                        const std::vector<std::string>& names) {
  std::set<std::string, std::less<>> keys(names.begin(), names.end());
  for (const std::string& name : names) keys.insert(name + "_packed");
  std::set<uint32_t> storages;
  for (const StateDictEntry& entry : state_dict.entries) {
    if (keys.contains(entry.key)) storages.insert(checkpoint.tensors[entry.tensor].storage);
  }
  return {storages.begin(), storages.end()};
}

}  // namespace mlc::cli
