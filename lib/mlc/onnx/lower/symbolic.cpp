// Python's operators on numbers that are known only at run time: what an exported program computes
// of item() and of sizes, where no expression says it already.
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <string>

namespace mlc::onnx {
namespace {

std::string name_of(const Call& c, size_t argument) {
  return c.node.arguments().at(argument).name;
}

/// Both operands in the dtype that Python computes with; DTYPE, where given, instead of it.
std::vector<Value*> operands(Call& c, std::optional<DType> dtype = {}) {
  const std::string a = name_of(c, 0);
  const std::string b = name_of(c, 1);
  return c.promoted({a, b}, dtype);
}

/// Asserts have no form in ONNX: what is made for them alone is not made.
bool is_only_asserted(const Call& c) {
  const auto& uses = c.node.output(0)->uses();
  return std::ranges::all_of(uses, [](const ir::Use& use) {
    const ir::OpName& op = use.node->op();
    return op.name == "_assert_scalar" || op.name == "_check" || op.name == "_assert_async";
  });
}

template <const char* kOp>
void lower_comparison(Call& c) {
  if (is_only_asserted(c)) return c.give(c.b.number(int64_t{1}, DType::boolean));
  const auto v = operands(c);
  Value* y = kOp == std::string_view("NotEqual") ? c.b.logical_not(c.b.compare("Equal", v[0], v[1]))
                                                 : c.b.compare(kOp, v[0], v[1]);
  c.give(y);
}
constexpr char kEqual[] = "Equal", kNotEqual[] = "NotEqual", kLess[] = "Less",
               kLessEqual[] = "LessOrEqual", kGreater[] = "Greater",
               kGreaterEqual[] = "GreaterOrEqual";

template <const char* kOp>
void lower_arithmetic(Call& c) {
  const auto v = operands(c);
  c.give(c.b.binary(kOp, v[0], v[1]));
}
constexpr char kAdd[] = "Add", kSub[] = "Sub", kMul[] = "Mul", kMax[] = "Max", kMin[] = "Min";

void lower_divide(Call& c) {
  const auto v = operands(c, DType::f32);
  c.give(c.b.div(v[0], v[1]));
}

bool is_real(const Value* x) {
  return info(x->type.dtype).kind == DTypeClass::floating;
}

/// Rounded down, as Python's // does.
Value* floor_quotient(Builder& b, Value* x, Value* y) {
  if (is_real(x)) return b.unary("Floor", b.div(x, y));
  return b.div(b.sub(x, b.binary("Mod", x, y)), y);
}

void lower_floor_divide(Call& c) {
  const auto v = operands(c);
  c.give(floor_quotient(c.b, v[0], v[1]));
}

void lower_remainder(Call& c) {
  const auto v = operands(c);
  c.give(is_real(v[0]) ? c.b.sub(v[0], c.b.mul(floor_quotient(c.b, v[0], v[1]), v[1]))
                       : c.b.binary("Mod", v[0], v[1]));
}

void lower_power(Call& c) {
  const auto v = operands(c);
  c.give(c.b.binary("Pow", v[0], v[1]));
}

/// ONNX shifts unsigned integers only.
template <bool kLeft>
void lower_shift(Call& c) {
  const auto v = operands(c, DType::i64);
  Value* power = c.b.binary("Pow", c.b.number(int64_t{2}, DType::i64), v[1]);
  c.give(kLeft ? c.b.mul(v[0], power) : floor_quotient(c.b, v[0], power));
}

/// floor, ceil and trunc of math: an integer.
template <const char* kOp>
void lower_rounding(Call& c) {
  Value* x = c.tensor(name_of(c, 0));
  if (is_real(x) && kOp != std::string_view("Trunc")) x = c.b.unary(kOp, x);
  c.give(c.b.cast(x, DType::i64));
}
constexpr char kFloor[] = "Floor", kCeil[] = "Ceil", kTrunc[] = "Trunc";

void lower_negative(Call& c) {
  c.give(c.b.unary("Neg", c.tensor(name_of(c, 0))));
}
void lower_not(Call& c) {
  if (is_only_asserted(c)) return c.give(c.b.number(int64_t{1}, DType::boolean));
  c.give(c.b.logical_not(c.b.cast(c.tensor(name_of(c, 0)), DType::boolean)));
}

template <const char* kOp>
void lower_logical(Call& c) {
  if (is_only_asserted(c)) return c.give(c.b.number(int64_t{1}, DType::boolean));
  const auto v = operands(c, DType::boolean);
  c.give(c.b.logical(kOp, v[0], v[1]));
}
constexpr char kAnd[] = "And", kOr[] = "Or", kXor[] = "Xor";

void lower_to_real(Call& c) {
  c.give(c.b.cast(c.tensor(name_of(c, 0)), DType::f32));
}
void lower_square_root(Call& c) {
  c.give(c.b.unary("Sqrt", c.b.cast(c.tensor(name_of(c, 0)), DType::f32)));
}

void lower_sum(Call& c) {
  Inputs terms = c.tensors(name_of(c, 0));
  Value* y = c.b.number(int64_t{0}, DType::i64);
  for (Value* term : terms) y = c.b.add(y, c.b.cast(term, DType::i64));
  c.give(y);
}

void lower_choice(Call& c) {
  Value* condition = c.b.cast(c.tensor(name_of(c, 0)), DType::boolean);
  const std::string yes = name_of(c, 1);
  const std::string no = name_of(c, 2);
  const auto v = c.promoted({yes, no});
  c.give(c.b.where(condition, v[0], v[1]));
}

constexpr Row kRows[] = {
    {"_operator::add", lower_arithmetic<kAdd>},
    {"_operator::and_", lower_logical<kAnd>},
    {"_operator::eq", lower_comparison<kEqual>},
    {"_operator::floordiv", lower_floor_divide},
    {"_operator::ge", lower_comparison<kGreaterEqual>},
    {"_operator::gt", lower_comparison<kGreater>},
    {"_operator::le", lower_comparison<kLessEqual>},
    {"_operator::lshift", lower_shift<true>},
    {"_operator::lt", lower_comparison<kLess>},
    {"_operator::mod", lower_remainder},
    {"_operator::mul", lower_arithmetic<kMul>},
    {"_operator::ne", lower_comparison<kNotEqual>},
    {"_operator::neg", lower_negative},
    {"_operator::not_", lower_not},
    {"_operator::or_", lower_logical<kOr>},
    {"_operator::pow", lower_power},
    {"_operator::rshift", lower_shift<false>},
    {"_operator::sub", lower_arithmetic<kSub>},
    {"_operator::truediv", lower_divide},
    {"_operator::xor", lower_logical<kXor>},
    {"math::ceil", lower_rounding<kCeil>},
    {"math::floor", lower_rounding<kFloor>},
    {"math::sqrt", lower_square_root},
    {"math::trunc", lower_rounding<kTrunc>},
    {"torch::_sym_sqrt", lower_square_root},
    {"torch::sym_float", lower_to_real},
    {"torch::sym_int", lower_rounding<kTrunc>},
    {"torch::sym_ite", lower_choice},
    {"torch::sym_max", lower_arithmetic<kMax>},
    {"torch::sym_min", lower_arithmetic<kMin>},
    {"torch::sym_not", lower_not},
    {"torch::sym_sqrt", lower_square_root},
    {"torch::sym_sum", lower_sum},
};

}  // namespace

std::span<const Row> symbolic_rows() {
  return kRows;
}

}  // namespace mlc::onnx
