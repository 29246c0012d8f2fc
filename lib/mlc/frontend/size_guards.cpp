#include "mlc/frontend/size_guards.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace mlc {
namespace {

using ir::RealOp;
using ir::RealRange;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr RealRange kAny = {-kInfinity, kInfinity};

/// The operator of ir that does the same; nothing for those that ir has not.
std::optional<RealOp> real_op(GuardOp op) {
  switch (op) {
    case GuardOp::add:
      return RealOp::add;
    case GuardOp::multiply:
      return RealOp::multiply;
    case GuardOp::divide:
      return RealOp::divide;
    case GuardOp::power:
      return RealOp::power;
    case GuardOp::minimum:
      return RealOp::minimum;
    case GuardOp::maximum:
      return RealOp::maximum;
    case GuardOp::square_root:
      return RealOp::square_root;
    case GuardOp::truncate:
      return RealOp::truncate;
    case GuardOp::round_down:
      return RealOp::round_down;
    case GuardOp::round_up:
      return RealOp::round_up;
    case GuardOp::round_even:
      return RealOp::round_even;
    default:
      return std::nullopt;
  }
}

// Rounded down, as in Python. Integers below 2^53 are not rounded across another one.
double remainder(double a, double b) {
  const double out = std::fmod(a, b);
  return out != 0 && (out < 0) != (b < 0) ? out + b : out;
}

double of_two(GuardOp op, double a, double b) {
  if (const auto same = real_op(op)) return ir::apply(*same, a, b);
  switch (op) {
    case GuardOp::subtract:
      return a - b;
    case GuardOp::floor_divide:
      return std::floor(a / b);
    case GuardOp::remainder:
      return remainder(a, b);
    case GuardOp::equal:
      return a == b ? 1 : 0;
    case GuardOp::not_equal:
      return a != b ? 1 : 0;
    case GuardOp::less:
      return a < b ? 1 : 0;
    case GuardOp::less_equal:
      return a <= b ? 1 : 0;
    case GuardOp::greater:
      return a > b ? 1 : 0;
    case GuardOp::greater_equal:
      return a >= b ? 1 : 0;
    case GuardOp::both:
      return a != 0 && b != 0 ? 1 : 0;
    case GuardOp::either:
      return a != 0 || b != 0 ? 1 : 0;
    case GuardOp::negate:
      return -a;
    case GuardOp::absolute:
      return std::abs(a);
    case GuardOp::no:
      return a == 0 ? 1 : 0;
    default:
      return a;
  }
}

/// For a machine on numbers. Beyond 2^53 doubles are no integers any more.
struct Numbers {
  using Value = double;
  const SizeOf& size_of;

  static std::optional<double> number(double value) { return checked(value); }
  std::optional<double> size(const GuardStep& step) const {
    const auto size = size_of(step.input, step.dim);
    return size ? checked(static_cast<double>(*size)) : std::nullopt;
  }
  static std::optional<double> combine(GuardOp op, double a, double b) {
    const bool divides =
        op == GuardOp::divide || op == GuardOp::floor_divide || op == GuardOp::remainder;
    return divides && b == 0 ? std::nullopt : checked(of_two(op, a, b));
  }
  static std::optional<double> checked(double value) {
    constexpr double kLimit = 9007199254740992.0;  // 2^53
    return std::abs(value) < kLimit ? std::optional(value) : std::nullopt;
  }
};

/// For a machine on ranges: what the results lie in.
struct Ranges {
  using Value = RealRange;
  const RangeOf& range_of;

  static std::optional<RealRange> number(double value) { return RealRange{value, value}; }
  std::optional<RealRange> size(const GuardStep& step) const {
    return range_of(step.input, step.dim);
  }

  static RealRange truth(bool can_fail, bool can_hold) {
    return {can_fail ? 0.0 : 1.0, can_hold ? 1.0 : 0.0};
  }
  static RealRange negative(const RealRange& a) { return {-a.high, -a.low}; }
  static RealRange quotient(const RealRange& a, const RealRange& b) {
    const RealRange exact = ir::range_of(RealOp::divide, a, b);
    return ir::range_of(RealOp::round_down, exact, exact);
  }
  static RealRange rest(const RealRange& a, const RealRange& b) {
    if (b.low <= 0) return kAny;
    const RealRange whole = quotient(a, b);
    if (b.low == b.high && whole.low == whole.high) {
      return {remainder(a.low, b.low), remainder(a.high, b.low)};
    }
    return {0, a.low >= 0 ? std::min(a.high, b.high) : b.high};
  }

  static std::optional<RealRange> combine(GuardOp op, const RealRange& a, const RealRange& b) {
    if (const auto same = real_op(op)) return ir::range_of(*same, a, b);
    const bool meets = a.low <= b.high && b.low <= a.high;
    const bool is_one = a.low == a.high && b.low == b.high;
    switch (op) {
      case GuardOp::subtract:
        return ir::range_of(RealOp::add, a, negative(b));
      case GuardOp::floor_divide:
        return quotient(a, b);
      case GuardOp::remainder:
        return rest(a, b);
      case GuardOp::equal:
        return truth(!(is_one && meets), meets);
      case GuardOp::not_equal:
        return truth(meets, !(is_one && meets));
      case GuardOp::less:
        return truth(!(a.high < b.low), a.low < b.high);
      case GuardOp::less_equal:
        return truth(!(a.high <= b.low), a.low <= b.high);
      case GuardOp::greater:
        return truth(!(a.low > b.high), a.high > b.low);
      case GuardOp::greater_equal:
        return truth(!(a.low >= b.high), a.high >= b.low);
      case GuardOp::both:
        return RealRange{std::min(a.low, b.low), std::min(a.high, b.high)};
      case GuardOp::either:
        return RealRange{std::max(a.low, b.low), std::max(a.high, b.high)};
      case GuardOp::no:
        return RealRange{1 - a.high, 1 - a.low};
      case GuardOp::negate:
        return negative(a);
      default:
        return kAny;
    }
  }
};

template <class Machine>
std::optional<typename Machine::Value> value_of(const Guard& guard, const Machine& machine) {
  std::vector<typename Machine::Value> stack;
  for (const GuardStep& step : guard.steps) {
    std::optional<typename Machine::Value> made;
    if (step.op == GuardOp::number) {
      made = machine.number(step.number);
    } else if (step.op == GuardOp::size) {
      made = machine.size(step);
    } else {
      const auto last = stack.back();
      stack.pop_back();
      if (taken_by(step.op) == 2) {
        made = machine.combine(step.op, stack.back(), last);
        stack.pop_back();
      } else {
        made = machine.combine(step.op, last, last);
      }
    }
    if (!made) return std::nullopt;
    stack.push_back(*made);
  }
  return stack.back();
}

}  // namespace

SizeGuards::SizeGuards(std::span<const std::string> codes) {
  for (const std::string& code : codes) {
    if (auto guard = read_guard(code)) guards_.push_back(std::move(*guard));
  }
}

std::optional<std::string> SizeGuards::broken(const SizeOf& size_of) const {
  const Numbers machine{size_of};
  for (const Guard& guard : guards_) {
    if (value_of(guard, machine) == 0.0) return guard.text;
  }
  return std::nullopt;
}

std::optional<std::string> SizeGuards::refuted(const RangeOf& range_of) const {
  const Ranges machine{range_of};
  for (const Guard& guard : guards_) {
    const auto range = value_of(guard, machine);
    if (range && range->high == 0) return guard.text;
  }
  return std::nullopt;
}

}  // namespace mlc
