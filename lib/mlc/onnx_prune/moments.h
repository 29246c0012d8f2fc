// Second moments of channels over samples, and how well some of them tell others.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace mlc::onnx {

/// An activation, f32, and the axis of it that has channels.
struct ChannelView {
  const HostTensor* tensor = nullptr;
  size_t axis = 0;

  size_t channels() const { return static_cast<size_t>(tensor->sizes[axis]); }
};

/// Sums of products of channels, and of each with one, over all positions.
class Moments {
 public:
  explicit Moments(size_t channels) : channels_(channels), sums_((channels + 1) * (channels + 1)) {}

  size_t channels() const { return channels_; }
  uint64_t positions() const { return positions_; }
  /// The channels of all PARTS, one after the other: channels() together. Their other dimensions
  /// are the same. Of more than 4,096 positions behind the axis some are left out, evenly. Errors:
  /// conflict for values that are not finite.
  Status add(std::span<const ChannelView> parts);
  /// The mean product of channels I and K; channels() stands for one.
  double mean(size_t i, size_t k) const {
    const size_t at = std::max(i, k) * (channels_ + 1) + std::min(i, k);
    return sums_[at] / static_cast<double>(positions_);
  }

 private:
  static constexpr size_t kColumns = 256;  // positions that are summed up at a time
  void sum_up(const std::vector<float>& rows, size_t used);

  size_t channels_;
  std::vector<double> sums_;  // the lower half, row-major
  uint64_t positions_ = 0;
};

/// Channels x of a whole model as sums of the channels y that a smaller one has in their place:
/// x[c] = offsets[c] + sum over k of weights[c][k] * y[k], with the least squared error. A ridge of
/// 1e-4 of the mean square pulls them to those that were the same channel before.
struct LinearGuess {
  std::vector<std::vector<double>> weights;
  std::vector<double> offsets;
  double energy = 0;  // mean squares of all x
  double error = 0;   // mean squares of what is left of them
};
/// MOMENTS are of y, then x; y[k] was x[KEPT[k]]. Without OFFSETS they are zero. Requires:
/// positions() > 0, KEPT is not empty.
LinearGuess guess_channels(const Moments& moments, const std::vector<int64_t>& kept, bool offsets);

/// What is lost when channels go one after the other, each told by those that are left (backward
/// elimination; removing r adds b_cr^2 / H_rr to the squared error of c, where b are the
/// coefficients and H the inverse of the moments: Hassibi and Stork, Optimal Brain Surgeon, 1993).
class Elimination {
 public:
  /// IMPORTANCE of each channel: the squares of the weights that read it. Requires: as many as
  /// moments.channels(), positions() > 0.
  Elimination(const Moments& moments, std::vector<double> importance);

  /// What taking channel I away would cost now, as a share of all that is read.
  double cost(size_t i) const;
  void remove(size_t i);

 private:
  size_t size_;
  std::vector<double> importance_;
  std::vector<double> inverse_;  // of the moments of those that are left; row-major
  std::vector<double> tells_;    // [of][by]: coefficients of what is left for what is gone
  std::vector<double> told_;     // squares of these, of all that is gone, by importance
  std::vector<bool> gone_;
  double total_ = 0;
};

}  // namespace mlc::onnx
