#include "mlc/onnx_quant/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlc::onnx {
namespace {

constexpr double kCodes = 255;
constexpr std::array<std::string_view, 4> kMethods = {"minmax", "percentile", "mse", "entropy"};

/// The least and the largest of finite VALUES; false where one of them is not finite. Eight lanes,
/// which compilers turn into vectors.
bool plain_bounds(std::span<const float> values, float& low, float& high) {
  constexpr size_t kLanes = 8;
  std::array<float, kLanes> lows;
  std::array<float, kLanes> highs;
  std::array<float, kLanes> sums{};
  lows.fill(values.front());
  highs.fill(values.front());
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float value = values[i + j];
      lows[j] = value < lows[j] ? value : lows[j];
      highs[j] = value > highs[j] ? value : highs[j];
      sums[j] += value * 0.0F;  // NaN once anything is not finite
    }
  }
  for (; i < values.size(); ++i) {
    lows[0] = std::min(lows[0], values[i]);
    highs[0] = std::max(highs[0], values[i]);
    sums[0] += values[i] * 0.0F;
  }
  low = *std::ranges::min_element(lows);
  high = *std::ranges::max_element(highs);
  return std::ranges::all_of(sums, [](float sum) { return sum == 0; });
}

}  // namespace

std::string_view to_string(RangeMethod method) {
  return kMethods[static_cast<size_t>(method)];
}

ByteScale byte_scale(ValueBounds bounds) {
  const double low = std::min(bounds.low, 0.0F);
  const double high = std::max(bounds.high, 0.0F);
  const auto scale = static_cast<float>((high - low) / kCodes);
  if (!(scale >= std::numeric_limits<float>::min())) return {};
  const double zero = std::nearbyint(-low / static_cast<double>(scale));
  return {scale, static_cast<uint8_t>(std::clamp(zero, 0.0, kCodes))};
}

ByteScale signed_byte_scale(ValueBounds bounds) {
  constexpr float kLargest = 127;
  const float scale = std::max(-bounds.low, bounds.high) / kLargest;
  if (!(scale >= std::numeric_limits<float>::min())) return {};
  return {scale, 0};
}

/// Makes the bins cover [LOW, HIGH]: they become wider two by two, so that old counts stay whole.
void Observer::fit(float low, float high) {
  if (width_ == 0) {
    origin_ = low;
    width_ = std::max((static_cast<double>(high) - low) / kBins, 1e-30);
    bins_.assign(kBins, 0);
  }
  while (high > origin_ + width_ * kBins || low < origin_) {
    const bool downwards = low < origin_;
    std::vector<uint64_t> wider(kBins, 0);
    const size_t shift = downwards ? kBins / 2 : 0;
    for (size_t i = 0; i < kBins; ++i) wider[shift + i / 2] += bins_[i];
    if (downwards) origin_ -= width_ * kBins;
    width_ *= 2;
    bins_ = std::move(wider);
  }
}

ValueBounds Observer::count_in(std::span<const float>& values, std::vector<float>& finite) {
  ValueBounds found;
  if (!plain_bounds(values, found.low, found.high)) {
    std::ranges::copy_if(values, std::back_inserter(finite),
                         [](float value) { return std::isfinite(value); });
    not_finite_ += values.size() - finite.size();
    values = finite;
    if (finite.empty()) return found;
    plain_bounds(values, found.low, found.high);
  }
  low_ = count_ == 0 ? found.low : std::min(low_, found.low);
  high_ = count_ == 0 ? found.high : std::max(high_, found.high);
  count_ += values.size();
  return found;
}

void Observer::add_bounds(std::span<const float> values) {
  std::vector<float> finite;
  if (!values.empty()) count_in(values, finite);
}

void Observer::add(std::span<const float> values) {
  std::vector<float> finite;
  if (values.empty()) return;
  const ValueBounds found = count_in(values, finite);
  if (values.empty()) return;
  fit(found.low, found.high);
  const auto factor = static_cast<float>(1 / width_);
  const auto origin = static_cast<float>(origin_);
  for (const float value : values) {
    const auto bin = static_cast<int64_t>((value - origin) * factor);
    ++bins_[static_cast<size_t>(std::clamp<int64_t>(bin, 0, kBins - 1))];
  }
}

Observer Observer::restored(ValueBounds bounds, uint64_t count, double origin, double width,
                            std::vector<uint64_t> bins) {
  Observer out;
  out.low_ = bounds.low;
  out.high_ = bounds.high;
  out.count_ = count;
  out.origin_ = origin;
  out.width_ = width;
  out.bins_ = std::move(bins);
  return out;
}

ValueBounds Observer::cut(double percent) const {
  const bool both = low_ < 0 && high_ > 0;
  const double outside = static_cast<double>(count_) * (1 - percent / 100) / (both ? 2 : 1);
  ValueBounds out{low_, high_};
  double seen = 0;
  for (size_t i = 0; i < kBins && low_ < 0; ++i) {
    seen += static_cast<double>(bins_[i]);
    if (seen <= outside) continue;
    out.low = static_cast<float>(std::max<double>(low_, origin_ + static_cast<double>(i) * width_));
    break;
  }
  seen = 0;
  for (size_t i = kBins; i-- > 0 && high_ > 0;) {
    seen += static_cast<double>(bins_[i]);
    if (seen <= outside) continue;
    out.high =
        static_cast<float>(std::min<double>(high_, origin_ + static_cast<double>(i + 1) * width_));
    break;
  }
  return out;
}

double Observer::squared_error(ValueBounds bounds) const {
  const double step = (static_cast<double>(bounds.high) - bounds.low) / kCodes;
  double sum = 0;
  for (size_t i = 0; i < kBins; ++i) {
    if (bins_[i] == 0) continue;
    const double value = middle(i);
    const double beyond = value < bounds.low    ? bounds.low - value
                          : value > bounds.high ? value - bounds.high
                                                : 0;
    sum += static_cast<double>(bins_[i]) * (beyond * beyond + step * step / 12);
  }
  return sum;
}

double Observer::divergence(ValueBounds bounds) const {
  constexpr size_t kSteps = 256;
  const double step = (static_cast<double>(bounds.high) - bounds.low) / kSteps;
  // Zeros, of which Relu leaves heaps, are exact whatever the steps are: they count as the values
  // beside them.
  std::vector<double> counts(bins_.begin(), bins_.end());
  const double at_zero = -origin_ / width_;
  if (at_zero >= 0 && at_zero < kBins) {
    const auto zero = static_cast<size_t>(at_zero);
    const double before = zero > 0 ? counts[zero - 1] : 0;
    const double behind = zero + 1 < kBins ? counts[zero + 1] : 0;
    counts[zero] = std::min(counts[zero], std::max(before, behind));
  }
  double all = 0;
  for (const double one : counts) all += one;
  // What lies outside counts at the ends of P, and not in Q, which so is punished for it.
  std::vector<double> p(kBins, 0);
  std::array<double, kSteps> mass{};
  std::array<double, kSteps> filled{};
  std::vector<size_t> step_of(kBins, 0);
  for (size_t i = 0; i < kBins; ++i) {
    const double value = middle(i);
    const double at = std::clamp((value - bounds.low) / step, 0.0, kSteps - 1.0);
    step_of[i] = static_cast<size_t>(at);
    const bool inside = value >= bounds.low && value <= bounds.high;
    const double nearest = value < bounds.low ? bounds.low : bounds.high;
    const auto edge = static_cast<size_t>(
        std::clamp((nearest - origin_) / width_, 0.0, static_cast<double>(kBins - 1)));
    p[inside ? i : edge] += counts[i];
    if (!inside || counts[i] == 0) continue;
    mass[step_of[i]] += counts[i];
    filled[step_of[i]] += 1;
  }
  double inside = 0;
  for (const double one : mass) inside += one;
  if (inside == 0) return std::numeric_limits<double>::infinity();
  double sum = 0;
  constexpr double kFloor = 1e-9;  // of Q, where P has something and it has not
  for (size_t i = 0; i < kBins; ++i) {
    if (p[i] == 0) continue;
    const double pi = p[i] / all;
    const size_t at = step_of[i];
    const double q = filled[at] == 0 || counts[i] == 0 ? 0 : mass[at] / filled[at] / inside;
    sum += pi * std::log(pi / std::max(q, kFloor));
  }
  return sum;
}

/// The bounds with the least COST among shares of minmax: both ends at once, then each on its own.
template <class Cost>
ValueBounds Observer::least(const Cost& cost) const {
  constexpr int kParts = 50;
  constexpr int kLeast = 10;  // 20 % of the range
  ValueBounds best{low_, high_};
  double lowest = cost(best);
  const auto consider = [&](ValueBounds candidate) {
    const double found = cost(candidate);
    if (found < lowest) {
      lowest = found;
      best = candidate;
    }
  };
  for (int part = kParts - 1; part >= kLeast; --part) {
    const float share = static_cast<float>(part) / kParts;
    consider({std::min(low_, 0.0F) * share, std::max(high_, 0.0F) * share});
  }
  if (low_ >= 0 || high_ <= 0) return best;
  for (const bool upper : {true, false}) {
    for (int part = kParts; part >= kLeast; --part) {
      const float share = static_cast<float>(part) / kParts;
      consider(upper ? ValueBounds{best.low, high_ * share} : ValueBounds{low_ * share, best.high});
    }
  }
  return best;
}

ValueBounds Observer::range(RangeMethod method, double percent) const {
  if (count_ == 0 || !(high_ > low_)) return bounds();
  switch (method) {
    case RangeMethod::percentile:
      return cut(percent);
    case RangeMethod::mse:
      return least([this](ValueBounds bounds) { return squared_error(bounds); });
    case RangeMethod::entropy:
      return least([this](ValueBounds bounds) { return divergence(bounds); });
    case RangeMethod::minmax:
      break;
  }
  return bounds();
}

}  // namespace mlc::onnx
