// The inner loops of convert.h: many floating values at a time, always to or from float32.
#pragma once

#include "mlc/tensor/dtype.h"

#include <cstddef>
#include <cstdint>

namespace mlc {

/// What happened to values on the way.
struct FloatCounts {
  uint64_t overflowed = 0;   // finite, but beyond the largest finite value of the result
  uint64_t underflowed = 0;  // not zero, but zero in the result
  uint64_t nans = 0;         // NaN before

  FloatCounts& operator+=(const FloatCounts& other) {
    overflowed += other.overflowed;
    underflowed += other.underflowed;
    nans += other.nans;
    return *this;
  }
};

/// Reads COUNT values at IN, writes as many at OUT; neither needs alignment, and they do not
/// overlap.
using FloatKernel = FloatCounts (*)(const std::byte* in, std::byte* out, size_t count);

/// Both give the same bits; `best` uses what the processor has.
enum class KernelSet : uint8_t { best, portable };

/// Null where DTYPE is not floating or packed.
FloatKernel to_f32_kernel(DType dtype, KernelSet set = KernelSet::best);
FloatKernel from_f32_kernel(DType dtype, KernelSet set = KernelSet::best);

/// The kernels of this processor's vector unit; null where it has none for DTYPE.
FloatKernel vector_to_f32_kernel(DType dtype);
FloatKernel vector_from_f32_kernel(DType dtype);

}  // namespace mlc
