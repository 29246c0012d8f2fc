// Quantised documents of one ONNX model, as many and in as many ways as are asked for: samples are
// run once for all of them.
#pragma once

#include "compress/quantize_onnx.h"
#include "compress/quantize_view.h"
#include "compress/sample_warnings.h"
#include "files/batch.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/calibrate.h"
#include "mlc/onnx_quant/gptq_blocks.h"
#include "mlc/onnx_quant/input_scaling.h"
#include "mlc/onnx_quant/quantize.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

class OnnxQuantizer {
 public:
  /// DATA, null where there are no samples, and ENGINE, opened where it is needed, must outlive it,
  /// as the others.
  OnnxQuantizer(FileTask& task, const QuantizeOnnxOptions& options,
                const QuantizeOnnxShared& shared, const CalibrationData* data,
                std::unique_ptr<Engine>& engine)
      : task_(task), options_(options), shared_(shared), data_(data), engine_(engine) {}

  struct Made {
    onnx::Document document;
    onnx::QuantReport report;
  };
  /// Quantises DOCUMENT, the model of the task, as HOW says. Errors: those of quantize_weights(),
  /// quantize_static() and of running samples.
  Result<Made> make(onnx::Document document, const onnx::QuantOptions& how);
  /// The same of the file, read anew.
  Result<Made> make(const onnx::QuantOptions& how);

  /// What became of --smooth and --rounding awq.
  const onnx::InputScaling& scaling() const { return scaling_; }
  /// What --rounding gptq gained; nothing without it.
  const std::optional<DataRounding>& by_data() const { return by_data_; }

  /// From now on blocks of four bits that were made once are made no more, and samples are run for
  /// all activations that any part of the plan may need.
  void expect_more();
  /// Where files that nobody names lie.
  const std::string& beside() const { return task_.output.empty() ? task_.input : task_.output; }

 private:
  Result<onnx::QuantReport> with_ranges(onnx::Document& document, const onnx::QuantOptions& how);
  Status prepare(onnx::Document& document);
  Status simplify(onnx::Document& document) const;
  bool scales_inputs() const;
  Status choose_codes(const onnx::QuantOptions& how);
  Status round_some(const onnx::Document& document,
                    std::span<const onnx::MultipliedWeights> weights, const onnx::QuantOptions& how,
                    UnseenInputs& unseen);
  Status choose_factors(const onnx::QuantOptions& how);
  void warn_of_unseen(const std::map<std::string, onnx::ChannelStats>& stats) const;
  Status choose_factors_of(const onnx::Document& document, const onnx::ScaledInput& input,
                           const onnx::ChannelStats& stats, const onnx::QuantOptions& how);
  Result<std::set<std::string, std::less<>>> multiplied_weights(onnx::QuantOptions how) const;
  Result<std::unique_ptr<Model>> load_watched(onnx::Document document,
                                              const std::vector<std::string>& names);
  Status observe(const std::vector<std::string>& names);
  Result<std::string> model_mark() const;
  Result<std::optional<onnx::Observers>> kept_stats(const std::vector<std::string>& names);
  Result<onnx::Observers> run_samples(const std::vector<std::string>& names);
  Status keep_stats(const onnx::Observers& observers) const;

  FileTask& task_;
  const QuantizeOnnxOptions& options_;
  const QuantizeOnnxShared& shared_;
  const CalibrationData* data_;
  std::unique_ptr<Engine>& engine_;
  bool more_ = false;
  std::optional<onnx::Observers> observers_;
  std::vector<onnx::ScaledInput> inputs_;
  std::optional<std::vector<std::vector<float>>> factors_;  // of inputs_
  std::map<std::string, Rounding, std::less<>> roundings_;  // of weights, with awq
  onnx::InputScaling scaling_;
  std::optional<DataRounding> by_data_;
  onnx::BlockWeights blocks_;
};

}  // namespace mlc::cli
