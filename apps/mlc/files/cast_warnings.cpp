#include "files/cast_warnings.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/distributed_tensor.h"

#include <string_view>
#include <vector>

namespace mlc::cli {
namespace {

std::string_view fate_of_the_large(const std::string& dtype) {
  switch (dtype_from_name(dtype).value_or(DType::f32)) {
    case DType::f8_e4m3fn:
      return "the largest that it has";
    case DType::f8_e4m3fnuz:
    case DType::f8_e5m2fnuz:
    case DType::f8_e8m0fnu:
      return "NaN, for it has no infinity";
    default:
      return "infinite";
  }
}

/// "a (2) and c (1)".
std::string names_of(const std::vector<CastLoss>& losses) {
  constexpr size_t kShown = 5;
  std::vector<std::string> names;
  for (const CastLoss& loss : losses) {
    names.push_back(sentence_key(loss.name) +
                    (losses.size() > 1 ? " (" + format_count(loss.values) + ")" : ""));
  }
  return join_list(names, kShown);
}

}  // namespace

void warn_of_type(DType dtype, Reporter& reporter) {
  if (dtype != DType::f8_e8m0fnu) return;
  reporter.warn(
      "float8_e8m0fnu holds positive powers of two only: signs, zeros and what lies between them "
      "are lost");
}

std::string codes_text(const StateDict& state_dict, const ScaledCodes& pair) {
  return sentence_key(state_dict.entries[pair.codes].key) + " (" +
         sentence_key(state_dict.entries[pair.scales].key) + ")";
}

void warn_of_cast_codes(const std::vector<std::string>& pairs, const std::string& where,
                        Reporter& reporter) {
  if (pairs.empty()) return;
  reporter.warn("cast as if they were values, being FP8 codes with scales beside them" + where +
                ": " + join_list(pairs) + "; " + std::string(kCodesAreNoValues));
}

void warn_of_codes(const Checkpoint& checkpoint, const StateDict& state_dict, Reporter& reporter) {
  std::vector<std::string> pairs;
  for (const ScaledCodes& pair : scaled_codes(checkpoint, state_dict)) {
    pairs.push_back(codes_text(state_dict, pair));
  }
  warn_of_cast_codes(pairs, "", reporter);
}

void warn_of_uncast(const Checkpoint& checkpoint, const StateDict& state_dict, Reporter& reporter) {
  std::vector<std::string> kept;
  bool distributed = false;
  for (const StateDictEntry& entry : state_dict.entries) {
    const Tensor& tensor = checkpoint.tensors[entry.tensor];
    if (tensor.kind == TensorKind::dense) continue;
    kept.push_back(sentence_key(entry.key));
    distributed = distributed || local_part(checkpoint, tensor) != kNoIndex;
  }
  if (!kept.empty()) {
    reporter.warn("kept in their own type, being no plain tensors: " + join_list(kept) +
                  (distributed ? "; " + std::string(kGatherDistributed) : ""));
  }
  std::vector<std::string> inside;
  for (const NamedTensor& named : tensors_in_values(checkpoint, state_dict)) {
    inside.push_back(sentence_key(named.path));
  }
  if (inside.empty()) return;
  reporter.warn("kept in their own type, being parts of other values: " + join_list(inside));
}

void warn_of_overflow(const CastLog& casts, const std::string& dtype, Reporter& reporter) {
  const std::vector<CastLoss> losses = casts.overflowed();
  if (losses.empty()) return;
  reporter.warn(plural(count_values(losses), "value") + " did not fit " +
                (dtype.empty() ? "its new type" : dtype) + " and became " +
                (dtype.empty() ? "infinite, NaN, the largest or (integers) another number"
                               : std::string(fate_of_the_large(dtype))) +
                ": " + names_of(losses));
}

void warn_of_underflow(const CastLog& casts, const std::string& dtype, Reporter& reporter) {
  // Of a million weights a few are nearer to zero than to anything that half precision has.
  constexpr uint64_t kOneOf = 1000;
  std::vector<CastLoss> losses = casts.underflowed();
  std::erase_if(losses, [](const CastLoss& one) { return one.values < one.elements / kOneOf; });
  if (losses.empty()) return;
  const uint64_t values = count_values(losses);
  reporter.warn(plural(values, "value") + (values == 1 ? " was" : " were") + " too small for " +
                (dtype.empty() ? "its new type" : dtype) + " and became zero: " + names_of(losses));
}

}  // namespace mlc::cli
