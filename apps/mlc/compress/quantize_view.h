// What `mlc quantize` did, as text and as JSON.
#pragma once

#include "cli/json_writer.h"
#include "files/batch.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/compress/quantize_plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// What samples of inputs did to the codes.
struct DataRounding {
  uint64_t samples = 0;
  RoundingGain gain;
};

struct QuantizeAnswer {
  const Checkpoint& checkpoint;  // the source
  const QuantizePlan& plan;
  uint64_t input_bytes = 0;  // of the files that were read
  std::string format;        // "pt", "safetensors"
  SaveReport saved;
  bool dry_run = false;
  std::optional<DataRounding> by_data;
};

/// How many parameters and bytes a set of weights has, before and after.
struct QuantTotals {
  uint64_t tensors = 0;
  uint64_t tied = 0;  // more names
  uint64_t parameters = 0;
  uint64_t before = 0;
  uint64_t after = 0;
};
QuantTotals totals_of(const QuantizeAnswer& answer, bool quantized);
/// Bits for each parameter of the model, kept ones included.
double bits_per_weight(const QuantizeAnswer& answer);

/// Quantised weights, the largest error first; equal ones in the order of the file.
std::vector<const WeightPlan*> worst_first(const QuantizePlan& plan);
/// "int4:g64", "int4 awq 0.55": with the power of its scales of inputs.
std::string scheme_text(const WeightPlan& weight);
/// "int8 76, fp16 1": schemes with their numbers of tensors, in the order of the table.
std::string schemes_text(const QuantizePlan& plan);
/// "3 one dimension, 1 small": why tensors are kept, with their numbers.
std::string kept_counts(const QuantizePlan& plan);
/// Of all quantised weights together.
ErrorSums all_sums(const QuantizePlan& plan);
/// "37 weights by 32 samples: outputs of their layers 26.9 dB, 21.8 with the nearest codes"; of awq
/// "by 32 samples, 29 with scales of inputs: ...".
std::string by_data_text(const DataRounding& by_data);
/// The field "by_data" with the same.
void by_data_json(const DataRounding& by_data, JsonWriter& json);
/// "38.5"; "exact" where nothing was lost.
std::string db_text(double db);

/// A quantised weight as a row of the table.
struct WeightRow {
  std::string name;
  std::string scheme;
  std::vector<int64_t> sizes;
  uint64_t bytes = 0;
  double sqnr = 0;  // dB
  double max_error = 0;
};
/// The first ten of ROWS, worst first, and how many more there are; nothing for none.
void show_worst(const std::vector<WeightRow>& rows, FileTask& task);

void show_quantized(const QuantizeAnswer& answer, FileTask& task);
/// "76 of 199 tensors int8, 438.0 MB to 110.2 MB (8.05 bits a weight), worst 36.9 dB".
std::string quantized_summary(const QuantizeAnswer& answer, const FileTask& task);

/// "3 with NaN or infinite weights (a, b and c)", for each reason to keep weights that was none of
/// the user's; empty without any.
std::string fallback_text(const QuantizePlan& plan);

}  // namespace mlc::cli
