// New tensors.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <cmath>

namespace mlc::onnx {
namespace {

/// VALUE everywhere: an initializer where the sizes are known and few, else ConstantOfShape.
Value* full(Call& c, Value* value, const Sizes& sizes) {
  const auto known = c.b.known_number(value);
  const auto fixed = fixed_sizes(c.symbols(), sizes);
  if (!known || fixed) return c.b.expand(value, sizes);
  const DataRef fill = c.b.reshape(value, {c.b.expr(1)})->data;
  return c.b.node("ConstantOfShape", {c.b.integer_list(sizes)}, {{"value", fill}},
                  {value->type.dtype, sizes});
}

void give_full(Call& c, Value* value) {
  c.give(full(c, c.b.cast(value, c.output_dtype()), c.output_sizes()));
}

void lower_zeros(Call& c) {
  give_full(c, c.b.number(int64_t{0}, c.output_dtype()));
}
void lower_ones(Call& c) {
  give_full(c, c.b.number(int64_t{1}, c.output_dtype()));
}
void lower_full(Call& c) {
  Value* value = c.operand(c.has("fill_value") ? "fill_value" : "value").value;
  give_full(c, value->type.sizes.empty() ? value : c.b.reshape(value, {}));
}

void lower_arange(Call& c) {
  Builder& b = c.b;
  const DType dtype = c.output_dtype();
  const ir::Expr count = c.output_sizes().at(0);
  const auto scalar = [&](std::string_view name, double otherwise) {
    return c.has(name) ? c.operand(name).value : b.number(otherwise, DType::f64);
  };
  const bool whole = info(dtype).kind == DTypeClass::integer;
  const DType computed = whole ? DType::i64 : (dtype == DType::f64 ? DType::f64 : DType::f32);
  Value* start = b.cast(scalar("start", 0), computed);
  Value* step = b.cast(scalar("step", 1), computed);
  if (whole) return c.give(b.cast(b.range(start, step, count), dtype));
  // Range adds up rounding errors: whole numbers first, then scaled.
  Value* steps = counting(b, count);
  Value* y = b.cast(steps, computed);
  if (b.known_number(step) != 1.0) y = b.mul(y, step);
  if (b.known_number(start) != 0.0) y = b.add(y, start);
  c.give(b.cast(y, dtype));
}

/// STEPS numbers between bounds that are known only at run time, as STEPS may be: from both ends,
/// as PyTorch counts.
Value* spread_between(Call& c, Value* start, Value* end, ir::Expr steps) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  const DType dtype = start->type.dtype;
  const auto number = [&](ir::Expr value) { return b.cast(b.integer(value), dtype); };
  const ir::Expr one = b.expr(1);
  const ir::Expr last = s.subtract(steps, one);
  Value* place = b.cast(counting(b, steps), dtype);
  Value* step = b.div(b.sub(end, start), number(s.maximum(last, one)));
  Value* front = b.add(b.mul(place, step), start);
  Value* back = b.sub(end, b.mul(b.sub(number(last), place), step));
  Value* half = number(s.maximum(s.floor_divide(steps, b.expr(2)), one));
  Value* values = b.where(b.compare("Less", place, half), front, back);
  if (c.op() != "aten::logspace") return values;
  return b.binary("Pow", b.number(c.number("base", 10), dtype), values);
}

void lower_linspace(Call& c) {
  Builder& b = c.b;
  const DType dtype = c.output_dtype();
  const ir::Expr count = c.integer("steps");
  const auto known_count = c.symbols().constant_value(count);
  // Between whole numbers where the result is one: the bounds are rounded first.
  const bool whole = info(dtype).kind == DTypeClass::integer;
  const auto known_start = b.known_number(c.operand("start").value);
  const auto known_end = b.known_number(c.operand("end").value);
  if (!known_start || !known_end || !known_count) {
    const DType computed = whole || dtype == DType::f64 ? DType::f64 : DType::f32;
    const auto bound = [&](std::string_view name) {
      Value* value = b.reshape(c.operand(name).value, {});
      return b.cast(whole ? b.cast(value, dtype) : value, computed);
    };
    return c.give(spread_between(c, bound("start"), bound("end"), count));
  }
  const int64_t steps = *known_count;
  const double start = whole ? std::trunc(*known_start) : *known_start;
  const double end = whole ? std::trunc(*known_end) : *known_end;
  std::vector<double> values;
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  for (int64_t i = 0; i < steps; ++i) {
    // From both ends, as PyTorch counts.
    const bool front = i < steps / 2 || steps == 1;
    values.push_back(front ? start + step * static_cast<double>(i)
                           : end - step * static_cast<double>(steps - 1 - i));
  }
  if (c.op() == "aten::logspace") {
    for (double& value : values) value = std::pow(c.number("base", 10), value);
  }
  c.give(b.floats(values, {steps}, dtype));
}

void lower_eye(Call& c) {
  Builder& b = c.b;
  const Sizes sizes = c.output_sizes();
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* one = b.number(int64_t{1}, DType::i64);
  Value* rows = b.unsqueeze(b.range(zero, one, sizes.at(0)), {1});
  c.give(b.cast(b.compare("Equal", rows, b.range(zero, one, sizes.at(1))), c.output_dtype()));
}

template <const char* kOp>
void lower_random(Call& c) {
  const DType dtype = c.output_dtype();
  const DType computed = dtype == DType::f64 ? DType::f64 : DType::f32;
  Value* shape = full(c, c.b.number(0.0, computed), c.output_sizes());
  c.give(c.b.node(kOp, {shape}, {{"dtype", int64_t{info(computed).onnx}}},
                  {computed, c.output_sizes()}));
}
constexpr char kUniform[] = "RandomUniformLike", kNormal[] = "RandomNormalLike";

Value* uniform(Call& c, const Sizes& sizes, DType dtype) {
  Value* shape = full(c, c.b.number(0.0, dtype), sizes);
  return c.b.node("RandomUniformLike", {shape}, {{"dtype", int64_t{info(dtype).onnx}}},
                  {dtype, sizes});
}

/// Whole numbers from LOW up to HIGH, which is left out.
void lower_random_integers(Call& c) {
  Builder& b = c.b;
  const double low = c.number("low", 0);
  const double high = c.number("high");
  Value* y = b.mul(uniform(c, c.output_sizes(), DType::f32), high - low);
  c.give(b.add(b.unary("Floor", y), low));
}

/// True, or 1, with the probability that each element is.
void lower_bernoulli(Call& c) {
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype == DType::f64 ? DType::f64 : DType::f32;
  Value* p = c.has("p") ? c.b.number(c.number("p"), dtype) : c.b.cast(x, dtype);
  c.give(c.b.compare("Less", uniform(c, x->type.sizes, dtype), p));
}

void lower_normal(Call& c) {
  Builder& b = c.b;
  const Sizes sizes = c.output_sizes();
  const DType dtype = c.output_dtype() == DType::f64 ? DType::f64 : DType::f32;
  Value* shape = full(c, b.number(0.0, dtype), sizes);
  Value* y =
      b.node("RandomNormalLike", {shape}, {{"dtype", int64_t{info(dtype).onnx}}}, {dtype, sizes});
  if (c.has("std")) y = b.mul(y, b.cast(c.operand("std").value, dtype));
  c.give(c.has("mean") ? b.add(y, b.cast(c.operand("mean").value, dtype)) : y);
}

void lower_tril_indices(Call& c) {
  const bool upper = c.op() == "aten::triu_indices";
  const int64_t rows = c.fixed("row");
  const int64_t columns = c.fixed("col");
  const int64_t offset = c.fixed("offset", 0);
  std::vector<int64_t> first;
  std::vector<int64_t> second;
  if (rows * columns > 1'000'000) Call::refuse("its result is too large");
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      if (upper ? j - i < offset : j - i > offset) continue;
      first.push_back(i);
      second.push_back(j);
    }
  }
  const auto count = static_cast<int64_t>(first.size());
  first.insert(first.end(), second.begin(), second.end());
  c.give(c.b.int_tensor(first, {2, count}, c.output_dtype()));
}

/// Windows as torch makes them: of n - 1 intervals, or of n where they repeat.
template <int kKind>
void lower_window(Call& c) {
  const int64_t length = c.fixed("window_length");
  const bool periodic = c.boolean("periodic", true);
  const double n = static_cast<double>(periodic ? length : length - 1);
  const double alpha = kKind == 0 ? 0.5 : c.number("alpha", 0.54);
  const double beta = kKind == 0 ? 0.5 : c.number("beta", 0.46);
  std::vector<double> values;
  for (int64_t i = 0; i < length; ++i) {
    const double at = static_cast<double>(i);
    if (kKind == 2) {
      const double x = 2 * 3.14159265358979323846 * at / n;
      values.push_back(length == 1 ? 1 : 0.42 - 0.5 * std::cos(x) + 0.08 * std::cos(2 * x));
    } else {
      const double x = 2 * 3.14159265358979323846 * at / n;
      values.push_back(length == 1 ? 1 : alpha - beta * std::cos(x));
    }
  }
  c.give(c.b.floats(values, {length}, c.output_dtype()));
}

constexpr Row kRows[] = {
    {"aten::arange", lower_arange},
    {"aten::bernoulli", lower_bernoulli},
    {"aten::blackman_window", lower_window<2>},
    {"aten::empty", lower_zeros},
    {"aten::empty_like", lower_zeros},
    {"aten::empty_permuted", lower_zeros},
    {"aten::empty_strided", lower_zeros},
    {"aten::eye", lower_eye},
    {"aten::fill", lower_full},
    {"aten::full", lower_full},
    {"aten::full_like", lower_full},
    {"aten::hamming_window", lower_window<1>},
    {"aten::hann_window", lower_window<0>},
    {"aten::linspace", lower_linspace},
    {"aten::logspace", lower_linspace},
    {"aten::new_empty", lower_zeros},
    {"aten::new_empty_strided", lower_zeros},
    {"aten::new_full", lower_full},
    {"aten::new_ones", lower_ones},
    {"aten::new_zeros", lower_zeros},
    {"aten::normal", lower_normal},
    {"aten::normal_functional", lower_normal},
    {"aten::ones", lower_ones},
    {"aten::ones_like", lower_ones},
    {"aten::rand", lower_random<kUniform>},
    {"aten::rand_like", lower_random<kUniform>},
    {"aten::randint", lower_random_integers},
    {"aten::randint_like", lower_random_integers},
    {"aten::randn", lower_random<kNormal>},
    {"aten::randn_like", lower_random<kNormal>},
    {"aten::tril_indices", lower_tril_indices},
    {"aten::triu_indices", lower_tril_indices},
    {"aten::zero", lower_zeros},
    {"aten::zeros", lower_zeros},
    {"aten::zeros_like", lower_zeros},
};

}  // namespace

std::span<const Row> creation_rows() {
  return kRows;
}

}  // namespace mlc::onnx
