// The values that an activation has over many samples, in little memory, and the range that bytes
// should stand for.
//
// Ranges (of 2048 bins, each end on its own where both are not 0):
//   minmax       the least and the largest value
//   percentile   all but so many of them, cut off half at each end
//   mse          the part of minmax with the least squared error, of values that are cut off and of
//                rounding (step^2 / 12)
//   entropy      the part whose distribution in 256 steps is nearest to that of all values (least
//                Kullback-Leibler divergence, after Migacz, "8-bit Inference with TensorRT", 2017)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mlc::onnx {

enum class RangeMethod : uint8_t { minmax, percentile, mse, entropy };
std::string_view to_string(RangeMethod method);

struct ValueBounds {
  float low = 0;
  float high = 0;
};

/// Bytes for an activation: value = scale * (code - zero_point), codes 0 to 255.
struct ByteScale {
  float scale = 1;
  uint8_t zero_point = 0;
};
/// 0 is always in the range, and exact. A range of nothing gives the scale 1.
ByteScale byte_scale(ValueBounds bounds);
/// The scale of codes with a sign, from -127 to 127, without a zero point.
ByteScale signed_byte_scale(ValueBounds bounds);

class Observer {
 public:
  static constexpr size_t kBins = 2048;

  /// Values that are not finite are counted and left out.
  void add(std::span<const float> values);
  /// The same without bins, which minmax does not need; never mixed with add().
  void add_bounds(std::span<const float> values);

  uint64_t count() const { return count_; }
  uint64_t not_finite() const { return not_finite_; }
  ValueBounds bounds() const { return {low_, high_}; }
  /// PERCENT is of percentile: 99.99.
  ValueBounds range(RangeMethod method, double percent) const;

  /// What is kept between runs: bins of equal width from ORIGIN on.
  double origin() const { return origin_; }
  double width() const { return width_; }
  const std::vector<uint64_t>& bins() const { return bins_; }
  static Observer restored(ValueBounds bounds, uint64_t count, double origin, double width,
                           std::vector<uint64_t> bins);

 private:
  /// Counts VALUES, of which only finite ones are left, copied to FINITE where some are not.
  ValueBounds count_in(std::span<const float>& values, std::vector<float>& finite);
  void fit(float low, float high);
  ValueBounds cut(double percent) const;
  double squared_error(ValueBounds bounds) const;
  double divergence(ValueBounds bounds) const;
  template <class Cost>
  ValueBounds least(const Cost& cost) const;
  double middle(size_t bin) const { return origin_ + (static_cast<double>(bin) + 0.5) * width_; }

  uint64_t count_ = 0;
  uint64_t not_finite_ = 0;
  float low_ = 0;
  float high_ = 0;
  double origin_ = 0;
  double width_ = 0;  // 0: there are no bins yet
  std::vector<uint64_t> bins_;
};

}  // namespace mlc::onnx
