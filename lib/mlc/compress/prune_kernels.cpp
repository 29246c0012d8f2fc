#include "mlc/compress/prune_kernels.h"

#include <algorithm>
#include <cstring>

#define MLC_INLINE inline __attribute__((always_inline))

namespace mlc {
namespace {

constexpr size_t kLanes = 8;
// Counts of 32 bits cannot wrap within this many weights.
constexpr size_t kBatch = size_t{1} << 20U;

using Bits = int32_t __attribute__((vector_size(32)));
// Wider vectors than registers, and bytes that are converted, go through memory one by one.
using HalfFloats = float __attribute__((vector_size(16)));
using Doubles = double __attribute__((vector_size(32)));

MLC_INLINE void magnitudes_of(const float* w, size_t count, uint32_t* keys) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, w + i, sizeof bits);
    keys[i] = bits & 0x7FFF'FFFF;
  }
}

MLC_INLINE void keep_from(const uint32_t* keys, size_t count, uint32_t least, uint8_t* keep) {
  const auto from = static_cast<int32_t>(least);
  for (size_t i = 0; i < count; ++i) keep[i] = static_cast<int32_t>(keys[i]) >= from ? 1 : 0;
}

MLC_INLINE void zero_all(const uint8_t* keep, size_t count, uint32_t sign, uint32_t* elements) {
  for (size_t i = 0; i < count; ++i) {
    elements[i] &= (0U - static_cast<uint32_t>(keep[i])) | sign;
  }
}

/// What kLanes weights add, lane by lane.
struct LaneSums {
  Bits zeros_before{};
  Bits zeros_after{};
  Bits not_finite{};
  Doubles before[2]{};
  Doubles after[2]{};
};

MLC_INLINE void add_squares(const Bits& bits, Doubles sums[2]) {
  HalfFloats halves[2];
  std::memcpy(halves, &bits, sizeof bits);
  for (size_t half = 0; half < 2; ++half) {
    const Doubles wide = __builtin_convertvector(halves[half], Doubles);
    sums[half] += wide * wide;
  }
}

MLC_INLINE void count_lanes(const float* w, const uint8_t* keep, LaneSums& sums) {
  constexpr int32_t kInfinity = 0x7F80'0000;
  Bits bits;
  std::memcpy(&bits, w, sizeof bits);
  Bits kept;
  for (size_t j = 0; j < kLanes; ++j) kept[j] = keep[j];
  const Bits magnitude = bits & 0x7FFF'FFFF;
  const Bits is_zero = magnitude == 0;
  const Bits is_kept = -kept;
  const Bits finite = magnitude < kInfinity;
  sums.zeros_before -= is_zero;
  sums.zeros_after -= is_zero | ~is_kept;
  sums.not_finite -= ~finite;
  add_squares(bits & finite, sums.before);
  add_squares(bits & finite & is_kept, sums.after);
}

MLC_INLINE void count_batch(const float* w, const uint8_t* keep, size_t count, PruneSums& sums) {
  LaneSums lanes;
  const size_t whole = count - count % kLanes;
  for (size_t i = 0; i < whole; i += kLanes) count_lanes(w + i, keep + i, lanes);
  if (whole < count) {
    // Behind the end there are zeros, which are taken off again.
    float last[kLanes] = {};
    uint8_t last_keep[kLanes] = {};
    std::copy(w + whole, w + count, last);
    std::copy(keep + whole, keep + count, last_keep);
    count_lanes(last, last_keep, lanes);
    sums.zeros_before -= kLanes - (count - whole);
    sums.zeros_after -= kLanes - (count - whole);
  }
  for (size_t j = 0; j < kLanes; ++j) {
    sums.zeros_before += static_cast<uint64_t>(lanes.zeros_before[j]);
    sums.zeros_after += static_cast<uint64_t>(lanes.zeros_after[j]);
    sums.not_finite += static_cast<uint64_t>(lanes.not_finite[j]);
    sums.energy_before += lanes.before[j / 4][j % 4];
    sums.energy_after += lanes.after[j / 4][j % 4];
  }
}

MLC_INLINE void count_all(const float* w, const uint8_t* keep, size_t count, PruneSums& sums) {
  for (size_t at = 0; at < count; at += kBatch) {
    count_batch(w + at, keep + at, std::min(kBatch, count - at), sums);
  }
}

#define MLC_KERNELS(NAME, TARGET)                                                                \
  struct NAME {                                                                                  \
    TARGET static void magnitudes(const float* w, size_t count, uint32_t* keys) {                \
      magnitudes_of(w, count, keys);                                                             \
    }                                                                                            \
    TARGET static void keep(const uint32_t* keys, size_t count, uint32_t least, uint8_t* kept) { \
      keep_from(keys, count, least, kept);                                                       \
    }                                                                                            \
    TARGET static void zero(const uint8_t* kept, size_t count, uint32_t sign,                    \
                            uint32_t* elements) {                                                \
      zero_all(kept, count, sign, elements);                                                     \
    }                                                                                            \
    TARGET static void count(const float* w, const uint8_t* kept, size_t n, PruneSums& sums) {   \
      count_all(w, kept, n, sums);                                                               \
    }                                                                                            \
    static constexpr PruneKernels kTable = {magnitudes, keep, zero, count};                      \
  };

MLC_KERNELS(Portable, )
#if defined(__x86_64__)
MLC_KERNELS(Avx2, __attribute__((target("avx2"))))
#endif

}  // namespace

const PruneKernels& portable_prune_kernels() {
  return Portable::kTable;
}

const PruneKernels& prune_kernels() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return Avx2::kTable;
#endif
  return Portable::kTable;
}

}  // namespace mlc
