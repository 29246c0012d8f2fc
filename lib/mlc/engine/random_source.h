// Random numbers that are the same for a seed on every machine, compiler and thread count.
//
// Counter-based: number I of a stream is a hash of the stream's key and I, so any part can be made
// alone. The hash is the finalizer of SplitMix64 (Steele, Lea, Flood 2014). Only operations whose
// results IEEE 754 fixes are used: no logarithms or cosines, whose last bits differ.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace mlc {

class RandomSource {
 public:
  /// Streams of different names are independent of each other under one seed.
  RandomSource(uint64_t seed, std::string_view name);

  /// Number INDEX of the stream: 64 random bits.
  uint64_t bits(uint64_t index) const { return mix(key_ + index * kStep); }
  /// Uniform in [LOW, HIGH], both included. Requires: LOW <= HIGH.
  int64_t integer(uint64_t index, int64_t low, int64_t high) const;
  /// Uniform in [LOW, HIGH].
  double uniform(uint64_t index, double low, double high) const {
    return std::fma(high - low, static_cast<double>(bits(index) >> 11U) * 0x1p-53, low);
  }
  /// Mean 0, variance 1, near to normal: the sum of 16 uniform numbers, so never beyond 6.93.
  double normal(uint64_t index) const;

 private:
  static constexpr uint64_t kStep = 0x9E37'79B9'7F4A'7C15;
  static constexpr uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30U) * 0xBF58'476D'1CE4'E5B9;
    z = (z ^ z >> 27U) * 0x94D0'49BB'1331'11EB;
    return z ^ z >> 31U;
  }

  uint64_t key_;
};

}  // namespace mlc
