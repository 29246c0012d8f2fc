#include "mlc/engine/lanes.h"

#include "catch.h"

#include <algorithm>
#include <set>

using namespace mlc;

namespace {

std::set<int64_t> all(const std::vector<std::vector<int64_t>>& sizes) {
  std::set<int64_t> out;
  for (const auto& one : sizes) out.insert(one.begin(), one.end());
  return out;
}

}  // namespace

TEST_CASE("lanes have sizes that nothing else has") {
  const LaneSymbol symbols[] = {{"batch", {1, ir::kUnbounded}, 2}, {"seq", {8, 512}, 8}};
  const int64_t taken[] = {3};
  const auto sizes = lane_sizes(symbols, taken, LaneScale::small, 4);
  REQUIRE(sizes.size() == 2);
  CHECK(all(sizes).size() == 8);
  CHECK_FALSE(all(sizes).contains(3));
  CHECK_FALSE(all(sizes).contains(1));
  for (const int64_t seq : sizes[1]) CHECK((seq >= 8 && seq <= 512));
  CHECK(*all(sizes).rbegin() < 26);
}

TEST_CASE("no lane's symbol grows with another") {
  const LaneSymbol symbols[] = {{"a", {}, 1}, {"b", {}, 1}, {"c", {}, 1}, {"d", {}, 1}};
  const auto sizes = lane_sizes(symbols, {}, LaneScale::small, 4);
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const auto& a = sizes[i];
      const auto& b = sizes[j];
      CHECK((a[1] - a[0]) * (b[2] - b[0]) != (a[2] - a[0]) * (b[1] - b[0]));
    }
  }
}

TEST_CASE("medium lanes are multiples of the power of two in the example") {
  const LaneSymbol symbols[] = {{"batch", {1, 64}, 1}, {"h", {}, 224}, {"w", {}, 192}};
  const auto sizes = lane_sizes(symbols, {}, LaneScale::medium, 4);
  for (size_t i = 1; i < 3; ++i) {
    for (const int64_t one : sizes[i]) CHECK((one % 32 == 0 && one > 32));
  }
  for (size_t lane = 0; lane < 4; ++lane) CHECK(sizes[1][lane] != sizes[2][lane]);
  for (const int64_t one : sizes[0]) CHECK(one < 12);
  const auto large = lane_sizes(symbols, {}, LaneScale::large, 4);
  for (const int64_t one : large[1]) CHECK(one % 224 == 0);
}

TEST_CASE("bounds without room give what they have") {
  const LaneSymbol symbols[] = {{"batch", {1, 2}, 1}, {"one", {5, 5}, 5}};
  const auto sizes = lane_sizes(symbols, {}, LaneScale::small, 4);
  CHECK(std::set(sizes[0].begin(), sizes[0].end()) == std::set<int64_t>{1, 2});
  CHECK(sizes[0].size() == 4);
  CHECK(sizes[1] == std::vector<int64_t>{5, 5, 5, 5});
  const int64_t taken[] = {1, 2};
  CHECK(lane_sizes(std::span(symbols, 1), taken, LaneScale::small, 4)[0].size() == 4);
}
