#include "compress/sample_warnings.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <algorithm>

namespace mlc::cli {

void warn_of_samples(const CalibrationData& data, std::string_view purpose, Reporter& reporter) {
  constexpr uint64_t kFew = 8;
  if (data.samples() < kFew) {
    reporter.warn("only " + plural(data.samples(), "sample") + " " + std::string(purpose) +
                  ": some tens are a good start");
  }
  if (const std::string same = data.sameness(); !same.empty())
    reporter.warn("the inputs never vary: " + same + "; what they tell fits no others");
}

void warn_of_no_range(std::span<const onnx::ValueBounds> bounds, Reporter& reporter) {
  const auto unseen = std::ranges::count_if(
      bounds, [](const onnx::ValueBounds& one) { return one.low == 0 && one.high == 0; });
  if (unseen == 0) return;
  reporter.warn(format_count(static_cast<uint64_t>(unseen)) + " of " +
                plural(bounds.size(), "activation") + (unseen == 1 ? " is" : " are") +
                " 0 in all samples: what else they can be is not known, and gets the step 1");
}

void UnseenInputs::add(const std::string& weight, const std::vector<double>& sizes) {
  const auto count = static_cast<uint64_t>(std::ranges::count(sizes, 0.0));
  if (count == 0) return;
  unseen_ += count;
  layers_.push_back(sentence_key(weight));
}

void UnseenInputs::warn(std::string_view consequence, Reporter& reporter) const {
  if (layers_.empty()) return;
  constexpr size_t kNamed = 3;
  reporter.warn(plural(unseen_, "input") + " of " + plural(layers_.size(), "layer") +
                (unseen_ == 1 ? " never varies, it is" : " never vary, they are") +
                " 0 in all samples (" + join_list(layers_, kNamed) + "); " +
                std::string(consequence));
}

}  // namespace mlc::cli
