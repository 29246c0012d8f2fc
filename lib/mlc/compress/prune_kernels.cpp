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
using Bytes8 = uint8_t __attribute__((vector_size(8)));
using Floats = float __attribute__((vector_size(32)));
using Doubles = double __attribute__((vector_size(64)));

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

MLC_INLINE void count_batch(const float* w, const uint8_t* keep, size_t count, PruneSums& sums) {
  constexpr int32_t kInfinity = 0x7F80'0000;
  Bits zeros_before{};
  Bits zeros_after{};
  Bits not_finite{};
  Doubles before{};
  Doubles after{};
  for (size_t i = 0; i < count; i += kLanes) {
    // Past the end there are zeros, which are taken off again below.
    Bits bits{};
    Bytes8 kept{};
    const size_t some = std::min(kLanes, count - i);
    if (some == kLanes) {
      std::memcpy(&bits, w + i, sizeof bits);
      std::memcpy(&kept, keep + i, sizeof kept);
    } else {
      std::memcpy(&bits, w + i, some * sizeof(float));
      std::memcpy(&kept, keep + i, some);
    }
    const Bits magnitude = bits & 0x7FFF'FFFF;
    const Bits is_zero = magnitude == 0;
    const Bits is_kept = -__builtin_convertvector(kept, Bits);
    const Bits finite = magnitude < kInfinity;
    zeros_before -= is_zero;
    zeros_after -= is_zero | ~is_kept;
    not_finite -= ~finite;
    const Bits counted = bits & finite;
    Floats value;
    std::memcpy(&value, &counted, sizeof value);
    const Doubles wide = __builtin_convertvector(value, Doubles);
    const Bits left = counted & is_kept;
    std::memcpy(&value, &left, sizeof value);
    const Doubles wide_left = __builtin_convertvector(value, Doubles);
    before += wide * wide;
    after += wide_left * wide_left;
  }
  const auto padding = static_cast<uint64_t>((kLanes - count % kLanes) % kLanes);
  sums.zeros_before -= padding;
  sums.zeros_after -= padding;
  for (size_t j = 0; j < kLanes; ++j) {
    sums.zeros_before += static_cast<uint64_t>(zeros_before[j]);
    sums.zeros_after += static_cast<uint64_t>(zeros_after[j]);
    sums.not_finite += static_cast<uint64_t>(not_finite[j]);
    sums.energy_before += before[j];
    sums.energy_after += after[j];
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
