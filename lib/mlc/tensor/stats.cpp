#include "mlc/tensor/stats.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/parallel.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace mlc {
namespace {

constexpr size_t kChunk = 1024;  // doubles at a time, which stay in the first-level cache

struct ChunkSummary {
  double sum = 0;
  double min = __builtin_inf();
  double max = -__builtin_inf();
  uint64_t zeros = 0;
};

// Means nothing where a value is not finite; the sum is not finite then either.
ChunkSummary summarize(const double* values, size_t count) {
  const Pair zero = {0, 0};
  std::array<Pair, kPairs> sums{};
  std::array<PairMask, kPairs> zeros{};
  std::array<Pair, kPairs> lows;
  std::array<Pair, kPairs> highs;
  ChunkSummary out;
  lows.fill(Pair{out.min, out.min});
  highs.fill(Pair{out.max, out.max});
  size_t i = 0;
  for (; i + kPairStep <= count; i += kPairStep) {
    for (size_t k = 0; k < kPairs; ++k) {
      const Pair x = load_pair(values + i + 2 * k);
      sums[k] += x;
      zeros[k] -= x == zero;
      lows[k] = x < lows[k] ? x : lows[k];
      highs[k] = x > highs[k] ? x : highs[k];
    }
  }
  out.sum = sum_pairs(sums);
  out.zeros = static_cast<uint64_t>(sum_pairs(zeros));
  for (size_t k = 0; k < kPairs; ++k) {
    out.min = std::min({out.min, lows[k][0], lows[k][1]});
    out.max = std::max({out.max, highs[k][0], highs[k][1]});
  }
  for (; i < count; ++i) {
    out.sum += values[i];
    out.zeros += values[i] == 0 ? 1U : 0U;
    out.min = std::min(out.min, values[i]);
    out.max = std::max(out.max, values[i]);
  }
  return out;
}

double squared_distances(const double* values, size_t count, double mean) {
  const Pair middle = {mean, mean};
  std::array<Pair, kPairs> sums{};
  size_t i = 0;
  for (; i + kPairStep <= count; i += kPairStep) {
    for (size_t k = 0; k < kPairs; ++k) {
      const Pair distance = load_pair(values + i + 2 * k) - middle;
      sums[k] += distance * distance;
    }
  }
  double sum = sum_pairs(sums);
  for (; i < count; ++i) sum += (values[i] - mean) * (values[i] - mean);
  return sum;
}

// PARTS holds real and imaginary parts in turn. A NaN in either part makes the number one.
void to_magnitudes(double* parts, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const double re = parts[2 * i];
    const double im = parts[2 * i + 1];
    parts[i] = std::isnan(re) || std::isnan(im) ? __builtin_nan("") : std::hypot(re, im);
  }
}

/// Turned over in i64, so that its values order as unsigned numbers do.
constexpr uint64_t sign_bit(DType dtype) {
  return dtype == DType::i64 ? uint64_t{1} << 63U : 0;
}

bool has_exact_range(DType dtype) {
  return dtype == DType::i64 || dtype == DType::u64;
}

// Values above kLarge, which only doubles reach, are summed 2^kScale times smaller: sums of 2^60
// squares of what is below kLarge, or of what was scaled, fit a double. What scaling makes zero is
// too small to matter beside a large value.
constexpr double kLarge = 0x1p480;
constexpr int kScale = 600;

bool is_large(double x) {
  return std::fabs(x) > kLarge;
}

}  // namespace

StatsAccumulator::Moments StatsAccumulator::Moments::scaled_down() const {
  if (scaled) return *this;
  return {count, std::ldexp(mean, -kScale), std::ldexp(squares, -2 * kScale), true};
}

void StatsAccumulator::Moments::merge(const Moments& other) {
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  if (scaled != other.scaled) {
    *this = scaled_down();
    return merge(other.scaled_down());
  }
  const auto mine = static_cast<double>(count);
  const auto theirs = static_cast<double>(other.count);
  const double distance = other.mean - mean;
  const double share = theirs / (mine + theirs);
  mean += distance * share;
  squares += other.squares + distance * distance * mine * share;
  count += other.count;
}

void StatsAccumulator::add(Bytes block) {
  const size_t bytes = element_bytes(dtype_);
  const size_t per_element = values_per_element(dtype_);
  const bool is_complex = info(dtype_).kind == DTypeClass::complex;
  const size_t step = kChunk / per_element * bytes;
  std::array<double, kChunk> values;
  StatsAccumulator fresh(dtype_);
  for (size_t at = 0; at < block.size(); at += step) {
    const Bytes piece = block.subspan(at, std::min(step, block.size() - at));
    const size_t elements = piece.size() / bytes;
    load_values(dtype_, piece, values.data());
    if (has_exact_range(dtype_)) fresh.add_integers(piece);
    if (is_complex) to_magnitudes(values.data(), elements);
    fresh.add_values(values.data(), is_complex ? elements : elements * per_element);
  }
  merge(fresh);
}

void StatsAccumulator::add_values(const double* values, size_t count) {
  const ChunkSummary summary = summarize(values, count);
  const bool large = is_large(summary.min) || is_large(summary.max);
  if (large || !std::isfinite(summary.sum)) return add_special(values, count);
  count_ += count;
  zeros_ += summary.zeros;
  min_ = std::min(min_, summary.min);
  max_ = std::max(max_, summary.max);
  const double mean = summary.sum / static_cast<double>(count);
  finite_.merge({count, mean, squared_distances(values, count, mean), false});
}

void StatsAccumulator::add_integers(Bytes elements) {
  const uint64_t flip = sign_bit(dtype_);
  for (size_t at = 0; at < elements.size(); at += sizeof(uint64_t)) {
    const uint64_t value = load_le<uint64_t>(elements.data() + at) ^ flip;
    least_ = std::min(least_, value);
    most_ = std::max(most_, value);
  }
}

// Some value is not finite, or too large to be squared: one by one.
void StatsAccumulator::add_special(const double* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const double x = values[i];
    ++count_;
    if (std::isnan(x)) {
      ++nans_;
      continue;
    }
    min_ = std::min(min_, x);
    max_ = std::max(max_, x);
    if (std::isinf(x)) {
      ++infs_;
    } else {
      zeros_ += x == 0 ? 1U : 0U;
      const Moments one{1, x, 0, false};
      finite_.merge(is_large(x) ? one.scaled_down() : one);
    }
  }
}

void StatsAccumulator::merge(const StatsAccumulator& other) {
  finite_.merge(other.finite_);
  count_ += other.count_;
  zeros_ += other.zeros_;
  nans_ += other.nans_;
  infs_ += other.infs_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  least_ = std::min(least_, other.least_);
  most_ = std::max(most_, other.most_);
}

void StatsAccumulator::repeat(uint64_t times) {
  for (uint64_t* count : {&count_, &zeros_, &nans_, &infs_, &finite_.count}) {
    *count = checked_mul(*count, times).value_or(UINT64_MAX);
  }
  finite_.squares *= static_cast<double>(times);
}

TensorStats StatsAccumulator::stats() const {
  TensorStats out{count_, zeros_, nans_, infs_, {}, {}, {}, {}, {}};
  if (count_ > nans_) {
    out.min = min_;
    out.max = max_;
  }
  if (count_ > 0 && has_exact_range(dtype_)) {
    const auto text = [this](uint64_t value) {
      value ^= sign_bit(dtype_);
      return dtype_ == DType::i64 ? std::to_string(static_cast<int64_t>(value))
                                  : std::to_string(value);
    };
    out.integers = IntegerRange{text(least_), text(most_)};
  }
  const int scale = finite_.scaled ? kScale : 0;
  if (finite_.count > 0) {
    constexpr double kMost = std::numeric_limits<double>::max();  // rounding may pass it
    out.mean = std::clamp(std::ldexp(finite_.mean, scale), -kMost, kMost);
  }
  if (finite_.count > 1) {
    out.std =
        std::ldexp(std::sqrt(finite_.squares / static_cast<double>(finite_.count - 1)), scale);
  }
  return out;
}

namespace {

Result<StatsAccumulator> accumulate(const TensorView& view, unsigned threads) {
  StatsAccumulator total(view.dtype);
  if (!view.is_plain()) {
    MLC_CHECK(for_each_block(view, [&](Bytes block) {
      total.add(block);
      return Status();
    }));
    return total;
  }
  const Bytes bytes = view.plain_bytes();
  const size_t blocks = bytes.size() / kStatsBlock + (bytes.size() % kStatsBlock != 0 ? 1 : 0);
  std::vector<StatsAccumulator> parts(blocks, total);
  MLC_CHECK(parallel_for(blocks, threads, [&](size_t i) {
    const size_t at = i * kStatsBlock;
    parts[i].add(bytes.subspan(at, std::min<size_t>(kStatsBlock, bytes.size() - at)));
    return Status();
  }));
  for (const StatsAccumulator& part : parts) total.merge(part);
  return total;
}

}  // namespace

Result<TensorStats> tensor_stats(const TensorView& view, unsigned threads) {
  const std::vector<int64_t> once = sizes_without_repeats(view.sizes, view.strides);
  TensorView shown = view;
  shown.sizes = once;
  MLC_TRY(StatsAccumulator total, accumulate(shown, threads));
  const uint64_t elements = shown.count();
  if (elements > 0 && elements != view.count()) total.repeat(view.count() / elements);
  return total.stats();
}

}  // namespace mlc
