// Integer arithmetic on numbers that came from a file: every overflow is seen.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

namespace mlc {

/// a + b, or nothing where it does not fit T.
template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

/// a * b, or nothing where it does not fit T.
template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

/// Whether [offset, offset + length) lies within [0, size).
constexpr bool fits_within(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

/// The bytes to add to VALUE to reach a multiple of ALIGNMENT. Requires: ALIGNMENT > 0.
constexpr uint64_t padding_to(uint64_t value, uint64_t alignment) {
  return (alignment - value % alignment) % alignment;
}

}  // namespace mlc
