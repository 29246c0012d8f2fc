// Sizes that are computed in floating point and rounded: int(1.3 * h), as interpolate() has them.
//
// They are what a machine with a stack gives that computes in doubles, as Python does, in the order
// of the program: 1.3 * 10 is 13.0 there, though the nearest double to 1.3 is not 1.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mlc::ir {

enum class RealOp : uint8_t {
  number,
  operand,  // an integer as a real
  add,
  multiply,
  divide,
  power,
  minimum,
  maximum,
  square_root,
  truncate,    // towards 0
  round_down,  // math.floor
  round_up,    // math.ceil
  round_even,  // round(): to the nearest, halves to the even one
};

struct RealStep {
  RealOp op = RealOp::number;
  double number = 0;   // of RealOp::number, finite
  size_t operand = 0;  // of RealOp::operand: which
  friend bool operator==(const RealStep&, const RealStep&) = default;
};
using RealSteps = std::vector<RealStep>;

/// How many values OP takes from the stack.
constexpr size_t taken_by(RealOp op) {
  if (op == RealOp::number || op == RealOp::operand) return 0;
  return op >= RealOp::square_root ? 1 : 2;
}
constexpr bool rounds(RealOp op) {
  return op >= RealOp::truncate;
}
/// "sqrt", "trunc": of operators that are written as functions; empty for others.
std::string_view name_of(RealOp op);
/// The operator of that name.
std::optional<RealOp> real_op_named(std::string_view name);

/// What STEPS leave, for the OPERANDS. MAKER has number(double), operand(T), and combine(RealOp,
/// T, T), whose last one is of no account for operators of one value. Requires: STEPS leave one
/// value, take none that is not there, and name operands that are there.
template <class Real, class T, class Maker>
Real follow(std::span<const RealStep> steps, std::span<const T> operands, Maker& maker) {
  std::vector<Real> stack;
  for (const RealStep& step : steps) {
    if (step.op == RealOp::number) {
      stack.push_back(maker.number(step.number));
    } else if (step.op == RealOp::operand) {
      stack.push_back(maker.operand(operands[step.operand]));
    } else {
      const Real last = stack.back();
      if (taken_by(step.op) == 2) stack.pop_back();
      stack.back() = maker.combine(step.op, stack.back(), last);
    }
  }
  return stack.back();
}

/// What OP gives of doubles.
double apply(RealOp op, double a, double b);
/// The integer that STEPS give, which end in an operator that rounds; nothing where it is none of
/// 64 bits.
std::optional<int64_t> integer_of(std::span<const RealStep> steps,
                                  std::span<const int64_t> operands);

/// Inclusive; infinite where there is no bound.
struct RealRange {
  double low, high;
};
/// Where the results of OP lie.
RealRange range_of(RealOp op, const RealRange& a, const RealRange& b);

}  // namespace mlc::ir
