#include "mlc/tensor/float_kernels.h"

#include "mlc/base/bytes.h"
#include "mlc/tensor/small_float.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace mlc {
namespace {

constexpr uint64_t count_if(bool condition) {
  return condition ? 1 : 0;
}

template <class Code, Encoded (*kEncode)(uint32_t)>
FloatCounts encode_all(const std::byte* in, std::byte* out, size_t count) {
  constexpr uint32_t kMagnitude = std::numeric_limits<Code>::max() >> 1;
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    const auto f32 = load_le<uint32_t>(in + i * 4);
    const Encoded result = kEncode(f32);
    store_le(out + i * sizeof(Code), static_cast<Code>(result.code));
    const uint32_t magnitude = f32 & 0x7FFF'FFFF;
    counts.overflowed += count_if(result.overflowed);
    // 0x80 is a NaN where there is no negative zero, but then no finite value becomes it silently.
    counts.underflowed += count_if((result.code & kMagnitude) == 0 && magnitude != 0 &&
                                   magnitude < kInfinity32 && !result.overflowed);
    counts.nans += count_if(magnitude > kInfinity32);
  }
  return counts;
}

// The smallest e8m0 is not zero, and its top bit is no sign.
FloatCounts encode_all_e8m0(const std::byte* in, std::byte* out, size_t count) {
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    const auto f32 = load_le<uint32_t>(in + i * 4);
    const Encoded result = encode_e8m0(f32);
    store_le(out + i, static_cast<uint8_t>(result.code));
    counts.overflowed += count_if(result.overflowed);
    counts.nans += count_if((f32 & 0x7FFF'FFFF) > kInfinity32);
  }
  return counts;
}

template <uint32_t (*kDecode)(uint32_t)>
constexpr std::array<uint32_t, 256> decode_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t code = 0; code < 256; ++code) table[code] = kDecode(code);
  return table;
}

template <uint32_t (*kDecode)(uint32_t)>
FloatCounts decode_all8(const std::byte* in, std::byte* out, size_t count) {
  static constexpr std::array<uint32_t, 256> kTable = decode_table<kDecode>();
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t f32 = kTable[static_cast<uint8_t>(in[i])];
    store_le(out + i * 4, f32);
    counts.nans += count_if((f32 & 0x7FFF'FFFF) > kInfinity32);
  }
  return counts;
}

template <uint32_t (*kDecode)(uint32_t)>
FloatCounts decode_all16(const std::byte* in, std::byte* out, size_t count) {
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t f32 = kDecode(load_le<uint16_t>(in + i * 2));
    store_le(out + i * 4, f32);
    counts.nans += count_if((f32 & 0x7FFF'FFFF) > kInfinity32);
  }
  return counts;
}

FloatCounts f64_to_f32(const std::byte* in, std::byte* out, size_t count) {
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    double wide;
    std::memcpy(&wide, in + i * 8, sizeof wide);
    const auto narrow = static_cast<float>(wide);
    std::memcpy(out + i * 4, &narrow, sizeof narrow);
    counts.overflowed += count_if(std::isinf(narrow) && !std::isinf(wide));
    counts.underflowed += count_if(narrow == 0 && wide != 0);
    counts.nans += count_if(std::isnan(wide));
  }
  return counts;
}

FloatCounts f32_to_f64(const std::byte* in, std::byte* out, size_t count) {
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    float narrow;
    std::memcpy(&narrow, in + i * 4, sizeof narrow);
    const double wide = narrow;
    std::memcpy(out + i * 8, &wide, sizeof wide);
    counts.nans += count_if(std::isnan(narrow));
  }
  return counts;
}

FloatCounts copy_f32(const std::byte* in, std::byte* out, size_t count) {
  std::memcpy(out, in, count * 4);
  FloatCounts counts;
  for (size_t i = 0; i < count; ++i) {
    counts.nans += count_if((load_le<uint32_t>(in + i * 4) & 0x7FFF'FFFF) > kInfinity32);
  }
  return counts;
}

struct PortableRow {
  DType dtype;
  FloatKernel to_f32;
  FloatKernel from_f32;
};

constexpr std::array kPortable = std::to_array<PortableRow>({
    {DType::f16, decode_all16<decode_small<kFloat16>>,
     encode_all<uint16_t, encode_small<kFloat16>>},
    {DType::bf16, decode_all16<decode_bf16>, encode_all<uint16_t, encode_bf16>},
    {DType::f32, copy_f32, copy_f32},
    {DType::f64, f64_to_f32, f32_to_f64},
    {DType::f8_e4m3fn, decode_all8<decode_small<kFloat8E4M3FN>>,
     encode_all<uint8_t, encode_small<kFloat8E4M3FN>>},
    {DType::f8_e5m2, decode_all8<decode_small<kFloat8E5M2>>,
     encode_all<uint8_t, encode_small<kFloat8E5M2>>},
    {DType::f8_e4m3fnuz, decode_all8<decode_small<kFloat8E4M3FNUZ>>,
     encode_all<uint8_t, encode_small<kFloat8E4M3FNUZ>>},
    {DType::f8_e5m2fnuz, decode_all8<decode_small<kFloat8E5M2FNUZ>>,
     encode_all<uint8_t, encode_small<kFloat8E5M2FNUZ>>},
    {DType::f8_e8m0fnu, decode_all8<decode_e8m0>, encode_all_e8m0},
});

const PortableRow* find_portable(DType dtype) {
  for (const PortableRow& row : kPortable) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

FloatKernel to_f32_kernel(DType dtype, KernelSet set) {
  if (set == KernelSet::best) {
    if (const FloatKernel kernel = vector_to_f32_kernel(dtype)) return kernel;
  }
  const PortableRow* row = find_portable(dtype);
  return row == nullptr ? nullptr : row->to_f32;
}

FloatKernel from_f32_kernel(DType dtype, KernelSet set) {
  if (set == KernelSet::best) {
    if (const FloatKernel kernel = vector_from_f32_kernel(dtype)) return kernel;
  }
  const PortableRow* row = find_portable(dtype);
  return row == nullptr ? nullptr : row->from_f32;
}

}  // namespace mlc
