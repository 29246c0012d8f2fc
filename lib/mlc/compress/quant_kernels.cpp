#include "mlc/compress/quant_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#define MLC_INLINE inline __attribute__((always_inline))
// Vectors wider than the baseline's are passed between functions that are always inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mlc {

void ErrorSums::add(const ErrorSums& other) {
  signal += other.signal;
  noise += other.noise;
  largest = std::max(largest, other.largest);
  wrong += other.wrong;
}

namespace {

constexpr size_t kLanes = 8;
// Adding it to a float of less than 2^22 leaves the nearest integer, ties to even, in the low bits.
constexpr float kRounder = 12582912.0F;
constexpr uint32_t kRounderBits = 0x4B400000;

// Eight lanes, whatever the processor has for them.
using Floats = float __attribute__((vector_size(32)));
using Ints = int32_t __attribute__((vector_size(32)));
using Codes = int8_t __attribute__((vector_size(8)));

MLC_INLINE Floats all(float value) {
  return Floats{} + value;
}
MLC_INLINE Floats load(const float* from) {
  Floats out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
MLC_INLINE Floats clamped(const Floats& value, const Floats& low, const Floats& high) {
  const Floats above = value < low ? low : value;
  return above > high ? high : above;
}
MLC_INLINE Floats magnitude(const Floats& value) {
  return value < 0.0F ? -value : value;
}

MLC_INLINE double sum_of(const double (&lanes)[kLanes]) {
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// The nearest integer to VALUE, which lies within [-2^21, 2^21].
MLC_INLINE int32_t nearest_integer(float value) {
  return static_cast<int32_t>(std::bit_cast<uint32_t>(value + kRounder) - kRounderBits);
}

MLC_INLINE float clamped(float value, float low, float high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

MLC_INLINE uint32_t largest_bits_of(const float* w, size_t count) {
  int32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    int32_t bits = 0;
    std::memcpy(&bits, w + i, sizeof bits);
    bits &= 0x7FFF'FFFF;
    largest = bits > largest ? bits : largest;
  }
  return static_cast<uint32_t>(largest);
}

MLC_INLINE void range_of(const float* w, size_t count, float& low, float& high) {
  float lows[kLanes] = {};
  float highs[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      lows[j] = w[i + j] < lows[j] ? w[i + j] : lows[j];
      highs[j] = w[i + j] > highs[j] ? w[i + j] : highs[j];
    }
  }
  for (; i < count; ++i) {
    lows[0] = std::min(lows[0], w[i]);
    highs[0] = std::max(highs[0], w[i]);
  }
  low = *std::min_element(lows, lows + kLanes);
  high = *std::max_element(highs, highs + kLanes);
}

MLC_INLINE void encode_all(const float* w, size_t count, const GroupParameters& group,
                           int8_t* codes) {
  const float scale = group.scale;
  const float zero = group.zero;
  const auto low = static_cast<float>(group.low);
  const auto high = static_cast<float>(group.high);
  for (size_t i = 0; i < count; ++i) {
    const float code = clamped(w[i] / scale + zero, low, high);
    codes[i] = static_cast<int8_t>(nearest_integer(code));
  }
}

/// Codes are signed where the lowest is, else unsigned.
MLC_INLINE float code_value(int8_t code, int32_t mask) {
  return static_cast<float>(static_cast<int32_t>(code) & mask);
}
MLC_INLINE int32_t code_mask(const GroupParameters& group) {
  return group.low < 0 ? -1 : 0xFF;
}

// Sums in lanes of float32 for as many weights as keep them exact enough: 64 additions a lane lose
// less than 1e-5 of a sum. What they sum up is small: weights in steps of their scale.
constexpr size_t kBatch = 64 * kLanes;

MLC_INLINE double error_of(const float* w, size_t count, const GroupParameters& group) {
  const float scale = group.scale;
  const float zero = group.zero;
  const auto low = static_cast<float>(group.low);
  const auto high = static_cast<float>(group.high);
  double sum = 0;
  for (size_t at = 0; at < count; at += kBatch) {
    const size_t end = std::min(count, at + kBatch);
    Floats noise{};
    size_t i = at;
    for (; i + kLanes <= end; i += kLanes) {
      const Floats steps = load(w + i) / scale + zero;
      const Floats d = steps - (clamped(steps, all(low), all(high)) + kRounder - kRounder);
      noise += d * d;
    }
    for (; i < end; ++i) {
      const float steps = w[i] / scale + zero;
      const float d = steps - (clamped(steps, low, high) + kRounder - kRounder);
      noise[0] += d * d;
    }
    for (size_t j = 0; j < kLanes; ++j) sum += static_cast<double>(noise[j]);
  }
  return sum * static_cast<double>(scale) * static_cast<double>(scale);
}

struct Lanes {
  Floats signal{};
  Floats noise{};
  Floats largest{};
  Ints wrong{};

  /// UNIT: of the values that were added.
  MLC_INLINE void add_to(ErrorSums& sums, double unit) const {
    double signals = 0;
    double noises = 0;
    float most = 0;
    int32_t wrongs = 0;
    for (size_t j = 0; j < kLanes; ++j) {
      signals += static_cast<double>(signal[j]);
      noises += static_cast<double>(noise[j]);
      most = largest[j] > most ? largest[j] : most;
      wrongs += wrong[j];
    }
    sums.signal += signals * unit * unit;
    sums.noise += noises * unit * unit;
    sums.largest = std::max(sums.largest, static_cast<double>(most) * unit);
    sums.wrong += static_cast<uint64_t>(wrongs);
  }
};

MLC_INLINE void compare_batch(const float* w, const int8_t* codes, size_t count,
                              const GroupParameters& group, ErrorSums& sums) {
  const float scale = group.scale;
  const float zero = group.zero;
  const auto low = static_cast<float>(group.low);
  const auto high = static_cast<float>(group.high);
  // Half a step, and what the roundings of encoding can make of it.
  const float most = 0.5F + 1e-4F;
  const int32_t mask = code_mask(group);
  Lanes lanes;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Codes small;
    std::memcpy(&small, codes + i, sizeof small);
    const Floats code =
        __builtin_convertvector(__builtin_convertvector(small, Ints) & mask, Floats);
    const Floats steps = load(w + i) / scale;
    const Floats d = steps - (code - zero);
    lanes.signal += steps * steps;
    lanes.noise += d * d;
    const Floats size = magnitude(d);
    lanes.largest = size > lanes.largest ? size : lanes.largest;
    lanes.wrong -= magnitude(clamped(steps + zero, all(low), all(high)) - code) > most;
  }
  for (; i < count; ++i) {
    const float code = code_value(codes[i], mask);
    const float steps = w[i] / scale;
    const float d = steps - (code - zero);
    lanes.signal[0] += steps * steps;
    lanes.noise[0] += d * d;
    const float size = d < 0 ? -d : d;
    lanes.largest[0] = size > lanes.largest[0] ? size : lanes.largest[0];
    const float off = clamped(steps + zero, low, high) - code;
    lanes.wrong[0] += (off < 0 ? -off : off) > most ? 1 : 0;
  }
  lanes.add_to(sums, static_cast<double>(scale));
}

MLC_INLINE void compare_all(const float* w, const int8_t* codes, size_t count,
                            const GroupParameters& group, ErrorSums& sums) {
  for (size_t at = 0; at < count; at += kBatch) {
    compare_batch(w + at, codes + at, std::min(kBatch, count - at), group, sums);
  }
}

MLC_INLINE void compare_values_all(const float* w, const float* v, size_t count, ErrorSums& sums) {
  double signal[kLanes] = {};
  double noise[kLanes] = {};
  float largest[kLanes] = {};
  const auto one = [&](size_t i, size_t lane) __attribute__((always_inline)) {
    const float d = w[i] - v[i];
    signal[lane] += static_cast<double>(w[i]) * static_cast<double>(w[i]);
    noise[lane] += static_cast<double>(d) * static_cast<double>(d);
    const float size = d < 0 ? -d : d;
    largest[lane] = size > largest[lane] ? size : largest[lane];
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) one(i + j, j);
  }
  for (; i < count; ++i) one(i, 0);
  sums.signal += sum_of(signal);
  sums.noise += sum_of(noise);
  for (const float lane : largest) sums.largest = std::max(sums.largest, static_cast<double>(lane));
}

MLC_INLINE void decode_all(const int8_t* codes, size_t count, const GroupParameters& group,
                           float* w) {
  const float scale = group.scale;
  const float zero = group.zero;
  const int32_t mask = code_mask(group);
  for (size_t i = 0; i < count; ++i) w[i] = scale * (code_value(codes[i], mask) - zero);
}

MLC_INLINE void pack_all(const int8_t* codes, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count / 2; ++i) {
    uint16_t pair = 0;
    std::memcpy(&pair, codes + 2 * i, sizeof pair);
    out[i] = static_cast<uint8_t>((pair & 0xFU) | (pair >> 4U & 0xF0U));
  }
  if (count % 2 == 1) out[count / 2] = static_cast<uint8_t>(codes[count - 1] & 0xF);
}

MLC_INLINE void unpack_all(const uint8_t* packed, size_t count, int8_t* codes) {
  for (size_t i = 0; i < count / 2; ++i) {
    const auto pair = static_cast<uint16_t>((packed[i] & 0xFU) | (packed[i] & 0xF0U) << 4U);
    std::memcpy(codes + 2 * i, &pair, sizeof pair);
  }
  if (count % 2 == 1) codes[count - 1] = static_cast<int8_t>(packed[count / 2] & 0xF);
}

// One function for each kernel and instruction set: the loops above are inlined into them and so
// compiled for it. No FMA, which would give other bits.
#define MLC_KERNELS(NAME, TARGET)                                                              \
  struct NAME {                                                                                \
    TARGET static uint32_t largest_bits(const float* w, size_t count) {                        \
      return largest_bits_of(w, count);                                                        \
    }                                                                                          \
    TARGET static void range(const float* w, size_t count, float& low, float& high) {          \
      range_of(w, count, low, high);                                                           \
    }                                                                                          \
    TARGET static void encode(const float* w, size_t count, const GroupParameters& group,      \
                              int8_t* codes) {                                                 \
      encode_all(w, count, group, codes);                                                      \
    }                                                                                          \
    TARGET static double error(const float* w, size_t count, const GroupParameters& group) {   \
      return error_of(w, count, group);                                                        \
    }                                                                                          \
    TARGET static void compare(const float* w, const int8_t* codes, size_t count,              \
                               const GroupParameters& group, ErrorSums& sums) {                \
      compare_all(w, codes, count, group, sums);                                               \
    }                                                                                          \
    TARGET static void compare_values(const float* w, const float* v, size_t count,            \
                                      ErrorSums& sums) {                                       \
      compare_values_all(w, v, count, sums);                                                   \
    }                                                                                          \
    TARGET static void decode(const int8_t* codes, size_t count, const GroupParameters& group, \
                              float* w) {                                                      \
      decode_all(codes, count, group, w);                                                      \
    }                                                                                          \
    TARGET static void pack(const int8_t* codes, size_t count, uint8_t* out) {                 \
      pack_all(codes, count, out);                                                             \
    }                                                                                          \
    TARGET static void unpack(const uint8_t* packed, size_t count, int8_t* codes) {            \
      unpack_all(packed, count, codes);                                                        \
    }                                                                                          \
    static constexpr QuantKernels kTable = {largest_bits,   range,  encode, error, compare,    \
                                            compare_values, decode, pack,   unpack};           \
  };

MLC_KERNELS(Portable, )
#if defined(__x86_64__)
MLC_KERNELS(Avx2, __attribute__((target("avx2"))))
#endif

}  // namespace

const QuantKernels& portable_quant_kernels() {
  return Portable::kTable;
}

const QuantKernels& quant_kernels() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return Avx2::kTable;
#endif
  return Portable::kTable;
}

}  // namespace mlc
