#include "mlc/onnx_quant/channel_stats.h"

#include "catch.h"
#include "mlc/onnx_quant/constant_floats.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using mlc::onnx::ChannelStats;

TEST_CASE("channels are told apart") {
  ChannelStats stats;
  stats.add(std::vector<float>{1, -2, 3, 4}, 2);
  stats.add(std::vector<float>{-5, 0}, 2);
  REQUIRE(stats.rows() == 3);
  REQUIRE(stats.low() == std::vector<float>{-5, -2});
  REQUIRE(stats.high() == std::vector<float>{3, 4});
  REQUIRE(stats.mean_size() == std::vector<double>{3, 2});
  REQUIRE(stats.mean_square()[1] == Approx(20.0 / 3));
  REQUIRE(stats.kept_rows() == std::vector<float>{1, -2, 3, 4, -5, 0});
}

TEST_CASE("values that are not finite are counted and left out") {
  ChannelStats stats;
  stats.add(std::vector<float>{std::nanf(""), 1, std::numeric_limits<float>::infinity(), 2}, 2);
  REQUIRE(stats.not_finite() == 2);
  REQUIRE(stats.high() == std::vector<float>{0, 2});
}

TEST_CASE("any row is as likely to be kept, and there are never more") {
  constexpr size_t kAll = 16 * ChannelStats::kMostRows;
  ChannelStats stats;
  ChannelStats again;
  for (size_t i = 0; i < kAll; ++i) {
    stats.add(std::vector<float>{static_cast<float>(i)}, 1);
    again.add(std::vector<float>{static_cast<float>(i)}, 1);
  }
  REQUIRE(stats.kept_rows().size() == ChannelStats::kMostRows);
  REQUIRE(stats.kept_rows() == again.kept_rows());
  double mean = 0;
  for (const float row : stats.kept_rows()) mean += row / ChannelStats::kMostRows;
  // The mean of 256 even numbers is off by less than four deviations.
  REQUIRE(std::abs(mean / kAll - 0.5) < 4 * 0.2887 / 16);
}

TEST_CASE("slices along any dimension are multiplied") {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  const auto source = mlc::onnx::tensor_of(values, {2, 3, 2});
  for (size_t dimension = 0; dimension < 3; ++dimension) {
    const auto count = static_cast<size_t>(source->sizes[dimension]);
    std::vector<float> factors;
    for (size_t i = 0; i < count; ++i) factors.push_back(static_cast<float>(i * 10 + 1));
    const auto made = mlc::onnx::scaled_along(source, dimension, factors)->produce();
    REQUIRE(made.ok());
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t place[] = {i / 6, i / 2 % 3, i % 2};
      float value = 0;
      std::memcpy(&value, made->bytes.data() + i * sizeof value, sizeof value);
      REQUIRE(value == values[i] * factors[place[dimension]]);
    }
  }
}
