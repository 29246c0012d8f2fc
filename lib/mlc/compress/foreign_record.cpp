#include "mlc/compress/foreign_record.h"

#include "mlc/base/text.h"
#include "mlc/compress/loaded_weight.h"

#include <algorithm>
#include <cstring>

namespace mlc {
namespace {

constexpr std::string_view kPacked = "_packed";
constexpr std::string_view kScale = "_scale";
constexpr std::string_view kShape = "_shape";

class Finder {
 public:
  Finder(const Checkpoint& checkpoint, const StateDict& state_dict)
      : checkpoint_(checkpoint), tensors_(tensors_by_name(state_dict)) {}

  /// NAME, the weight whose codes lie in tensor CODES; nothing where it has no scale.
  Result<std::optional<QuantizedTensor>> describe(const std::string& name, uint32_t codes,
                                                  QuantFormat format) const {
    const auto scale = tensors_.find(name + std::string(kScale));
    if (scale == tensors_.end()) return std::optional<QuantizedTensor>();
    for (const std::string_view more : {"_zero_point", "_g_idx"}) {
      if (!tensors_.contains(name + std::string(more))) continue;
      return unsupported(quoted(name + std::string(more)) +
                             ": weights with zero points or columns in another order are not read",
                         "those of symmetric schemes are");
    }
    QuantizedTensor out;
    out.name = name;
    const Tensor& scales = checkpoint_.tensors[scale->second];
    out.dtype = scales.dtype;
    if (format == QuantFormat::plain) {
      const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[codes]);
      out.shape.assign(sizes.begin(), sizes.end());
    } else {
      MLC_TRY(out.shape, shape_of(name));
    }
    const auto groups = checkpoint_.sizes(scales);
    if (out.shape.size() != 2 || groups.size() != 2 || groups[0] != out.shape[0]) {
      return corrupt(quoted(name) + ": scales of " + format_shape(groups) + " for a weight of " +
                     format_shape(out.shape));
    }
    MLC_TRY_CTX(out.scheme, scheme_of(out, codes, groups[1], format), quoted(name));
    return std::optional(std::move(out));
  }

 private:
  Result<std::vector<int64_t>> shape_of(const std::string& name) const {
    const auto found = tensors_.find(name + std::string(kShape));
    if (found == tensors_.end()) return corrupt(quoted(name + std::string(kShape)) + " is missing");
    MLC_TRY(const TensorView view, checkpoint_.view(found->second));
    if (view.dtype != DType::i64 || view.sizes.size() != 1 || view.sizes[0] != 2)
      return corrupt(quoted(name + std::string(kShape)) + " is no pair of int64");
    MLC_TRY(const std::string bytes, contiguous_bytes(view, 2 * sizeof(int64_t)));
    std::vector<int64_t> out(2);
    std::memcpy(out.data(), bytes.data(), bytes.size());
    const auto count = element_count(out);
    if (out[0] <= 0 || out[1] <= 0 || !count)
      return corrupt(quoted(name + std::string(kShape)) + " is impossible: " + format_shape(out));
    return out;
  }

  /// Bits follow from the words that a row has, the group from its scales.
  Result<QuantScheme> scheme_of(const QuantizedTensor& weight, uint32_t codes, int64_t groups,
                                QuantFormat format) const {
    const int64_t columns = weight.shape[1];
    if (groups <= 0 || columns % groups != 0)
      return corrupt(std::to_string(groups) + " scales for " + std::to_string(columns) +
                     " columns");
    const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[codes]);
    const bool words = format == QuantFormat::compressed_tensors;
    const auto fits = [&](int64_t per_word) {
      return sizes.size() == 2 && sizes[1] == (columns + per_word - 1) / per_word;
    };
    if (words && !fits(8) && !fits(4))
      return corrupt("its codes of " + format_shape(sizes) + " have neither 4 nor 8 bits for " +
                     std::to_string(columns) + " columns");
    // Of a single word both may be; then four bits leave no more than eight columns.
    const bool four = words && fits(8) && (!fits(4) || columns > 4);
    QuantScheme out = default_scheme(four ? SchemeKind::int4 : SchemeKind::int8);
    out.symmetric = true;
    out.words = words;
    out.group = groups == 1 ? 0 : columns / groups;
    return out;
  }

  const Checkpoint& checkpoint_;
  TensorsByName tensors_;
};

}  // namespace

Result<std::optional<QuantizedRecord>> foreign_record(const Checkpoint& checkpoint,
                                                      const StateDict& state_dict) {
  const Finder finder(checkpoint, state_dict);
  QuantizedRecord out;
  bool packed = false;
  for (const StateDictEntry& entry : state_dict.entries)
    packed = packed || entry.key.ends_with("weight_packed");
  out.format = packed ? QuantFormat::compressed_tensors : QuantFormat::plain;
  for (const StateDictEntry& entry : state_dict.entries) {
    std::string name(entry.key);
    const DType dtype = checkpoint.tensors[entry.tensor].dtype;
    if (packed) {
      if (!name.ends_with(kPacked) || dtype != DType::i32) continue;
      name.erase(name.size() - kPacked.size());
    } else if (!name.ends_with("weight") || dtype != DType::i8) {
      continue;
    }
    MLC_TRY(auto weight, finder.describe(name, entry.tensor, out.format));
    if (weight) out.tensors.push_back(std::move(*weight));
  }
  if (out.tensors.empty()) return std::optional<QuantizedRecord>();
  return std::optional(std::move(out));
}

}  // namespace mlc
