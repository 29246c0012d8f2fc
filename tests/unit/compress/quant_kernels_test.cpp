#include "mlc/compress/quant_kernels.h"

#include "catch.h"
#include "random_weights.h"

#include <bit>
#include <cmath>
#include <limits>

using namespace mlc;

namespace {

const QuantKernels* const kSets[] = {&portable_quant_kernels(), &quant_kernels()};
// Around the eight lanes and beyond.
constexpr size_t kCounts[] = {0, 1, 7, 8, 9, 31, 32, 33, 1000};

std::vector<int8_t> encoded(const QuantKernels& kernels, const std::vector<float>& w,
                            const GroupParameters& group) {
  std::vector<int8_t> codes(w.size());
  kernels.encode(w.data(), w.size(), group, codes.data());
  return codes;
}

}  // namespace

TEST_CASE("codes are the nearest, ties to even, and end at the range") {
  const GroupParameters group{0.5F, 0, -127, 127};
  const std::vector<float> w = {0, 0.25F, 0.75F, -0.25F, -0.75F, 1.2F, 1e30F, -1e30F, 63.5F};
  for (const QuantKernels* kernels : kSets) {
    const auto codes = encoded(*kernels, w, group);
    CHECK(codes == std::vector<int8_t>{0, 0, 2, 0, -2, 2, 127, -127, 127});
  }
}

TEST_CASE("codes with a zero point are read without a sign") {
  const GroupParameters group{1, 100, 0, 255};
  const std::vector<float> w = {-100, 0, 100, 155, 200};
  for (const QuantKernels* kernels : kSets) {
    const auto codes = encoded(*kernels, w, group);
    CHECK(static_cast<uint8_t>(codes[3]) == 255);
    std::vector<float> back(w.size());
    kernels->decode(codes.data(), codes.size(), group, back.data());
    CHECK(back == std::vector<float>{-100, 0, 100, 155, 155});
  }
}

TEST_CASE("both sets of kernels give the same bits") {
  const GroupParameters groups[] = {
      {0.013F, 0, -127, 127}, {0.17F, 8, 1, 15}, {0.31F, 6.5F, 0, 15}, {0.02F, 131, 0, 255}};
  for (const size_t count : kCounts) {
    const auto w = random_weights(Shape::student5, count, count + 1);
    const QuantKernels& plain = portable_quant_kernels();
    const QuantKernels& best = quant_kernels();
    CHECK(plain.largest_bits(w.data(), count) == best.largest_bits(w.data(), count));
    float low[2];
    float high[2];
    plain.range(w.data(), count, low[0], high[0]);
    best.range(w.data(), count, low[1], high[1]);
    CHECK(low[0] == low[1]);
    CHECK(high[0] == high[1]);
    for (const GroupParameters& group : groups) {
      const auto codes = encoded(plain, w, group);
      CHECK(codes == encoded(best, w, group));
      CHECK(plain.error(w.data(), count, group) == best.error(w.data(), count, group));
      ErrorSums a;
      ErrorSums b;
      plain.compare(w.data(), codes.data(), count, group, a);
      best.compare(w.data(), codes.data(), count, group, b);
      CHECK(a.signal == b.signal);
      CHECK(a.noise == b.noise);
      CHECK(a.largest == b.largest);
      CHECK(a.wrong == 0);
      CHECK(b.wrong == 0);
    }
  }
}

TEST_CASE("sums are near to those of doubles") {
  const auto w = random_weights(Shape::gaussian, 1001);
  const GroupParameters group{0.2F, 0, -7, 7};
  const auto codes = encoded(quant_kernels(), w, group);
  double signal = 0;
  double noise = 0;
  double largest = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const double d = w[i] - group.scale * static_cast<float>(codes[i]);
    signal += static_cast<double>(w[i]) * w[i];
    noise += d * d;
    largest = std::max(largest, std::abs(d));
  }
  ErrorSums sums;
  quant_kernels().compare(w.data(), codes.data(), w.size(), group, sums);
  CHECK(std::abs(sums.signal / signal - 1) < 1e-5);
  CHECK(std::abs(sums.noise / noise - 1) < 1e-5);
  CHECK(std::abs(sums.largest / largest - 1) < 1e-6);
}

TEST_CASE("a code that is not the nearest is seen") {
  const auto w = random_weights(Shape::gaussian, 100);
  const GroupParameters group{0.05F, 0, -127, 127};
  auto codes = encoded(quant_kernels(), w, group);
  codes[3] = static_cast<int8_t>(codes[3] + 1);
  codes[99] = static_cast<int8_t>(codes[99] - 1);
  for (const QuantKernels* kernels : kSets) {
    ErrorSums sums;
    kernels->compare(w.data(), codes.data(), w.size(), group, sums);
    CHECK(sums.wrong == 2);
  }
}

TEST_CASE("infinities and NaNs show in the largest bits, wherever they stand") {
  constexpr uint32_t kInfinity = 0x7F80'0000;
  for (const QuantKernels* kernels : kSets) {
    for (const size_t at : {size_t{0}, size_t{8}, size_t{30}}) {
      std::vector<float> w(31, 3);
      CHECK(kernels->largest_bits(w.data(), w.size()) == std::bit_cast<uint32_t>(3.0F));
      w[at] = -std::numeric_limits<float>::infinity();
      CHECK(kernels->largest_bits(w.data(), w.size()) == kInfinity);
      w[at] = std::numeric_limits<float>::quiet_NaN();
      CHECK(kernels->largest_bits(w.data(), w.size()) > kInfinity);
    }
  }
}

TEST_CASE("packing puts the first of two codes into the lower half") {
  for (const QuantKernels* kernels : kSets) {
    const std::vector<int8_t> codes = {1, 2, 15, 0, 7};
    std::vector<uint8_t> packed(3);
    kernels->pack(codes.data(), codes.size(), packed.data());
    CHECK(packed == std::vector<uint8_t>{0x21, 0x0F, 0x07});
    for (const size_t count : kCounts) {
      std::vector<int8_t> many(count);
      for (size_t i = 0; i < count; ++i) many[i] = static_cast<int8_t>(mix(i, 3) % 16);
      std::vector<uint8_t> bytes((count + 1) / 2);
      std::vector<int8_t> back(count);
      kernels->pack(many.data(), count, bytes.data());
      kernels->unpack(bytes.data(), count, back.data());
      CHECK(back == many);
    }
  }
}
