#include "mlc/engine/lanes.h"

#include <algorithm>
#include <array>
#include <set>

namespace mlc {
namespace {

constexpr int64_t kMostHalved = 32;  // five halvings, as in most networks for images

int64_t power_of_two_in(int64_t number) {
  int64_t power = 1;
  while (power < kMostHalved && number % (power * 2) == 0) power *= 2;
  return power;
}

struct Steps {
  int64_t first = 2;
  int64_t step = 1;
  bool shared = false;  // other symbols may have the same numbers, in other lanes
  /// The last lane is twice as large as the one before, where the example is far larger: of numbers
  /// close together 0.7 * n may be n - 3 in all lanes.
  bool leaps = false;
};

/// Numbers of a range that begins high are apart by a quarter of it: next to each other they may
/// give the same number of windows. Odd, so that not all are multiples of 2.
Steps small_steps(const LaneSymbol& symbol) {
  constexpr int64_t kHigh = 32;
  constexpr int64_t kGaps = 3;  // of four lanes
  if (symbol.bounds.low <= kHigh) return {.leaps = true};
  const int64_t room = (symbol.bounds.high - symbol.bounds.low) / kGaps;
  const int64_t step = std::min(symbol.bounds.low / 4 | 1, room);
  return {symbol.bounds.low, std::max<int64_t>(step, 1), false};
}

Steps steps_of(const LaneSymbol& symbol, LaneScale scale) {
  const int64_t example = std::max<int64_t>(symbol.example, 1);
  if (scale == LaneScale::small) return small_steps(symbol);
  if (scale == LaneScale::large) return {example, example, true};
  const int64_t power = power_of_two_in(example);
  // A batch or the like stays small.
  if (example < kMostHalved) return {std::max<int64_t>(power, 2), power, false};
  constexpr int64_t kApart = 3;
  return {(kMostHalved / power + 1) * power, scale == LaneScale::wide ? kApart * power : power,
          true};
}

/// The first numbers that fit, those that nobody has before others.
std::vector<int64_t> choose(const LaneSymbol& symbol, const Steps& steps, std::set<int64_t>& taken,
                            size_t lanes) {
  constexpr int64_t kTries = 4096;
  const int64_t low = std::max<int64_t>(symbol.bounds.low, 1);
  std::vector<int64_t> out;
  const auto collect = [&](int64_t number, int64_t step, bool shared, bool leaps) {
    if (number < low) number += (low - number + step - 1) / step * step;
    bool is_far = !leaps;
    for (int64_t i = 0; i < kTries && out.size() < lanes; ++i, number += step) {
      if (!is_far && out.size() + 1 == lanes) {
        if (number <= symbol.example / 4) number *= 2;
        is_far = true;
      }
      if (number > symbol.bounds.high) return;
      const bool fits = shared || !taken.contains(number);
      if (fits && std::ranges::find(out, number) == out.end()) out.push_back(number);
    }
  };
  collect(steps.first, steps.step, steps.shared, steps.leaps);
  collect(steps.first, steps.step, steps.shared, false);
  collect(steps.first, steps.step, true, false);
  collect(1, 1, true, false);
  if (!steps.shared) taken.insert(out.begin(), out.end());
  const size_t different = out.size();
  for (size_t i = 0; out.size() < lanes; ++i) out.push_back(out[i % different]);
  return out;
}

/// An order for each symbol, so that none grows with another, and the first four that share their
/// numbers have different ones in every lane. No two are each other's reverse.
constexpr std::array<std::array<size_t, 4>, 12> kOrders = {{{0, 1, 2, 3},
                                                            {1, 0, 3, 2},
                                                            {2, 3, 1, 0},
                                                            {3, 2, 0, 1},
                                                            {0, 2, 1, 3},
                                                            {0, 2, 3, 1},
                                                            {0, 3, 1, 2},
                                                            {1, 2, 0, 3},
                                                            {0, 3, 2, 1},
                                                            {1, 3, 0, 2},
                                                            {2, 0, 1, 3},
                                                            {2, 1, 0, 3}}};

std::vector<int64_t> ordered(const std::vector<int64_t>& numbers, size_t symbol) {
  if (numbers.size() != kOrders[0].size()) return numbers;
  std::vector<int64_t> out;
  for (const size_t at : kOrders[symbol % kOrders.size()]) out.push_back(numbers[at]);
  return out;
}

}  // namespace

std::vector<std::vector<int64_t>> lane_sizes(std::span<const LaneSymbol> symbols,
                                             std::span<const int64_t> taken, LaneScale scale,
                                             size_t lanes) {
  std::set<int64_t> used(taken.begin(), taken.end());
  std::vector<std::vector<int64_t>> out;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const std::vector<int64_t> numbers =
        choose(symbols[i], steps_of(symbols[i], scale), used, lanes);
    out.push_back(ordered(numbers, i));
  }
  return out;
}

}  // namespace mlc
