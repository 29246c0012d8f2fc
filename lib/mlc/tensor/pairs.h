// Two doubles in one register, for the sums of stats.cpp and compare.cpp.
//
// Every processor of both architectures has such registers, so one build serves all and gives the
// same bits: the order of summing is fixed by the source. Four pairs hide the latency of additions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mlc {

using Pair = double __attribute__((vector_size(16)));
using PairMask = int64_t __attribute__((vector_size(16)));

inline constexpr size_t kPairs = 4;
inline constexpr size_t kPairStep = 2 * kPairs;  // doubles

inline Pair load_pair(const double* p) {
  Pair pair;
  std::memcpy(&pair, p, sizeof pair);
  return pair;
}

inline Pair absolute(Pair x) {
  return reinterpret_cast<Pair>(reinterpret_cast<PairMask>(x) & INT64_MAX);
}

template <class T>
auto sum_pairs(const std::array<T, kPairs>& lanes) {
  const T sum = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  return sum[0] + sum[1];
}

}  // namespace mlc
