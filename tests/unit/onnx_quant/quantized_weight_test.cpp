#include "mlc/onnx_quant/quantized_weight.h"

#include "catch.h"
#include "mlc/onnx_quant/constant_floats.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace mlc;
using namespace mlc::onnx;

namespace {

std::vector<float> normal(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values;
  std::vector<float> out(count);
  for (float& value : out) value = values(random);
  return out;
}

DocTensor tensor(const std::vector<float>& values, std::vector<int64_t> sizes) {
  DocTensor out;
  out.name = "w";
  out.element = 1;
  out.sizes = sizes;
  out.data = tensor_of(values, sizes);
  return out;
}

std::vector<int8_t> codes_of(const DataRef& data) {
  const auto buffer = data->produce();
  REQUIRE(buffer.ok());
  const auto* const begin = reinterpret_cast<const int8_t*>(buffer->bytes.data());
  return {begin, begin + buffer->bytes.size()};
}

}  // namespace

TEST_CASE("columns and rows of a matrix are the same weights") {
  // Sizes that no tile and no piece divides.
  constexpr int64_t kRows = 131;
  constexpr int64_t kColumns = 77;
  const std::vector<float> rows = normal(kRows * kColumns, 1);
  std::vector<float> columns(rows.size());
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < kColumns; ++c) columns[c * kRows + r] = rows[r * kColumns + c];
  }
  const auto a = ChannelWeight::make(tensor(rows, {kRows, kColumns}), Channels::first, 127, 2);
  const auto b = ChannelWeight::make(tensor(columns, {kColumns, kRows}), Channels::last, 127, 1);
  REQUIRE(a.ok());
  REQUIRE(b.ok());
  CHECK((*a)->scales() == (*b)->scales());
  CHECK((*a)->facts().sums.noise == Approx((*b)->facts().sums.noise));
  CHECK((*a)->facts().saturating == (*b)->facts().saturating);
  CHECK(codes_of((*a)->codes({kRows, kColumns}, false)) ==
        codes_of((*b)->codes({kRows, kColumns}, false)));
  const auto across = codes_of((*b)->codes({kColumns, kRows}, true));
  CHECK(across == codes_of((*a)->codes({kColumns, kRows}, true)));
  for (size_t c = 0; c < kColumns; ++c) {
    const float scale = (*a)->scales()[5];
    CHECK(std::abs(across[c * kRows + 5] * scale - rows[5 * kColumns + c]) <= scale * 0.5001F);
  }
}

TEST_CASE("weights of float16 are what they are in float32") {
  constexpr int64_t kRows = 131;
  constexpr int64_t kColumns = 77;
  for (const Channels channels : {Channels::first, Channels::last}) {
    DocTensor half = tensor(normal(kRows * kColumns, 4), {kRows, kColumns});
    half.element = 10;
    half.data = tensor_of(normal(kRows * kColumns, 4), {kRows, kColumns}, DType::f16);
    const auto rounded = read_floats(*half.data);
    REQUIRE(rounded.ok());
    const DocTensor wide = tensor(*rounded, {kRows, kColumns});
    const auto a = ChannelWeight::make(half, channels, 127, 2);
    const auto b = ChannelWeight::make(wide, channels, 127, 1);
    REQUIRE((a.ok() && b.ok()));
    CHECK((*a)->scales() == (*b)->scales());
    CHECK(codes_of((*a)->codes({kRows, kColumns}, false)) ==
          codes_of((*b)->codes({kRows, kColumns}, false)));
    const auto blocks = BlockWeight::make(half, channels, 16, false, Rounding::rtn, 1);
    CHECK((*blocks)->has_half_scales());
    CHECK(codes_of((*blocks)->nbits_scales(DType::f16)).size() * 2 ==
          codes_of((*blocks)->nbits_scales()).size());
  }
  // A step that float16 has few bits for.
  const auto tiny = BlockWeight::make(tensor(std::vector<float>(64, 1e-4F), {2, 32}),
                                      Channels::first, 16, false, Rounding::rtn, 1);
  CHECK(!(*tiny)->has_half_scales());
}

TEST_CASE("constants keep their type, and their values as far as it has them") {
  const std::vector<float> values = {0.1F, -2, 65504, 3e-8F};
  const DataRef half = tensor_of(values, {2, 2}, DType::f16);
  CHECK(half->byte_size() == 8);
  const auto wide = read_floats(*widened(half));
  REQUIRE(wide.ok());
  CHECK((*wide)[0] == Approx(0.1F).epsilon(1e-3));
  CHECK((*wide)[2] == 65504);
  const DataRef doubled = scaled(half, 0.5F);
  CHECK(doubled->dtype == DType::f16);
  CHECK((*read_floats(*doubled))[1] == -1);
  CHECK((*read_floats(*scaled_along(half, 1, {1, 3})))[1] == -6);
}

TEST_CASE("a channel of normally distributed weights has the SQNR of the literature") {
  const auto made =
      ChannelWeight::make(tensor(normal(768 * 512, 2), {512, 768}), Channels::first, 127, 2);
  REQUIRE(made.ok());
  const ErrorSums& sums = (*made)->facts().sums;
  CHECK(sqnr_db(sums.signal, sums.noise) == Approx(42.3).margin(0.3));
  const auto reduced =
      ChannelWeight::make(tensor(normal(768 * 512, 2), {512, 768}), Channels::first, 63, 2);
  const ErrorSums& fewer = (*reduced)->facts().sums;
  CHECK(sqnr_db(fewer.signal, fewer.noise) == Approx(36.2).margin(0.3));
  CHECK((*reduced)->facts().saturating == 0);
  CHECK((*made)->facts().saturating > 0);
}

TEST_CASE("dead channels and weights that are not finite") {
  std::vector<float> values(4 * 32, 0.0F);
  values[32] = 2;
  const auto dead = ChannelWeight::make(tensor(values, {4, 32}), Channels::first, 127, 1);
  CHECK((*dead)->scales()[0] == 1);
  CHECK(codes_of((*dead)->codes({4, 32}, false))[32] == 127);
  values[0] = std::numeric_limits<float>::quiet_NaN();
  values[33] = -std::numeric_limits<float>::infinity();
  const auto broken = ChannelWeight::make(tensor(values, {4, 32}), Channels::first, 127, 1);
  CHECK((*broken)->facts().not_finite == 2);
  const auto blocks =
      BlockWeight::make(tensor(values, {4, 32}), Channels::first, 16, false, Rounding::rtn, 1);
  CHECK((*blocks)->facts().not_finite == 2);
}

TEST_CASE("inputs tell how blocks are rounded, of rows and of columns alike") {
  constexpr int64_t kRows = 70;  // more than one piece of columns
  constexpr int64_t kColumns = 96;
  const std::vector<float> rows = normal(kRows * kColumns, 5);
  std::vector<float> columns(rows.size());
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < kColumns; ++c) columns[c * kRows + r] = rows[r * kColumns + c];
  }
  // Inputs of rank 8 and a little noise.
  const std::vector<float> basis = normal(8 * kColumns, 6);
  const std::vector<float> mix = normal(400 * 8, 7);
  std::vector<float> x = normal(400 * kColumns, 8);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] *= 0.1F;
    for (size_t k = 0; k < 8; ++k)
      x[i] += mix[i / kColumns * 8 + k] * basis[k * kColumns + i % kColumns];
  }
  std::vector<float> gram(kColumns * kColumns);
  for (size_t at = 0; at < x.size(); at += kColumns) {
    for (size_t i = 0; i < kColumns; ++i) {
      for (size_t j = 0; j < kColumns; ++j) gram[i * kColumns + j] += x[at + i] * x[at + j];
    }
  }
  const auto factor = InputFactor::make(gram, kColumns, 1);
  REQUIRE(factor.ok());
  for (const bool symmetric : {false, true}) {
    const auto a = BlockWeight::make_by_inputs(tensor(rows, {kRows, kColumns}), Channels::first, 32,
                                               symmetric, *factor, 2);
    const auto b = BlockWeight::make_by_inputs(tensor(columns, {kColumns, kRows}), Channels::last,
                                               32, symmetric, *factor, 1);
    const auto nearest = BlockWeight::make(tensor(rows, {kRows, kColumns}), Channels::first, 32,
                                           symmetric, Rounding::rtn, 1);
    REQUIRE((a.ok() && b.ok() && nearest.ok()));
    CHECK(codes_of((*a)->nbits_codes()) == codes_of((*b)->nbits_codes()));
    CHECK(codes_of((*a)->nbits_codes()) != codes_of((*nearest)->nbits_codes()));
    CHECK((*a)->facts().sums.noise > (*nearest)->facts().sums.noise);
    RoundingGain gain;
    (*a)->add_gain(gram, gain);
    CHECK(gain.weights == 1);
    CHECK(gain.signal > 100 * gain.noise);
    CHECK(gain.noise_nearest > 2 * gain.noise);
  }
}

TEST_CASE("scales that a bias asks for") {
  const auto made =
      ChannelWeight::make(tensor(normal(2 * 32, 3), {2, 32}), Channels::first, 127, 1);
  const auto coarse = (*made)->with_least_scales({1.0F, 0.0F});
  CHECK(coarse->scales()[0] == 1);
  CHECK(coarse->scales()[1] == (*made)->scales()[1]);
}
