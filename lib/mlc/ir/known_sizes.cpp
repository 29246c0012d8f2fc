#include "mlc/ir/known_sizes.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <set>

namespace mlc::ir {
namespace {

/// The numbers of an expression, lane by lane, for Symbols::build().
struct LaneMaker {
  size_t lanes;
  const std::map<size_t, LaneNumbers>& symbols;

  template <class Combine>
  LaneNumbers both(const LaneNumbers& a, const LaneNumbers& b, Combine combine) const {
    LaneNumbers out(lanes, kNoNumber);
    for (size_t i = 0; i < lanes; ++i) {
      if (a[i] == kNoNumber || b[i] == kNoNumber) continue;
      out[i] = std::optional<int64_t>(combine(a[i], b[i])).value_or(kNoNumber);
    }
    return out;
  }
  LaneNumbers constant(int64_t value) const { return LaneNumbers(lanes, value); }
  LaneNumbers symbol(size_t index) const {
    const auto known = symbols.find(index);
    return known == symbols.end() ? LaneNumbers(lanes, kNoNumber) : known->second;
  }
  LaneNumbers add(const LaneNumbers& a, const LaneNumbers& b) const {
    return both(a, b, [](int64_t x, int64_t y) { return checked_add(x, y); });
  }
  LaneNumbers multiply(const LaneNumbers& a, const LaneNumbers& b) const {
    return both(a, b, [](int64_t x, int64_t y) { return checked_mul(x, y); });
  }
  LaneNumbers floor_divide(const LaneNumbers& a, const LaneNumbers& b) const {
    return both(a, b, [](int64_t x, int64_t y) -> std::optional<int64_t> {
      if (y <= 0) return std::nullopt;
      const int64_t quotient = x / y;
      return x % y != 0 && x < 0 ? quotient - 1 : quotient;
    });
  }
  LaneNumbers minimum(const LaneNumbers& a, const LaneNumbers& b) const {
    return both(a, b, [](int64_t x, int64_t y) { return std::min(x, y); });
  }
  LaneNumbers maximum(const LaneNumbers& a, const LaneNumbers& b) const {
    return both(a, b, [](int64_t x, int64_t y) { return std::max(x, y); });
  }
  LaneNumbers rounded(const RealSteps& steps, const std::vector<LaneNumbers>& operands) const {
    LaneNumbers out(lanes, kNoNumber);
    for (size_t i = 0; i < lanes; ++i) {
      std::vector<int64_t> numbers;
      for (const LaneNumbers& one : operands) numbers.push_back(one[i]);
      if (std::find(numbers.begin(), numbers.end(), kNoNumber) != numbers.end()) continue;
      out[i] = integer_of(steps, numbers).value_or(kNoNumber);
    }
    return out;
  }
};

/// The different numbers that were observed.
std::set<int64_t> distinct(const LaneNumbers& observed) {
  std::set<int64_t> out(observed.begin(), observed.end());
  out.erase(kNoNumber);
  return out;
}

size_t count(const LaneNumbers& observed) {
  return observed.size() -
         static_cast<size_t>(std::count(observed.begin(), observed.end(), kNoNumber));
}

}  // namespace

void KnownSizes::define(Expr symbol, const LaneNumbers& numbers) {
  const std::vector<size_t> index = symbols_.symbols_of(symbol);
  if (index.size() != 1) return;  // of one value, so a constant
  const bool is_new = symbol_numbers_.insert_or_assign(index[0], numbers).second;
  numbers_.erase(symbol.id);
  if (!is_new) {
    numbers_.clear();
    std::erase_if(found_, [&](const auto& one) {
      const std::vector<size_t> parts = symbols_.symbols_of(one.second);
      return std::find(parts.begin(), parts.end(), index[0]) != parts.end();
    });
  }
  remember(symbol);
}

Expr KnownSizes::fresh(std::string_view prefix, const LaneNumbers& numbers, Bounds bounds) {
  const Expr out = symbols_.fresh(prefix, bounds);
  define(out, numbers);
  return out;
}

const LaneNumbers& KnownSizes::at(Expr a) {
  const auto known = numbers_.find(a.id);
  if (known != numbers_.end()) return known->second;
  LaneMaker maker{lanes_, symbol_numbers_};
  return numbers_.emplace(a.id, symbols_.build<LaneNumbers>(a, maker)).first->second;
}

bool KnownSizes::explains(Expr a, const LaneNumbers& observed) {
  const LaneNumbers& numbers = at(a);
  bool any = false;
  for (size_t i = 0; i < lanes_; ++i) {
    if (observed[i] == kNoNumber) continue;
    if (observed[i] != numbers[i]) return false;
    any = true;
  }
  return any;
}

void KnownSizes::remember(Expr a) {
  if (varies(a)) found_.emplace(at(a), a);
}

std::optional<Expr> KnownSizes::same_number(const LaneNumbers& observed) {
  const std::set<int64_t> numbers = distinct(observed);
  if (numbers.size() != 1) return std::nullopt;
  if (count(observed) < 2 && !symbol_numbers_.empty()) return std::nullopt;
  return symbols_.constant(*numbers.begin());
}

// a and b from the first two different lanes; the others check them, and one has to.
std::optional<Expr> KnownSizes::linear(const LaneNumbers& observed, Expr of) {
  const LaneNumbers numbers = at(of);
  std::vector<std::pair<int64_t, int64_t>> points;
  for (size_t i = 0; i < lanes_; ++i) {
    if (observed[i] == kNoNumber || numbers[i] == kNoNumber) continue;
    const bool is_new = std::none_of(points.begin(), points.end(),
                                     [&](const auto& one) { return one.first == numbers[i]; });
    if (is_new) points.emplace_back(numbers[i], observed[i]);
  }
  if (points.size() < 3) return std::nullopt;
  const int64_t run = points[1].first - points[0].first;
  const int64_t rise = points[1].second - points[0].second;
  if (rise == 0 || rise % run != 0) return std::nullopt;
  const auto shift = checked_mul(rise / run, points[0].first);
  if (!shift) return std::nullopt;
  const Expr out = symbols_.add(symbols_.multiply(symbols_.constant(rise / run), of),
                                symbols_.constant(points[0].second - *shift));
  return explains(out, observed) ? std::optional(out) : std::nullopt;
}

std::optional<Expr> KnownSizes::product(const LaneNumbers& observed,
                                        std::span<const Expr> candidates) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (size_t j = i; j < candidates.size(); ++j) {
      if (!varies(candidates[i]) && !varies(candidates[j])) continue;
      const Expr both = symbols_.multiply(candidates[i], candidates[j]);
      if (explains(both, observed)) return both;
    }
  }
  return std::nullopt;
}

std::optional<Expr> KnownSizes::find(const LaneNumbers& observed,
                                     std::span<const Expr> candidates) {
  for (const Expr one : candidates) {
    if (varies(one) && explains(one, observed)) return one;
  }
  if (const auto number = same_number(observed)) return number;
  for (const Expr one : candidates) {
    if (explains(one, observed)) return one;
  }
  if (distinct(observed).size() < 2) return std::nullopt;
  if (const auto known = found_.find(observed); known != found_.end()) return known->second;
  for (const Expr one : candidates) {
    if (!varies(one)) continue;
    if (const auto out = linear(observed, one)) return out;
  }
  return product(observed, candidates);
}

}  // namespace mlc::ir
