#include "mlc/compress/data_rounding.h"

#include "catch.h"
#include "mlc/compress/data_pruning.h"
#include "random_weights.h"

#include <algorithm>
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

TEST_CASE("columns that are never used keep their weights, and other threads change nothing") {
  std::vector<float> x = inputs(600, 3);
  for (size_t i = 9; i < x.size(); i += kColumns) x[i] = 0;
  const std::vector<float> w = random_weights(Shape::gaussian, kRows * kColumns, 11);
  const std::vector<float> gram = gram_of(x);
  const auto one = InputFactor::make(gram, kColumns, 1);
  const auto many = InputFactor::make(gram, kColumns, 4);
  REQUIRE(one.ok());
  REQUIRE(many.ok());
  CHECK(by_data("int4", w, *one) == by_data("int4", w, *many));
  const std::vector<float> eight_bits = by_data("int8", w, *one);
  float largest = 0;
  for (size_t i = 9; i < w.size(); i += kColumns)
    largest = std::max(largest, std::abs(eight_bits[i] - w[i]));
  CHECK(largest < 0.03F);
  const double db = output_db(inputs(50, 99), w, by_data("int4", w, *one));
  CHECK(std::isfinite(db));
}

TEST_CASE("inputs that are not finite give no factor") {
  std::vector<float> gram = gram_of(inputs(50, 3));
  gram[5 * kColumns + 5] = NAN;
  CHECK(!InputFactor::make(gram, kColumns, 1).ok());
}

namespace {

std::vector<double> squares_of(const std::vector<float>& gram) {
  std::vector<double> out;
  for (int64_t j = 0; j < kColumns; ++j) out.push_back(gram[static_cast<size_t>(j * kColumns + j)]);
  return out;
}

/// W with the weights gone that MASK says.
std::vector<float> masked(std::vector<float> w, const std::vector<uint8_t>& keep) {
  for (size_t i = 0; i < w.size(); ++i) w[i] = keep[i] != 0 ? w[i] : 0;
  return w;
}

struct Pruned {
  double magnitude = 0;  // dB of outputs
  double wanda = 0;
  double sparsegpt = 0;
  std::vector<uint8_t> keep;  // of sparsegpt
};

Pruned prune(const Sparsity& sparsity) {
  const std::vector<float> w = random_weights(Shape::gaussian, kRows * kColumns, 11);
  const std::vector<float> gram = gram_of(inputs(1024, 3));
  const std::vector<float> held_out = inputs(200, 99);
  const auto factor = InputFactor::make(gram, kColumns, 2);
  REQUIRE(factor.ok());
  std::vector<uint8_t> keep(w.size());
  const std::vector<double> ones(kColumns, 1);
  Pruned out;
  wanda_rows(w, ones, sparsity, keep.data());
  out.magnitude = output_db(held_out, w, masked(w, keep));
  wanda_rows(w, squares_of(gram), sparsity, keep.data());
  out.wanda = output_db(held_out, w, masked(w, keep));
  std::vector<float> left = w;
  sparsegpt_rows(left, *factor, sparsity, keep.data());
  CHECK(left == masked(left, keep));
  out.sparsegpt = output_db(held_out, w, left);
  out.keep = keep;
  return out;
}

double share_of_zeros(const std::vector<uint8_t>& keep) {
  return static_cast<double>(std::count(keep.begin(), keep.end(), uint8_t{0})) /
         static_cast<double>(keep.size());
}

}  // namespace

TEST_CASE("pruning by data loses less than by magnitude on inputs that were not seen") {
  const Pruned half = prune({.share = 0.5, .n = 0, .m = 0});
  INFO(half.magnitude << " " << half.wanda << " " << half.sparsegpt);
  CHECK(half.wanda > half.magnitude + 2);
  CHECK(half.sparsegpt > half.wanda + 2);
  CHECK(std::abs(share_of_zeros(half.keep) - 0.5) < 1e-9);
  const Pruned most = prune({.share = 0.8, .n = 0, .m = 0});
  INFO(most.magnitude << " " << most.wanda << " " << most.sparsegpt);
  CHECK(most.wanda > most.magnitude + 2);
  CHECK(most.sparsegpt > most.wanda);
}

TEST_CASE("two of four stay, whatever chooses") {
  const Pruned found = prune({.share = 0, .n = 2, .m = 4});
  INFO(found.magnitude << " " << found.wanda << " " << found.sparsegpt);
  CHECK(found.wanda > found.magnitude + 2);
  CHECK(found.sparsegpt > found.wanda);
  for (size_t i = 0; i < found.keep.size(); i += 4) {
    CHECK(found.keep[i] + found.keep[i + 1] + found.keep[i + 2] + found.keep[i + 3] == 2);
  }
}
