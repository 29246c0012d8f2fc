#include "mlc/engine/random_source.h"

namespace mlc {

RandomSource::RandomSource(uint64_t seed, std::string_view name) : key_(mix(seed + kStep)) {
  for (const char c : name) key_ = mix(key_ ^ static_cast<unsigned char>(c)) + kStep;
}

int64_t RandomSource::integer(uint64_t index, int64_t low, int64_t high) const {
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  if (span == 0) return static_cast<int64_t>(bits(index));  // all of int64
  // The upper half of a product maps 64 bits to the span; what that favours is below 2^-30 even
  // for spans of 2^34.
  const auto product = static_cast<unsigned __int128>(bits(index)) * span;
  return static_cast<int64_t>(static_cast<uint64_t>(low) + static_cast<uint64_t>(product >> 64U));
}

double RandomSource::normal(uint64_t index) const {
  constexpr int64_t kMean = 16 * 65535 / 2;
  // 1 / sqrt(16 * (2^32 - 1) / 12): the deviation of the sum of 16 whole numbers below 2^16.
  constexpr double kScale = 0x1.bb67ae86627e7p-17;
  int64_t sum = 0;
  for (uint64_t word = 0; word < 4; ++word) {
    const uint64_t random = bits(index * 4 + word);
    for (unsigned shift = 0; shift < 64; shift += 16) {
      sum += static_cast<int64_t>(random >> shift & 0xFFFF);
    }
  }
  return static_cast<double>(sum - kMean) * kScale;
}

}  // namespace mlc
