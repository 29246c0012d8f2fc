// What `mlc quantize --torchscript` made, as text and as JSON.
#pragma once

#include "compress/drop_view.h"
#include "compress/judge_models.h"
#include "mlc/compress/weight_quant.h"
#include "mlc/engine/script_quantization.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct QuantizeScriptAnswer : Judgement {
  std::string form;        // "dynamic", "static"
  bool reduced = false;    // activations of 7 bits
  bool cuts_sums = false;  // products of bytes, on this CPU: see JudgeGates
  ScriptQuantReport report;
  uint64_t input_bytes = 0;
  uint64_t file_bytes = 0;
  bool dry_run = false;
  std::optional<DropAnswer> drop;  // with --max-drop
};

/// Of all quantised weights together.
struct ScriptQuantTotals {
  uint64_t weights = 0;
  uint64_t before = 0;  // bytes
  uint64_t after = 0;
  double signal = 0;
  double noise = 0;

  double bits() const;  // for each weight, scales included
};
ScriptQuantTotals totals_of(const ScriptQuantReport& report);
/// The largest error first; equal ones in the order of the program.
std::vector<const ScriptLayer*> worst_first(const ScriptQuantReport& report);
/// "12 quantized::linear_dynamic, 3 quantized::embedding_byte".
std::string operators_text(const ScriptQuantReport& report);

void show_quantized_script(const QuantizeScriptAnswer& answer, FileTask& task);
/// "wrote out.pt: 12 weights quantised, 110.0 MB".
std::string quantized_script_summary(const QuantizeScriptAnswer& answer, const FileTask& task);

}  // namespace mlc::cli
