#include "mlc/compress/data_rounding.h"

#include "catch.h"
#include "random_weights.h"

#include <cmath>

using namespace mlc;

namespace {

constexpr int64_t kColumns = 256;
constexpr int64_t kRows = 64;

/// Inputs of a low rank with noise and six columns of thirty times the size, as layers of
/// transformers have them: COUNT rows.
std::vector<float> inputs(int64_t count, uint64_t seed) {
  constexpr int64_t kRank = 24;
  const std::vector<float> base = random_weights(Shape::gaussian, kRank * kColumns, 7);
  const auto mix = random_weights(Shape::gaussian, static_cast<size_t>(count * kRank), seed);
  auto out = random_weights(Shape::gaussian, static_cast<size_t>(count * kColumns), seed + 1);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < kColumns; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < kRank; ++k) {
        sum +=
            mix[static_cast<size_t>(i * kRank + k)] * base[static_cast<size_t>(k * kColumns + j)];
      }
      float& value = out[static_cast<size_t>(i * kColumns + j)];
      value = 0.3F * value + sum / 5;
      if (j % 43 == 5) value *= 30;
    }
  }
  return out;
}

std::vector<float> gram_of(const std::vector<float>& x) {
  std::vector<float> out(static_cast<size_t>(kColumns * kColumns));
  const auto rows = static_cast<int64_t>(x.size()) / kColumns;
  for (int64_t r = 0; r < rows; ++r) {
    const float* const row = x.data() + r * kColumns;
    for (int64_t i = 0; i < kColumns; ++i) {
      for (int64_t j = 0; j < kColumns; ++j) {
        out[static_cast<size_t>(i * kColumns + j)] += row[i] * row[j];
      }
    }
  }
  return out;
}

/// Of the outputs X W^T, in dB.
double output_db(const std::vector<float>& x, const std::vector<float>& w,
                 const std::vector<float>& v) {
  double signal = 0;
  double noise = 0;
  for (size_t at = 0; at < x.size(); at += kColumns) {
    for (int64_t r = 0; r < kRows; ++r) {
      double want = 0;
      double error = 0;
      for (int64_t j = 0; j < kColumns; ++j) {
        const auto i = static_cast<size_t>(r * kColumns + j);
        const double input = x[at + static_cast<size_t>(j)];
        want += input * w[i];
        error += input * (v[i] - w[i]);
      }
      signal += want * want;
      noise += error * error;
    }
  }
  return sqnr_db(signal, noise);
}

WeightQuantizer quantizer_of(const char* scheme) {
  const std::vector<int64_t> sizes = {kRows, kColumns};
  return WeightQuantizer(*parse_scheme(scheme), Rounding::rtn, sizes);
}

std::vector<float> nearest(const char* scheme, const std::vector<float>& w) {
  WeightQuantizer quantizer = quantizer_of(scheme);
  auto codes = std::make_shared<std::vector<int8_t>>(w.size());
  for (int64_t r = 0; r < kRows; ++r) quantizer.choose(r, w.data() + r * kColumns);
  std::vector<GroupParameters> groups;
  for (int64_t r = 0; r < kRows; ++r) {
    quantizer.parameters(r, groups);
    for (int64_t j = 0; j < kColumns; ++j) {
      const auto i = static_cast<size_t>(r * kColumns + j);
      const auto g = static_cast<size_t>(j / quantizer.layout().group);
      quant_kernels().encode(w.data() + i, 1, groups[g], codes->data() + i);
    }
  }
  quantizer.finish();
  quantizer.give_codes(codes);
  std::vector<float> out(w.size());
  for (int64_t r = 0; r < kRows; ++r) quantizer.given_values(r, out.data() + r * kColumns);
  return out;
}

std::vector<float> by_data(const char* scheme, const std::vector<float>& w,
                           const InputFactor& factor) {
  WeightQuantizer quantizer = quantizer_of(scheme);
  auto codes = std::make_shared<std::vector<int8_t>>(w.size());
  std::vector<float> copy = w;
  gptq_rows(quantizer, factor, 0, copy, codes->data());
  quantizer.finish();
  quantizer.give_codes(codes);
  std::vector<float> out(w.size());
  for (int64_t r = 0; r < kRows; ++r) quantizer.given_values(r, out.data() + r * kColumns);
  return out;
}

}  // namespace

TEST_CASE("the factor is that of the inverse") {
  const std::vector<float> gram = gram_of(inputs(600, 3));
  const auto factor = InputFactor::make(gram, kColumns, 2);
  REQUIRE(factor.ok());
  double mean = 0;
  for (int64_t j = 0; j < kColumns; ++j) {
    mean += gram[static_cast<size_t>(j * kColumns + j)] / static_cast<double>(kColumns);
  }
  // (U^T U) (X^T X + d I) is the unit matrix; column 7 of it, by two products with a vector.
  std::vector<double> column(kColumns);
  for (int64_t j = 0; j < kColumns; ++j)
    column[static_cast<size_t>(j)] = gram[static_cast<size_t>(j * kColumns + 7)];
  column[7] += 0.01 * mean;
  std::vector<double> half(kColumns);
  for (int64_t i = 0; i < kColumns; ++i) {
    for (int64_t j = i; j < kColumns; ++j) {
      half[static_cast<size_t>(i)] +=
          static_cast<double>(factor->row(i)[static_cast<size_t>(j - i)]) *
          column[static_cast<size_t>(j)];
    }
  }
  for (int64_t j = 0; j < kColumns; ++j) {
    double sum = 0;
    for (int64_t i = 0; i <= j; ++i) {
      sum += static_cast<double>(factor->row(i)[static_cast<size_t>(j - i)]) *
             half[static_cast<size_t>(i)];
    }
    CHECK(std::abs(sum - (j == 7 ? 1 : 0)) < 1e-3);
  }
}

TEST_CASE("rounding by data beats rounding to nearest on inputs that were not seen") {
  const std::vector<float> w = random_weights(Shape::gaussian, kRows * kColumns, 11);
  const auto factor = InputFactor::make(gram_of(inputs(1024, 3)), kColumns, 2);
  REQUIRE(factor.ok());
  const std::vector<float> held_out = inputs(200, 99);
  for (const char* scheme : {"int4:g128", "int4", "int4:g128:sym"}) {
    const double plain = output_db(held_out, w, nearest(scheme, w));
    const double rounded = output_db(held_out, w, by_data(scheme, w, *factor));
    INFO(scheme << " " << plain << " " << rounded);
    CHECK(rounded > plain + 2);
  }
}

TEST_CASE("columns that are never used cost nothing, and other threads change nothing") {
  std::vector<float> x = inputs(600, 3);
  for (size_t i = 9; i < x.size(); i += kColumns) x[i] = 0;
  const std::vector<float> w = random_weights(Shape::gaussian, kRows * kColumns, 11);
  const std::vector<float> gram = gram_of(x);
  const auto one = InputFactor::make(gram, kColumns, 1);
  const auto many = InputFactor::make(gram, kColumns, 4);
  REQUIRE(one.ok());
  REQUIRE(many.ok());
  CHECK(one->is_dead(9));
  CHECK(!one->is_dead(8));
  CHECK(by_data("int4", w, *one) == by_data("int4", w, *many));
  const double db = output_db(inputs(50, 99), w, by_data("int4", w, *one));
  CHECK(std::isfinite(db));
}

TEST_CASE("inputs that are not finite give no factor") {
  std::vector<float> gram = gram_of(inputs(50, 3));
  gram[5 * kColumns + 5] = NAN;
  CHECK(!InputFactor::make(gram, kColumns, 1).ok());
}
