#include "mlc/tensor/convert.h"

#include "catch.h"
#include "convert_expected.h"
#include "mixed_bits.h"
#include "mlc/tensor/byte_order.h"
#include "mlc/tensor/float_kernels.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using namespace mlc;

namespace {

// The inputs of make_convert_expected.py, made the same way.

constexpr uint32_t kSpecial32[] = {
    0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x7F7FFFFF,
    0xFF7FFFFF, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0x00400000, 0x7F7F7FFF};

std::vector<uint32_t> inputs_f32() {
  constexpr std::array<int, 6> kKeep = {12, 13, 15, 16, 20, 21};
  std::vector<uint32_t> out;
  for (uint64_t i = 0; i < 131072; ++i) out.push_back(static_cast<uint32_t>(mix(i, 1)));
  for (uint64_t i = 0; i < 131072; ++i) {
    const uint64_t r = mix(i, 2);
    const int keep = kKeep[(r >> 40) % 6];
    uint64_t bits = (r & 0x807F'FFFF) | (88 + (r >> 48) % 64) << 23;
    bits = (bits >> keep << keep) | uint64_t{1} << (keep - 1);
    out.push_back(static_cast<uint32_t>(bits + (r >> 34) % 3 - 1));
  }
  for (int i = 0; i < 4; ++i) out.insert(out.end(), std::begin(kSpecial32), std::end(kSpecial32));
  return out;
}

std::vector<uint64_t> inputs_f64() {
  std::vector<uint64_t> out;
  for (const uint32_t bits : inputs_f32()) {
    const uint64_t r = mix(out.size(), 3);
    const auto wide = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(bits)));
    out.push_back(wide ^ (r % 2 == 0 ? 0 : (r >> 8) & 0x1FFF'FFFF));
  }
  for (uint64_t i = 0; i < 65536; ++i) out.push_back(mix(i, 4));
  return out;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string input_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::c64:
      return raw(inputs_f32());
    case DType::f64:
    case DType::c128:
      return raw(inputs_f64());
    case DType::c32:
      return input_bytes(DType::f16);
    default:
      break;
  }
  std::string out;
  if (info(dtype).kind == DTypeClass::floating) {
    const uint32_t patterns = info(dtype).bytes == 2 ? 65536 : 256;
    for (uint32_t i = 0; i < patterns; ++i) {
      out.append(reinterpret_cast<const char*>(&i), info(dtype).bytes);
    }
    return out;
  }
  if (dtype == DType::boolean) {
    for (uint64_t i = 0; i < 4096; ++i) out += static_cast<char>(mix(i, 5) % 2);
    return out;
  }
  for (uint64_t i = 0; i < 8192; ++i) {
    const int64_t word = static_cast<int64_t>(mix(i, 6)) >> (mix(i, 7) % 64);
    out.append(reinterpret_cast<const char*>(&word), info(dtype).bytes);
  }
  return out;
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xFFFF'FFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB8'8320 : 0);
  }
  return ~crc;
}

struct Converted {
  std::string bytes;
  ConvertReport report;
};

Converted convert(DType from, std::string_view in, DType to) {
  Converted out;
  out.bytes.resize(in.size() / element_bytes(from) * element_bytes(to));
  const auto report =
      convert_block(from, as_bytes(in), to, std::as_writable_bytes(std::span(out.bytes)));
  REQUIRE(report.ok());
  out.report = *report;
  return out;
}

// PyTorch's bfloat16 NaNs depend on where in the tensor they are.
void make_bf16_nans_equal(std::string& bytes) {
  for (size_t i = 0; i + 2 <= bytes.size(); i += 2) {
    if ((load_le<uint16_t>(bytes.data() + i) & 0x7FFF) > 0x7F80) {
      store_le<uint16_t>(bytes.data() + i, 0x7FC0);
    }
  }
}

template <class From, class To>
To one(DType from, From value, DType to) {
  std::string in(reinterpret_cast<const char*>(&value), sizeof value);
  const std::string out = convert(from, in, to).bytes;
  To result;
  REQUIRE(out.size() == sizeof result);
  std::memcpy(&result, out.data(), sizeof result);
  return result;
}

}  // namespace

TEST_CASE("conversions have PyTorch's bits and are counted", "[convert]") {
  for (const ExpectedConversion& expected : kExpectedConversions) {
    INFO(info(expected.from).torch << " to " << info(expected.to).torch);
    Converted got = convert(expected.from, input_bytes(expected.from), expected.to);
    if (expected.to == DType::bf16) make_bf16_nans_equal(got.bytes);
    CHECK(crc32(got.bytes) == expected.crc32);
    CHECK(got.report.overflowed == expected.overflowed);
    CHECK(got.report.underflowed == expected.underflowed);
    CHECK(got.report.nans == expected.nans);
  }
}

TEST_CASE("vector and portable kernels agree bit for bit", "[convert]") {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
    INFO(info(dtype).torch);
    for (const bool decode : {true, false}) {
      const auto kernel = decode ? to_f32_kernel : from_f32_kernel;
      const std::string in = input_bytes(decode ? dtype : DType::f32);
      const size_t in_bytes = decode ? element_bytes(dtype) : 4;
      const size_t out_bytes = decode ? 4 : element_bytes(dtype);
      // Every remainder of the vector width, at odd addresses.
      for (size_t skip = 0; skip < 9; ++skip) {
        const size_t count = skip == 0 ? in.size() / in_bytes : 64 - skip;
        std::string a(count * out_bytes + 1, '?');
        std::string b = a;
        const auto* from = as_bytes(in).data() + skip * in_bytes;
        const FloatCounts best = kernel(dtype, KernelSet::best)(
            from, std::as_writable_bytes(std::span(a)).data() + 1, count);
        const FloatCounts portable = kernel(dtype, KernelSet::portable)(
            from, std::as_writable_bytes(std::span(b)).data() + 1, count);
        CHECK((a == b));
        CHECK(best.overflowed == portable.overflowed);
        CHECK(best.underflowed == portable.underflowed);
        CHECK(best.nans == portable.nans);
      }
    }
  }
}

TEST_CASE("values between two halves go to the even one", "[convert]") {
  CHECK(one<float, uint16_t>(DType::f32, 1 + 0x1p-11F, DType::f16) == 0x3C00);
  CHECK(one<float, uint16_t>(DType::f32, 1 + 3 * 0x1p-11F, DType::f16) == 0x3C02);
  CHECK(one<float, uint16_t>(DType::f32, 65519.99F, DType::f16) == 0x7BFF);
  CHECK(one<float, uint16_t>(DType::f32, 65520.0F, DType::f16) == 0x7C00);
  CHECK(one<float, uint16_t>(DType::f32, 0x1p-24F, DType::f16) == 0x0001);
  CHECK(one<float, uint16_t>(DType::f32, 0x1p-25F, DType::f16) == 0x0000);
  CHECK(one<float, uint16_t>(DType::f32, 1 + 0x1p-8F, DType::bf16) == 0x3F80);
  CHECK(one<float, uint8_t>(DType::f32, 464.0F, DType::f8_e4m3fn) == 0x7E);
}

TEST_CASE("bfloat16 keeps that a NaN is one", "[convert]") {
  CHECK(one<uint32_t, uint16_t>(DType::f32, 0x7F80'0001, DType::bf16) == 0x7FC0);
  CHECK(one<uint32_t, uint16_t>(DType::f32, 0xFFFF'FFFF, DType::bf16) == 0xFFFF);
}

TEST_CASE("what a narrower type loses is counted", "[convert]") {
  const std::vector<float> values = {1.0F,
                                     1e5F,
                                     -1e6F,
                                     1e-9F,
                                     -1e-9F,
                                     0.0F,
                                     -0.0F,
                                     std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::quiet_NaN()};
  const ConvertReport report = convert(DType::f32, raw(values), DType::f16).report;
  CHECK(report.overflowed == 2);
  CHECK(report.underflowed == 2);
  CHECK(report.nans == 1);
  const ConvertReport wrapped =
      convert(DType::i32, raw(std::vector<int32_t>{1, 300, -1}), DType::u8).report;
  CHECK(wrapped.overflowed == 2);
}

TEST_CASE("any byte but zero is a true bool", "[convert]") {
  CHECK(one<uint8_t, int32_t>(DType::boolean, 2, DType::i32) == 1);
  CHECK(one<double, uint8_t>(DType::f64, 5e-324, DType::boolean) == 1);
  CHECK(one<double, uint8_t>(DType::f64, -0.0, DType::boolean) == 0);
}

TEST_CASE("equal types copy", "[convert]") {
  CHECK(convert(DType::qu4x2, "abc", DType::qu4x2).bytes == "abc");
  CHECK(convert(DType::f32, "", DType::f16).bytes.empty());
}

TEST_CASE("pairs without a conversion are refused", "[convert]") {
  std::byte out[16];
  for (const DTypeInfo& from : dtype_table()) {
    for (const DTypeInfo& to : dtype_table()) {
      INFO(from.torch << " to " << to.torch);
      const std::string in(from.bytes, '\0');
      const auto result =
          convert_block(from.dtype, as_bytes(in), to.dtype, std::span(out).first(to.bytes));
      CHECK(result.ok() == can_convert(from.dtype, to.dtype));
      if (!result.ok()) CHECK(result.error().kind() == ErrorKind::unsupported);
    }
  }
  CHECK(!can_convert(DType::f32, DType::i64));
  CHECK(!can_convert(DType::c64, DType::f32));
  CHECK(!can_convert(DType::f4_e2m1fn_x2, DType::f32));
  CHECK(!can_convert(DType::qi8, DType::f32));
}

TEST_CASE("rooms that do not fit are seen", "[convert]") {
  std::byte out[16];
  const std::string in(8, '\0');
  const auto result = convert_block(DType::f32, as_bytes(in), DType::f16, std::span(out).first(3));
  CHECK(result.error().kind() == ErrorKind::internal);
  CHECK(
      !convert_block(DType::f32, as_bytes(in).first(7), DType::f16, std::span(out).first(2)).ok());
}

TEST_CASE("byte order is a matter of components", "[byte_order]") {
  const auto swapped = [](DType dtype) {
    std::string bytes = "0123456789ABCDEFg";
    swap_elements(std::as_writable_bytes(std::span(bytes)), dtype);
    return bytes;
  };
  CHECK(swapped(DType::u8) == "0123456789ABCDEFg");
  CHECK(swapped(DType::qu4x2) == "0123456789ABCDEFg");
  CHECK(swapped(DType::bf16) == "1032547698BADCFEg");
  CHECK(swapped(DType::f32) == "32107654BA98FEDCg");
  CHECK(swapped(DType::c32) == swapped(DType::f16));
  CHECK(swapped(DType::c64) == swapped(DType::f32));
  CHECK(swapped(DType::i64) == "76543210FEDCBA98g");
  CHECK(swapped(DType::c128) == swapped(DType::f64));
}
