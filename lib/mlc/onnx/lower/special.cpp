// Less common functions of elements.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <limits>
#include <numbers>

namespace mlc::onnx {
namespace {

void lower_float_power(Call& c) {
  const auto v = c.promoted({"self", "exponent"}, DType::f64);
  c.give(c.b.binary("Pow", v[0], v[1]));
}

void lower_ldexp(Call& c) {
  auto v = c.promoted({"self", "other"});
  Value* x = c.floating(v[0]);
  Value* power = c.b.binary("Pow", c.b.number(2.0, x->type.dtype), c.b.cast(v[1], x->type.dtype));
  c.give(c.b.mul(x, power));
}

void lower_sinc(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  const DType dtype = x->type.dtype;
  Value* scaled = b.mul(x, std::numbers::pi);
  Value* quotient = b.div(b.unary("Sin", scaled), scaled);
  Value* is_zero = b.compare("Equal", x, b.number(0.0, dtype));
  c.give(b.where(is_zero, b.number(1.0, dtype), quotient));
}

/// -x * log(x); 0 for 0, -inf below.
void lower_entropy(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  const DType dtype = x->type.dtype;
  Value* zero = b.number(0.0, dtype);
  Value* y = b.unary("Neg", b.mul(x, b.unary("Log", x)));
  y = b.where(b.compare("Equal", x, zero), zero, y);
  const double lowest = -std::numeric_limits<double>::infinity();
  c.give(b.where(b.compare("Less", x, zero), b.number(lowest, dtype), y));
}

void lower_ndtr(Call& c) {
  Builder& b = c.b;
  Value* y = b.unary("Erf", b.mul(c.floating("self"), 1 / std::numbers::sqrt2));
  c.give(b.mul(b.add(y, 1.0), 0.5));
}

void lower_xlog1py(Call& c) {
  Builder& b = c.b;
  auto v = c.promoted({"self", "other"});
  Value* x = c.floating(v[0]);
  Value* y = c.floating(v[1]);
  Value* zero = b.number(0.0, x->type.dtype);
  Value* product = b.mul(x, b.unary("Log", b.add(y, 1.0)));
  Value* nothing = b.binary("And", b.compare("Equal", x, zero), b.logical_not(is_nan(b, y)));
  c.give(b.where(nothing, zero, product));
}

void lower_signbit(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  if (dtype == DType::boolean) return c.give(b.expand(b.number(int64_t{0}, dtype), x->type.sizes));
  Value* zero = b.number(int64_t{0}, dtype);
  Value* below = b.compare("Less", x, zero);
  if (!is_floating(x)) return c.give(below);
  // 1 / -0.0 is below zero, but 1 / -inf is not.
  Value* inverse = b.div(b.number(1.0, dtype), x);
  c.give(b.binary("Or", below, b.compare("Less", inverse, zero)));
}

template <bool kPositive>
void lower_is_infinite(Call& c) {
  Value* x = c.tensor("self");
  if (is_floating(x)) return c.give(is_infinite(c.b, x, !kPositive, kPositive));
  c.give(c.b.expand(c.b.number(int64_t{0}, DType::boolean), x->type.sizes));
}

void lower_is_real(Call& c) {
  Value* x = c.tensor("self");
  if (info(x->type.dtype).kind == DTypeClass::complex) Call::refuse("its tensor is complex");
  c.give(c.b.expand(c.b.number(int64_t{1}, DType::boolean), x->type.sizes));
}

/// x^0, x^1, ... side by side.
void lower_vander(Call& c) {
  Builder& b = c.b;
  Value* x = c.b.cast(c.tensor("x"), c.output_dtype());
  if (x->type.sizes.empty()) x = b.reshape(x, {b.expr(1)});
  const ir::Expr count = c.output_sizes().back();
  Value* powers = counting(b, count);
  c.give(b.binary("Pow", b.unsqueeze(x, {-1}), b.cast(powers, x->type.dtype)));
}

constexpr Row kRows[] = {
    {"aten::float_power", lower_float_power},
    {"aten::isneginf", lower_is_infinite<false>},
    {"aten::isposinf", lower_is_infinite<true>},
    {"aten::isreal", lower_is_real},
    {"aten::ldexp", lower_ldexp},
    {"aten::linalg_vander", lower_vander},
    {"aten::signbit", lower_signbit},
    {"aten::sinc", lower_sinc},
    {"aten::special_entr", lower_entropy},
    {"aten::special_ndtr", lower_ndtr},
    {"aten::special_xlog1py", lower_xlog1py},
};

}  // namespace

std::span<const Row> special_rows() {
  return kRows;
}

}  // namespace mlc::onnx
