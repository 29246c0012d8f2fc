// What Symbols does with sizes that are computed in floating point.
#include "mlc/base/checked_math.h"
#include "mlc/ir/symbols.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kMaxSteps = 128;

double bound_of(int64_t bound) {
  if (bound == kUnbounded) return kInfinity;
  return bound == -kUnbounded ? -kInfinity : static_cast<double>(bound);
}

int64_t bound_of(double bound) {
  constexpr double kLimit = 4e18;  // what is beyond it needs no bound
  if (!(bound < kLimit)) return kUnbounded;
  return bound > -kLimit ? static_cast<int64_t>(bound) : -kUnbounded;
}

/// For follow(): where results lie.
struct Ranges {
  static RealRange number(double value) { return {value, value}; }
  static RealRange operand(const Bounds& bounds) {
    return {bound_of(bounds.low), bound_of(bounds.high)};
  }
  static RealRange combine(RealOp op, const RealRange& a, const RealRange& b) {
    return range_of(op, a, b);
  }
};

/// For follow(): fractions that doubles hold exactly, as long as sizes are less than 2^30 or so.
/// Only the last step before the rounding may divide by more than a power of two: the quotient of
/// two integers below 2^53 is never rounded across an integer.
struct Fractions {
  struct Fraction {
    Expr top;
    int64_t bottom = 1;  // positive
    bool exact = true;
  };
  using Maybe = std::optional<Fraction>;
  Symbols& symbols;

  Maybe number(double value) const {
    constexpr double kMost = 1 << 20;
    int64_t bottom = 1;
    while (value != std::floor(value) && bottom < (1 << 20)) value *= 2, bottom *= 2;
    if (value != std::floor(value) || !(std::abs(value) <= kMost)) return std::nullopt;
    return Fraction{symbols.constant(static_cast<int64_t>(value)), bottom, true};
  }
  static Maybe operand(Expr value) { return Fraction{value, 1, true}; }

  Expr scaled(Expr value, int64_t factor) const {
    return symbols.multiply(value, symbols.constant(factor));
  }
  Maybe quotient(const Fraction& a, const Fraction& b) const {
    const auto divisor = symbols.constant_value(b.top);
    if (!divisor || *divisor == 0) return std::nullopt;
    const int64_t sign = *divisor < 0 ? -1 : 1;
    const auto bottom = checked_mul(a.bottom, *divisor * sign);
    if (!bottom) return std::nullopt;
    const int64_t size = *divisor * sign;
    return Fraction{scaled(a.top, b.bottom * sign), *bottom, (size & (size - 1)) == 0};
  }
  Maybe combine(RealOp op, const Maybe& a, const Maybe& b) const {
    constexpr int64_t kMostBottom = int64_t{1} << 20;
    if (rounds(op)) return a;  // the caller rounds
    if (!a || !b || !a->exact || !b->exact) return std::nullopt;
    if (a->bottom > kMostBottom || b->bottom > kMostBottom) return std::nullopt;
    switch (op) {
      case RealOp::add: {
        const int64_t bottom = std::max(a->bottom, b->bottom);  // both are powers of two
        return Fraction{
            symbols.add(scaled(a->top, bottom / a->bottom), scaled(b->top, bottom / b->bottom)),
            bottom, true};
      }
      case RealOp::multiply:
        return Fraction{symbols.multiply(a->top, b->top), a->bottom * b->bottom, true};
      case RealOp::divide:
        return quotient(*a, *b);
      default:
        return std::nullopt;
    }
  }
};

/// For follow(): the text, and how strongly its last operator binds.
struct Texts {
  struct Text {
    std::string text;
    int strength = 3;
  };
  const Symbols& symbols;

  static Text number(double value) { return {fmt::format("{}", value), value < 0 ? 1 : 3}; }
  Text operand(Expr value) const { return {"float(" + symbols.text(value) + ")", 3}; }

  static std::string within(const Text& one, int least) {
    return one.strength < least ? "(" + one.text + ")" : one.text;
  }
  static Text combine(RealOp op, const Text& a, const Text& b) {
    if (op == RealOp::add) return {within(a, 1) + " + " + within(b, 2), 1};
    if (op == RealOp::multiply) return {within(a, 2) + "*" + within(b, 3), 2};
    if (op == RealOp::divide) return {within(a, 2) + "/" + within(b, 3), 2};
    const std::string name(name_of(op));
    return {name + "(" + a.text + (taken_by(op) == 2 ? ", " + b.text : "") + ")", 3};
  }
};

bool are_doubles(const RealSize& value) {
  return std::all_of(value.steps.begin(), value.steps.end(),
                     [](const RealStep& one) { return std::isfinite(one.number); });
}

}  // namespace

Bounds Symbols::bounds_of(const RealSize& value) const {
  std::vector<Bounds> operands;
  for (const Expr one : value.operands) operands.push_back(bounds(one));
  Ranges maker;
  const auto range = follow<RealRange, Bounds>(value.steps, operands, maker);
  if (!(range.low <= range.high)) return {};
  const Bounds out{bound_of(range.low), bound_of(range.high)};
  return out.low == kUnbounded || out.high == -kUnbounded ? Bounds{} : out;
}

/// What VALUE is without floating point, where that is the same for all sizes.
std::optional<Expr> Symbols::as_division(const RealSize& value) {
  const std::span<const RealStep> steps(value.steps);
  const auto is_rounding = [](const RealStep& one) { return rounds(one.op); };
  if (std::any_of(steps.begin(), steps.end() - 1, is_rounding)) return std::nullopt;
  Fractions maker{*this};
  const auto made = follow<Fractions::Maybe, Expr>(steps, value.operands, maker);
  if (!made) return std::nullopt;
  const Expr bottom = constant(made->bottom);
  const Bounds range = bounds(made->top);
  switch (steps.back().op) {
    case RealOp::round_down:
      return floor_divide(made->top, bottom);
    case RealOp::round_up:
      return ceil_divide(made->top, bottom);
    case RealOp::truncate:
      if (range.low >= 0) return floor_divide(made->top, bottom);
      if (range.high <= 0) return ceil_divide(made->top, bottom);
      return std::nullopt;
    default:
      return made->bottom == 1 ? std::optional(made->top) : std::nullopt;
  }
}

Expr Symbols::rounded(RealSize value) {
  assert(!value.steps.empty() && rounds(value.steps.back().op));
  std::vector<int64_t> numbers;
  for (const Expr one : value.operands) {
    if (const auto number = constant_value(one)) numbers.push_back(*number);
  }
  if (numbers.size() == value.operands.size()) {
    const auto number = integer_of(value.steps, numbers);
    return number ? constant(*number) : fresh("unknown", {});
  }
  uint64_t weight = 1 + value.steps.size();
  for (const Expr one : value.operands) weight += weight_of(polynomial(one));
  const Bounds range = bounds_of(value);
  if (value.steps.size() > kMaxSteps || weight > kMaxWeight || !are_doubles(value)) {
    return fresh("unknown", range);
  }
  if (const auto plain = as_division(value)) return *plain;
  const auto known = std::find(reals_.begin(), reals_.end(), value);
  if (known != reals_.end()) {
    const auto index = static_cast<size_t>(known - reals_.begin());
    const auto is_it = [&](const AtomInfo& one) {
      return one.kind == Kind::rounded && one.index == index;
    };
    const auto at = std::find_if(atoms_.begin(), atoms_.end(), is_it);
    return intern(Polynomial{Term{{static_cast<Atom>(at - atoms_.begin())}, 1}});
  }
  const Atom id = static_cast<Atom>(atoms_.size());
  AtomInfo info;
  info.kind = Kind::rounded;
  info.index = reals_.size();
  info.bounds = range;
  info.weight = static_cast<uint32_t>(weight);
  atoms_.push_back(info);
  reals_.push_back(std::move(value));
  return intern(Polynomial{Term{{id}, 1}});
}

std::string Symbols::text(const RealSize& value) const {
  Texts maker{*this};
  return follow<Texts::Text, Expr>(value.steps, value.operands, maker).text;
}

}  // namespace mlc::ir
