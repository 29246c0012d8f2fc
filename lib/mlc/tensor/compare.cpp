#include "mlc/tensor/compare.h"

#include "mlc/base/checked_math.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace mlc {
namespace {

__extension__ using Wide = __int128;

constexpr size_t kChunk = 1024;  // values at a time, which stay in the first-level cache

bool is_complex(DType dtype) {
  return info(dtype).kind == DTypeClass::complex;
}

bool is_64_bit_integer(DType dtype) {
  return dtype == DType::i64 || dtype == DType::u64;
}

/// The value at P as an integer, whose value as a double is VALUE; nothing where it has a fraction,
/// is too large or not finite.
std::optional<Wide> load_wide(DType dtype, const std::byte* p, double value) {
  constexpr double kLimit = 0x1p100;
  if (dtype == DType::u64) return Wide{load_le<uint64_t>(p)};
  if (dtype == DType::i64) return Wide{load_le<int64_t>(p)};
  if (!(std::fabs(value) < kLimit) || value != std::trunc(value)) return std::nullopt;
  return static_cast<Wide>(value);
}

}  // namespace

struct Comparer::Chunk {
  size_t count = 0;  // values
  size_t parts = 0;  // doubles in a and b: twice as many for complex numbers
  std::array<double, kChunk> a;
  std::array<double, kChunk> b;
  std::array<double, kChunk> size;       // |a - b|, NaN where one is NaN
  std::array<double, kChunk> reference;  // |b|
  std::array<bool, kChunk> both_nan;
};

bool can_compare(DType a, DType b) {
  if (a == b) return true;
  return info(a).per_element == 1 && info(b).per_element == 1 && is_complex(a) == is_complex(b);
}

// Fills the distances, whatever the values are.
void Comparer::measure(Bytes a, Bytes b, Chunk& chunk) const {
  const auto part = [](double x, double y) { return x == y ? 0 : std::fabs(x - y); };
  if (is_complex(a_)) {
    for (size_t i = 0; i < chunk.count; ++i) {
      const double* x = &chunk.a[2 * i];
      const double* y = &chunk.b[2 * i];
      const double re = part(x[0], y[0]);
      const double im = part(x[1], y[1]);
      const bool nan = std::isnan(re) || std::isnan(im);  // hypot(NaN, infinity) is infinity
      chunk.size[i] = nan ? __builtin_nan("") : std::hypot(re, im);
      chunk.reference[i] = std::hypot(y[0], y[1]);
      chunk.both_nan[i] =
          (std::isnan(x[0]) || std::isnan(x[1])) && (std::isnan(y[0]) || std::isnan(y[1]));
    }
    return;
  }
  for (size_t i = 0; i < chunk.count; ++i) {
    chunk.size[i] = part(chunk.a[i], chunk.b[i]);
    chunk.reference[i] = std::fabs(chunk.b[i]);
    chunk.both_nan[i] = std::isnan(chunk.a[i]) && std::isnan(chunk.b[i]);
  }
  if (!is_64_bit_integer(a_) && !is_64_bit_integer(b_)) return;
  // As doubles, neighbours beyond 2^53 are equal.
  for (size_t i = 0; i < chunk.count; ++i) {
    const auto x = load_wide(a_, a.data() + i * element_bytes(a_), chunk.a[i]);
    const auto y = load_wide(b_, b.data() + i * element_bytes(b_), chunk.b[i]);
    if (!x || !y) continue;  // no integer is near enough to be rounded onto it
    chunk.size[i] = static_cast<double>(*x < *y ? *y - *x : *x - *y);
  }
}

void Comparer::judge(const Chunk& chunk) {
  for (size_t i = 0; i < chunk.count; ++i) {
    const double size = chunk.size[i];
    const double allowed = tolerance_.atol + tolerance_.rtol * chunk.reference[i];
    bool close = size == 0 || (size <= allowed && std::isfinite(size));
    if (std::isnan(size)) {
      close = chunk.both_nan[i] && tolerance_.equal_nan;
      ++(chunk.both_nan[i] ? result_.both_nan : result_.nan_pairs);
    }
    if (!close) {
      if (result_.mismatches == 0) result_.first_mismatch = result_.count + i;
      ++result_.mismatches;
    }
    if (size > result_.max_abs) result_.max_abs = size;
    const bool infinite = std::isinf(size);
    result_.infinite_pairs += infinite ? 1U : 0U;
    result_.both_infinite += size == 0 && std::isinf(chunk.reference[i]) ? 1U : 0U;
    const double relative = infinite ? size : size / chunk.reference[i];  // NaN for 0 / 0
    if (relative > result_.max_rel) result_.max_rel = relative;
  }
  result_.count += chunk.count;
}

// The same for real numbers that are all finite, several at a time.
void Comparer::judge_finite(const Chunk& chunk) {
  const Pair atol = {tolerance_.atol, tolerance_.atol};
  const Pair rtol = {tolerance_.rtol, tolerance_.rtol};
  std::array<PairMask, kPairs> close{};
  std::array<Pair, kPairs> sizes{};
  std::array<Pair, kPairs> relatives{};
  for (size_t i = 0; i < kChunk; i += kPairStep) {
    for (size_t k = 0; k < kPairs; ++k) {
      const Pair size = absolute(load_pair(&chunk.a[i + 2 * k]) - load_pair(&chunk.b[i + 2 * k]));
      const Pair reference = absolute(load_pair(&chunk.b[i + 2 * k]));
      const Pair relative = size / reference;  // NaN for 0 / 0, which is not more than anything
      close[k] -= size <= atol + rtol * reference;
      sizes[k] = size > sizes[k] ? size : sizes[k];
      relatives[k] = relative > relatives[k] ? relative : relatives[k];
    }
  }
  if (sum_pairs(close) != static_cast<int64_t>(kChunk)) {
    const uint64_t mismatches = kChunk - static_cast<uint64_t>(sum_pairs(close));
    if (result_.mismatches == 0) {
      for (size_t i = 0; i < kChunk && !result_.first_mismatch; ++i) {
        const double size = std::fabs(chunk.a[i] - chunk.b[i]);
        const bool is_close = size <= tolerance_.atol + tolerance_.rtol * std::fabs(chunk.b[i]);
        if (!is_close) result_.first_mismatch = result_.count + i;
      }
    }
    result_.mismatches += mismatches;
  }
  for (size_t k = 0; k < kPairs; ++k) {
    result_.max_abs = std::max({result_.max_abs, sizes[k][0], sizes[k][1]});
    result_.max_rel = std::max({result_.max_rel, relatives[k][0], relatives[k][1]});
  }
  result_.count += kChunk;
}

// False where a value is not finite or too large to be squared.
bool Comparer::correlate(const Chunk& chunk) {
  std::array<Pair, kPairs> dots{};
  std::array<Pair, kPairs> norms_a{};
  std::array<Pair, kPairs> norms_b{};
  std::array<Pair, kPairs> differences{};
  const size_t whole = chunk.parts / kPairStep * kPairStep;
  for (size_t i = 0; i < whole; i += kPairStep) {
    for (size_t k = 0; k < kPairs; ++k) {
      const Pair a = load_pair(&chunk.a[i + 2 * k]);
      const Pair b = load_pair(&chunk.b[i + 2 * k]);
      dots[k] += a * b;
      norms_a[k] += a * a;
      norms_b[k] += b * b;
      differences[k] += (a - b) * (a - b);
    }
  }
  double dot = sum_pairs(dots);
  double norm_a = sum_pairs(norms_a);
  double norm_b = sum_pairs(norms_b);
  double difference = sum_pairs(differences);
  const auto add_one = [&](size_t i) {
    dot += chunk.a[i] * chunk.b[i];
    norm_a += chunk.a[i] * chunk.a[i];
    norm_b += chunk.b[i] * chunk.b[i];
    difference += (chunk.a[i] - chunk.b[i]) * (chunk.a[i] - chunk.b[i]);
  };
  for (size_t i = whole; i < chunk.parts; ++i) add_one(i);
  const bool finite = std::isfinite(norm_a) && std::isfinite(norm_b);
  if (!finite) {
    dot = norm_a = norm_b = difference = 0;
    for (size_t i = 0; i < chunk.parts; ++i) {
      if (std::isfinite(chunk.a[i]) && std::isfinite(chunk.b[i])) add_one(i);
    }
  }
  dot_ += dot;
  norm_a_ += norm_a;
  norm_b_ += norm_b;
  norm_difference_ += difference;
  return finite;
}

void Comparer::add_chunk(Bytes a, Bytes b, Chunk& chunk) {
  load_values(a_, a, chunk.a.data());
  load_values(b_, b, chunk.b.data());
  chunk.parts = a.size() / element_bytes(a_) * values_per_element(a_);
  chunk.count = is_complex(a_) ? chunk.parts / 2 : chunk.parts;
  const double norm_before = norm_difference_;
  const bool finite = correlate(chunk);
  if (finite && a_ == b_ && std::memcmp(a.data(), b.data(), a.size()) == 0) {
    result_.count += chunk.count;
    return;
  }
  const bool exact = is_64_bit_integer(a_) || is_64_bit_integer(b_);
  if (finite && chunk.count == kChunk && !exact) return judge_finite(chunk);
  measure(a, b, chunk);
  judge(chunk);
  if (!exact) return;
  norm_difference_ = norm_before;
  for (size_t i = 0; i < chunk.count; ++i) {
    if (std::isfinite(chunk.size[i])) norm_difference_ += chunk.size[i] * chunk.size[i];
  }
}

void Comparer::add(Bytes a, Bytes b) {
  if (a_ != b_ || (!a.empty() && std::memcmp(a.data(), b.data(), a.size()) != 0)) {
    result_.bit_equal = false;
  }
  const size_t step = kChunk / values_per_element(a_);
  Chunk chunk;
  while (!a.empty()) {
    const size_t elements = std::min(step, a.size() / element_bytes(a_));
    add_chunk(a.first(elements * element_bytes(a_)), b.first(elements * element_bytes(b_)), chunk);
    a = a.subspan(elements * element_bytes(a_));
    b = b.subspan(elements * element_bytes(b_));
  }
}

void Comparer::merge(const Comparer& next) {
  const CompareResult& other = next.result_;
  if (!result_.first_mismatch && other.first_mismatch) {
    result_.first_mismatch = result_.count + *other.first_mismatch;
  }
  result_.count += other.count;
  result_.mismatches += other.mismatches;
  result_.max_abs = std::max(result_.max_abs, other.max_abs);
  result_.max_rel = std::max(result_.max_rel, other.max_rel);
  result_.nan_pairs += other.nan_pairs;
  result_.infinite_pairs += other.infinite_pairs;
  result_.both_nan += other.both_nan;
  result_.both_infinite += other.both_infinite;
  result_.bit_equal = result_.bit_equal && other.bit_equal;
  dot_ += next.dot_;
  norm_a_ += next.norm_a_;
  norm_b_ += next.norm_b_;
  norm_difference_ += next.norm_difference_;
}

void Comparer::repeat(uint64_t times) {
  for (uint64_t* count : {&result_.count, &result_.mismatches, &result_.nan_pairs,
                          &result_.infinite_pairs, &result_.both_nan, &result_.both_infinite}) {
    *count = checked_mul(*count, times).value_or(UINT64_MAX);
  }
}

std::optional<double> CompareResult::likeness() const {
  const bool foreign = nan_pairs > 0 || infinite_pairs > 0 || (!cosine && max_abs > 0);
  return foreign ? 0 : cosine;
}

CompareResult Comparer::result() const {
  CompareResult out = result_;
  out.bit_equal = out.bit_equal && a_ == b_;
  if (norm_b_ > 0) {
    const double relative = std::sqrt(norm_difference_) / std::sqrt(norm_b_);
    if (std::isfinite(relative)) out.rel_norm = relative;
  }
  if (norm_a_ > 0 && norm_b_ > 0) {
    const double cosine = dot_ / (std::sqrt(norm_a_) * std::sqrt(norm_b_));
    if (std::isfinite(cosine)) out.cosine = std::clamp(cosine, -1.0, 1.0);
  }
  return out;
}

Result<CompareResult> compare_tensors(const TensorView& a, const TensorView& b,
                                      const Tolerance& tolerance) {
  if (!can_compare(a.dtype, b.dtype)) {
    return unsupported(fmt::format("{} and {} tensors cannot be compared", info(a.dtype).torch,
                                   info(b.dtype).torch));
  }
  if (!std::ranges::equal(a.sizes, b.sizes)) {
    return conflict(
        fmt::format("shapes {} and {} differ", format_shape(a.sizes), format_shape(b.sizes)));
  }
  constexpr uint64_t kElements = uint64_t{1} << 16;
  MLC_TRY(ViewReader reader_a, ViewReader::open(a));
  MLC_TRY(ViewReader reader_b, ViewReader::open(b));
  Comparer comparer(a.dtype, b.dtype, tolerance);
  for (Bytes block = reader_a.next(kElements); !block.empty(); block = reader_a.next(kElements)) {
    comparer.add(block, reader_b.next(kElements));
  }
  return comparer.result();
}

}  // namespace mlc
