#include "mlc/engine/lanes.h"

#include <algorithm>
#include <set>

namespace mlc {
namespace {

constexpr int64_t kMostHalved = 32;  // five halvings, as in most networks for images

int64_t power_of_two_in(int64_t number) {
  int64_t power = 1;
  while (power < kMostHalved && number % (power * 2) == 0) power *= 2;
  return power;
}

bool is_prime(int64_t number) {
  for (int64_t i = 2; i * i <= number; ++i) {
    if (number % i == 0) return false;
  }
  return number >= 2;
}

struct Steps {
  int64_t first = 2;
  int64_t step = 1;
  bool primes = true;
};

Steps steps_of(const LaneSymbol& symbol, LaneScale scale) {
  const int64_t example = std::max<int64_t>(symbol.example, 1);
  if (scale == LaneScale::small) return {};
  if (scale == LaneScale::large) return {example, example, false};
  const int64_t power = power_of_two_in(example);
  // A batch or the like stays small.
  if (example < kMostHalved) return {std::max<int64_t>(power, 2), power, power == 1};
  const int64_t first = power == 1 ? kMostHalved : (kMostHalved / power + 1) * power;
  return {first, power, power == 1};
}

/// The first NUMBERS that fit, those that nobody has before others.
std::vector<int64_t> choose(const LaneSymbol& symbol, const Steps& steps, std::set<int64_t>& taken,
                            size_t lanes) {
  constexpr int64_t kTries = 4096;
  const int64_t low = std::max<int64_t>(symbol.bounds.low, 1);
  std::vector<int64_t> out;
  const auto collect = [&](const Steps& by, bool shared) {
    int64_t number = by.first;
    if (number < low) number += (low - number + by.step - 1) / by.step * by.step;
    for (int64_t i = 0; i < kTries && out.size() < lanes; ++i, number += by.step) {
      if (number > symbol.bounds.high) return;
      const bool fits = (!by.primes || is_prime(number)) && (shared || !taken.contains(number));
      if (fits && std::ranges::find(out, number) == out.end()) out.push_back(number);
    }
  };
  collect(steps, false);
  collect({steps.first, steps.step, false}, false);
  collect({steps.first, steps.step, false}, true);
  collect({1, 1, false}, true);
  taken.insert(out.begin(), out.end());
  const size_t different = out.size();
  for (size_t i = 0; out.size() < lanes; ++i) out.push_back(out[i % different]);
  return out;
}

}  // namespace

std::vector<std::vector<int64_t>> lane_sizes(std::span<const LaneSymbol> symbols,
                                             std::span<const int64_t> taken, LaneScale scale,
                                             size_t lanes) {
  std::set<int64_t> used(taken.begin(), taken.end());
  std::vector<std::vector<int64_t>> out;
  for (size_t i = 0; i < symbols.size(); ++i) {
    std::vector<int64_t> numbers = choose(symbols[i], steps_of(symbols[i], scale), used, lanes);
    // Each symbol in an order of its own, so that none grows with another.
    for (size_t turn = 0; turn < i; ++turn) {
      std::next_permutation(numbers.begin(), numbers.end());
    }
    out.push_back(std::move(numbers));
  }
  return out;
}

}  // namespace mlc
