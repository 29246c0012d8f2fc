#include "mlc/compress/input_scales.h"

#include "catch.h"
#include "random_weights.h"

#include <cmath>
#include <memory>

using namespace mlc;

namespace {

constexpr int64_t kRows = 5;
constexpr int64_t kColumns = 100;

/// What a file would hold: codes, scales and zero points of ROWS.
std::vector<std::byte> encoded(const WeightQuantizer& quantizer, const std::vector<float>& w) {
  std::vector<std::byte> out(kRows * quantizer.layout().row_bytes());
  for (int64_t row = 0; row < kRows; ++row) {
    quantizer.encode(row, w.data() + row * kColumns,
                     out.data() + static_cast<size_t>(row) * quantizer.layout().row_bytes());
  }
  return out;
}

/// QUANTIZER of W times FACTORS, which may be null.
std::unique_ptr<WeightQuantizer> chosen(const std::vector<float>& w,
                                        std::shared_ptr<const std::vector<float>> factors) {
  auto out = std::make_unique<WeightQuantizer>(default_scheme(SchemeKind::int4), Rounding::rtn,
                                               std::vector<int64_t>{kRows, kColumns});
  out->scale_inputs(std::move(factors));
  for (int64_t row = 0; row < kRows; ++row) out->choose(row, w.data() + row * kColumns);
  out->finish();
  return out;
}

}  // namespace

TEST_CASE("powers of means lie around one") {
  const std::vector<double> means = {0.01, 1, 100, 0};
  const std::vector<float> half = powers_of(means, 0.5);
  REQUIRE(half[0] == Approx(0.1));
  REQUIRE(half[1] == Approx(1));
  REQUIRE(half[2] == Approx(10));
  REQUIRE(half[3] == 1);  // of what samples do not show nothing is known
  for (const float factor : powers_of(means, 0)) REQUIRE(factor == 1);
  for (const float factor : powers_of(std::vector<double>(3, 0), 1)) REQUIRE(factor == 1);
  for (const float factor : powers_of(std::vector<double>{1e-30, 1e30}, 1))
    REQUIRE((factor > 0 && std::isfinite(factor)));
}

TEST_CASE("codes of scaled weights are those of the products") {
  const std::vector<float> w = random_weights(Shape::gaussian, kRows * kColumns, 3);
  auto factors = std::make_shared<std::vector<float>>(kColumns);
  for (size_t j = 0; j < kColumns; ++j) (*factors)[j] = 0.25F + static_cast<float>(j % 7);
  std::vector<float> products = w;
  for (size_t i = 0; i < w.size(); ++i) products[i] *= (*factors)[i % kColumns];
  const auto with_factors = chosen(w, factors);
  const auto without = chosen(products, nullptr);
  const WeightQuantizer& scaled = *with_factors;
  const WeightQuantizer& plain = *without;
  REQUIRE(plain.input_scale().empty());
  REQUIRE(scaled.input_scale() == *factors);
  REQUIRE(encoded(scaled, w) == encoded(plain, products));
  REQUIRE(*scaled.scale_bytes() == *plain.scale_bytes());
  REQUIRE(*scaled.zero_bytes() == *plain.zero_bytes());
  std::vector<float> one(kColumns);
  std::vector<float> two(kColumns);
  for (int64_t row = 0; row < kRows; ++row) {
    const float* const weights = w.data() + row * kColumns;
    scaled.decoded(row, weights, one.data());
    plain.decoded(row, products.data() + row * kColumns, two.data());
    double noise = 0;
    for (size_t j = 0; j < kColumns; ++j) {
      REQUIRE(one[j] == two[j] / (*factors)[j]);
      noise += std::pow(static_cast<double>(one[j]) - weights[j], 2);
    }
    ErrorSums sums;
    scaled.measure(row, weights, sums);
    REQUIRE(sums.noise == Approx(noise));
    REQUIRE(sums.wrong == 0);
  }
}
