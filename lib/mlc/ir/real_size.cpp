#include "mlc/ir/real_size.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace mlc::ir {
namespace {

struct Row {
  RealOp op;
  std::string_view name;
};
constexpr Row kNames[] = {
    {RealOp::power, "pow"},        {RealOp::minimum, "min"},      {RealOp::maximum, "max"},
    {RealOp::square_root, "sqrt"}, {RealOp::truncate, "trunc"},   {RealOp::round_down, "floor"},
    {RealOp::round_up, "ceil"},    {RealOp::round_even, "round"},
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double even(double value) {
  const double down = std::floor(value);
  const double rest = value - down;  // exact: both are near each other
  if (rest != 0.5) return std::round(value);
  return std::fmod(down, 2) == 0 ? down : down + 1;
}

struct Doubles {
  static double number(double value) { return value; }
  static double operand(int64_t value) { return static_cast<double>(value); }
  static double combine(RealOp op, double a, double b) { return apply(op, a, b); }
};

RealRange corners(RealOp op, const RealRange& a, const RealRange& b) {
  const std::array<double, 4> all = {apply(op, a.low, b.low), apply(op, a.low, b.high),
                                     apply(op, a.high, b.low), apply(op, a.high, b.high)};
  RealRange out{kInfinity, -kInfinity};
  for (double one : all) {
    // 0 times a bound that is none is 0; what else is no number may be any.
    if (std::isnan(one)) {
      if (op != RealOp::multiply) return {-kInfinity, kInfinity};
      one = 0;
    }
    out = {std::min(out.low, one), std::max(out.high, one)};
  }
  return out;
}

double next(double value, double towards) {
  for (int i = 0; i < 4; ++i) value = std::nextafter(value, towards);
  return value;
}

/// pow() need not be rounded to the nearest, so that it might shrink a little where it should grow.
RealRange power_range(const RealRange& a, const RealRange& b) {
  if (a.low < 0 || b.low != b.high) return {-kInfinity, kInfinity};
  const double first = std::pow(a.low, b.low);
  if (a.low == a.high) return {first, first};
  const double last = std::pow(a.high, b.low);
  return {std::max(0.0, next(std::min(first, last), -kInfinity)),
          next(std::max(first, last), kInfinity)};
}

}  // namespace

std::string_view name_of(RealOp op) {
  for (const Row& row : kNames) {
    if (row.op == op) return row.name;
  }
  return {};
}

std::optional<RealOp> real_op_named(std::string_view name) {
  for (const Row& row : kNames) {
    if (row.name == name) return row.op;
  }
  return std::nullopt;
}

double apply(RealOp op, double a, double b) {
  switch (op) {
    case RealOp::add:
      return a + b;
    case RealOp::multiply:
      return a * b;
    case RealOp::divide:
      return a / b;
    case RealOp::power:
      return std::pow(a, b);
    case RealOp::minimum:
      return std::min(a, b);
    case RealOp::maximum:
      return std::max(a, b);
    case RealOp::square_root:
      return std::sqrt(a);
    case RealOp::truncate:
      return std::trunc(a);
    case RealOp::round_down:
      return std::floor(a);
    case RealOp::round_up:
      return std::ceil(a);
    case RealOp::round_even:
      return even(a);
    case RealOp::number:
    case RealOp::operand:
      break;
  }
  return a;
}

std::optional<int64_t> integer_of(std::span<const RealStep> steps,
                                  std::span<const int64_t> operands) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  Doubles maker;
  const auto value = follow<double, int64_t>(steps, operands, maker);
  if (!(value >= -kLimit && value < kLimit)) return std::nullopt;
  return static_cast<int64_t>(value);
}

// Doubles are rounded the same way everywhere, so that what grows goes on growing when rounded.
RealRange range_of(RealOp op, const RealRange& a, const RealRange& b) {
  switch (op) {
    case RealOp::divide:
      if (b.low <= 0 && b.high >= 0) return {-kInfinity, kInfinity};
      return corners(op, a, b);
    case RealOp::power:
      return power_range(a, b);
    case RealOp::square_root:
      if (a.low < 0) return {-kInfinity, kInfinity};
      return {std::sqrt(a.low), std::sqrt(a.high)};
    case RealOp::minimum:
      return {std::min(a.low, b.low), std::min(a.high, b.high)};
    case RealOp::maximum:
      return {std::max(a.low, b.low), std::max(a.high, b.high)};
    case RealOp::add:
      // No bound below meets none above in either sum: a range has no infinity of the other sign.
      return {a.low + b.low, a.high + b.high};
    case RealOp::multiply:
      return corners(op, a, b);
    default:
      return {apply(op, a.low, 0), apply(op, a.high, 0)};
  }
}

}  // namespace mlc::ir
