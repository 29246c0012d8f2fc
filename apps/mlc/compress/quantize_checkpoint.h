// `mlc quantize` of checkpoints: plain tensors of codes and scales in place of weights.
#pragma once

#include "cli/shared_options.h"
#include "compress/deflate_zeros.h"
#include "compress/quantize_onnx.h"
#include "compress/quantize_script.h"
#include "files/batch.h"
#include "mlc/compress/quantize_plan.h"
#include "mlc/compress/recipe.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Of all kinds of models; `onnx` and `script` are of those that run.
struct QuantizeRequest {
  std::vector<std::string> inputs;
  std::string key;
  std::string scheme;
  std::optional<Rounding> rounding;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> tensors;
  std::optional<std::string> min_elements;
  std::string recipe;
  std::string write_recipe;
  uint64_t target_size = 0;
  std::optional<std::string> min_sqnr;
  bool strict = false;
  bool allow_requantize = false;
  bool weights_only = false;
  DeflateZeros compress = DeflateZeros::automatic;
  QuantFormat format = QuantFormat::plain;
  std::string write_config;
  std::string report;
  std::optional<ScriptForm> script;
  std::string architecture;
  QuantizeOnnxOptions onnx;
  WritingOptions writing;
};

/// TEXT as the number of OPTION, from LEAST to MOST. Error: usage.
Result<double> parse_number(std::string_view option, const std::string& text, double least,
                            double most);

/// Quantises the checkpoint of TASK by RECIPE, which OPTIONS were made into. Errors: those of
/// plan_quantization() and of writing; conflict for weights that are quantised already and where a
/// goal is not met; then nothing is written.
Result<FileReport> quantize_checkpoint(FileTask& task, const QuantizeRequest& options,
                                       const QuantRecipe& recipe);

}  // namespace mlc::cli
