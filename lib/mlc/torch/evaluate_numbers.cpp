// Arithmetic on integers, floats and bools of which some vary with the sizes: expressions where
// there is one, else operators of the graph under the names that .pt2 programs have for them.
#include "mlc/torch/evaluators.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using ir::Expr;
using ir::Symbols;

std::optional<Expr> integer(const Item& item, Symbols& symbols) {
  if (const auto* number = item.as<Expr>()) return *number;
  if (const auto* truth = item.as<bool>()) return symbols.constant(*truth ? 1 : 0);
  return std::nullopt;
}

/// ITEM as a quotient of integers, where it is one.
std::optional<Ratio> ratio(const Item& item, Symbols& symbols) {
  if (const auto number = integer(item, symbols)) return Ratio{*number, symbols.constant(1)};
  if (const auto* dynamic = item.as<DynamicRef>()) return (*dynamic)->ratio;
  const auto* real = item.as<double>();
  if (real == nullptr || std::abs(*real) > 1e9) return std::nullopt;
  for (int64_t bottom = 1; bottom <= 1024; bottom *= 2) {
    const double top = *real * static_cast<double>(bottom);
    if (top == std::floor(top)) {
      return Ratio{symbols.constant(static_cast<int64_t>(top)), symbols.constant(bottom)};
    }
  }
  return std::nullopt;
}

using OnIntegers = std::optional<Expr> (*)(Symbols&, Expr, Expr);
using OnRatios = std::optional<Ratio> (*)(Symbols&, const Ratio&, const Ratio&);

std::optional<Expr> add(Symbols& s, Expr a, Expr b) {
  return s.add(a, b);
}
std::optional<Expr> subtract(Symbols& s, Expr a, Expr b) {
  return s.subtract(a, b);
}
std::optional<Expr> multiply(Symbols& s, Expr a, Expr b) {
  return s.multiply(a, b);
}
std::optional<Expr> floor_divide(Symbols& s, Expr a, Expr b) {
  return s.floor_divide(a, b);
}
std::optional<Expr> remainder(Symbols& s, Expr a, Expr b) {
  return s.remainder(a, b);
}
std::optional<Expr> minimum(Symbols& s, Expr a, Expr b) {
  return s.minimum(a, b);
}
std::optional<Expr> maximum(Symbols& s, Expr a, Expr b) {
  return s.maximum(a, b);
}
std::optional<Expr> power(Symbols& s, Expr a, Expr b) {
  const auto exponent = s.constant_value(b);
  if (!exponent || *exponent < 0 || *exponent > 8) return std::nullopt;
  Expr out = s.constant(1);
  for (int64_t i = 0; i < *exponent; ++i) out = s.multiply(out, a);
  return out;
}
/// 2 to the power of a shift that is known, where 64 bits hold it.
std::optional<Expr> power_of_shift(Symbols& s, Expr shift) {
  const auto bits = s.constant_value(shift);
  if (!bits || *bits < 0 || *bits > 62) return std::nullopt;
  return s.constant(int64_t{1} << *bits);
}
std::optional<Expr> shift_left(Symbols& s, Expr a, Expr b) {
  const auto factor = power_of_shift(s, b);
  return factor ? std::optional(s.multiply(a, *factor)) : std::nullopt;
}
std::optional<Expr> shift_right(Symbols& s, Expr a, Expr b) {
  const auto divisor = power_of_shift(s, b);
  return divisor ? std::optional(s.floor_divide(a, *divisor)) : std::nullopt;
}

std::optional<Ratio> add_ratios(Symbols& s, const Ratio& a, const Ratio& b) {
  return Ratio{s.add(s.multiply(a.top, b.bottom), s.multiply(b.top, a.bottom)),
               s.multiply(a.bottom, b.bottom)};
}
std::optional<Ratio> subtract_ratios(Symbols& s, const Ratio& a, const Ratio& b) {
  return add_ratios(s, a, {s.negate(b.top), b.bottom});
}
std::optional<Ratio> multiply_ratios(Symbols& s, const Ratio& a, const Ratio& b) {
  return Ratio{s.multiply(a.top, b.top), s.multiply(a.bottom, b.bottom)};
}
std::optional<Ratio> divide_ratios(Symbols& s, const Ratio& a, const Ratio& b) {
  if (s.bounds(b.top).low <= 0) return std::nullopt;
  return Ratio{s.multiply(a.top, b.bottom), s.multiply(a.bottom, b.top)};
}

struct Binary {
  std::string_view name;
  OnIntegers integers;
  OnRatios ratios;
  const char* domain;
  const char* op;
};
constexpr Binary kBinary[] = {
    {"aten::__lshift__", shift_left, nullptr, "_operator", "lshift"},
    {"aten::__round_to_zero_floordiv", nullptr, nullptr, "_operator", "floordiv"},
    {"aten::__rshift__", shift_right, nullptr, "_operator", "rshift"},
    {"aten::add", add, add_ratios, "_operator", "add"},
    {"aten::div", nullptr, divide_ratios, "_operator", "truediv"},
    {"aten::floordiv", floor_divide, nullptr, "_operator", "floordiv"},
    {"aten::mul", multiply, multiply_ratios, "_operator", "mul"},
    {"aten::pow", power, nullptr, "_operator", "pow"},
    {"aten::remainder", remainder, nullptr, "_operator", "mod"},
    {"aten::sub", subtract, subtract_ratios, "_operator", "sub"},
    {"prim::max", maximum, nullptr, "torch", "sym_max"},
    {"prim::min", minimum, nullptr, "torch", "sym_min"},
};

struct Comparison {
  std::string_view name;
  std::optional<bool> (*holds)(Symbols&, Expr, Expr);
  const char* op;
};
std::optional<bool> negated(std::optional<bool> value) {
  return value ? std::optional(!*value) : std::nullopt;
}
std::optional<bool> equal(Symbols& s, Expr a, Expr b) {
  return s.equal(a, b);
}
std::optional<bool> not_equal(Symbols& s, Expr a, Expr b) {
  return negated(s.equal(a, b));
}
std::optional<bool> less_equal(Symbols& s, Expr a, Expr b) {
  return s.less_equal(a, b);
}
std::optional<bool> less(Symbols& s, Expr a, Expr b) {
  return negated(s.less_equal(b, a));
}
std::optional<bool> greater_equal(Symbols& s, Expr a, Expr b) {
  return s.less_equal(b, a);
}
std::optional<bool> greater(Symbols& s, Expr a, Expr b) {
  return negated(s.less_equal(a, b));
}
constexpr Comparison kComparisons[] = {
    {"aten::eq", equal, "eq"},   {"aten::ge", greater_equal, "ge"},
    {"aten::gt", greater, "gt"}, {"aten::le", less_equal, "le"},
    {"aten::lt", less, "lt"},    {"aten::ne", not_equal, "ne"},
};

/// Whether the call is one on numbers, and some of them vary.
bool is_for_numbers(Capturer& capturer, const Call& call) {
  const auto is_number = [](const Item& item) {
    return item.as<Expr>() != nullptr || item.as<bool>() != nullptr ||
           item.as<double>() != nullptr || item.as<DynamicRef>() != nullptr;
  };
  return std::ranges::all_of(call.inputs, is_number) &&
         std::ranges::any_of(call.inputs,
                             [&](const Item& one) { return varies(one, capturer.symbols()); });
}

std::vector<ir::Argument> operands(Capturer& capturer, const Call& call) {
  static constexpr std::array kNames = {"a", "b", "c"};
  std::vector<ir::Argument> out;
  for (size_t i = 0; i < std::min(call.inputs.size(), kNames.size()); ++i) {
    out.push_back({kNames[i], *capturer.attribute(call.inputs[i], c10::AnyType::get())});
  }
  return out;
}

ir::LaneNumbers numbers_of(const std::vector<IValue>& lanes) {
  ir::LaneNumbers out;
  for (const IValue& one : lanes) out.push_back(one.isInt() ? one.toInt() : ir::kNoNumber);
  return out;
}

/// Sets the output: EXACT where the lanes agree with it, else what the operator OP gives.
Result<bool> give(Capturer& capturer, const Call& call, std::optional<Expr> exact,
                  std::optional<Ratio> quotient, ir::OpName op) {
  MLC_TRY(std::vector<IValue> lanes, capturer.lane_results(call));
  const auto first = std::ranges::find_if(lanes, [](const IValue& one) { return !one.isNone(); });
  if (exact && capturer.sizes().explains(*exact, numbers_of(lanes))) {
    capturer.set(call.node.output(), *exact);
    return true;
  }
  const ir::ScalarKind kind = first->isInt()    ? ir::ScalarKind::integer
                              : first->isBool() ? ir::ScalarKind::boolean
                                                : ir::ScalarKind::number;
  Item made = capturer.append_number(std::move(op), operands(capturer, call), kind,
                                     std::move(lanes), call.node);
  if (const auto* dynamic = made.as<DynamicRef>()) (*dynamic)->ratio = quotient;
  capturer.set(call.node.output(), std::move(made));
  return true;
}

Result<bool> binary(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call) || call.inputs.size() != 2) return false;
  Symbols& symbols = capturer.symbols();
  const std::string_view name = call.node.kind().toQualString();
  const Binary& row = *std::ranges::find(kBinary, name, &Binary::name);
  const auto a = integer(call.inputs[0], symbols);
  const auto b = integer(call.inputs[1], symbols);
  std::optional<Expr> exact;
  if (a && b && row.integers != nullptr) exact = row.integers(symbols, *a, *b);
  std::optional<Ratio> quotient;
  const auto x = ratio(call.inputs[0], symbols);
  const auto y = ratio(call.inputs[1], symbols);
  if (x && y && row.ratios != nullptr) quotient = row.ratios(symbols, *x, *y);
  return give(capturer, call, exact, quotient, {row.domain, row.op, ""});
}

Result<bool> compare(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call) || call.inputs.size() != 2) return false;
  Symbols& symbols = capturer.symbols();
  const std::string_view name = call.node.kind().toQualString();
  const Comparison& row = *std::ranges::find(kComparisons, name, &Comparison::name);
  const auto a = ratio(call.inputs[0], symbols);
  const auto b = ratio(call.inputs[1], symbols);
  const bool positive =
      a && b && symbols.bounds(a->bottom).low > 0 && symbols.bounds(b->bottom).low > 0;
  if (positive) {
    const auto holds = row.holds(symbols, symbols.multiply(a->top, b->bottom),
                                 symbols.multiply(b->top, a->bottom));
    if (holds) {
      capturer.set(call.node.output(), *holds);
      return true;
    }
  }
  return give(capturer, call, std::nullopt, std::nullopt, {"_operator", row.op, ""});
}

/// floor, ceil, Int, ... of a float that is computed from sizes.
Result<bool> rounded(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call) || call.inputs.size() != 1) return false;
  Symbols& symbols = capturer.symbols();
  const std::string_view name = call.node.kind().toQualString();
  if (const auto* number = call.inputs[0].as<Expr>()) {
    capturer.set(call.node.output(), *number);
    return true;
  }
  std::optional<Expr> exact;
  const auto quotient = ratio(call.inputs[0], symbols);
  if (quotient && symbols.bounds(quotient->bottom).low > 0) {
    exact = name == "aten::ceil" ? symbols.ceil_divide(quotient->top, quotient->bottom)
                                 : symbols.floor_divide(quotient->top, quotient->bottom);
    if (name == "aten::Int" && symbols.bounds(quotient->top).low < 0) exact.reset();
  }
  const char* op = name == "aten::ceil" ? "ceil" : name == "aten::floor" ? "floor" : "trunc";
  return give(capturer, call, exact, std::nullopt, {"math", op, ""});
}

Result<bool> as_float(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  if (const auto* dynamic = call.inputs[0].as<DynamicRef>()) {
    if ((*dynamic)->value->type() == ir::Type(ir::ScalarType{ir::ScalarKind::number, {}})) {
      capturer.set(call.node.output(), *dynamic);
      return true;
    }
  }
  return give(capturer, call, std::nullopt, ratio(call.inputs[0], capturer.symbols()),
              {"torch", "sym_float", ""});
}

Result<bool> square_root(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  return give(capturer, call, std::nullopt, std::nullopt, {"math", "sqrt", ""});
}

Result<bool> negative(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  Symbols& symbols = capturer.symbols();
  const auto number = integer(call.inputs[0], symbols);
  std::optional<Ratio> quotient = ratio(call.inputs[0], symbols);
  if (quotient) quotient->top = symbols.negate(quotient->top);
  return give(capturer, call, number ? std::optional(symbols.negate(*number)) : std::nullopt,
              quotient, {"_operator", "neg", ""});
}

Result<bool> absolute(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  const auto* number = call.inputs[0].as<Expr>();
  if (number == nullptr) return false;
  Symbols& symbols = capturer.symbols();
  capturer.set(call.node.output(), symbols.maximum(*number, symbols.negate(*number)));
  return true;
}

Result<bool> as_bool(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  if (call.inputs[0].as<DynamicRef>() != nullptr) {
    capturer.set(call.node.output(), call.inputs[0]);
    return true;
  }
  Symbols& symbols = capturer.symbols();
  const Expr number = *integer(call.inputs[0], symbols);
  if (const auto zero = symbols.equal(number, symbols.constant(0))) {
    capturer.set(call.node.output(), !*zero);
    return true;
  }
  MLC_TRY(std::vector<IValue> lanes, capturer.lane_results(call));
  capturer.set(
      call.node.output(),
      capturer.append_scalar({"_operator", "ne", ""}, {{"a", number}, {"b", symbols.constant(0)}},
                             ir::ScalarKind::boolean, std::move(lanes), call.node));
  return true;
}

Result<bool> logical(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call)) return false;
  const std::string_view name = call.node.kind().toQualString();
  if (call.inputs.size() == 2 && name != "aten::__xor__") {
    // and: a known false decides, a known true leaves the other; or: the reverse.
    const bool deciding = name == "aten::__or__";
    for (size_t i = 0; i < 2; ++i) {
      const auto* known = call.inputs[i].as<bool>();
      if (known == nullptr) continue;
      capturer.set(call.node.output(), *known == deciding ? Item(deciding) : call.inputs[1 - i]);
      return true;
    }
  }
  const char* op = name == "aten::__not__"   ? "not_"
                   : name == "aten::__and__" ? "and_"
                   : name == "aten::__or__"  ? "or_"
                                             : "ne";
  return give(capturer, call, std::nullopt, std::nullopt, {"_operator", op, ""});
}

/// How many numbers are in range(start, end, step).
Result<bool> range_length(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call) || call.inputs.size() != 3) return false;
  Symbols& symbols = capturer.symbols();
  const auto* start = call.inputs[0].as<Expr>();
  const auto* end = call.inputs[1].as<Expr>();
  const auto* step = call.inputs[2].as<Expr>();
  if (start == nullptr || end == nullptr || step == nullptr) return false;
  const ir::Bounds by = symbols.bounds(*step);
  if (by.low <= 0 && by.high >= 0) return false;
  const bool down = by.high < 0;
  const Expr span = down ? symbols.subtract(*start, *end) : symbols.subtract(*end, *start);
  const Expr size = down ? symbols.subtract(symbols.constant(0), *step) : *step;
  const Expr count = symbols.ceil_divide(span, size);
  capturer.set(call.node.output(), symbols.maximum(count, symbols.constant(0)));
  return true;
}

Result<bool> derive_index(Capturer& capturer, const Call& call) {
  if (!is_for_numbers(capturer, call) || call.inputs.size() != 3) return false;
  Symbols& symbols = capturer.symbols();
  const auto* index = call.inputs[0].as<Expr>();
  const auto* start = call.inputs[1].as<Expr>();
  const auto* step = call.inputs[2].as<Expr>();
  if (index == nullptr || start == nullptr || step == nullptr) return false;
  capturer.set(call.node.output(), symbols.add(*start, symbols.multiply(*index, *step)));
  return true;
}

/// min, max and sum of a list of integers.
Result<bool> of_list(Capturer& capturer, const Call& call) {
  if (call.inputs.empty()) return false;
  const Items* items = call.inputs[0].items();
  if (items == nullptr || items->empty() || call.inputs.size() != 1) return false;
  if (!varies(call.inputs[0], capturer.symbols())) return false;
  const std::string_view name = call.node.kind().toQualString();
  const OnIntegers combine = name == "prim::min" ? minimum : name == "prim::max" ? maximum : add;
  std::optional<Expr> out;
  for (const Item& one : *items) {
    const auto* number = one.as<Expr>();
    if (number == nullptr) return false;
    out = out ? combine(capturer.symbols(), *out, *number) : *number;
  }
  capturer.set(call.node.output(), *out);
  return true;
}

constexpr EvaluatorRow kRows[] = {
    {"aten::Bool", "int", as_bool},
    {"aten::Bool", "float", as_bool},
    {"aten::Float", "int", as_float},
    {"aten::Float", "Scalar", as_float},
    {"aten::Int", "float", rounded},
    {"aten::Int", "Scalar", rounded},
    {"aten::__and__", "bool", logical},
    {"aten::__derive_index", "*", derive_index},
    {"aten::__lshift__", "int", binary},
    {"aten::__not__", "*", logical},
    {"aten::__or__", "bool", logical},
    {"aten::__range_length", "*", range_length},
    {"aten::__round_to_zero_floordiv", "*", binary},
    {"aten::__rshift__", "int", binary},
    {"aten::__xor__", "bool", logical},
    {"aten::add", "*", binary},
    {"aten::ceil", "int", rounded},
    {"aten::ceil", "float", rounded},
    {"aten::ceil", "Scalar", rounded},
    {"aten::div", "*", binary},
    {"aten::eq", "*", compare},
    {"aten::floor", "int", rounded},
    {"aten::floor", "float", rounded},
    {"aten::floor", "Scalar", rounded},
    {"aten::floordiv", "*", binary},
    {"aten::ge", "*", compare},
    {"aten::gt", "*", compare},
    {"aten::le", "*", compare},
    {"aten::lt", "*", compare},
    {"aten::mul", "*", binary},
    {"aten::ne", "*", compare},
    {"aten::neg", "*", negative},
    {"aten::pow", "*", binary},
    {"aten::remainder", "*", binary},
    {"aten::sqrt", "*", square_root},
    {"aten::sub", "*", binary},
    {"aten::sum", "int", of_list},
    {"prim::abs", "*", absolute},
    {"prim::max", "self_int", of_list},
    {"prim::max", "*", binary},
    {"prim::min", "self_int", of_list},
    {"prim::min", "*", binary},
};

}  // namespace

std::span<const EvaluatorRow> number_evaluators() {
  return kRows;
}

}  // namespace mlc::torch_module
