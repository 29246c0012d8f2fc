#include "mlc/container/crc32.h"

#include <array>

#include <libdeflate.h>

namespace mlc {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320;
constexpr uint32_t kOne = 0x80000000;  // the polynomial 1: bits are reflected

// a * b modulo the CRC polynomial, over GF(2).
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x to the power of 2^n, n in [0, 32).
constexpr std::array<uint32_t, 32> make_squares() {
  std::array<uint32_t, 32> squares{};
  uint32_t p = kOne >> 1;  // x
  for (uint32_t& square : squares) {
    square = p;
    p = multiply(p, p);
  }
  return squares;
}
constexpr std::array<uint32_t, 32> kSquares = make_squares();

}  // namespace

uint32_t crc32(Bytes bytes, uint32_t initial) {
  return libdeflate_crc32(initial, bytes.data(), bytes.size());
}

uint32_t crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t length_b) {
  // A's CRC is carried over 8 * length_b zero bits: times x^(8 * length_b). The exponent's bit i is
  // the length's bit i - 3; x has order 2^32 - 1, so exponents wrap around after 32 squarings.
  uint32_t shift = kOne;
  for (size_t bit = 0; bit < 64; ++bit) {
    if ((length_b >> bit & 1) != 0) shift = multiply(shift, kSquares[(bit + 3) % 32]);
  }
  return multiply(shift, crc_a) ^ crc_b;
}

}  // namespace mlc
