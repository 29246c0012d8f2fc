// Weights of known distributions, the same on every machine but for the last bits of libm.
#pragma once

#include "../tensor/mixed_bits.h"

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

enum class Shape { gaussian, laplace, student5 };

inline double uniform(uint64_t i, uint64_t seed) {
  return (static_cast<double>(mix(i, seed) >> 11U) + 0.5) / 9007199254740992.0;
}

inline double gaussian(uint64_t i, uint64_t seed) {
  const double radius = std::sqrt(-2 * std::log(uniform(2 * i, seed)));
  return radius * std::cos(2 * std::numbers::pi * uniform(2 * i + 1, seed));
}

inline double one_weight(Shape shape, uint64_t i, uint64_t seed) {
  if (shape == Shape::gaussian) return gaussian(i, seed);
  if (shape == Shape::laplace) {
    const double u = uniform(i, seed) - 0.5;
    return -std::copysign(std::log(1 - 2 * std::abs(u)), u);
  }
  double chi = 0;
  for (uint64_t k = 1; k <= 5; ++k) chi += std::pow(gaussian(i, seed + 1000 * k), 2);
  return gaussian(i, seed) / std::sqrt(chi / 5);
}

inline std::vector<float> random_weights(Shape shape, size_t count, uint64_t seed = 1) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(one_weight(shape, i, seed));
  return out;
}
