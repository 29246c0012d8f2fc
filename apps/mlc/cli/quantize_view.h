// What `mlc quantize` did, as text and as JSON.
#pragma once

#include "cli/batch.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/quantize_plan.h"

#include <cstdint>
#include <string>

namespace mlc::cli {

struct QuantizeAnswer {
  const Checkpoint& checkpoint;  // the source
  const QuantizePlan& plan;
  uint64_t input_bytes = 0;  // of the files that were read
  std::string format;        // "pt", "safetensors"
  SaveReport saved;
  bool dry_run = false;
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

void show_quantized(const QuantizeAnswer& answer, FileTask& task);
/// "76 of 199 tensors int8, 438.0 MB to 110.2 MB (8.05 bits a weight), worst 36.9 dB".
std::string quantized_summary(const QuantizeAnswer& answer, const FileTask& task);

/// "3 with NaN or infinite weights (a, b and c)", for each reason to keep weights that was none of
/// the user's; empty without any.
std::string fallback_text(const QuantizePlan& plan);

}  // namespace mlc::cli
