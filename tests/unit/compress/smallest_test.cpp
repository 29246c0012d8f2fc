#include "mlc/compress/smallest.h"

#include "catch.h"
#include "mlc/compress/prune_kernels.h"
#include "random_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

using namespace mlc;

namespace {

/// KEYS in blocks of 37.
KeyBlocks blocks_of(const std::vector<uint64_t>& keys, int bits) {
  KeyBlocks out;
  out.blocks = (keys.size() + 36) / 37;
  out.bits = bits;
  out.fill = [&keys, bits](size_t block, Keys& to) {
    const size_t begin = block * 37;
    const size_t end = std::min(keys.size(), begin + 37);
    to.narrow.clear();
    to.wide.assign(keys.begin() + static_cast<std::ptrdiff_t>(begin),
                   keys.begin() + static_cast<std::ptrdiff_t>(end));
    if (bits == 32) {
      for (const uint64_t key : to.wide) to.narrow.push_back(static_cast<uint32_t>(key));
      to.wide.clear();
    }
    return Status();
  };
  return out;
}

/// Positions that SMALLEST takes, ascending.
std::vector<size_t> taken(const Smallest& smallest, const std::vector<uint64_t>& keys) {
  std::vector<size_t> out;
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool tie = std::ranges::binary_search(smallest.ties, i);
    if (keys[i] < smallest.cut || tie || (smallest.with_cut && keys[i] == smallest.cut)) {
      out.push_back(i);
    }
  }
  return out;
}

std::vector<uint64_t> bits_of(const std::vector<float>& values, int bits) {
  std::vector<uint64_t> out;
  for (const float value : values) {
    const float size = std::abs(value);
    out.push_back(bits == 32 ? std::bit_cast<uint32_t>(size)
                             : std::bit_cast<uint64_t>(static_cast<double>(size)));
  }
  return out;
}

}  // namespace

TEST_CASE("the smallest keys are those that sorting finds") {
  const auto weights = random_weights(Shape::gaussian, 1000);
  for (const int bits : {32, 64}) {
    const auto keys = bits_of(weights, bits);
    std::vector<size_t> order(keys.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return keys[i]; });
    for (const uint64_t count : {1U, 2U, 15U, 500U, 999U, 1000U}) {
      for (const unsigned threads : {1U, 3U}) {
        const auto found = smallest_keys(blocks_of(keys, bits), keys.size(), count, threads);
        REQUIRE(found.ok());
        std::vector<size_t> wanted(order.begin(),
                                   order.begin() + static_cast<std::ptrdiff_t>(count));
        std::ranges::sort(wanted);
        CHECK(taken(*found, keys) == wanted);
      }
    }
  }
}

TEST_CASE("of equal keys as many as are wanted, the first where too many would be copied") {
  std::vector<float> weights(500);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(1 + mix(i, 5) % 4);
  for (const int bits : {32, 64}) {
    const auto keys = bits_of(weights, bits);
    for (const uint64_t count : {1U, 7U, 130U, 250U, 499U}) {
      const auto like_torch = smallest_keys(blocks_of(keys, bits), keys.size(), count, 2);
      REQUIRE(like_torch.ok());
      CHECK(like_torch->like_torch);
      CHECK(taken(*like_torch, keys).size() == count);
      const auto first =
          smallest_keys(blocks_of(keys, bits), keys.size(), count, 2, {.most_copied = 10});
      REQUIRE(first.ok());
      CHECK(first->like_torch == (first->ties.empty()));
      const auto positions = taken(*first, keys);
      CHECK(positions.size() == count);
      size_t last = 0;
      for (const size_t i : positions) last = keys[i] == first->cut ? i : last;
      for (size_t i = 0; i < last && !first->with_cut; ++i) {
        if (keys[i] == first->cut) CHECK(std::ranges::binary_search(positions, i));
      }
    }
  }
}

TEST_CASE("zeros at the cut are not told apart") {
  std::vector<uint64_t> keys(100, 0);
  keys[3] = 5;
  const auto found = smallest_keys(blocks_of(keys, 32), keys.size(), 10, 1);
  REQUIRE(found.ok());
  CHECK(found->cut == 0);
  CHECK(found->with_cut);
  CHECK(found->ties.empty());
}

TEST_CASE("zeros at the cut are told apart where a mask shows them") {
  const std::vector<uint64_t> keys(100, 0);
  for (const bool left_by_largest : {false, true}) {
    TieRules rules;
    rules.zeros = true;
    rules.left_by_largest = left_by_largest;
    const auto found = smallest_keys(blocks_of(keys, 32), keys.size(), 10, 1, rules);
    REQUIRE(found.ok());
    CHECK(taken(*found, keys).size() == 10);
  }
}

TEST_CASE("infinities and NaNs are the largest") {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> weights = {NAN, 1, -infinity, 2, NAN, 3};
  const auto keys = bits_of(weights, 32);
  const auto found = smallest_keys(blocks_of(keys, 32), keys.size(), 4, 1);
  REQUIRE(found.ok());
  CHECK(taken(*found, keys) == std::vector<size_t>{1, 2, 3, 5});
}

TEST_CASE("both sets of pruning kernels give the same") {
  const PruneKernels* const sets[] = {&portable_prune_kernels(), &prune_kernels()};
  for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{1001}}) {
    auto weights = random_weights(Shape::student5, count, 9);
    for (size_t i = 0; i < count; i += 5) weights[i] = i % 2 == 0 ? 0.0F : -0.0F;
    if (count > 8) weights[7] = -std::numeric_limits<float>::infinity();
    if (count > 8) weights[8] = NAN;
    PruneSums sums[2];
    std::vector<uint8_t> keep[2];
    std::vector<uint32_t> left[2];
    for (int set = 0; set < 2; ++set) {
      std::vector<uint32_t> keys(count);
      keep[set].resize(count);
      left[set].resize(count);
      sets[set]->magnitudes(weights.data(), count, keys.data());
      sets[set]->keep(keys.data(), count, std::bit_cast<uint32_t>(0.7F), keep[set].data());
      for (size_t i = 0; i < count; ++i) left[set][i] = std::bit_cast<uint32_t>(weights[i]);
      sets[set]->zero(keep[set].data(), count, 0x8000'0000, left[set].data());
      sets[set]->count(weights.data(), keep[set].data(), count, sums[set]);
    }
    CHECK(keep[0] == keep[1]);
    CHECK(left[0] == left[1]);
    CHECK(sums[0].energy_before == sums[1].energy_before);
    CHECK(sums[0].energy_after == sums[1].energy_after);
    uint64_t zeros = 0;
    uint64_t gone = 0;
    uint64_t not_finite = 0;
    for (size_t i = 0; i < count; ++i) {
      const bool kept = std::isnan(weights[i]) || std::abs(weights[i]) >= 0.7F;
      CHECK(keep[1][i] == (kept ? 1 : 0));
      const float expected = kept ? weights[i] : std::copysign(0.0F, weights[i]);
      CHECK(left[1][i] == std::bit_cast<uint32_t>(expected));
      zeros += weights[i] == 0 ? 1 : 0;
      gone += kept ? 0 : 1;
      not_finite += std::isfinite(weights[i]) ? 0 : 1;
    }
    for (const PruneSums& one : sums) {
      CHECK(one.zeros_before == zeros);
      CHECK(one.zeros_after == gone);
      CHECK(one.not_finite == not_finite);
    }
  }
}
