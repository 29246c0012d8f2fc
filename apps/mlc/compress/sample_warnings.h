// What samples cannot tell, said before anything is built on them.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/onnx_quant/observer.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Warns where DATA has so few samples that what they tell is a matter of luck, and where the
/// inputs never vary. PURPOSE: "for ranges".
void warn_of_samples(const CalibrationData& data, std::string_view purpose, Reporter& reporter);

/// Warns where activations with these BOUNDS were nothing but 0.
void warn_of_no_range(std::span<const onnx::ValueBounds> bounds, Reporter& reporter);

/// Inputs of layers that were 0 in all samples.
class UnseenInputs {
 public:
  /// SIZES of all inputs of the layer with this WEIGHT: sums or the largest of what they were.
  void add(const std::string& weight, const std::vector<double>& sizes);
  /// CONSEQUENCE: "their weights get the nearest codes". Silent without any.
  void warn(std::string_view consequence, Reporter& reporter) const;

 private:
  uint64_t unseen_ = 0;
  std::vector<std::string> layers_;
};

}  // namespace mlc::cli
