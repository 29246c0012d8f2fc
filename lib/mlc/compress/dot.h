// Products of vectors that are the same on every machine.
#pragma once

#include <cstdint>

namespace mlc {

/// The sum of A[i] * B[i]: in eight lanes, which compilers vectorise, added up in order.
inline double dot(const double* a, const double* b, int64_t count) {
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t k = 0; k < kLanes; ++k) lanes[k] += a[i + k] * b[i + k];
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace mlc
