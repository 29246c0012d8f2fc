// X^T X of what weights are multiplied with, over many samples: all that GPTQ needs to know of
// them.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// A sum over rows X, of any number of activations with as many channels. In float32, as LibTorch
/// has it for checkpoints: what rounding loses of it is less than the damping that InputFactor
/// adds.
class InputGram {
 public:
  explicit InputGram(size_t channels) : channels_(channels), sums_(channels * channels) {}

  /// Rows as add_rows() reads them: in panels of 16 channels, the last one filled up with zeros.
  class Panels {
   public:
    static constexpr size_t kWidth = 16;

    /// VALUES are whole rows of CHANNELS each.
    Panels(std::span<const float> values, size_t channels);
    size_t rows() const { return rows_; }
    /// Row after row of panel I.
    const float* panel(size_t i) const { return values_.data() + i * rows_ * kWidth; }

   private:
    size_t rows_;
    std::vector<float> values_;
  };

  size_t channels() const { return channels_; }
  uint64_t rows() const { return rows_; }
  /// How many parts add_part() has.
  size_t parts() const { return (channels_ + Panels::kWidth - 1) / Panels::kWidth; }
  /// Adds PART of what ROWS give; each part from any thread. Then count() once.
  void add_part(const Panels& rows, size_t part);
  void count(const Panels& rows) { rows_ += rows.rows(); }
  /// All rows were added.
  void finish();
  /// Row-major. Requires: finish().
  const std::vector<float>& matrix() const { return sums_; }
  /// The diagonal: a sum of squares for each channel.
  std::vector<double> squares() const;

 private:
  size_t channels_;
  uint64_t rows_ = 0;
  std::vector<float> sums_;  // the lower half, until finish()
};

/// Activations whose rows are summed up together, of CHANNELS each.
struct GramSource {
  std::vector<std::string> activations;
  size_t channels = 0;
};

/// The grams of SOURCES, finished. MODEL gives their activations as outputs, or takes them as
/// inputs. Errors: as of calibrate(); unsupported for activations that are no floats or have other
/// channels.
Result<std::vector<InputGram>> input_grams(mlc::Model& model, const CalibrationData& data,
                                           std::span<const GramSource> sources, unsigned threads,
                                           Reporter& reporter);

}  // namespace mlc::onnx
