#include "mlc/onnx_prune/moments.h"

#include "catch.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using mlc::DType;
using mlc::HostTensor;
using mlc::onnx::ChannelView;
using mlc::onnx::Elimination;
using mlc::onnx::guess_channels;
using mlc::onnx::LinearGuess;
using mlc::onnx::Moments;

namespace {

/// [batch, channels, 5, 7] of the values that VALUE gives for channel and position.
template <class Value>
HostTensor images(int64_t batch, int64_t channels, Value value) {
  std::vector<float> values;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < 35; ++i) values.push_back(value(c, n * 35 + i));
    }
  }
  const auto* const bytes = reinterpret_cast<const char*>(values.data());
  auto made = mlc::make_host_tensor(DType::f32, {batch, channels, 5, 7},
                                    std::string(bytes, values.size() * sizeof(float)));
  REQUIRE(made.ok());
  return std::move(*made);
}

std::vector<std::vector<float>> noise(size_t channels, size_t positions) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> out(channels, std::vector<float>(positions));
  for (auto& row : out) {
    for (float& each : row) each = normal(random);
  }
  return out;
}

Moments moments_of(const HostTensor& tensor) {
  Moments out(static_cast<size_t>(tensor.sizes[1]));
  const ChannelView view{&tensor, 1};
  REQUIRE(out.add({&view, 1}).ok());
  return out;
}

/// What is left of X when ROWS tell it, by least squares; by Gaussian elimination of its own.
double residual(const Moments& moments, size_t x, const std::vector<size_t>& rows) {
  const size_t n = rows.size();
  std::vector<std::vector<double>> m(n, std::vector<double>(n + 1));
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < n; ++k) m[i][k] = moments.mean(rows[i], rows[k]);
    m[i][n] = moments.mean(rows[i], x);
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < n; ++k) {
      if (k == i) continue;
      const double factor = m[k][i] / m[i][i];
      for (size_t j = i; j <= n; ++j) m[k][j] -= factor * m[i][j];
    }
  }
  double out = moments.mean(x, x);
  for (size_t i = 0; i < n; ++i) out -= m[i][n] / m[i][i] * moments.mean(rows[i], x);
  return out;
}

}  // namespace

TEST_CASE("moments are means of products over all positions of all samples") {
  const auto rows = noise(3, 140);
  const Moments found =
      moments_of(images(4, 3, [&](int64_t c, int64_t at) { return rows[size_t(c)][size_t(at)]; }));
  CHECK(found.positions() == 140);
  double product = 0;
  double sum = 0;
  for (size_t i = 0; i < 140; ++i) {
    product += double(rows[0][i]) * double(rows[2][i]) / 140;
    sum += double(rows[1][i]) / 140;
  }
  CHECK(found.mean(0, 2) == Approx(product).margin(1e-6));
  CHECK(found.mean(2, 0) == found.mean(0, 2));
  CHECK(found.mean(1, 3) == Approx(sum).margin(1e-6));
  CHECK(found.mean(3, 3) == Approx(1.0));
}

TEST_CASE("a channel that is made of others is found again") {
  const auto rows = noise(3, 3500);
  const HostTensor whole = images(100, 3, [&](int64_t c, int64_t i) {
    const auto at = static_cast<size_t>(i);
    return c == 2 ? 2 * rows[0][at] - rows[1][at] + 5 : rows[static_cast<size_t>(c)][at];
  });
  const HostTensor small = images(100, 2, [&](int64_t c, int64_t i) {
    return rows[static_cast<size_t>(c)][static_cast<size_t>(i)];
  });
  Moments moments(5);
  const ChannelView parts[] = {{&small, 1}, {&whole, 1}};
  REQUIRE(moments.add(parts).ok());
  const LinearGuess guess = guess_channels(moments, {0, 1}, true);
  CHECK(guess.weights[2][0] == Approx(2).epsilon(1e-2));
  CHECK(guess.weights[2][1] == Approx(-1).epsilon(1e-2));
  CHECK(guess.offsets[2] == Approx(5).epsilon(1e-2));
  CHECK(guess.weights[0][0] == Approx(1));
  CHECK(guess.weights[0][1] == Approx(0).margin(1e-6));
  CHECK(guess.error < 1e-3 * guess.energy);
  CHECK(guess_channels(moments, {0, 1}, false).error > 0.5 * guess.energy);
}

TEST_CASE("what an elimination costs is what least squares leave") {
  const auto rows = noise(6, 700);
  const Moments moments = moments_of(images(20, 6, [&](int64_t c, int64_t i) {
    const auto at = static_cast<size_t>(i);
    const auto k = static_cast<size_t>(c);
    return rows[k][at] + (k > 0 ? 0.8F * rows[k - 1][at] : 0);
  }));
  const std::vector<double> importance = {1, 2, 3, 1, 2, 3};
  double total = 0;
  for (size_t c = 0; c < 6; ++c) total += importance[c] * moments.mean(c, c);
  Elimination elimination(moments, importance);
  CHECK(elimination.cost(3) ==
        Approx(1 * residual(moments, 3, {0, 1, 2, 4, 5}) / total).epsilon(1e-2));
  elimination.remove(3);
  const double before = residual(moments, 3, {0, 1, 2, 4, 5});
  const double after =
      residual(moments, 3, {0, 2, 4, 5}) + 2 * residual(moments, 1, {0, 2, 4, 5}) - before;
  CHECK(elimination.cost(1) == Approx(after / total).epsilon(1e-2));
}

TEST_CASE("activations that are not finite are told") {
  const HostTensor tensor = images(1, 2, [](int64_t c, int64_t) {
    return c == 1 ? std::numeric_limits<float>::infinity() : 1.0F;
  });
  Moments moments(2);
  const ChannelView view{&tensor, 1};
  CHECK_FALSE(moments.add({&view, 1}).ok());
}
