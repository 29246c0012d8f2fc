// The floating formats of 8 and 16 bits, to and from the bits of a float32, one value at a time.
//
// Rounding is to nearest, ties to even, and every result has the bits that torch 2.13 gives on the
// CPU (c10/util/Float8_*.h, Half.h, BFloat16.h), except that bfloat16 NaNs keep sign and payload,
// where PyTorch gives different NaNs in its vector and in its scalar loop.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace mlc {

/// A format with a sign bit on top, then the exponent, then MANTISSA bits.
struct SmallFormat {
  int bits;
  int mantissa;
  int bias;
  uint32_t largest;    // code of the largest finite value
  uint32_t beyond;     // code of what rounds to more than that
  uint32_t infinity;   // code that infinities become
  uint32_t nan;        // code that NaNs become
  bool unsigned_zero;  // no negative zero, and the only NaN is the code that would be it
};

inline constexpr SmallFormat kFloat16 = {16, 10, 15, 0x7BFF, 0x7C00, 0x7C00, 0x7E00, false};
inline constexpr SmallFormat kFloat8E4M3FN = {8, 3, 7, 0x7E, 0x7E, 0x7E, 0x7F, false};
inline constexpr SmallFormat kFloat8E5M2 = {8, 2, 15, 0x7B, 0x7C, 0x7C, 0x7F, false};
inline constexpr SmallFormat kFloat8E4M3FNUZ = {8, 3, 8, 0x7F, 0x80, 0x80, 0x80, true};
inline constexpr SmallFormat kFloat8E5M2FNUZ = {8, 2, 16, 0x7F, 0x80, 0x80, 0x80, true};

struct Encoded {
  uint32_t code;
  bool overflowed = false;  // finite, but beyond the format
};

inline constexpr uint32_t kInfinity32 = 0x7F80'0000;

template <SmallFormat F>
constexpr Encoded encode_small(uint32_t f32) {
  const uint32_t magnitude = f32 & 0x7FFF'FFFF;
  const uint32_t sign = F.unsigned_zero ? 0 : f32 >> 31 << (F.bits - 1);
  if (magnitude > kInfinity32) {
    // Hardware keeps the upper payload bits of a float16 NaN.
    const uint32_t payload = F.bits == 16 ? magnitude >> (23 - F.mantissa) & 0x3FF : 0;
    return {sign | F.nan | payload};
  }
  if (magnitude == kInfinity32) return {sign | F.infinity};
  constexpr int kLowest = 128 - F.bias;  // float32's exponent field of the smallest normal value
  const auto exponent = static_cast<int>(magnitude >> 23);
  const int shift = 23 - F.mantissa + (exponent < kLowest ? kLowest - exponent : 0);
  if (shift > 25) return {sign};
  // A float32 that is subnormal itself has been shifted out above in all these formats.
  const uint32_t significand = (magnitude & 0x7F'FFFF) | 0x80'0000;
  const uint32_t half = (1U << (shift - 1)) - 1;
  const uint32_t rounded = (significand + half + (significand >> shift & 1)) >> shift;
  // The leading one of ROUNDED adds itself to the exponent, also where rounding carried.
  const int base = exponent < kLowest ? 0 : exponent - kLowest;
  const uint32_t code = (static_cast<uint32_t>(base) << F.mantissa) + rounded;
  if (code > F.largest) return {sign | F.beyond, true};
  if (F.unsigned_zero && code != 0) return {f32 >> 31 << (F.bits - 1) | code};
  return {sign | code};
}

template <SmallFormat F>
constexpr uint32_t decode_small(uint32_t code) {
  const uint32_t top = 1U << (F.bits - 1);
  if (F.unsigned_zero && code == top) return 0x7F80'0001;
  const uint32_t sign = (code & top) << (32 - F.bits);
  const uint32_t magnitude = code & (top - 1);
  uint32_t fraction = magnitude & ((1U << F.mantissa) - 1);
  auto exponent = static_cast<int>(magnitude >> F.mantissa);
  if (magnitude > F.largest) {
    if (F.beyond == F.largest) return sign | 0x7FF0'0000;
    const uint32_t payload = fraction << (23 - F.mantissa);
    return sign | kInfinity32 | payload | (payload != 0 ? 0x40'0000 : 0);
  }
  if (magnitude == 0) return sign;
  if (exponent == 0) {
    exponent = 1;
    for (; fraction >> F.mantissa == 0; --exponent) fraction <<= 1;
    fraction &= (1U << F.mantissa) - 1;
  }
  return sign | static_cast<uint32_t>(exponent + 127 - F.bias) << 23 |
         fraction << (23 - F.mantissa);
}

/// An exponent without sign or fraction. Zero has no code and becomes the smallest one, 2^-127.
constexpr Encoded encode_e8m0(uint32_t f32) {
  const uint32_t exponent = f32 >> 23 & 0xFF;
  if (exponent == 0xFF) return {0xFF};
  const uint32_t fraction = f32 & 0x7F'FFFF;
  const bool up = fraction > 0x40'0000 || (fraction == 0x40'0000 && exponent > 0);
  return {exponent + up, exponent + up == 0xFF};
}

constexpr uint32_t decode_e8m0(uint32_t code) {
  if (code == 0) return 0x40'0000;
  if (code == 0xFF) return 0x7F80'0001;
  return code << 23;
}

constexpr Encoded encode_bf16(uint32_t f32) {
  const uint32_t magnitude = f32 & 0x7FFF'FFFF;
  if (magnitude > kInfinity32) return {f32 >> 16 | 0x40};
  const uint32_t code = (f32 + 0x7FFF + (f32 >> 16 & 1)) >> 16;
  return {code, (code & 0x7FFF) == 0x7F80 && magnitude != kInfinity32};
}

constexpr uint32_t decode_bf16(uint32_t code) {
  return code << 16;
}

}  // namespace mlc
