// What each channel of an activation is like over many samples, in little memory: ends, squares,
// and a few of its rows.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// The channels are the last dimension; what comes before it are rows.
class ChannelStats {
 public:
  static constexpr size_t kMostRows = 256;  // that are kept

  /// VALUES are rows of CHANNELS each, the same number in every call.
  void add(std::span<const float> values, size_t channels);

  size_t channels() const { return low_.size(); }
  uint64_t rows() const { return rows_; }
  uint64_t not_finite() const { return not_finite_; }
  /// 0 lies in them.
  const std::vector<float>& low() const { return low_; }
  const std::vector<float>& high() const { return high_; }
  /// Means of |x| and of x * x.
  std::vector<double> mean_size() const { return mean_of(sizes_); }
  std::vector<double> mean_square() const { return mean_of(squares_); }
  /// kMostRows of all rows at the most, one after the other: any of them is as likely, and the same
  /// samples give the same rows.
  const std::vector<float>& kept_rows() const { return kept_; }

 private:
  std::vector<double> mean_of(const std::vector<double>& sums) const;
  void keep(std::span<const float> row);

  uint64_t rows_ = 0;
  uint64_t not_finite_ = 0;
  uint64_t random_ = 0x9E3779B97F4A7C15;
  std::vector<float> low_;
  std::vector<float> high_;
  std::vector<double> sizes_;
  std::vector<double> squares_;
  std::vector<float> kept_;
};

/// MODEL gives NAMES as outputs, or takes them as inputs. Errors: as of calibrate(); unsupported
/// for activations that are no f32 or whose last dimension varies.
Result<std::map<std::string, ChannelStats>> channel_stats(mlc::Model& model,
                                                          const CalibrationData& data,
                                                          std::span<const std::string> names,
                                                          Reporter& reporter);

}  // namespace mlc::onnx
