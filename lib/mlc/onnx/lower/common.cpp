#include "mlc/onnx/lower/common.h"

#include "mlc/onnx/kernels.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace mlc::onnx {

Value* layer_norm(Builder& b, Value* x, size_t dimensions, Value* weight, Value* bias, double eps) {
  const auto rank = static_cast<int64_t>(x->type.sizes.size());
  const auto axis = rank - static_cast<int64_t>(dimensions);
  const DType dtype = x->type.dtype;
  const Sizes own(x->type.sizes.end() - static_cast<int64_t>(dimensions), x->type.sizes.end());
  if (weight == nullptr && b.can_use(17)) {
    const auto fixed = fixed_sizes(b.symbols(), own);
    if (fixed) weight = b.filled(1.0, dtype, *fixed);
  }
  if (b.can_use(17) && weight != nullptr && dtype != DType::bf16) {
    return b.node("LayerNormalization", {x, b.cast(weight, dtype), bias},
                  {{"axis", axis}, {"epsilon", static_cast<float>(eps)}}, x->type);
  }
  std::vector<int64_t> axes(dimensions);
  std::iota(axes.begin(), axes.end(), axis);
  Value* centred = b.sub(x, b.reduce("ReduceMean", x, axes, true));
  Value* variance = b.reduce("ReduceMean", b.mul(centred, centred), axes, true);
  Value* out = b.div(centred, b.unary("Sqrt", b.add(variance, eps)));
  if (weight != nullptr) out = b.mul(out, b.cast(weight, dtype));
  return bias == nullptr ? out : b.add(out, b.cast(bias, dtype));
}

Value* gelu(Builder& b, Value* x) {
  Value* error = b.unary("Erf", b.div(x, std::numbers::sqrt2));
  return b.mul(b.mul(x, b.add(error, 1.0)), 0.5);
}

Value* is_nan(Builder& b, Value* x) {
  Value* in = b.cast(x, kernel_dtype("IsNaN", x->type.dtype));
  return b.node("IsNaN", {in}, {}, {DType::boolean, x->type.sizes});
}

Value* is_infinite(Builder& b, Value* x, bool negative, bool positive) {
  Value* in = b.cast(x, kernel_dtype("IsInf", x->type.dtype));
  Attributes attributes;
  if (!negative) attributes.push_back({"detect_negative", int64_t{0}});
  if (!positive) attributes.push_back({"detect_positive", int64_t{0}});
  return b.node("IsInf", {in}, std::move(attributes), {DType::boolean, x->type.sizes});
}

bool is_floating(const Value* x) {
  return info(x->type.dtype).kind == DTypeClass::floating;
}

bool is_integral(DType dtype) {
  const DTypeClass kind = info(dtype).kind;
  return kind == DTypeClass::integer || kind == DTypeClass::boolean;
}

// Of integers, Mod has the sign of the divisor, as Python's, and Div rounds towards zero.
Value* integer_floor_divide(Builder& b, Value* x, Value* y) {
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Div", dtype);
  Value* n = b.cast(x, computed);
  Value* d = b.cast(y, computed);
  // Without its remainder a number is divided exactly, but at the ends of a type it has no room.
  if (dtype != computed) return b.cast(b.div(b.sub(n, b.binary("Mod", n, d)), d), dtype);
  const auto known = b.known_integers(d);
  const auto is_positive = [](int64_t one) { return one > 0; };
  if (known && std::ranges::all_of(*known, is_positive)) {
    Value* negative = b.cast(b.compare("Less", n, b.number(int64_t{0}, dtype)), dtype);
    return b.sub(b.div(b.add(n, negative), d), negative);
  }
  Value* quotient = b.div(n, d);
  Value* rest = b.sub(n, b.mul(quotient, d));
  return b.sub(quotient, b.div(b.sub(b.binary("Mod", n, d), rest), d));
}

Value* where_minus_one(Builder& b, Value* y) {
  const DType dtype = kernel_dtype("Div", y->type.dtype);
  // Narrower ones are divided as int32.
  if (y->type.dtype != dtype || (dtype != DType::i32 && dtype != DType::i64)) return nullptr;
  const auto known = b.known_integers(y);
  if (known && std::ranges::find(*known, -1) == known->end()) return nullptr;
  return b.compare("Equal", y, b.number(int64_t{-1}, dtype));
}

Value* counting(Builder& b, ir::Expr count) {
  return b.range(b.number(int64_t{0}, DType::i64), b.number(int64_t{1}, DType::i64), count);
}

Value* lower_triangle(Builder& b, ir::Expr rows, ir::Expr columns) {
  Value* row = b.unsqueeze(counting(b, rows), {1});
  return b.compare("LessOrEqual", counting(b, columns), row);
}

Value* vector_norm(Builder& b, Value* x, double p, const std::vector<int64_t>& axes, bool keep) {
  if (x->type.sizes.empty()) {
    Value* size = b.unary("Abs", x);
    return p == 0 ? b.cast(b.cast(x, DType::boolean), x->type.dtype) : size;
  }
  if (p == 2) return b.reduce("ReduceL2", x, axes, keep);
  if (p == 1) return b.reduce("ReduceL1", x, axes, keep);
  if (std::isinf(p)) {
    return b.reduce(p > 0 ? "ReduceMax" : "ReduceMin", b.unary("Abs", x), axes, keep);
  }
  if (p == 0) {
    return b.reduce("ReduceSum", b.cast(b.cast(x, DType::boolean), x->type.dtype), axes, keep);
  }
  const DType dtype = x->type.dtype;
  Value* powers = b.binary("Pow", b.unary("Abs", x), b.number(p, dtype));
  return b.binary("Pow", b.reduce("ReduceSum", powers, axes, keep), b.number(1 / p, dtype));
}

}  // namespace mlc::onnx
