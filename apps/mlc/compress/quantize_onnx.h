// `mlc quantize` of ONNX models: weights become bytes in the graph, ONNX Runtime judges the result
// before it appears.
#pragma once

#include "cli/option_set.h"
#include "cli/shared_options.h"
#include "compress/drop_view.h"
#include "compress/judge_models.h"
#include "files/batch.h"
#include "mlc/compress/recipe.h"
#include "mlc/onnx_quant/observer.h"
#include "mlc/onnx_quant/quantize.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct QuantizeOnnxOptions {
  std::optional<onnx::QuantForm> form;  // of --onnx
  bool no_embeddings = false;
  bool reduce_range = false;
  std::optional<int64_t> block;
  bool symmetric = false;
  std::vector<std::string> inputs;
  std::optional<int64_t> seed;
  std::optional<int64_t> samples;
  std::optional<std::string> min_cosine;
  bool require_speedup = false;
  bool verify = false;
  bool no_verify = false;
  std::vector<std::string> calib;  // files with samples
  std::optional<onnx::RangeMethod> method;
  std::optional<double> percentile;
  std::string stats;
  bool float_ends = false;
  std::optional<onnx::Int8Target> target;
  std::optional<std::string> smooth;
  std::optional<std::string> max_drop;  // a goal
  std::optional<DropOf> drop_of;
  std::string labels;  // file

  /// Whether any of them was given.
  bool any() const;
};

constexpr double kUsualPercentile = 99.99;  // of values inside the range

/// The options of checkpoints that count for ONNX models too.
struct QuantizeOnnxShared {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::optional<Rounding> rounding;
  std::optional<int64_t> min_elements;
  std::optional<double> min_sqnr;
  bool allow_requantize = false;
  QuantRecipe recipe;                   // with rules, and include and exclude of the options too
  std::vector<onnx::WeightRule> rules;  // those of the recipe
  std::string write_recipe;
  uint64_t target_size = 0;  // bytes of the model with what lies beside it; 0: any
  bool strict = false;
  std::string report;  // where the HTML page goes
  WritingOptions writing;
};

/// Refuses options of samples that nothing reads: --percentile without its method, --seed where
/// nothing is random. Error: usage.
Status check_sample_options(const QuantizeOnnxOptions& options);

/// The same of --drop-of and --labels, and of a --max-drop that is none.
Status check_drop_options(const QuantizeOnnxOptions& options);
/// "1%" and "0.01" as 0.01. Error: usage.
Result<double> parse_drop(const std::string& text);

/// An alpha of SmoothQuant; nothing for "auto". Error: usage.
Result<std::optional<double>> parse_smooth(const std::string& text);

/// "there is nothing to quantise: w is small, and 3 more", of the first of COUNT weights that were
/// kept; WEIGHT is empty where there was none.
std::string nothing_to_quantise(const std::string& weight, const std::string& reason, size_t count);

/// What --verify, --no-verify, --require-speedup and the gates of OPTIONS and SHARED ask for: a
/// gate is no gate where nothing is run. Error: usage for gates beside --no-verify.
Result<JudgeWish> judge_wish(const QuantizeOnnxOptions& options, const QuantizeOnnxShared& shared);

/// Makes LEAST what --min-cosine says, where it is given. Error: usage.
Status read_min_cosine(const QuantizeOnnxOptions& options, double& least);

void add_quantize_onnx_options(OptionSet& set, QuantizeOnnxOptions& options);

/// Quantises the model of TASK; where nothing in it can be, it is written as it is, with a warning.
/// Errors: those of Document::open() and quantize_weights(); conflict for a model that is quantised
/// already, and where a gate is not met; then nothing is written.
Result<FileReport> quantize_onnx(FileTask& task, const QuantizeOnnxOptions& options,
                                 const QuantizeOnnxShared& shared);

}  // namespace mlc::cli
