// What `mlc quantize` made of an ONNX model, as text and as JSON.
#pragma once

#include "compress/drop_view.h"
#include "compress/judge_models.h"
#include "compress/quantize_view.h"
#include "files/batch.h"
#include "mlc/engine/machine.h"
#include "mlc/onnx_quant/input_scaling.h"
#include "mlc/onnx_quant/quantize.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlc::cli {

struct QuantizeOnnxAnswer : Judgement {
  onnx::QuantForm form = onnx::QuantForm::dynamic;
  bool reduced = false;           // 7 bits
  bool multiplies_bytes = false;  // or may: of int4 what rules or --max-drop give 8 bits
  onnx::Int8Target target = onnx::Int8Target::onnxruntime;

  /// "static, 7 bits, for trt".
  std::string form_text() const;
  onnx::QuantReport report;
  std::optional<Rounding> rounding;     // of weights in blocks of four bits
  std::optional<DataRounding> by_data;  // with gptq
  std::string_view factors;             // "smooth", "awq"; empty: there are none
  onnx::InputScaling scaling;           // what became of them
  std::optional<DropAnswer> drop;       // with --max-drop
  uint64_t input_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t sidecar_bytes = 0;
  bool dry_run = false;
};

/// Of all quantised weights together.
struct OnnxQuantTotals {
  uint64_t weights = 0;
  uint64_t before = 0;  // bytes
  uint64_t after = 0;
  uint64_t pairs = 0;       // of weights that CPUs without VNNI add in 16 bits
  uint64_t saturating = 0;  // of them those whose sum may not fit
  ErrorSums sums;

  double bits() const;  // for each weight, scales included
};
OnnxQuantTotals totals_of(const onnx::QuantReport& report);
/// The largest error first; equal ones in the order of the model.
std::vector<const onnx::QuantizedLayer*> worst_first(const onnx::QuantReport& report);
/// "12 int8, 1 int8 table".
std::string schemes_text(const onnx::QuantReport& report);
/// Why weights stay, each reason with its number and the first of them.
std::vector<std::string> kept_texts(const onnx::QuantReport& report);
/// Whether pairs of weights are added in 16 bits on CPUs without VNNI, and how many may not fit;
/// empty where nothing multiplies bytes.
std::string saturation_text(const QuantizeOnnxAnswer& answer);
/// That this is such a CPU, so that what is measured here may not hold elsewhere; else empty.
std::string saturation_warning(const QuantizeOnnxAnswer& answer, const CpuInfo& cpu);

/// "smooth: 4 activations, 3 by what makes them, 1 by a Mul"; empty where there are no factors.
std::string factors_text(const QuantizeOnnxAnswer& answer);

void show_quantized_onnx(const QuantizeOnnxAnswer& answer, FileTask& task);
/// "wrote out.onnx: 12 weights quantised, 110.0 MB".
std::string quantized_onnx_summary(const QuantizeOnnxAnswer& answer, const FileTask& task);

}  // namespace mlc::cli
