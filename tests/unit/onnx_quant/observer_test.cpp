#include "mlc/onnx_quant/observer.h"

#include "catch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

using mlc::onnx::byte_scale;
using mlc::onnx::ByteScale;
using mlc::onnx::Observer;
using mlc::onnx::RangeMethod;
using mlc::onnx::ValueBounds;

namespace {

std::vector<float> normal(size_t count, float deviation, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(0, deviation);
  std::vector<float> out(count);
  for (float& value : out) value = values(random);
  return out;
}

/// The mean squared error of VALUES in 256 steps over BOUNDS.
double error_of(const std::vector<float>& values, ValueBounds bounds) {
  const ByteScale scale = byte_scale(bounds);
  double sum = 0;
  for (const float value : values) {
    const double code =
        std::clamp<double>(std::nearbyint(value / scale.scale) + scale.zero_point, 0, 255);
    const double back = static_cast<double>(scale.scale) * (code - scale.zero_point);
    sum += (value - back) * (value - back);
  }
  return sum / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("zero is exact and in the range of bytes") {
  const ByteScale both = byte_scale({-1, 3});
  CHECK(both.scale == 4.0F / 255);
  CHECK(both.zero_point == 64);
  CHECK(byte_scale({2, 5}).zero_point == 0);
  CHECK(byte_scale({2, 5}).scale == 5.0F / 255);
  CHECK(byte_scale({-5, -2}).zero_point == 255);
  CHECK(byte_scale({0, 0}).scale == 1);
  CHECK(byte_scale({0, 1e-42F}).scale == 1);
}

TEST_CASE("bins cover whatever comes and lose no value") {
  Observer observer;
  observer.add(std::vector<float>{0.5F, 0.5F});
  observer.add(normal(10'000, 1, 1));
  observer.add(std::vector<float>{-1000, 5000});
  observer.add({});
  CHECK(observer.count() == 10'004);
  CHECK(std::accumulate(observer.bins().begin(), observer.bins().end(), uint64_t{0}) == 10'004);
  CHECK(observer.bounds().low == -1000);
  CHECK(observer.bounds().high == 5000);
  CHECK(observer.origin() <= -1000);
  CHECK(observer.origin() + observer.width() * Observer::kBins >= 5000);
}

TEST_CASE("values that are not finite are counted apart") {
  Observer observer;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  observer.add(std::vector<float>{1, nan, 2, infinity, -infinity, 3, 4, 5, 6, 7});
  observer.add(std::vector<float>{nan});
  CHECK(observer.not_finite() == 4);
  CHECK(observer.count() == 7);
  CHECK(observer.bounds().high == 7);
}

TEST_CASE("bounds alone are those that bins have") {
  std::vector<float> values = normal(999, 3, 6);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  Observer whole;
  Observer ends;
  whole.add(values);
  ends.add_bounds(values);
  CHECK(ends.bounds().low == whole.bounds().low);
  CHECK(ends.bounds().high == whole.bounds().high);
  CHECK(ends.count() == 998);
  CHECK(ends.not_finite() == 1);
  CHECK(ends.bins().empty());
}

TEST_CASE("the least squared error beats the whole range where there are outliers") {
  std::vector<float> values = normal(1'000'000, 1, 2);
  values.push_back(30);
  Observer observer;
  observer.add(values);
  const ValueBounds best = observer.range(RangeMethod::mse, 100);
  CHECK(best.high < 20);
  CHECK(error_of(values, best) < 0.6 * error_of(values, observer.bounds()));
  const ValueBounds entropy = observer.range(RangeMethod::entropy, 100);
  CHECK(entropy.high < 20);
}

TEST_CASE("percentiles cut off as many values as they say") {
  const std::vector<float> values = normal(200'000, 1, 3);
  Observer observer;
  observer.add(values);
  const ValueBounds bounds = observer.range(RangeMethod::percentile, 99);
  CHECK(bounds.high == Approx(2.576).margin(0.03));
  CHECK(bounds.low == Approx(-2.576).margin(0.03));
  CHECK(observer.range(RangeMethod::percentile, 100).high == observer.bounds().high);
}

TEST_CASE("heaps of zeros do not make entropy narrow") {
  std::vector<float> values = normal(100'000, 1, 4);
  for (float& value : values) value = std::max(value, 0.0F);
  Observer observer;
  observer.add(values);
  CHECK(observer.range(RangeMethod::entropy, 100).high > 2);
}

TEST_CASE("what was kept gives the same ranges") {
  Observer observer;
  observer.add(normal(5000, 2, 5));
  const Observer again = Observer::restored(observer.bounds(), observer.count(), observer.origin(),
                                            observer.width(), observer.bins());
  for (const auto method :
       {RangeMethod::minmax, RangeMethod::percentile, RangeMethod::mse, RangeMethod::entropy}) {
    CHECK(again.range(method, 99.9).low == observer.range(method, 99.9).low);
    CHECK(again.range(method, 99.9).high == observer.range(method, 99.9).high);
  }
}
