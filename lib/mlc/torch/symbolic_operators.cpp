#include "mlc/torch/symbolic_operators.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <c10/util/Exception.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using Arguments = std::span<const IValue>;

bool is_real(const IValue& value) {
  return value.isDouble();
}
int64_t integer(const IValue& value) {
  return value.isBool() ? static_cast<int64_t>(value.toBool()) : value.toScalar().toLong();
}
double real(const IValue& value) {
  return value.toScalar().toDouble();
}
bool truth(const IValue& value) {
  return value.isTensor() ? value.toTensor().item().toBool() : value.toScalar().toBool();
}

const IValue& at(Arguments arguments, size_t index) {
  TORCH_CHECK(index < arguments.size(), "an operator on sizes has too few arguments");
  return arguments[index];
}

IValue checked(std::optional<int64_t> value) {
  TORCH_CHECK(value.has_value(), "a size does not fit 64 bits");
  return *value;
}

template <class Ints, class Reals>
IValue either(Arguments arguments, Ints ints, Reals reals) {
  const IValue& a = at(arguments, 0);
  const IValue& b = at(arguments, 1);
  if (is_real(a) || is_real(b)) return reals(real(a), real(b));
  return ints(integer(a), integer(b));
}

int64_t floor_divide(int64_t a, int64_t b) {
  TORCH_CHECK(b != 0, "a size is divided by zero");
  TORCH_CHECK(!(a == INT64_MIN && b == -1), "a size does not fit 64 bits");
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

IValue add(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return checked(checked_add(a, b)); },
      [](double a, double b) { return IValue(a + b); });
}
IValue subtract(Arguments x) {
  return either(
      x,
      [](int64_t a, int64_t b) {
        int64_t out = 0;
        const bool overflow = __builtin_sub_overflow(a, b, &out);
        return checked(overflow ? std::nullopt : std::optional(out));
      },
      [](double a, double b) { return IValue(a - b); });
}
IValue multiply(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return checked(checked_mul(a, b)); },
      [](double a, double b) { return IValue(a * b); });
}
IValue floor_division(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return IValue(floor_divide(a, b)); },
      [](double a, double b) { return IValue(std::floor(a / b)); });
}
IValue remainder(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return IValue(a - b * floor_divide(a, b)); },
      [](double a, double b) { return IValue(a - b * std::floor(a / b)); });
}
int64_t shift_of(Arguments x) {
  const int64_t shift = integer(at(x, 1));
  TORCH_CHECK(shift >= 0, "a size is shifted by a negative number");
  return std::min<int64_t>(shift, 63);  // behind that nothing is left but the sign
}
IValue shift_left(Arguments x) {
  const int64_t value = integer(at(x, 0));
  const int64_t shift = shift_of(x);
  if (value == 0) return int64_t{0};
  return checked(shift == 63 ? std::nullopt : checked_mul(value, int64_t{1} << shift));
}
IValue shift_right(Arguments x) {
  return integer(at(x, 0)) >> shift_of(x);
}
IValue divide(Arguments x) {
  TORCH_CHECK(real(at(x, 1)) != 0, "a size is divided by zero");
  return real(at(x, 0)) / real(at(x, 1));
}
IValue power(Arguments x) {
  const IValue& a = at(x, 0);
  const IValue& b = at(x, 1);
  if (is_real(a) || is_real(b) || integer(b) < 0) return std::pow(real(a), real(b));
  std::optional<int64_t> out = 1;
  TORCH_CHECK(integer(b) < 64, "a size does not fit 64 bits");
  for (int64_t i = 0; i < integer(b) && out; ++i) out = checked_mul(*out, integer(a));
  return checked(out);
}
IValue negate(Arguments x) {
  if (is_real(at(x, 0))) return -real(x[0]);
  const IValue pair[] = {IValue(int64_t{0}), x[0]};
  return subtract(pair);
}
IValue maximum(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return IValue(std::max(a, b)); },
      [](double a, double b) { return IValue(std::max(a, b)); });
}
IValue minimum(Arguments x) {
  return either(
      x, [](int64_t a, int64_t b) { return IValue(std::min(a, b)); },
      [](double a, double b) { return IValue(std::min(a, b)); });
}

template <class Compare>
IValue compare(Arguments x, Compare holds) {
  return either(
      x, [&](int64_t a, int64_t b) { return IValue(holds(a, b)); },
      [&](double a, double b) { return IValue(holds(a, b)); });
}
IValue equal(Arguments x) {
  return compare(x, [](auto a, auto b) { return a == b; });
}
IValue not_equal(Arguments x) {
  return compare(x, [](auto a, auto b) { return a != b; });
}
IValue less(Arguments x) {
  return compare(x, [](auto a, auto b) { return a < b; });
}
IValue less_equal(Arguments x) {
  return compare(x, [](auto a, auto b) { return a <= b; });
}
IValue greater(Arguments x) {
  return compare(x, [](auto a, auto b) { return a > b; });
}
IValue greater_equal(Arguments x) {
  return compare(x, [](auto a, auto b) { return a >= b; });
}
IValue both(Arguments x) {
  return truth(at(x, 0)) && truth(at(x, 1));
}
IValue any_of(Arguments x) {
  return truth(at(x, 0)) || truth(at(x, 1));
}
IValue negation(Arguments x) {
  return !truth(at(x, 0));
}
IValue choice(Arguments x) {
  return truth(at(x, 0)) ? at(x, 1) : at(x, 2);
}
IValue as_integer(Arguments x) {
  return is_real(at(x, 0)) ? static_cast<int64_t>(real(x[0])) : integer(x[0]);
}
IValue as_real(Arguments x) {
  return real(at(x, 0));
}
IValue rounded_up(Arguments x) {
  return static_cast<int64_t>(std::ceil(real(at(x, 0))));
}
IValue rounded_down(Arguments x) {
  return static_cast<int64_t>(std::floor(real(at(x, 0))));
}
IValue truncated(Arguments x) {
  return static_cast<int64_t>(std::trunc(real(at(x, 0))));
}
IValue square_root(Arguments x) {
  return std::sqrt(real(at(x, 0)));
}
IValue sum(Arguments x) {
  IValue out = int64_t{0};
  for (const IValue& one : x) {
    const IValue pair[] = {out, one};
    out = add(pair);
  }
  return out;
}

struct Row {
  std::string_view domain;
  std::string_view name;
  SymbolicOperator run;
};
constexpr Row kRows[] = {
    {"_operator", "add", add},
    {"_operator", "and_", both},
    {"_operator", "eq", equal},
    {"_operator", "floordiv", floor_division},
    {"_operator", "ge", greater_equal},
    {"_operator", "gt", greater},
    {"_operator", "le", less_equal},
    {"_operator", "lshift", shift_left},
    {"_operator", "lt", less},
    {"_operator", "mod", remainder},
    {"_operator", "mul", multiply},
    {"_operator", "ne", not_equal},
    {"_operator", "neg", negate},
    {"_operator", "not_", negation},
    {"_operator", "or_", any_of},
    {"_operator", "pow", power},
    {"_operator", "rshift", shift_right},
    {"_operator", "sub", subtract},
    {"_operator", "truediv", divide},
    {"math", "ceil", rounded_up},
    {"math", "floor", rounded_down},
    {"math", "sqrt", square_root},
    {"math", "trunc", truncated},
    {"torch", "sym_float", as_real},
    {"torch", "sym_int", as_integer},
    {"torch", "sym_ite", choice},
    {"torch", "sym_max", maximum},
    {"torch", "sym_min", minimum},
    {"torch", "sym_not", negation},
    {"torch", "sym_sqrt", square_root},
    {"torch", "_sym_sqrt", square_root},
    {"torch", "sym_sum", sum},
};

}  // namespace

std::optional<SymbolicOperator> symbolic_operator(const ir::OpName& op) {
  for (const Row& row : kRows) {
    if (row.domain == op.domain && row.name == op.name) return row.run;
  }
  return std::nullopt;
}

}  // namespace mlc::torch_module
