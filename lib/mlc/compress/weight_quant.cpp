#include "mlc/compress/weight_quant.h"

#include "mlc/tensor/convert.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace mlc {
namespace {

constexpr float kSmallestNormalHalf = 6.103515625e-05F;
constexpr float kLargestHalf = 65504.0F;

float rounded_to_half(float value) {
  uint16_t half = 0;
  float out = 0;
  from_f32_kernel(DType::f16)(reinterpret_cast<const std::byte*>(&value),
                              reinterpret_cast<std::byte*>(&half), 1);
  to_f32_kernel(DType::f16)(reinterpret_cast<const std::byte*>(&half),
                            reinterpret_cast<std::byte*>(&out), 1);
  return out;
}

/// VALUES as the bytes of DTYPE: float32, float16 or, of small integers, uint8.
std::string as_stored(const std::vector<float>& values, DType dtype) {
  std::string out(values.size() * element_bytes(dtype), '\0');
  if (dtype == DType::u8) {
    std::transform(values.begin(), values.end(), out.begin(),
                   [](float value) { return static_cast<char>(static_cast<uint8_t>(value)); });
    return out;
  }
  from_f32_kernel(dtype)(reinterpret_cast<const std::byte*>(values.data()),
                         reinterpret_cast<std::byte*>(out.data()), values.size());
  return out;
}

/// Values [BEGIN, BEGIN + COUNT) of BYTES as float32.
void load_stored(DType dtype, Bytes bytes, size_t begin, size_t count, float* out) {
  const std::byte* const from = bytes.data() + begin * element_bytes(dtype);
  if (dtype == DType::u8) {
    std::transform(from, from + count, out,
                   [](std::byte one) { return static_cast<float>(std::to_integer<int>(one)); });
    return;
  }
  to_f32_kernel(dtype)(from, reinterpret_cast<std::byte*>(out), count);
}

/// The groups of a row from what is stored.
void load_groups(const QuantScheme& scheme, const QuantLayout& layout, int64_t row,
                 DType scale_dtype, Bytes scales, DType zero_dtype, Bytes zeros,
                 std::vector<GroupParameters>& out) {
  const auto groups = static_cast<size_t>(layout.groups);
  const size_t begin = static_cast<size_t>(row) * groups;
  thread_local std::vector<float> values;
  values.resize(groups);
  out.resize(groups);
  load_stored(scale_dtype, scales, begin, groups, values.data());
  const auto zero = static_cast<float>(scheme.zero());
  for (size_t g = 0; g < groups; ++g) out[g] = {values[g], zero, scheme.low(), scheme.high()};
  if (scheme.symmetric) return;
  load_stored(zero_dtype, zeros, begin, groups, values.data());
  for (size_t g = 0; g < groups; ++g) out[g].zero = values[g];
}

/// Calls BODY(group, first column, columns) for each group of a row.
template <class Body>
void for_each_group(const QuantLayout& layout, Body body) {
  for (int64_t g = 0; g < layout.groups; ++g) {
    const int64_t begin = g * layout.group;
    const int64_t count = std::min(layout.group, layout.columns - begin);
    body(static_cast<size_t>(g), static_cast<size_t>(begin), static_cast<size_t>(count));
  }
}

}  // namespace

WeightQuantizer::WeightQuantizer(const QuantScheme& scheme, Rounding rounding, Dims sizes,
                                 ZeroPoints zero_points)
    : scheme_(scheme),
      rounding_(scheme.symmetric && rounding == Rounding::hqq ? Rounding::rtn : rounding),
      zero_points_(zero_points),
      layout_(layout_of(scheme, sizes)),
      scale_dtype_(scheme.group == 0 ? DType::f32 : DType::f16) {
  const auto groups = static_cast<size_t>(layout_.rows * layout_.groups);
  scales_.resize(groups);
  if (!scheme_.symmetric) zeros_.resize(groups);
}

float WeightQuantizer::stored_scale(float scale) {
  if (scale == 0) return 1;  // a dead group, or one of the smallest numbers that there are
  if (scale_dtype_ == DType::f32) return scale;
  if (scale < kSmallestNormalHalf || scale > kLargestHalf) {
    wide_.store(true, std::memory_order_relaxed);
    return scale;
  }
  return rounded_to_half(scale);
}

GroupParameters WeightQuantizer::symmetric(float largest) {
  const float scale = stored_scale(largest / static_cast<float>(scheme_.steps()));
  return {scale, static_cast<float>(scheme_.zero()), scheme_.low(), scheme_.high()};
}

GroupParameters WeightQuantizer::asymmetric(float low, float high) {
  const int codes = scheme_.steps();
  // Each end on its own: their difference can be more than a float.
  const auto steps = static_cast<float>(codes);
  const float scale = stored_scale(high / steps - low / steps);
  const float zero = -low / scale;
  if (rounding_ == Rounding::hqq) return {scale, rounded_to_half(zero), 0, codes};
  return {scale, std::clamp(std::nearbyint(zero), 0.0F, steps), 0, codes};
}

GroupParameters WeightQuantizer::clipped(const float* weights, size_t count, float low,
                                         float high) {
  constexpr int kParts = 50;    // the whole range in steps of 2 %
  constexpr int kLeast = 15;    // down to 30 % of it
  constexpr int kPatience = 8;  // candidates without a gain before the search ends
  const QuantKernels& kernels = quant_kernels();
  GroupParameters best;
  double least = std::numeric_limits<double>::infinity();
  int since = 0;
  for (int part = kParts; part >= kLeast && since < kPatience; --part, ++since) {
    const float share = static_cast<float>(part) / kParts;
    const GroupParameters candidate = scheme_.symmetric ? symmetric(std::max(-low, high) * share)
                                                        : asymmetric(low * share, high * share);
    const double error = kernels.error(weights, count, candidate);
    if (!(error < least)) continue;
    least = error;
    best = candidate;
    since = 0;
  }
  return best;
}

GroupParameters WeightQuantizer::moved_zero(const float* weights, size_t count,
                                            GroupParameters group) const {
  constexpr int kSteps = 20;
  constexpr double kPower = 0.7;
  constexpr double kKappa = 1.01;
  const QuantKernels& kernels = quant_kernels();
  double beta = 10;
  GroupParameters best = group;
  double least = kernels.error(weights, count, group);
  thread_local std::vector<int8_t> codes;
  thread_local std::vector<float> values;
  codes.resize(count);
  values.resize(count);
  for (int step = 0; step < kSteps; ++step, beta *= kKappa) {
    kernels.encode(weights, count, group, codes.data());
    kernels.decode(codes.data(), count, group, values.data());
    // Errors below this shrink to nothing, which is nearly all of them.
    const double kept = std::pow(1 / beta, 1 / (2 - kPower));
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      const double error = static_cast<double>(weights[i]) - values[i];
      const double size = std::abs(error);
      double shrunken = 0;
      if (size > kept) {
        shrunken = std::copysign(size - std::pow(size, kPower - 1) / beta, error);
      }
      const auto code = static_cast<double>(static_cast<uint8_t>(codes[i]));
      sum += code - (static_cast<double>(weights[i]) - shrunken) / group.scale;
    }
    group.zero = rounded_to_half(static_cast<float>(sum / static_cast<double>(count)));
    const double error = kernels.error(weights, count, group);
    if (!(error < least)) break;
    least = error;
    best = group;
  }
  return best;
}

/// GROUP with one of the two codes beside its zero point: that which loses less of WEIGHTS.
GroupParameters WeightQuantizer::on_a_code(const float* weights, size_t count,
                                           const GroupParameters& group) const {
  const auto last = static_cast<float>(group.high);
  GroupParameters below = group;
  below.zero = std::clamp(std::floor(group.zero), 0.0F, last);
  GroupParameters above = group;
  above.zero = std::clamp(std::ceil(group.zero), 0.0F, last);
  const QuantKernels& kernels = quant_kernels();
  return kernels.error(weights, count, above) < kernels.error(weights, count, below) ? above
                                                                                     : below;
}

GroupParameters WeightQuantizer::find(const float* weights, size_t count) {
  const QuantKernels& kernels = quant_kernels();
  if (scheme_.symmetric && rounding_ != Rounding::mse) {
    return symmetric(std::bit_cast<float>(kernels.largest_bits(weights, count)));
  }
  float low = 0;
  float high = 0;
  kernels.range(weights, count, low, high);
  if (rounding_ == Rounding::mse) return clipped(weights, count, low, high);
  const GroupParameters group = asymmetric(low, high);
  if (rounding_ != Rounding::hqq) return group;
  const GroupParameters moved = moved_zero(weights, count, group);
  return zeros_between_codes() ? moved : on_a_code(weights, count, moved);
}

const std::vector<float>& WeightQuantizer::input_scale() const {
  static const std::vector<float> kNone;
  return factors_ == nullptr ? kNone : *factors_;
}

const float* WeightQuantizer::products(const float* weights) const {
  if (factors_ == nullptr) return weights;
  thread_local std::vector<float> out;
  out.resize(factors_->size());
  for (size_t j = 0; j < out.size(); ++j) out[j] = weights[j] * (*factors_)[j];
  return out.data();
}

void WeightQuantizer::choose(int64_t row, const float* weights) {
  weights = products(weights);
  const auto first = static_cast<size_t>(row * layout_.groups);
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    const GroupParameters group = find(weights + begin, count);
    scales_[first + g] = group.scale;
    if (!scheme_.symmetric) zeros_[first + g] = group.zero;
  });
}

GroupParameters WeightQuantizer::choose_group(int64_t row, int64_t group, const float* weights) {
  const int64_t count = std::min(layout_.group, layout_.columns - group * layout_.group);
  const GroupParameters found = find(weights, static_cast<size_t>(count));
  const auto at = static_cast<size_t>(row * layout_.groups + group);
  scales_[at] = found.scale;
  if (!scheme_.symmetric) zeros_[at] = found.zero;
  return found;
}

void WeightQuantizer::codes_of(int64_t row, size_t begin, size_t count, const float* weights,
                               const GroupParameters& group, int8_t* out) const {
  if (given_ == nullptr) return quant_kernels().encode(weights + begin, count, group, out);
  const size_t first = static_cast<size_t>(row * layout_.columns) + begin;
  std::copy_n(given_->data() + first, count, out);
}

void WeightQuantizer::given_values(int64_t row, float* out) const {
  thread_local std::vector<GroupParameters> groups;
  parameters(row, groups);
  const int8_t* const codes = given_->data() + row * layout_.columns;
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    quant_kernels().decode(codes + begin, count, groups[g], out + begin);
  });
}

void WeightQuantizer::finish() {
  if (wide_.load()) scale_dtype_ = DType::f32;
  scale_bytes_ = std::make_shared<const std::string>(as_stored(scales_, scale_dtype_));
  scales_ = {};
  if (scheme_.symmetric) return;
  zero_bytes_ = std::make_shared<const std::string>(as_stored(zeros_, zero_dtype()));
  zeros_ = {};
}

void WeightQuantizer::parameters(int64_t row, std::vector<GroupParameters>& out) const {
  if (scale_bytes_ != nullptr) {
    const Bytes zeros = zero_bytes_ == nullptr ? Bytes() : as_bytes(*zero_bytes_);
    load_groups(scheme_, layout_, row, scale_dtype_, as_bytes(*scale_bytes_), zero_dtype(), zeros,
                out);
    return;
  }
  const auto groups = static_cast<size_t>(layout_.groups);
  out.resize(groups);
  for (size_t g = 0; g < groups; ++g) {
    const size_t at = static_cast<size_t>(row) * groups + g;
    const float zero = scheme_.symmetric ? static_cast<float>(scheme_.zero()) : zeros_[at];
    out[g] = {scales_[at], zero, scheme_.low(), scheme_.high()};
  }
}

void WeightQuantizer::encode(int64_t row, const float* weights, std::byte* out) const {
  const QuantKernels& kernels = quant_kernels();
  thread_local std::vector<GroupParameters> groups;
  parameters(row, groups);
  weights = products(weights);
  const auto columns = static_cast<size_t>(layout_.columns);
  const size_t used = layout_.packed ? columns / 2 + columns % 2 : columns;
  std::fill(out + used, out + layout_.row_bytes(), std::byte{0});
  if (!layout_.packed) {
    auto* const codes = reinterpret_cast<int8_t*>(out);
    for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
      codes_of(row, begin, count, weights, groups[g], codes + begin);
    });
    return;
  }
  thread_local std::vector<int8_t> codes;
  codes.resize(columns);
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    codes_of(row, begin, count, weights, groups[g], codes.data() + begin);
  });
  kernels.pack(codes.data(), codes.size(), reinterpret_cast<uint8_t*>(out));
}

void WeightQuantizer::measure(int64_t row, const float* weights, ErrorSums& sums) const {
  const QuantKernels& kernels = quant_kernels();
  if (factors_ != nullptr) {
    thread_local std::vector<float> values;
    values.resize(factors_->size());
    decoded(row, weights, values.data());
    kernels.compare_values(weights, values.data(), values.size(), sums);
    return;
  }
  thread_local std::vector<GroupParameters> groups;
  thread_local std::vector<int8_t> codes;
  parameters(row, groups);
  codes.resize(static_cast<size_t>(layout_.columns));
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    codes_of(row, begin, count, weights, groups[g], codes.data() + begin);
    kernels.compare(weights + begin, codes.data() + begin, count, groups[g], sums);
  });
}

void WeightQuantizer::decoded(int64_t row, const float* weights, float* out) const {
  thread_local std::vector<GroupParameters> groups;
  thread_local std::vector<int8_t> codes;
  parameters(row, groups);
  weights = products(weights);
  codes.resize(static_cast<size_t>(layout_.columns));
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    codes_of(row, begin, count, weights, groups[g], codes.data() + begin);
    quant_kernels().decode(codes.data() + begin, count, groups[g], out + begin);
  });
  for (size_t j = 0; j < input_scale().size(); ++j) out[j] /= input_scale()[j];
}

Result<StoredWeight> StoredWeight::create(const QuantScheme& scheme, Dims sizes, Bytes codes,
                                          DType scale_dtype, Bytes scales, DType zero_dtype,
                                          Bytes zeros) {
  StoredWeight out;
  out.scheme_ = scheme;
  out.layout_ = layout_of(scheme, sizes);
  const auto rows = static_cast<uint64_t>(out.layout_.rows);
  const uint64_t groups = rows * static_cast<uint64_t>(out.layout_.groups);
  if (codes.size() != rows * out.layout_.row_bytes()) {
    return corrupt("it has " + std::to_string(codes.size()) + " bytes of codes instead of " +
                   std::to_string(rows * out.layout_.row_bytes()));
  }
  if (scales.size() != groups * element_bytes(scale_dtype)) {
    return corrupt("it has " + std::to_string(scales.size() / element_bytes(scale_dtype)) +
                   " scales instead of " + std::to_string(groups));
  }
  if (!scheme.symmetric && zeros.size() != groups * element_bytes(zero_dtype)) {
    return corrupt("it has " + std::to_string(zeros.size() / element_bytes(zero_dtype)) +
                   " zero points instead of " + std::to_string(groups));
  }
  out.codes_ = codes;
  out.scale_dtype_ = scale_dtype;
  out.scales_ = scales;
  out.zero_dtype_ = zero_dtype;
  out.zeros_ = zeros;
  return out;
}

void StoredWeight::load(int64_t row, std::vector<GroupParameters>& groups,
                        std::vector<int8_t>& codes) const {
  load_groups(scheme_, layout_, row, scale_dtype_, scales_, zero_dtype_, zeros_, groups);
  const auto columns = static_cast<size_t>(layout_.columns);
  codes.resize(columns);
  const auto* const from = reinterpret_cast<const uint8_t*>(codes_.data()) +
                           static_cast<size_t>(row) * layout_.row_bytes();
  if (layout_.packed) {
    quant_kernels().unpack(from, columns, codes.data());
  } else {
    std::copy_n(from, columns, reinterpret_cast<uint8_t*>(codes.data()));
  }
}

void StoredWeight::decode(int64_t row, float* out) const {
  thread_local std::vector<GroupParameters> groups;
  thread_local std::vector<int8_t> codes;
  load(row, groups, codes);
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    quant_kernels().decode(codes.data() + begin, count, groups[g], out + begin);
  });
}

void StoredWeight::compare(int64_t row, const float* weights, ErrorSums& sums) const {
  thread_local std::vector<GroupParameters> groups;
  thread_local std::vector<int8_t> codes;
  load(row, groups, codes);
  for_each_group(layout_, [&](size_t g, size_t begin, size_t count) {
    quant_kernels().compare(weights + begin, codes.data() + begin, count, groups[g], sums);
  });
}

double sqnr_db(double signal, double noise) {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

}  // namespace mlc
