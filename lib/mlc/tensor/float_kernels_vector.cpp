// AVX2 and F16C forms of the conversions that checkpoints need most. The build targets plain
// x86-64; these functions are compiled for more and used where the processor says that it has it.
#include "mlc/tensor/float_kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>

#define MLC_VECTOR __attribute__((target("avx2,f16c")))
#endif

namespace mlc {

#if defined(__x86_64__)
namespace {

// Lanes of 32 bits that count by subtracting comparison masks. Flushed before they can wrap.
struct LaneCounts {
  __m256i overflowed;
  __m256i underflowed;
  __m256i nans;
};
constexpr size_t kFlush = size_t{1} << 24;

MLC_VECTOR inline LaneCounts no_counts() {
  const __m256i zero = _mm256_setzero_si256();
  return {zero, zero, zero};
}

MLC_VECTOR inline uint64_t sum_lanes(__m256i lanes) {
  alignas(32) uint32_t each[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(each), lanes);
  uint64_t sum = 0;
  for (const uint32_t lane : each) sum += lane;
  return sum;
}

MLC_VECTOR inline FloatCounts sum(const LaneCounts& lanes) {
  return {sum_lanes(lanes.overflowed), sum_lanes(lanes.underflowed), sum_lanes(lanes.nans)};
}

MLC_VECTOR inline __m256i load(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
MLC_VECTOR inline __m128i load_half(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
MLC_VECTOR inline void store(std::byte* p, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), value);
}
MLC_VECTOR inline void store_half(std::byte* p, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), value);
}

MLC_VECTOR inline __m256i magnitude32(__m256i bits) {
  return _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFF'FFFF));
}

MLC_VECTOR inline void count_nans(__m256i f32, LaneCounts& lanes) {
  const __m256i infinity = _mm256_set1_epi32(0x7F80'0000);
  lanes.nans = _mm256_sub_epi32(lanes.nans, _mm256_cmpgt_epi32(magnitude32(f32), infinity));
}

// F32 became CODES (16 bits each in 32-bit lanes), whose infinity is INFINITY16.
MLC_VECTOR inline void count_narrowed(__m256i f32, __m256i codes, int infinity16,
                                      LaneCounts& lanes) {
  const __m256i before = magnitude32(f32);
  const __m256i after = _mm256_and_si256(codes, _mm256_set1_epi32(0x7FFF));
  const __m256i zero = _mm256_setzero_si256();
  const __m256i was_finite = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x7F80'0000), before);
  const __m256i is_infinite = _mm256_cmpeq_epi32(after, _mm256_set1_epi32(infinity16));
  const __m256i was_more = _mm256_cmpgt_epi32(before, zero);
  const __m256i is_zero = _mm256_cmpeq_epi32(after, zero);
  lanes.overflowed = _mm256_sub_epi32(lanes.overflowed, _mm256_and_si256(was_finite, is_infinite));
  lanes.underflowed = _mm256_sub_epi32(lanes.underflowed, _mm256_and_si256(was_more, is_zero));
  count_nans(f32, lanes);
}

struct F32ToF16 {
  static constexpr size_t kIn = 4, kOut = 2, kStep = 8;
  static constexpr DType kDType = DType::f16;
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256i f32 = load(in);
    const __m128i codes =
        _mm256_cvtps_ph(_mm256_castsi256_ps(f32), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    store_half(out, codes);
    count_narrowed(f32, _mm256_cvtepu16_epi32(codes), 0x7C00, lanes);
  }
};

struct F32ToBf16 {
  static constexpr size_t kIn = 4, kOut = 2, kStep = 8;
  static constexpr DType kDType = DType::bf16;
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256i f32 = load(in);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(f32, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(f32, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i quiet = _mm256_or_si256(f32, _mm256_set1_epi32(0x40'0000));
    const __m256i is_nan = _mm256_cmpgt_epi32(magnitude32(f32), _mm256_set1_epi32(0x7F80'0000));
    const __m256i codes = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
    store_half(out,
               _mm_packus_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1)));
    count_narrowed(f32, codes, 0x7F80, lanes);
  }
};

struct F16ToF32 {
  static constexpr size_t kIn = 2, kOut = 4, kStep = 8;
  static constexpr DType kDType = DType::f16;
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256i f32 = _mm256_castps_si256(_mm256_cvtph_ps(load_half(in)));
    store(out, f32);
    count_nans(f32, lanes);
  }
};

struct Bf16ToF32 {
  static constexpr size_t kIn = 2, kOut = 4, kStep = 8;
  static constexpr DType kDType = DType::bf16;
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256i f32 = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(in)), 16);
    store(out, f32);
    count_nans(f32, lanes);
  }
};

struct F32ToF64 {
  static constexpr size_t kIn = 4, kOut = 8, kStep = 8;
  static constexpr DType kDType = DType::f64;
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256i f32 = load(in);
    const __m256 values = _mm256_castsi256_ps(f32);
    store(out, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_castps256_ps128(values))));
    store(out + 32, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_extractf128_ps(values, 1))));
    count_nans(f32, lanes);
  }
};

struct F64ToF32 {
  static constexpr size_t kIn = 8, kOut = 4, kStep = 8;
  static constexpr DType kDType = DType::f64;
  // The low 32 bits of eight 64-bit masks.
  MLC_VECTOR static __m256i narrow(__m256d low, __m256d high) {
    const __m256 picked = _mm256_shuffle_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high), 0x88);
    return _mm256_castps_si256(picked);
  }
  MLC_VECTOR static void step(const std::byte* in, std::byte* out, LaneCounts& lanes) {
    const __m256d a = _mm256_castsi256_pd(load(in));
    const __m256d b = _mm256_castsi256_pd(load(in + 32));
    const __m128 a32 = _mm256_cvtpd_ps(a);
    const __m128 b32 = _mm256_cvtpd_ps(b);
    store_half(out, _mm_castps_si128(a32));
    store_half(out + 16, _mm_castps_si128(b32));
    // Only infinities, zeros and NaNs need a second look, and most blocks have none of them.
    const __m256i f32 = magnitude32(_mm256_set_m128i(_mm_castps_si128(b32), _mm_castps_si128(a32)));
    const __m256i special =
        _mm256_or_si256(_mm256_cmpeq_epi32(f32, _mm256_setzero_si256()),
                        _mm256_cmpgt_epi32(f32, _mm256_set1_epi32(0x7F7F'FFFF)));
    if (_mm256_testz_si256(special, special) == 0) count_special(a, b, f32, lanes);
  }
  MLC_VECTOR static void count_special(__m256d a, __m256d b, __m256i f32, LaneCounts& lanes) {
    // narrow() interleaves the halves of a and b; so must the results be.
    const __m256i after =
        _mm256_permutevar8x32_epi32(f32, _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7));
    const __m256d magnitude_mask = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
    const __m256d infinity = _mm256_set1_pd(__builtin_inf());
    const __m256d a_size = _mm256_and_pd(a, magnitude_mask);
    const __m256d b_size = _mm256_and_pd(b, magnitude_mask);
    const __m256i was_finite = narrow(_mm256_cmp_pd(a_size, infinity, _CMP_LT_OQ),
                                      _mm256_cmp_pd(b_size, infinity, _CMP_LT_OQ));
    const __m256i was_more = narrow(_mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NEQ_OQ),
                                    _mm256_cmp_pd(b, _mm256_setzero_pd(), _CMP_NEQ_OQ));
    const __m256i is_infinite = _mm256_cmpeq_epi32(after, _mm256_set1_epi32(0x7F80'0000));
    const __m256i is_zero = _mm256_cmpeq_epi32(after, _mm256_setzero_si256());
    lanes.overflowed =
        _mm256_sub_epi32(lanes.overflowed, _mm256_and_si256(was_finite, is_infinite));
    lanes.underflowed = _mm256_sub_epi32(lanes.underflowed, _mm256_and_si256(was_more, is_zero));
    count_nans(f32, lanes);
  }
};

template <class Kernel, bool kToF32>
MLC_VECTOR FloatCounts run(const std::byte* in, std::byte* out, size_t count) {
  FloatCounts counts;
  size_t i = 0;
  while (count - i >= Kernel::kStep) {
    const size_t end = i + (count - i < kFlush ? count - i : kFlush);
    LaneCounts lanes = no_counts();
    for (; i + Kernel::kStep <= end; i += Kernel::kStep) {
      Kernel::step(in + i * Kernel::kIn, out + i * Kernel::kOut, lanes);
    }
    counts += sum(lanes);
  }
  const FloatKernel rest = kToF32 ? to_f32_kernel(Kernel::kDType, KernelSet::portable)
                                  : from_f32_kernel(Kernel::kDType, KernelSet::portable);
  return counts += rest(in + i * Kernel::kIn, out + i * Kernel::kOut, count - i);
}

bool has_vectors() {
  // Every processor with AVX2 has F16C, whose name clang 14 refuses here.
  static const bool kHas = __builtin_cpu_supports("avx2");
  return kHas;
}

}  // namespace

FloatKernel vector_to_f32_kernel(DType dtype) {
  if (!has_vectors()) return nullptr;
  if (dtype == DType::f16) return run<F16ToF32, true>;
  if (dtype == DType::bf16) return run<Bf16ToF32, true>;
  if (dtype == DType::f64) return run<F64ToF32, true>;
  return nullptr;
}

FloatKernel vector_from_f32_kernel(DType dtype) {
  if (!has_vectors()) return nullptr;
  if (dtype == DType::f16) return run<F32ToF16, false>;
  if (dtype == DType::bf16) return run<F32ToBf16, false>;
  if (dtype == DType::f64) return run<F32ToF64, false>;
  return nullptr;
}

#else

FloatKernel vector_to_f32_kernel(DType) {
  return nullptr;
}
FloatKernel vector_from_f32_kernel(DType) {
  return nullptr;
}

#endif

}  // namespace mlc
