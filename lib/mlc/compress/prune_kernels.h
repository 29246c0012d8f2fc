// The inner loops of pruning, for plain x86-64 and for AVX2, with the same results.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlc {

struct PruneSums {
  uint64_t zeros_before = 0;
  uint64_t zeros_after = 0;
  uint64_t not_finite = 0;
  double energy_before = 0;  // sum of the squares of finite weights
  double energy_after = 0;
};

struct PruneKernels {
  /// keys[i] = the bits of |w[i]|.
  void (*magnitudes)(const float* w, size_t count, uint32_t* keys);
  /// keep[i] = keys[i] >= least. Keys and LEAST have no highest bit.
  void (*keep)(const uint32_t* keys, size_t count, uint32_t least, uint8_t* keep);
  /// Where keep[i] is 0 only the bits of SIGN stay of elements[i].
  void (*zero)(const uint8_t* keep, size_t count, uint32_t sign, uint32_t* elements);
  /// Adds to SUMS what KEEP leaves of W.
  void (*count)(const float* w, const uint8_t* keep, size_t count, PruneSums& sums);
};

/// Those of this processor.
const PruneKernels& prune_kernels();
/// Those that run everywhere; for tests.
const PruneKernels& portable_prune_kernels();

}  // namespace mlc
