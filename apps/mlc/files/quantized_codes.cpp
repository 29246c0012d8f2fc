#include "files/quantized_codes.h"

#include "files/metadata_sources.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/follow_quantization.h"
#include "mlc/compress/foreign_record.h"

#include <functional>
#include <set>
#include <unordered_set>

namespace mlc::cli {
namespace {

/// Also of files whose layout tells it; nothing where that cannot be read.
std::optional<QuantizedRecord> any_record(const Checkpoint& checkpoint,
                                          const StateDict& state_dict) {
  auto recorded = recorded_weights(checkpoint);
  if (recorded.ok() && *recorded) return std::move(*recorded);
  auto foreign = foreign_record(checkpoint, state_dict);
  return foreign.ok() ? std::move(*foreign) : std::nullopt;
}

}  // namespace

Result<std::optional<QuantizedRecord>> recorded_weights(const Checkpoint& checkpoint) {
  MLC_TRY(const auto metadata, metadata_to_carry(checkpoint));
  if (!metadata) return std::optional<QuantizedRecord>();
  return quantized_record(*metadata);
}

Status refuse_codes(const Checkpoint& checkpoint, const StateDict& state_dict,
                    std::string_view option) {
  const auto record = any_record(checkpoint, state_dict);
  if (!record) return {};
  std::unordered_set<std::string_view> names;
  for (const StateDictEntry& entry : state_dict.entries) names.insert(entry.key);
  for (const QuantizedTensor& one : record->tensors) {
    const std::string codes = part_names(record->format, one).codes;
    if (!one.scheme.is_integer() || !names.contains(codes)) continue;
    return conflict("its weights are quantised, " + sentence_key(codes) + " is codes of " +
                        std::string(one.scheme.info().name) + ": " + std::string(option) +
                        " would take them for values",
                    "`mlc dequantize` gives a file with values")
        .in_file(checkpoint.path);
  }
  return {};
}

void warn_of_scales(const Checkpoint& checkpoint, const StateDict& state_dict, DType dtype,
                    Reporter& reporter) {
  const auto record = any_record(checkpoint, state_dict);
  if (!record) return;
  std::set<std::string, std::less<>> scales;
  for (const QuantizedTensor& one : record->tensors) {
    const PartNames names = part_names(record->format, one);
    for (const std::string& name : {names.scale, names.input_scale})
      if (!name.empty()) scales.insert(name);
  }
  std::vector<std::string> rounded;
  for (const StateDictEntry& entry : state_dict.entries) {
    const DType now = checkpoint.tensors[entry.tensor].dtype;
    const bool smaller = element_bytes(now) > element_bytes(dtype);
    if (smaller && scales.contains(entry.key)) rounded.push_back(sentence_key(entry.key));
  }
  if (rounded.empty()) return;
  reporter.warn(
      "--dtype holds for the scales of quantised weights too, which changes these "
      "weights: " +
      join_list(rounded));
}

Status follow_codes(Metadata& metadata, const std::vector<QuantizedRecord>& merged,
                    const Checkpoint& checkpoint, const StateDict& state_dict) {
  MLC_TRY(std::optional<QuantizedRecord> all, quantized_record(metadata));
  for (const QuantizedRecord& other : merged) {
    if (!all) all.emplace().format = other.format;
    MLC_CHECK(join_record(*all, other));
  }
  if (!all) return {};
  MLC_TRY(const QuantizedRecord kept, kept_record(*all, checkpoint, state_dict));
  if (!kept.tensors.empty()) return metadata.set_value("quantization", to_meta(kept));
  MLC_CHECK(metadata.remove("quantization"));
  return {};
}

}  // namespace mlc::cli
