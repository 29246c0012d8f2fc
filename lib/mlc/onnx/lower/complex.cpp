// Arithmetic of complex numbers.
#include "mlc/onnx/lower/complex_parts.h"

#include <numbers>

namespace mlc::onnx {
namespace {

template <bool kMinus, bool kReverse = false>
void lower_sum(Call& c) {
  Builder& b = c.b;
  const DType dtype = c.output_dtype();
  Parts x = parts_of(c, kReverse ? "other" : "self", dtype);
  Parts y = parts_of(c, kReverse ? "self" : "other", dtype);
  if (c.has("alpha") && c.number("alpha") != 1) {
    y.re = b.mul(y.re, c.number("alpha"));
    if (y.im != nullptr) y.im = b.mul(y.im, c.number("alpha"));
  }
  give_parts(c, {sum_or(b, x.re, y.re, kMinus), sum_or(b, x.im, y.im, kMinus)});
}

Parts product(Builder& b, const Parts& x, const Parts& y) {
  if (y.im == nullptr && x.im == nullptr) return {b.mul(x.re, y.re), nullptr};
  if (y.im == nullptr) return {b.mul(x.re, y.re), b.mul(x.im, y.re)};
  if (x.im == nullptr) return {b.mul(x.re, y.re), b.mul(x.re, y.im)};
  return {b.sub(b.mul(x.re, y.re), b.mul(x.im, y.im)), b.add(b.mul(x.re, y.im), b.mul(x.im, y.re))};
}

Value* squared_size(Builder& b, const Parts& x) {
  return b.add(b.mul(x.re, x.re), b.mul(x.im, x.im));
}

void lower_mul(Call& c) {
  const DType dtype = c.output_dtype();
  give_parts(c, product(c.b, parts_of(c, "self", dtype), parts_of(c, "other", dtype)));
}

Parts quotient(Builder& b, const Parts& x, Parts y) {
  if (y.im == nullptr) {
    return {b.div(x.re, y.re), x.im == nullptr ? nullptr : b.div(x.im, y.re)};
  }
  Value* size = squared_size(b, y);
  y.im = b.unary("Neg", y.im);
  const Parts top = product(b, x, y);
  return {b.div(top.re, size), b.div(top.im, size)};
}

void lower_div(Call& c) {
  if (c.has("rounding_mode")) Call::refuse("it rounds complex numbers");
  const DType dtype = c.output_dtype();
  give_parts(c, quotient(c.b, parts_of(c, "self", dtype), parts_of(c, "other", dtype)));
}
void lower_reciprocal(Call& c) {
  const Parts one = {c.b.number(1.0, c.output_dtype()), nullptr};
  give_parts(c, quotient(c.b, one, parts_of_pairs(c.b, c.tensor("self"))));
}

void lower_matmul(Call& c) {
  Builder& b = c.b;
  const DType dtype = c.output_dtype();
  const std::string_view second = c.has("other") ? "other" : "mat2";
  const Parts x = parts_of(c, "self", dtype);
  const Parts y = parts_of(c, second, dtype);
  const auto by = [&](Value* one, Value* two) {
    return one == nullptr || two == nullptr ? nullptr : b.matmul(one, two);
  };
  give_parts(c, {sum_or(b, by(x.re, y.re), by(x.im, y.im), true),
                 sum_or(b, by(x.re, y.im), by(x.im, y.re), false)});
}

void lower_pass(Call& c) {
  c.give(c.tensor("self"));
}
void lower_conjugate(Call& c) {
  Builder& b = c.b;
  if (!is_complex_argument(c, "self")) return lower_pass(c);
  Value* signs = b.floats({1, -1}, {2}, c.output_dtype());
  c.give(b.mul(c.tensor("self"), signs));
}
/// To another dtype: a real number gets no imaginary part, a complex one loses it.
void lower_to(Call& c) {
  const bool from = is_complex_argument(c, "self");
  Value* x = c.tensor("self");
  if (is_complex(c.node.output(0))) {
    if (from) return c.give(x);
    return give_parts(c, {c.b.cast(x, c.output_dtype()), nullptr});
  }
  c.give(from ? c.b.select(x, -1, c.b.expr(0)) : x);
}
template <int64_t kPart>
void lower_part(Call& c) {
  if (!is_complex_argument(c, "self")) return lower_pass(c);
  c.give(c.b.select(c.tensor("self"), -1, c.b.expr(kPart)));
}
void lower_complex(Call& c) {
  const auto v = c.promoted({"real", "imag"});
  give_parts(c, {v[0], v[1]});
}
void lower_polar(Call& c) {
  const auto v = c.promoted({"abs", "angle"});
  give_parts(c, {c.b.mul(v[0], c.b.unary("Cos", v[1])), c.b.mul(v[0], c.b.unary("Sin", v[1]))});
}
void lower_abs(Call& c) {
  c.give(c.b.reduce("ReduceL2", c.tensor("self"), {-1}, false));
}

/// The angle of a complex number; of a real one 0 or pi.
void lower_angle(Call& c) {
  Builder& b = c.b;
  if (!is_complex_argument(c, "self")) {
    Value* x = c.floating("self");
    const DType dtype = x->type.dtype;
    Value* negative = b.compare("Less", x, b.number(0.0, dtype));
    return c.give(b.where(negative, b.number(std::numbers::pi, dtype), b.number(0.0, dtype)));
  }
  const Parts x = parts_of_pairs(b, c.tensor("self"));
  const DType dtype = x.re->type.dtype;
  Value* zero = b.number(0.0, dtype);
  Value* pi = b.number(std::numbers::pi, dtype);
  Value* slope = b.unary("Atan", b.div(x.im, x.re));
  Value* left = b.where(b.compare("Less", x.im, zero), b.sub(slope, pi), b.add(slope, pi));
  Value* axis = b.mul(b.unary("Sign", x.im), std::numbers::pi / 2);
  Value* out = b.where(b.compare("Less", x.re, zero), left, slope);
  c.give(b.where(b.compare("Equal", x.re, zero), axis, out));
}

void lower_exp(Call& c) {
  Builder& b = c.b;
  const Parts x = parts_of_pairs(b, c.tensor("self"));
  Value* size = b.unary("Exp", x.re);
  give_parts(c, {b.mul(size, b.unary("Cos", x.im)), b.mul(size, b.unary("Sin", x.im))});
}

/// Zeros around it; pairs of numbers for each dimension, the last one first.
void lower_pad(Call& c) {
  Builder& b = c.b;
  if (c.has("value") && c.number("value") != 0) Call::refuse("it pads with another value than 0");
  Value* x = c.tensor("self");
  const Sizes list = c.sizes("pad");
  Sizes before(x->type.sizes.size(), b.expr(0));
  Sizes after = before;
  for (size_t i = 0; i + 1 < list.size(); i += 2) {
    const size_t at = before.size() - 2 - i / 2;
    before.at(at) = list[i];
    after.at(at) = list[i + 1];
  }
  for (const Sizes* sizes : {&before, &after}) {
    for (const ir::Expr size : *sizes) {
      if (b.symbols().bounds(size).low < 0) Call::refuse("it cuts complex numbers off");
    }
  }
  c.give(b.pad(x, before, after));
}

constexpr Row kRows[] = {
    {"aten::_conj", lower_conjugate},
    {"aten::_conj_physical", lower_conjugate},
    {"aten::_unsafe_view", nullptr},
    {"aten::_to_copy", lower_to},
    {"aten::abs", lower_abs},
    {"aten::add", lower_sum<false>},
    {"aten::alias", nullptr},
    {"aten::angle", lower_angle},
    {"aten::bmm", lower_matmul},
    {"aten::cat", nullptr},
    {"aten::chunk", nullptr},
    {"aten::clone", nullptr},
    {"aten::complex", lower_complex},
    {"aten::conj", lower_conjugate},
    {"aten::conj_physical", lower_conjugate},
    {"aten::constant_pad_nd", lower_pad},
    {"aten::contiguous", nullptr},
    {"aten::cumsum", nullptr},
    {"aten::detach", nullptr},
    {"aten::diagonal", nullptr},
    {"aten::div", lower_div},
    {"aten::exp", lower_exp},
    {"aten::expand", nullptr},
    {"aten::flatten", nullptr},
    {"aten::flip", nullptr},
    {"aten::gather", nullptr},
    {"aten::hstack", nullptr},
    {"aten::imag", lower_part<1>},
    {"aten::index", nullptr},
    {"aten::index_select", nullptr},
    {"aten::lift_fresh_copy", nullptr},
    {"aten::mT", nullptr},
    {"aten::matmul", lower_matmul},
    {"aten::mean", nullptr},
    {"aten::mm", lower_matmul},
    {"aten::moveaxis", nullptr},
    {"aten::movedim", nullptr},
    {"aten::mul", lower_mul},
    {"aten::narrow", nullptr},
    {"aten::neg", nullptr},
    {"aten::permute", nullptr},
    {"aten::polar", lower_polar},
    {"aten::ravel", nullptr},
    {"aten::real", lower_part<0>},
    {"aten::reciprocal", lower_reciprocal},
    {"aten::repeat", nullptr},
    {"aten::reshape", nullptr},
    {"aten::reshape_as", nullptr},
    {"aten::resolve_conj", nullptr},
    {"aten::resolve_neg", nullptr},
    {"aten::roll", nullptr},
    {"aten::rsub", lower_sum<true, true>},
    {"aten::select", nullptr},
    {"aten::slice", nullptr},
    {"aten::split", nullptr},
    {"aten::split_with_sizes", nullptr},
    {"aten::squeeze", nullptr},
    {"aten::stack", nullptr},
    {"aten::sub", lower_sum<true>},
    {"aten::sum", nullptr},
    {"aten::swapaxes", nullptr},
    {"aten::swapdims", nullptr},
    {"aten::t", nullptr},
    {"aten::tile", nullptr},
    {"aten::to", lower_to},
    {"aten::transpose", nullptr},
    {"aten::tril", nullptr},
    {"aten::triu", nullptr},
    {"aten::unbind", nullptr},
    {"aten::unflatten", nullptr},
    {"aten::unsqueeze", nullptr},
    {"aten::view", nullptr},
    {"aten::view_as", nullptr},
    {"aten::view_as_complex", lower_pass},
    {"aten::view_as_real", lower_pass},
    {"aten::vstack", nullptr},
};

}  // namespace

std::span<const Row> complex_rows() {
  return kRows;
}

}  // namespace mlc::onnx
