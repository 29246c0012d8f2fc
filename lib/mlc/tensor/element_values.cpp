#include "mlc/tensor/element_values.h"

#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace mlc {
namespace {

template <class T>
void load_as(Bytes in, double* out) {
  const size_t count = in.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, in.data() + i * sizeof(T), sizeof value);
    out[i] = static_cast<double>(value);
  }
}

void load_bools(Bytes in, double* out) {
  for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] != std::byte{0} ? 1 : 0;
}

void load_floats(DType dtype, Bytes in, double* out) {
  constexpr size_t kChunk = 1024;
  const size_t bytes = element_bytes(dtype);
  std::array<std::byte, kChunk * 4> middle;
  for (size_t at = 0; at < in.size(); at += kChunk * bytes) {
    const size_t count = std::min(kChunk, (in.size() - at) / bytes);
    to_f32_kernel(dtype)(in.data() + at, middle.data(), count);
    from_f32_kernel(DType::f64)(middle.data(), reinterpret_cast<std::byte*>(out), count);
    out += count;
  }
}

// Codes of 1, 2 or 4 bits, the first in the low bits.
void load_packed(int per_byte, Bytes in, double* out) {
  const unsigned bits = 8U / static_cast<unsigned>(per_byte);
  const unsigned mask = (1U << bits) - 1;
  for (const std::byte byte : in) {
    for (unsigned shift = 0; shift < 8; shift += bits) {
      *out++ = std::to_integer<unsigned>(byte) >> shift & mask;
    }
  }
}

void load_f4(Bytes in, double* out) {
  constexpr std::array<double, 16> kValues = {0,    0.5,  1,  1.5,  2,  3,  4,  6,
                                              -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};
  for (const std::byte byte : in) {
    *out++ = kValues[std::to_integer<unsigned>(byte) & 15];
    *out++ = kValues[std::to_integer<unsigned>(byte) >> 4];
  }
}

}  // namespace

size_t values_per_element(DType dtype) {
  const DTypeInfo& row = info(dtype);
  return row.kind == DTypeClass::complex ? 2 : row.per_element;
}

void load_values(DType dtype, Bytes in, double* out) {
  switch (dtype) {
    case DType::boolean:
      return load_bools(in, out);
    case DType::u8:
    case DType::qu8:
    case DType::bits8:
      return load_as<uint8_t>(in, out);
    case DType::i8:
    case DType::qi8:
      return load_as<int8_t>(in, out);
    case DType::u16:
    case DType::bits16:
      return load_as<uint16_t>(in, out);
    case DType::i16:
      return load_as<int16_t>(in, out);
    case DType::u32:
      return load_as<uint32_t>(in, out);
    case DType::i32:
    case DType::qi32:
      return load_as<int32_t>(in, out);
    case DType::u64:
      return load_as<uint64_t>(in, out);
    case DType::i64:
      return load_as<int64_t>(in, out);
    case DType::f32:
    case DType::c64:
      return load_as<float>(in, out);
    case DType::f64:
    case DType::c128:
      return load_as<double>(in, out);
    case DType::c32:
      return load_floats(DType::f16, in, out);
    case DType::f4_e2m1fn_x2:
      return load_f4(in, out);
    default:
      break;
  }
  const DTypeInfo& row = info(dtype);
  if (row.per_element > 1) return load_packed(row.per_element, in, out);
  load_floats(dtype, in, out);
}

}  // namespace mlc
