#include "mlc/tensor/compare.h"

#include "catch.h"
#include "mixed_bits.h"
#include "mlc/tensor/convert.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace mlc;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class A, class B>
CompareResult compare(DType a_type, const std::vector<A>& a, DType b_type, const std::vector<B>& b,
                      const Tolerance& tolerance = {}) {
  Comparer comparer(a_type, b_type, tolerance);
  comparer.add(std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
  return comparer.result();
}

}  // namespace

TEST_CASE("closeness is torch.isclose", "[compare]") {
  const std::vector<double> values = {0, -0.0, 1, 1.00001, 1.001, kInf, -kInf, kNan, 1e300, -1e300};
  // torch.isclose(values[i], values[j], rtol=1e-4, atol=1e-8) for i in rows, j in columns
  const std::string expected =
      "11000000001100000000001100000000110000000000100000000001000000000010000000000000000000001000"
      "00"
      "000001";
  for (const bool equal_nan : {false, true}) {
    for (size_t i = 0; i < 100; ++i) {
      INFO(values[i / 10] << " and " << values[i % 10]);
      const auto result = compare(DType::f64, std::vector{values[i / 10]}, DType::f64,
                                  std::vector{values[i % 10]}, {1e-8, 1e-4, equal_nan});
      const bool nans = i / 10 == 7 && i % 10 == 7;
      CHECK((result.mismatches == 0) == (nans ? equal_nan : expected[i] == '1'));
    }
  }
}

TEST_CASE("distances between types are torch's", "[compare]") {
  std::vector<float> values;
  for (uint64_t i = 0; i < 100003; ++i) {
    values.push_back(static_cast<float>(static_cast<int64_t>(mix(i, 9) >> 40) - (1 << 23)) / 1000);
  }
  std::vector<std::byte> narrow(values.size() * 2);
  REQUIRE(convert_block(DType::f32, std::as_bytes(std::span(values)), DType::bf16, narrow).ok());
  const auto result = compare(DType::f32, values, DType::bf16, narrow, {1e-2, 1e-3, false});
  // torch 2.13 in float64
  CHECK(result.count == 100003);
  CHECK(result.max_abs == 31.9970703125);
  CHECK(result.max_rel == Approx(0.003905773162841797).epsilon(1e-12));
  CHECK(result.mismatches == 61517);
  CHECK(result.first_mismatch == 0U);
  REQUIRE(result.cosine);
  CHECK(*result.cosine == Approx(0.9999988192163627).epsilon(1e-12));
  CHECK(!result.bit_equal);
}

TEST_CASE("equal bytes are equal", "[compare]") {
  const std::vector<float> values = {1, -2, 0, 5};
  const auto result = compare(DType::f32, values, DType::f32, values);
  CHECK(result.bit_equal);
  CHECK(result.mismatches == 0);
  CHECK(result.max_abs == 0);
  CHECK(result.max_rel == 0);
  CHECK(result.cosine == 1.0);
  CHECK(!result.first_mismatch);
}

TEST_CASE("numbers beside zeros only are not alike", "[compare]") {
  const std::vector<float> zeros = {0, 0};
  const std::vector<float> numbers = {1, 2};
  CHECK(compare(DType::f32, numbers, DType::f32, zeros).likeness() == 0.0);
  CHECK(compare(DType::f32, zeros, DType::f32, numbers).likeness() == 0.0);
  CHECK_FALSE(compare(DType::f32, zeros, DType::f32, zeros).likeness());
  CHECK(compare(DType::f32, numbers, DType::f32, numbers).likeness().value() == Approx(1));
  const std::vector<float> broken = {1, std::numeric_limits<float>::infinity()};
  CHECK(compare(DType::f32, numbers, DType::f32, broken).likeness() == 0.0);
}

TEST_CASE("equal bytes of another type are not the same bits", "[compare]") {
  const std::vector<uint16_t> zeros = {0, 0};
  const auto result = compare(DType::f16, zeros, DType::bf16, zeros);
  CHECK(!result.bit_equal);
  CHECK(result.mismatches == 0);
  CHECK(!result.cosine);
  CHECK(!compare(DType::f16, std::vector<uint16_t>{}, DType::bf16, std::vector<uint16_t>{})
             .bit_equal);
}

TEST_CASE("signed zeros are close but not the same bits", "[compare]") {
  const auto result =
      compare(DType::f32, std::vector<float>{0}, DType::f32, std::vector<float>{-0.0F});
  CHECK(result.mismatches == 0);
  CHECK(!result.bit_equal);
}

TEST_CASE("special values are told apart", "[compare]") {
  const std::vector<double> a = {kNan, kNan, 1, kInf, 1, 0};
  const std::vector<double> b = {kNan, 1, kNan, kInf, 0, 0};
  const auto result = compare(DType::f64, a, DType::f64, b);
  CHECK(result.nan_pairs == 2);
  CHECK(result.both_nan == 1);
  CHECK(result.both_infinite == 1);
  CHECK(result.mismatches == 4);
  CHECK(result.first_mismatch == 0U);
  CHECK(result.max_abs == 1);
  CHECK(std::isinf(result.max_rel));
  const auto forgiving = compare(DType::f64, a, DType::f64, b, {1e-8, 1e-5, true});
  CHECK(forgiving.mismatches == 3);
  CHECK(forgiving.first_mismatch == 1U);
  CHECK(std::isinf(compare(DType::f64, std::vector{kInf}, DType::f64, std::vector{-kInf}).max_abs));
}

TEST_CASE("64-bit integers are compared exactly", "[compare]") {
  const std::vector<int64_t> a = {int64_t{1} << 60, -5};
  const std::vector<int64_t> b = {(int64_t{1} << 60) + 1, -5};
  const auto result = compare(DType::i64, a, DType::i64, b, {0, 0, false});
  CHECK(result.mismatches == 1);
  CHECK(result.max_abs == 1);
  const auto mixed = compare(DType::u64, std::vector<uint64_t>{UINT64_MAX}, DType::i64,
                             std::vector<int64_t>{-1}, {0, 0, false});
  CHECK(mixed.max_abs == 0x1p64);
}

TEST_CASE("complex numbers are compared as such", "[compare]") {
  const std::vector<float> a = {3, 4, 0, 0};
  const std::vector<float> b = {0, 0, 0, 0};
  const auto result = compare(DType::c64, a, DType::c64, b, {4.9, 0, false});
  CHECK(result.count == 2);
  CHECK(result.max_abs == 5);
  CHECK(result.mismatches == 1);
  const std::vector<double> wide = {3, 4, 0, 0};
  CHECK(compare(DType::c64, a, DType::c128, wide).mismatches == 0);
  const std::vector<double> nan = {kNan, kInf};
  CHECK(compare(DType::c128, nan, DType::c128, nan, {0, 0, true}).mismatches == 0);
  CHECK(compare(DType::c128, nan, DType::c128, nan).mismatches == 1);
}

TEST_CASE("the first mismatch is found across chunks and blocks", "[compare]") {
  std::vector<float> a(70000, 1.0F);
  std::vector<float> b = a;
  b[68001] = 2.0F;
  b[69000] = 2.0F;
  const std::vector<int64_t> sizes = {70000};
  const std::vector<int64_t> strides = {1};
  const auto result =
      compare_tensors({DType::f32, sizes, strides, 0, std::as_bytes(std::span(a))},
                      {DType::f32, sizes, strides, 0, std::as_bytes(std::span(b))}, {});
  REQUIRE(result.ok());
  CHECK(result->count == 70000);
  CHECK(result->first_mismatch == 68001U);
  CHECK(result->mismatches == 2);
}

TEST_CASE("views of different layout and type are compared element by element", "[compare]") {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::vector<double> transposed = {1, 4, 2, 5, 3, 6};
  const std::vector<int64_t> sizes = {2, 3};
  const std::vector<int64_t> plain = {3, 1};
  const std::vector<int64_t> strides = {1, 2};
  const TensorView view_a{DType::f32, sizes, plain, 0, std::as_bytes(std::span(a))};
  const TensorView view_b{DType::f64, sizes, strides, 0, std::as_bytes(std::span(transposed))};
  const auto result = compare_tensors(view_a, view_b, {});
  REQUIRE(result.ok());
  CHECK(result->count == 6);
  CHECK(result->mismatches == 0);
  const std::vector<int64_t> other = {3, 2};
  const TensorView view_c{DType::f32, other, plain, 0, std::as_bytes(std::span(a))};
  CHECK(compare_tensors(view_a, view_c, {}).error().kind() == ErrorKind::conflict);
}

TEST_CASE("types of different nature cannot be compared", "[compare]") {
  CHECK(can_compare(DType::f32, DType::bf16));
  CHECK(can_compare(DType::i64, DType::f32));
  CHECK(can_compare(DType::boolean, DType::u8));
  CHECK(can_compare(DType::qu4x2, DType::qu4x2));
  CHECK(!can_compare(DType::qu4x2, DType::qu8));
  CHECK(!can_compare(DType::c64, DType::f32));
  const std::vector<int64_t> none = {0};
  const auto result =
      compare_tensors({DType::c64, none, none, 0, {}}, {DType::f32, none, none, 0, {}}, {});
  CHECK(result.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("every dtype equals itself", "[compare]") {
  for (const DTypeInfo& row : dtype_table()) {
    INFO(row.torch);
    const std::vector<uint8_t> bytes(size_t{3000} * row.bytes, 0x11);
    const auto result = compare(row.dtype, bytes, row.dtype, bytes);
    CHECK(result.bit_equal);
    CHECK(result.mismatches == 0);
    CHECK(result.count == size_t{3000} * row.per_element);
  }
}

TEST_CASE("pieces join to the whole", "[compare]") {
  std::vector<float> a(5000, 2);
  std::vector<float> b = a;
  b[3] = 2.5;  // within the tolerance
  b[2100] = 4;
  b[4000] = std::numeric_limits<float>::quiet_NaN();
  const Tolerance tolerance = {0.5, 0, true};
  const CompareResult whole = compare(DType::f32, a, DType::f32, b, tolerance);
  Comparer joined(DType::f32, DType::f32, tolerance);
  for (size_t begin = 0; begin < a.size(); begin += 1000) {
    Comparer piece(DType::f32, DType::f32, tolerance);
    piece.add(std::as_bytes(std::span(a).subspan(begin, 1000)),
              std::as_bytes(std::span(b).subspan(begin, 1000)));
    joined.merge(piece);
  }
  const CompareResult result = joined.result();
  CHECK(result.count == 5000);
  CHECK(result.mismatches == 2);
  CHECK(result.first_mismatch.value() == 2100);
  CHECK(result.max_abs == whole.max_abs);
  CHECK(result.max_rel == whole.max_rel);
  CHECK(result.nan_pairs == 1);
  CHECK(result.cosine.value() == Approx(whole.cosine.value()).epsilon(1e-14));
  CHECK_FALSE(result.bit_equal);
}
