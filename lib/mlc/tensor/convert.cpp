#include "mlc/tensor/convert.h"

#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr size_t kChunk = 2048;  // elements that go through a buffer on the stack at a time

bool is_integral(DType dtype) {
  return info(dtype).kind == DTypeClass::integer || dtype == DType::boolean;
}

bool is_float(DType dtype) {
  return from_f32_kernel(dtype) != nullptr;
}

bool is_complex(DType dtype) {
  return info(dtype).kind == DTypeClass::complex;
}

ConvertReport as_report(const FloatCounts& counts) {
  return {counts.overflowed, counts.underflowed, counts.nans};
}

ConvertReport floats_to_floats(DType from, const std::byte* in, DType to, std::byte* out,
                               size_t count) {
  const FloatKernel decode = to_f32_kernel(from);
  const FloatKernel encode = from_f32_kernel(to);
  if (to == DType::f32) return as_report(decode(in, out, count));
  if (from == DType::f32) return as_report(encode(in, out, count));
  std::array<std::byte, kChunk * 4> middle;
  FloatCounts counts;
  for (size_t i = 0; i < count; i += kChunk) {
    const size_t n = std::min(kChunk, count - i);
    counts += decode(in + i * element_bytes(from), middle.data(), n);
    FloatCounts second = encode(middle.data(), out + i * element_bytes(to), n);
    second.nans = 0;  // counted by the first step
    counts += second;
  }
  if (to == DType::f8_e8m0fnu) counts.underflowed = 0;  // it has no zero
  return as_report(counts);
}

// Integers go through 64 bits, signed except for u64.
using Words = std::array<uint64_t, kChunk>;

template <class From>
void load_integers(const std::byte* in, size_t count, Words& words) {
  for (size_t i = 0; i < count; ++i) {
    words[i] = static_cast<uint64_t>(load_le<From>(in + i * sizeof(From)));
  }
}

void load_words(DType from, const std::byte* in, size_t count, Words& words) {
  switch (from) {
    case DType::boolean:
      for (size_t i = 0; i < count; ++i) words[i] = in[i] != std::byte{0} ? 1 : 0;
      return;
    case DType::u8:
      return load_integers<uint8_t>(in, count, words);
    case DType::i8:
      return load_integers<int8_t>(in, count, words);
    case DType::u16:
      return load_integers<uint16_t>(in, count, words);
    case DType::i16:
      return load_integers<int16_t>(in, count, words);
    case DType::u32:
      return load_integers<uint32_t>(in, count, words);
    case DType::i32:
      return load_integers<int32_t>(in, count, words);
    default:
      return load_integers<uint64_t>(in, count, words);
  }
}

template <class To>
uint64_t store_integers(const Words& words, bool is_signed, size_t count, std::byte* out) {
  uint64_t wrapped = 0;
  for (size_t i = 0; i < count; ++i) {
    store_le(out + i * sizeof(To), static_cast<To>(words[i]));
    const bool fits =
        is_signed ? std::in_range<To>(static_cast<int64_t>(words[i])) : std::in_range<To>(words[i]);
    wrapped += fits ? 0U : 1U;
  }
  return wrapped;
}

template <class To>
void store_floats(const Words& words, bool is_signed, size_t count, std::byte* out) {
  for (size_t i = 0; i < count; ++i) {
    const To value =
        is_signed ? static_cast<To>(static_cast<int64_t>(words[i])) : static_cast<To>(words[i]);
    std::memcpy(out + i * sizeof(To), &value, sizeof value);
  }
}

ConvertReport store_words(const Words& words, bool is_signed, DType to, std::byte* out,
                          size_t count) {
  switch (to) {
    case DType::boolean:
      for (size_t i = 0; i < count; ++i) out[i] = std::byte{words[i] != 0};
      return {};
    case DType::u8:
      return {store_integers<uint8_t>(words, is_signed, count, out)};
    case DType::i8:
      return {store_integers<int8_t>(words, is_signed, count, out)};
    case DType::u16:
      return {store_integers<uint16_t>(words, is_signed, count, out)};
    case DType::i16:
      return {store_integers<int16_t>(words, is_signed, count, out)};
    case DType::u32:
      return {store_integers<uint32_t>(words, is_signed, count, out)};
    case DType::i32:
      return {store_integers<int32_t>(words, is_signed, count, out)};
    case DType::u64:
      return {store_integers<uint64_t>(words, is_signed, count, out)};
    case DType::i64:
      return {store_integers<int64_t>(words, is_signed, count, out)};
    case DType::f64:
      return store_floats<double>(words, is_signed, count, out), ConvertReport{};
    default:
      break;
  }
  std::array<std::byte, kChunk * 4> middle;
  store_floats<float>(words, is_signed, count, middle.data());
  return as_report(from_f32_kernel(to)(middle.data(), out, count));
}

ConvertReport integers_to_any(DType from, const std::byte* in, DType to, std::byte* out,
                              size_t count) {
  Words words;
  ConvertReport report;
  for (size_t i = 0; i < count; i += kChunk) {
    const size_t n = std::min(kChunk, count - i);
    load_words(from, in + i * element_bytes(from), n, words);
    report += store_words(words, from != DType::u64, to, out + i * element_bytes(to), n);
  }
  return report;
}

ConvertReport floats_to_bools(DType from, const std::byte* in, std::byte* out, size_t count) {
  ConvertReport report;
  if (from == DType::f64) {  // by way of float32, the smallest values would become false
    for (size_t i = 0; i < count; ++i) {
      const uint64_t magnitude = load_le<uint64_t>(in + i * 8) << 1;
      out[i] = std::byte{magnitude != 0};
      report.nans += magnitude > 0xFFE0'0000'0000'0000 ? 1U : 0U;
    }
    return report;
  }
  std::array<std::byte, kChunk * 4> middle;
  for (size_t i = 0; i < count; i += kChunk) {
    const size_t n = std::min(kChunk, count - i);
    report += as_report(to_f32_kernel(from)(in + i * element_bytes(from), middle.data(), n));
    for (size_t k = 0; k < n; ++k) {
      out[i + k] = std::byte{load_le<uint32_t>(middle.data() + k * 4) << 1 != 0};
    }
  }
  return report;
}

}  // namespace

DType component_type(DType complex) {
  if (complex == DType::c32) return DType::f16;
  return complex == DType::c64 ? DType::f32 : DType::f64;
}

bool can_convert(DType from, DType to) {
  if (from == to) return true;
  if (is_integral(from)) return is_integral(to) || is_float(to);
  if (is_float(from)) return is_float(to) || to == DType::boolean;
  return is_complex(from) && is_complex(to);
}

Result<ConvertReport> convert_block(DType from, Bytes in, DType to, std::span<std::byte> out) {
  if (!can_convert(from, to)) {
    return unsupported(
        fmt::format("{} tensors cannot be converted to {}", info(from).torch, info(to).torch));
  }
  const size_t count = in.size() / element_bytes(from);
  if (in.size() % element_bytes(from) != 0 || out.size() != count * element_bytes(to)) {
    return internal_error(fmt::format("converting {} bytes of {} into {} bytes of {}", in.size(),
                                      info(from).torch, out.size(), info(to).torch));
  }
  if (count == 0) return ConvertReport{};
  if (from == to) {
    std::memcpy(out.data(), in.data(), in.size());
    return ConvertReport{};
  }
  if (is_complex(from)) {
    return floats_to_floats(component_type(from), in.data(), component_type(to), out.data(),
                            count * 2);
  }
  if (is_integral(from)) return integers_to_any(from, in.data(), to, out.data(), count);
  if (to == DType::boolean) return floats_to_bools(from, in.data(), out.data(), count);
  return floats_to_floats(from, in.data(), to, out.data(), count);
}

}  // namespace mlc
