// Arithmetic: PyTorch's type promotion first, then one or a few nodes.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace mlc::onnx {
namespace {

/// OTHER times alpha, which defaults to 1.
Value* scaled(Call& c, Value* other) {
  if (!c.has("alpha")) return other;
  const double alpha = c.number("alpha");
  return alpha == 1 ? other : c.b.mul(other, alpha);
}

void lower_add(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.add(v[0], scaled(c, v[1])));
}
void lower_sub(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.sub(v[0], scaled(c, v[1])));
}
void lower_rsub(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.sub(v[1], scaled(c, v[0])));
}
void lower_mul(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.mul(v[0], v[1]));
}

/// What a division towards zero leaves, with the sign of X: that of floats is exact.
Value* float_remainder(Builder& b, Value* x, Value* y) {
  return b.node("Mod", {x, y}, {{"fmod", int64_t{1}}},
                {x->type.dtype, b.broadcast(x->type.sizes, y->type.sizes)});
}

bool is_known_positive(Builder& b, const Value* y) {
  const auto known = b.known_number(y);
  return known && *known > 0;
}

/// Where REST, float_remainder() by Y, has another sign than Y.
Value* has_other_sign(Builder& b, Value* rest, Value* y) {
  Value* zero = b.number(0.0, y->type.dtype);
  Value* below = b.compare("Less", rest, zero);
  if (is_known_positive(b, y)) return below;
  Value* differs = b.logical("Xor", below, b.compare("Less", y, zero));
  return b.logical("And", differs, b.logical_not(b.compare("Equal", rest, zero)));
}

/// As PyTorch has it (c10/util/generic_math.h): without its rest a number is divided to nearly an
/// integer, where the quotient itself may have been rounded up to the next one.
Value* float_floor_divide(Builder& b, Value* x, Value* y) {
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Mod", dtype);
  x = b.cast(x, computed);
  y = b.cast(y, computed);
  Value* rest = float_remainder(b, x, y);
  Value* quotient = b.div(b.sub(x, rest), y);
  Value* less = b.cast(has_other_sign(b, rest, y), computed);
  Value* whole = b.unary("Round", b.sub(quotient, less));
  if (!is_known_positive(b, y)) {
    Value* is_zero = b.compare("Equal", y, b.number(0.0, computed));
    whole = b.where(is_zero, b.div(x, y), whole);
  }
  return b.cast(whole, dtype);
}

Value* floor_divide(Builder& b, Value* x, Value* y) {
  if (!is_integral(x->type.dtype)) return float_floor_divide(b, x, y);
  Value* minus_one = where_minus_one(b, y);
  if (minus_one == nullptr) return integer_floor_divide(b, x, y);
  Value* other = b.where(minus_one, b.number(int64_t{1}, y->type.dtype), y);
  return b.where(minus_one, b.unary("Neg", x), integer_floor_divide(b, x, other));
}

Value* integer_remainder(Builder& b, Value* x, Value* y) {
  if (Value* minus_one = where_minus_one(b, y)) {
    y = b.where(minus_one, b.number(int64_t{1}, y->type.dtype), y);  // which leaves 0 too
  }
  return b.binary("Mod", x, y);
}

Value* truncated(Builder& b, Value* x) {
  return b.mul(b.unary("Sign", x), b.unary("Floor", b.unary("Abs", x)));
}

void lower_div(Call& c) {
  const std::string mode = c.text("rounding_mode", "");
  auto v = c.promoted({"self", "other"});
  const bool integral = is_integral(v[0]->type.dtype);
  if (mode == "floor") return c.give(floor_divide(c.b, v[0], v[1]));
  if (mode == "trunc") {
    return c.give(integral ? c.b.div(v[0], v[1]) : truncated(c.b, c.b.div(v[0], v[1])));
  }
  if (!mode.empty()) Call::refuse("its rounding_mode is " + mode);
  c.give(c.b.div(c.floating(v[0]), c.floating(v[1])));
}
void lower_floor_divide(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(floor_divide(c.b, v[0], v[1]));
}
void lower_remainder(Call& c) {
  const auto v = c.promoted({"self", "other"});
  if (is_integral(v[0]->type.dtype)) return c.give(integer_remainder(c.b, v[0], v[1]));
  Builder& b = c.b;
  const DType computed = kernel_dtype("Mod", v[0]->type.dtype);
  Value* y = b.cast(v[1], computed);
  Value* rest = float_remainder(b, b.cast(v[0], computed), y);
  Value* wrapped = b.where(has_other_sign(b, rest, y), b.add(rest, y), rest);
  c.give(b.cast(wrapped, v[0]->type.dtype));
}
void lower_fmod(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(float_remainder(c.b, v[0], v[1]));
}

template <const char* kOp>
void lower_float_unary(Call& c) {
  c.give(c.b.unary(kOp, c.floating("self")));
}
template <const char* kOp>
void lower_unary(Call& c) {
  c.give(c.b.unary(kOp, c.tensor("self")));
}
/// What leaves integers as they are.
template <const char* kOp>
void lower_rounding(Call& c) {
  Value* x = c.tensor("self");
  c.give(is_integral(x->type.dtype) ? x : c.b.unary(kOp, x));
}

constexpr char kAbs[] = "Abs", kNeg[] = "Neg", kSign[] = "Sign", kSqrt[] = "Sqrt", kExp[] = "Exp",
               kLog[] = "Log", kSin[] = "Sin", kCos[] = "Cos", kTan[] = "Tan", kAsin[] = "Asin",
               kAcos[] = "Acos", kAtan[] = "Atan", kSinh[] = "Sinh", kCosh[] = "Cosh",
               kAsinh[] = "Asinh", kAcosh[] = "Acosh", kAtanh[] = "Atanh", kErf[] = "Erf",
               kFloor[] = "Floor", kCeil[] = "Ceil", kReciprocal[] = "Reciprocal";

void lower_rsqrt(Call& c) {
  // Written as a quotient: ONNX Runtime's fusion of RMSNorm looks for that.
  Value* root = c.b.unary("Sqrt", c.floating("self"));
  c.give(c.b.div(c.b.number(1.0, root->type.dtype), root));
}
void lower_square(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.mul(x, x));
}
void lower_trunc(Call& c) {
  Value* x = c.tensor("self");
  c.give(is_integral(x->type.dtype) ? x : truncated(c.b, x));
}
void lower_frac(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.sub(x, truncated(c.b, x)));
}
void lower_round(Call& c) {
  Value* x = c.tensor("self");
  const int64_t decimals = c.fixed("decimals", 0);
  if (is_integral(x->type.dtype)) return c.give(x);
  if (decimals == 0) return c.give(c.b.unary("Round", x));
  const double scale = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  if (decimals > 0) return c.give(c.b.div(c.b.unary("Round", c.b.mul(x, scale)), scale));
  c.give(c.b.mul(c.b.unary("Round", c.b.div(x, scale)), scale));
}

void lower_pow(Call& c) {
  const DType dtype = c.output_dtype();
  const auto v = c.promoted({"self", "exponent"}, dtype);
  const auto exponent = c.b.known_number(v[1]);
  const Sizes sizes = c.b.broadcast(v[0]->type.sizes, v[1]->type.sizes);
  if (exponent == 1.0) return c.give(c.b.expand(v[0], sizes));
  if (exponent == 0.5 && !is_integral(dtype)) {
    return c.give(c.b.expand(c.b.unary("Sqrt", v[0]), sizes));
  }
  c.give(c.b.binary("Pow", v[0], v[1]));
}

void lower_expm1(Call& c) {
  c.give(c.b.sub(c.b.unary("Exp", c.floating("self")), 1.0));
}
void lower_exp2(Call& c) {
  c.give(c.b.unary("Exp", c.b.mul(c.floating("self"), std::numbers::ln2)));
}
void lower_log1p(Call& c) {
  c.give(c.b.unary("Log", c.b.add(c.floating("self"), 1.0)));
}
void lower_log2(Call& c) {
  c.give(c.b.mul(c.b.unary("Log", c.floating("self")), 1 / std::numbers::ln2));
}
void lower_log10(Call& c) {
  c.give(c.b.mul(c.b.unary("Log", c.floating("self")), 1 / std::numbers::ln10));
}
void lower_erfc(Call& c) {
  Value* y = c.b.unary("Erf", c.floating("self"));
  c.give(c.b.sub(c.b.number(1.0, y->type.dtype), y));
}

template <const char* kOp>
void lower_extremum(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.binary(kOp, v[0], v[1]));
}
constexpr char kMax[] = "Max", kMin[] = "Min";

/// fmax and fmin: the other operand where one is NaN.
template <const char* kOp>
void lower_nan_extremum(Call& c) {
  const auto v = c.promoted({"self", "other"});
  if (is_integral(v[0]->type.dtype)) return c.give(c.b.binary(kOp, v[0], v[1]));
  Value* both = c.b.binary(kOp, v[0], v[1]);
  c.give(c.b.where(is_nan(c.b, v[0]), v[1], c.b.where(is_nan(c.b, v[1]), v[0], both)));
}

Value* clamped(Call& c, Value* x, std::string_view low, std::string_view high) {
  const DType dtype = c.output_dtype();
  x = c.b.cast(x, dtype);
  Value* least = c.has(low) ? c.b.cast(c.operand(low).value, dtype) : nullptr;
  Value* most = c.has(high) ? c.b.cast(c.operand(high).value, dtype) : nullptr;
  const bool scalars = (least == nullptr || least->type.sizes.empty()) &&
                       (most == nullptr || most->type.sizes.empty());
  const bool known = (least == nullptr || least->data) && (most == nullptr || most->data);
  // As Max and Min, Clip is wrong for large numbers of 64 bits.
  if (scalars && known && x->data == nullptr && dtype != DType::i64) {
    const DType computed = kernel_dtype("Clip", dtype);
    // ONNX Runtime has the largest finite number for a bound that is left out.
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const bool infinite = info(dtype).kind == DTypeClass::floating;
    if (infinite && least == nullptr) least = c.b.number(-kInfinity, dtype);
    if (infinite && most == nullptr) most = c.b.number(kInfinity, dtype);
    const auto in = [&](Value* v) { return v == nullptr ? v : c.b.cast(v, computed); };
    Value* out = c.b.node("Clip", {in(x), in(least), in(most)}, {}, {computed, x->type.sizes});
    // With the bounds crossed, PyTorch gives the upper one; ONNX leaves it open.
    const auto a = least ? c.b.known_number(least) : std::nullopt;
    const auto z = most ? c.b.known_number(most) : std::nullopt;
    if (!a || !z || *a <= *z) return c.b.cast(out, dtype);
  }
  if (least != nullptr) x = c.b.binary("Max", x, least);
  if (most != nullptr) x = c.b.binary("Min", x, most);
  return x;
}

void lower_clamp(Call& c) {
  c.give(clamped(c, c.tensor("self"), "min", "max"));
}

void lower_addcmul(Call& c) {
  const auto v = c.promoted({"self", "tensor1", "tensor2"});
  c.give(c.b.add(v[0], c.b.mul(c.b.mul(v[1], v[2]), c.number("value", 1))));
}
void lower_addcdiv(Call& c) {
  const auto v = c.promoted({"self", "tensor1", "tensor2"});
  c.give(c.b.add(v[0], c.b.mul(c.b.div(v[1], v[2]), c.number("value", 1))));
}
void lower_lerp(Call& c) {
  const auto v = c.promoted({"self", "end", "weight"});
  c.give(c.b.add(v[0], c.b.mul(c.b.sub(v[1], v[0]), v[2])));
}

void lower_atan2(Call& c) {
  Builder& b = c.b;
  auto v = c.promoted({"self", "other"});
  Value* y = c.floating(v[0]);
  Value* x = c.floating(v[1]);
  const DType dtype = x->type.dtype;
  Value* zero = b.number(0.0, dtype);
  const auto number = [&](double value) { return b.number(value, dtype); };
  // The half plane of x decides; on the axis x = 0 the sign of y does.
  Value* angle = b.unary("Atan", b.div(y, x));
  Value* left = b.where(b.compare("Less", y, zero), b.sub(angle, std::numbers::pi),
                        b.add(angle, std::numbers::pi));
  Value* axis = b.mul(b.unary("Sign", y), number(std::numbers::pi / 2));
  Value* out = b.where(b.compare("Less", x, zero), left, angle);
  c.give(b.where(b.compare("Equal", x, zero), axis, out));
}

void lower_logaddexp(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  const bool is_binary = c.op() == "aten::logaddexp2";
  Value* most = b.binary("Max", v[0], v[1]);
  Value* apart = b.unary("Neg", b.unary("Abs", b.sub(v[0], v[1])));
  // Infinities of one sign are no distance apart.
  apart = b.where(b.compare("Equal", v[0], v[1]), b.number(0.0, apart->type.dtype), apart);
  if (is_binary) apart = b.mul(apart, std::numbers::ln2);
  Value* more = b.unary("Log", b.add(b.unary("Exp", apart), 1.0));
  c.give(b.add(most, is_binary ? b.mul(more, 1 / std::numbers::ln2) : more));
}

void lower_xlogy(Call& c) {
  Builder& b = c.b;
  auto v = c.promoted({"self", "other"});
  Value* x = c.floating(v[0]);
  Value* y = c.floating(v[1]);
  Value* zero = b.number(0.0, x->type.dtype);
  Value* product = b.mul(x, b.unary("Log", y));
  Value* nothing = b.binary("And", b.compare("Equal", x, zero), b.logical_not(is_nan(b, y)));
  c.give(b.where(nothing, zero, product));
}

void lower_nan_to_num(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  if (is_integral(dtype)) return c.give(x);
  const double most = dtype == DType::f64   ? 1.7976931348623157e308
                      : dtype == DType::f16 ? 65504
                                            : 3.4028234663852886e38;
  Value* out = b.where(is_nan(b, x), b.number(c.number("nan", 0), dtype), x);
  Value* positive = is_infinite(b, x, false, true);
  out = b.where(positive, b.number(c.number("posinf", most), dtype), out);
  Value* negative = is_infinite(b, x, true, false);
  c.give(b.where(negative, b.number(c.number("neginf", -most), dtype), out));
}

void lower_copysign(Call& c) {
  Builder& b = c.b;
  auto v = c.promoted({"self", "other"});
  Value* x = b.unary("Abs", c.floating(v[0]));
  Value* sign = c.floating(v[1]);
  // 1 / -0.0 is below zero, but 1 / -inf is not.
  Value* zero = b.number(0.0, sign->type.dtype);
  Value* inverse = b.div(b.number(1.0, sign->type.dtype), sign);
  Value* below = b.binary("Or", b.compare("Less", sign, zero), b.compare("Less", inverse, zero));
  c.give(b.where(below, b.unary("Neg", x), x));
}

void lower_hypot(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  Value* x = b.unary("Abs", v[0]);
  Value* y = b.unary("Abs", v[1]);
  const DType dtype = x->type.dtype;
  // Squares of large numbers are infinite and those of small ones 0, unless both are divided first:
  // by what no infinity is divided by.
  const bool wide = dtype == DType::f64;
  const bool half = dtype == DType::f16;
  Value* scale = b.binary("Max", x, y);
  scale = b.binary("Max", scale, b.number(wide ? 1e-300 : half ? 1e-4 : 1e-30, dtype));
  scale = b.binary("Min", scale, b.number(wide ? 1e300 : half ? 6e4 : 1e38, dtype));
  x = b.div(x, scale);
  y = b.div(y, scale);
  c.give(b.mul(b.unary("Sqrt", b.add(b.mul(x, x), b.mul(y, y))), scale));
}
void lower_deg2rad(Call& c) {
  c.give(c.b.mul(c.floating("self"), std::numbers::pi / 180));
}
void lower_rad2deg(Call& c) {
  c.give(c.b.mul(c.floating("self"), 180 / std::numbers::pi));
}
void lower_logit(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  const DType dtype = x->type.dtype;
  if (c.has("eps")) {
    const double eps = c.number("eps");
    x = b.node("Clip", {x, b.number(eps, dtype), b.number(1 - eps, dtype)}, {}, x->type);
  }
  c.give(b.unary("Log", b.div(x, b.sub(b.number(1.0, dtype), x))));
}
void lower_heaviside(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "values"});
  Value* zero = b.number(0.0, v[0]->type.dtype);
  Value* step = b.cast(b.compare("Greater", v[0], zero), v[0]->type.dtype);
  c.give(b.where(b.compare("Equal", v[0], zero), v[1], step));
}

constexpr Row kRows[] = {
    {"aten::abs", lower_unary<kAbs>},
    {"aten::acos", lower_float_unary<kAcos>},
    {"aten::acosh", lower_float_unary<kAcosh>},
    {"aten::add", lower_add},
    {"aten::addcdiv", lower_addcdiv},
    {"aten::addcmul", lower_addcmul},
    {"aten::asin", lower_float_unary<kAsin>},
    {"aten::asinh", lower_float_unary<kAsinh>},
    {"aten::atan", lower_float_unary<kAtan>},
    {"aten::atan2", lower_atan2},
    {"aten::atanh", lower_float_unary<kAtanh>},
    {"aten::ceil", lower_rounding<kCeil>},
    {"aten::clamp", lower_clamp},
    {"aten::clamp_max", lower_clamp},
    {"aten::clamp_min", lower_clamp},
    {"aten::clip", lower_clamp},
    {"aten::copysign", lower_copysign},
    {"aten::cos", lower_float_unary<kCos>},
    {"aten::cosh", lower_float_unary<kCosh>},
    {"aten::deg2rad", lower_deg2rad},
    {"aten::div", lower_div},
    {"aten::divide", lower_div},
    {"aten::erf", lower_float_unary<kErf>},
    {"aten::erfc", lower_erfc},
    {"aten::exp", lower_float_unary<kExp>},
    {"aten::exp2", lower_exp2},
    {"aten::expm1", lower_expm1},
    {"aten::floor", lower_rounding<kFloor>},
    {"aten::floor_divide", lower_floor_divide},
    {"aten::fmax", lower_nan_extremum<kMax>},
    {"aten::fmin", lower_nan_extremum<kMin>},
    {"aten::fmod", lower_fmod},
    {"aten::frac", lower_frac},
    {"aten::heaviside", lower_heaviside},
    {"aten::hypot", lower_hypot},
    {"aten::lerp", lower_lerp},
    {"aten::log", lower_float_unary<kLog>},
    {"aten::log10", lower_log10},
    {"aten::log1p", lower_log1p},
    {"aten::log2", lower_log2},
    {"aten::logaddexp", lower_logaddexp},
    {"aten::logaddexp2", lower_logaddexp},
    {"aten::logit", lower_logit},
    {"aten::maximum", lower_extremum<kMax>},
    {"aten::minimum", lower_extremum<kMin>},
    {"aten::mul", lower_mul},
    {"aten::multiply", lower_mul},
    {"aten::nan_to_num", lower_nan_to_num},
    {"aten::_neg_view", lower_unary<kNeg>},
    {"aten::neg", lower_unary<kNeg>},
    {"aten::negative", lower_unary<kNeg>},
    {"aten::pow", lower_pow},
    {"aten::rad2deg", lower_rad2deg},
    {"aten::reciprocal", lower_float_unary<kReciprocal>},
    {"aten::remainder", lower_remainder},
    {"aten::round", lower_round},
    {"aten::rsqrt", lower_rsqrt},
    {"aten::rsub", lower_rsub},
    {"aten::sgn", lower_unary<kSign>},
    {"aten::sign", lower_unary<kSign>},
    {"aten::sin", lower_float_unary<kSin>},
    {"aten::sinh", lower_float_unary<kSinh>},
    {"aten::special_expm1", lower_expm1},
    {"aten::sqrt", lower_float_unary<kSqrt>},
    {"aten::square", lower_square},
    {"aten::sub", lower_sub},
    {"aten::subtract", lower_sub},
    {"aten::tan", lower_float_unary<kTan>},
    {"aten::true_divide", lower_div},
    {"aten::trunc", lower_trunc},
    {"aten::fix", lower_trunc},
    {"aten::xlogy", lower_xlogy},
};

}  // namespace

std::span<const Row> arithmetic_rows() {
  return kRows;
}

}  // namespace mlc::onnx
