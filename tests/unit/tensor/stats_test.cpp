#include "mlc/tensor/stats.h"

#include "catch.h"
#include "mixed_bits.h"
#include "mlc/tensor/convert.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace mlc;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// torch: v = ((mix(100003, 9) >> 40) - 2**23).float() / 1000
std::vector<float> sample() {
  std::vector<float> out;
  for (uint64_t i = 0; i < 100003; ++i) {
    const int64_t integer = static_cast<int64_t>(mix(i, 9) >> 40) - (1 << 23);
    out.push_back(static_cast<float>(integer) / 1000.0F);
  }
  return out;
}

template <class T>
TensorStats stats_of(DType dtype, const std::vector<T>& values) {
  StatsAccumulator accumulator(dtype);
  accumulator.add(std::as_bytes(std::span(values)));
  return accumulator.stats();
}

void check_close(std::optional<double> got, double expected) {
  REQUIRE(got.has_value());
  CHECK(*got == Approx(expected).epsilon(1e-13));
}

struct Expected {
  DType dtype;
  double mean, std, min, max;
};

}  // namespace

TEST_CASE("statistics are torch's", "[stats]") {
  const auto values = sample();
  // torch 2.13: v.to(dtype).double().mean(), .std(), .min(), .max()
  const Expected table[] = {
      {DType::f32, -8.172992520958976, 4835.870446183218, -8388.5908203125, 8388.2607421875},
      {DType::f64, -8.172992520958976, 4835.870446183218, -8388.5908203125, 8388.2607421875},
      {DType::bf16, -8.131264694871653, 4835.904086874193, -8384.0, 8384.0},
      {DType::f16, -8.171722475278866, 4835.867893320393, -8392.0, 8392.0},
      {DType::f8_e5m2, -7.9230229343119705, 4842.790997737281, -8192.0, 8192.0}};
  for (const Expected& expected : table) {
    INFO(info(expected.dtype).torch);
    std::vector<std::byte> bytes(values.size() * element_bytes(expected.dtype));
    REQUIRE(
        convert_block(DType::f32, std::as_bytes(std::span(values)), expected.dtype, bytes).ok());
    const TensorStats stats = stats_of(expected.dtype, bytes);
    CHECK(stats.count == 100003);
    CHECK(stats.nans + stats.infs + stats.zeros == 0);
    check_close(stats.mean, expected.mean);
    check_close(stats.std, expected.std);
    CHECK(stats.min == expected.min);
    CHECK(stats.max == expected.max);
  }
}

TEST_CASE("integers and bools have statistics", "[stats]") {
  std::vector<int32_t> integers;
  for (const float value : sample()) integers.push_back(static_cast<int32_t>(value));
  for (const DType dtype : {DType::i32, DType::qi32}) {
    const TensorStats stats = stats_of(dtype, integers);
    check_close(stats.mean, -8.172334829955101);
    check_close(stats.std, 4835.4378110408525);
    CHECK(stats.min == -8388);
    CHECK(stats.max == 8388);
    CHECK(stats.zeros == 7);
  }
  const TensorStats bools = stats_of(DType::boolean, std::vector<uint8_t>{0, 1, 1, 2});
  CHECK(bools.zeros == 1);
  CHECK(bools.max == 1);
  check_close(bools.mean, 0.75);
  CHECK(stats_of(DType::i8, std::vector<int8_t>{-128, 127}).min == -128);
  CHECK(stats_of(DType::u64, std::vector<uint64_t>{UINT64_MAX}).max == 0x1p64);
}

TEST_CASE("complex numbers count by their magnitude", "[stats]") {
  auto values = sample();
  values.resize(100002);
  const TensorStats stats = stats_of(DType::c64, values);
  CHECK(stats.count == 50001);
  check_close(stats.mean, 6406.837950346451);
  check_close(stats.std, 2392.4539914321876);
  check_close(stats.min, 18.650049304245737);
  check_close(stats.max, 11839.963075020036);
  const TensorStats odd = stats_of(DType::c128, std::vector<double>{kInf, kNan, kInf, 1, 3, 4});
  CHECK(odd.nans == 1);
  CHECK(odd.infs == 1);
  check_close(odd.mean, 5);
}

TEST_CASE("packed types count their single values", "[stats]") {
  const std::vector<uint8_t> bytes = {0x21, 0xF0};
  const TensorStats nibbles = stats_of(DType::qu4x2, bytes);
  CHECK(nibbles.count == 4);
  CHECK(nibbles.zeros == 1);
  CHECK(nibbles.max == 15);
  check_close(nibbles.mean, 18.0 / 4);
  CHECK(stats_of(DType::qu2x4, bytes).count == 8);
  CHECK(stats_of(DType::bits1x8, bytes).count == 16);
  check_close(stats_of(DType::bits1x8, bytes).mean, 6.0 / 16);
  const TensorStats f4 = stats_of(DType::f4_e2m1fn_x2, std::vector<uint8_t>{0xF7, 0x81});
  CHECK(f4.max == 6);
  CHECK(f4.min == -6);
  CHECK(f4.zeros == 1);
}

TEST_CASE("every dtype has statistics", "[stats]") {
  for (const DTypeInfo& row : dtype_table()) {
    INFO(row.torch);
    const std::vector<std::byte> bytes(size_t{48} * row.bytes);
    CHECK(stats_of(row.dtype, bytes).count == size_t{48} * row.per_element);
  }
}

TEST_CASE("values that are not finite are counted apart", "[stats]") {
  const TensorStats stats =
      stats_of(DType::f64, std::vector<double>{1, kInf, kNan, -kInf, 3, 0, -0.0, kNan});
  CHECK(stats.count == 8);
  CHECK(stats.nans == 2);
  CHECK(stats.infs == 2);
  CHECK(stats.zeros == 2);
  CHECK(stats.min == -kInf);
  CHECK(stats.max == kInf);
  check_close(stats.mean, 1);
  check_close(stats.std, std::sqrt(2.0));
  // The same in a tensor long enough for whole steps of the fast loop.
  std::vector<float> many(3000, 2.0F);
  many[1500] = std::numeric_limits<float>::quiet_NaN();
  const TensorStats long_stats = stats_of(DType::f32, many);
  CHECK(long_stats.nans == 1);
  check_close(long_stats.mean, 2);
  check_close(long_stats.std, 0);
}

TEST_CASE("what has no value is nothing", "[stats]") {
  const TensorStats none = stats_of(DType::f32, std::vector<float>{});
  CHECK(none.count == 0);
  CHECK((!none.min && !none.max && !none.mean && !none.std));
  const TensorStats one = stats_of(DType::f32, std::vector<float>{7});
  CHECK(one.min == 7);
  CHECK(!one.std);
  const TensorStats nans = stats_of(DType::f64, std::vector<double>{kNan, kNan});
  CHECK((!nans.min && !nans.mean));
  const TensorStats infs = stats_of(DType::f64, std::vector<double>{kInf});
  CHECK(infs.max == kInf);
  CHECK(!infs.mean);
}

TEST_CASE("a large mean does not swallow the spread", "[stats]") {
  std::vector<double> values;
  for (const float value : sample()) values.push_back(1e9 + static_cast<double>(value));
  const TensorStats stats = stats_of(DType::f64, values);
  REQUIRE(stats.std);
  CHECK(*stats.std == Approx(4835.870446183243).epsilon(1e-12));  // torch
}

TEST_CASE("sums beyond the range of doubles do not spoil the mean", "[stats]") {
  const TensorStats stats = stats_of(DType::f64, std::vector<double>{1.5e308, 1.5e308});
  check_close(stats.mean, 1.5e308);
  CHECK(stats.infs == 0);
}

TEST_CASE("large values of both signs have a finite mean and spread", "[stats]") {
  TensorStats stats = stats_of(DType::f64, std::vector<double>{1e308, 1e308, -1e308});
  check_close(stats.mean, 1e308 / 3);
  check_close(stats.std, 1.1547005383792515e308);
  std::vector<double> mixed(5000, 1);  // blocks of small and of large values meet
  for (size_t i = 0; i < 2500; ++i) mixed[i] = i % 2 == 0 ? 1e200 : -1e200;
  stats = stats_of(DType::f64, mixed);
  check_close(stats.std, 1e200 * std::sqrt(2500.0 / 4999));
  CHECK(std::abs(*stats.mean) < 1e185);
  const double most = std::numeric_limits<double>::max();
  stats = stats_of(DType::f64, std::vector<double>(3000, most));
  CHECK(stats.mean == most);
  CHECK(stats.std == 0);
}

TEST_CASE("threads do not change a bit of the answer", "[stats]") {
  std::vector<float> values(size_t{3} << 20);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int64_t>(mix(i, 3) >> 32)) * 1e-5F;
  }
  const std::vector<int64_t> sizes = {static_cast<int64_t>(values.size()) - 5};
  const std::vector<int64_t> strides = {1};
  const TensorView view{DType::f32, sizes, strides, 3, std::as_bytes(std::span(values))};
  const auto one = tensor_stats(view, 1);
  REQUIRE(one.ok());
  for (const unsigned threads : {2U, 5U}) {
    const auto many = tensor_stats(view, threads);
    REQUIRE(many.ok());
    CHECK(many->mean == one->mean);
    CHECK(many->std == one->std);
  }
  StatsAccumulator streamed(DType::f32);
  REQUIRE(for_each_block(view, [&](Bytes block) {
            streamed.add(block);
            return Status();
          }).ok());
  CHECK(streamed.stats().mean == one->mean);
  CHECK(streamed.stats().std == one->std);
}

TEST_CASE("strided views have the statistics of their elements", "[stats]") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> sizes = {3};
  const std::vector<int64_t> strides = {2};
  const auto stats =
      tensor_stats({DType::f32, sizes, strides, 1, std::as_bytes(std::span(values))}, 4);
  REQUIRE(stats.ok());
  CHECK(stats->count == 3);
  check_close(stats->mean, 4);
}
