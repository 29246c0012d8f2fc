// Activations.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace mlc::onnx {
namespace {

template <const char* kOp>
void lower_unary(Call& c) {
  c.give(c.b.unary(kOp, c.tensor("self")));
}
template <const char* kOp>
void lower_float_unary(Call& c) {
  c.give(c.b.unary(kOp, c.floating("self")));
}
constexpr char kRelu[] = "Relu", kSigmoid[] = "Sigmoid", kTanh[] = "Tanh", kSoftsign[] = "Softsign";

/// OP with its float attributes, in a dtype that has a kernel.
Value* with_attributes(Call& c, std::string_view op, Value* x,
                       std::initializer_list<std::pair<const char*, double>> attributes) {
  Attributes all;
  for (const auto& [name, value] : attributes) all.push_back({name, static_cast<float>(value)});
  Value* in = c.b.cast(x, kernel_dtype(op, x->type.dtype));
  return c.b.cast(c.b.node(op, {in}, std::move(all), in->type), x->type.dtype);
}

Value* clip(Call& c, Value* x, double low, double high) {
  const DType computed = kernel_dtype("Clip", x->type.dtype);
  Value* in = c.b.cast(x, computed);
  if (computed == DType::i64) {  // as clamp
    Value* above = c.b.binary("Max", in, c.b.number(low, computed));
    return c.b.binary("Min", above, c.b.number(high, computed));
  }
  Value* y =
      c.b.node("Clip", {in, c.b.number(low, computed), c.b.number(high, computed)}, {}, in->type);
  return c.b.cast(y, x->type.dtype);
}

void lower_relu6(Call& c) {
  c.give(clip(c, c.tensor("self"), 0, 6));
}
void lower_hardtanh(Call& c) {
  c.give(clip(c, c.tensor("self"), c.number("min_val", -1), c.number("max_val", 1)));
}

void lower_leaky_relu(Call& c) {
  c.give(with_attributes(c, "LeakyRelu", c.tensor("self"),
                         {{"alpha", c.number("negative_slope", 0.01)}}));
}

void lower_elu(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const double alpha = c.number("alpha", 1);
  const double scale = c.number("scale", 1);
  const double input_scale = c.number("input_scale", 1);
  if (scale == 1 && input_scale == 1) {
    return c.give(with_attributes(c, "Elu", x, {{"alpha", alpha}}));
  }
  Value* negative = b.mul(b.sub(b.unary("Exp", b.mul(x, input_scale)), 1.0), alpha);
  Value* zero = b.number(0.0, x->type.dtype);
  c.give(b.mul(b.where(b.compare("Greater", x, zero), x, negative), scale));
}

void lower_celu(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const double alpha = c.number("alpha", 1);
  // Celu of ONNX Runtime takes float32 only; Elu of x/alpha is the same.
  Value* y = with_attributes(c, "Elu", b.div(x, alpha), {{"alpha", 1.0}});
  c.give(b.mul(y, alpha));
}

void lower_selu(Call& c) {
  c.give(with_attributes(c, "Selu", c.tensor("self"),
                         {{"alpha", 1.6732632423543772}, {"gamma", 1.0507009873554805}}));
}

void lower_prelu(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* w = c.tensor("weight");
  const size_t rank = x->type.sizes.size();
  if (w->type.sizes.size() == 1 && rank > 1) {
    Sizes sizes(rank - 1, b.expr(1));
    sizes[0] = b.size_of(w, 0);
    w = b.reshape(w, sizes);
  } else if (w->type.sizes.size() == 1 && rank == 0) {
    w = b.reshape(w, {});
  }
  c.give(b.node("PRelu", {x, w}, {}, x->type));
}

void lower_threshold(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  // NaN, which is no less than anything, stays.
  Value* replaced = b.compare("LessOrEqual", x, b.number(c.number("threshold"), dtype));
  c.give(b.where(replaced, b.number(c.number("value"), dtype), x));
}

void lower_rrelu(Call& c) {
  if (c.boolean("training", false)) {
    Call::refuse("it draws its slopes at random, because the model is in training mode");
  }
  const double slope = (c.number("lower", 1.0 / 8) + c.number("upper", 1.0 / 3)) / 2;
  c.give(with_attributes(c, "LeakyRelu", c.tensor("self"), {{"alpha", slope}}));
}

/// log(1 + e^x) as max(x, 0) + log(1 + e^-|x|), which is exact for large and small x.
Value* softplus(Builder& b, Value* x) {
  Value* zero = b.number(0.0, x->type.dtype);
  Value* tail = b.unary("Exp", b.unary("Neg", b.unary("Abs", x)));
  return b.add(b.binary("Max", x, zero), b.unary("Log", b.add(tail, 1.0)));
}

void lower_softplus(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const double beta = c.number("beta", 1);
  const double threshold = c.number("threshold", 20);
  if (beta == 1 && threshold >= 20) return c.give(softplus(b, x));
  Value* scaled = b.mul(x, beta);
  Value* linear = b.compare("Greater", scaled, b.number(threshold, x->type.dtype));
  c.give(b.where(linear, x, b.div(softplus(b, scaled), beta)));
}

void lower_hardsigmoid(Call& c) {
  c.give(with_attributes(c, "HardSigmoid", c.tensor("self"), {{"alpha", 1.0 / 6}, {"beta", 0.5}}));
}
void lower_hardswish(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (b.can_use(14)) return c.give(b.unary("HardSwish", x));
  Value* gate = with_attributes(c, "HardSigmoid", x, {{"alpha", 1.0 / 6}, {"beta", 0.5}});
  c.give(b.mul(x, gate));
}
void lower_hardshrink(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  Value* size = b.number(c.number("lambd", 0.5), dtype);
  Value* small = b.compare("LessOrEqual", b.unary("Abs", x), size);
  c.give(b.where(small, b.number(0.0, dtype), x));
}
void lower_softshrink(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  const double size = c.number("lambd", 0.5);
  Value* near = b.binary("Max", x, b.number(-size, dtype));
  c.give(b.sub(x, b.binary("Min", near, b.number(size, dtype))));
}
void lower_tanhshrink(Call& c) {
  Value* x = c.floating("self");
  c.give(c.b.sub(x, c.b.unary("Tanh", x)));
}
void lower_log_sigmoid(Call& c) {
  Builder& b = c.b;
  c.give(b.unary("Neg", softplus(b, b.unary("Neg", c.tensor("self")))));
}
void lower_mish(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  c.give(b.mul(x, b.unary("Tanh", softplus(b, x))));
}

void lower_gelu(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (c.text("approximate", "none") == "none") return c.give(gelu(b, x));
  Value* cube = b.mul(b.binary("Pow", x, b.number(3.0, x->type.dtype)), 0.044715);
  Value* inner = b.mul(b.add(x, cube), std::sqrt(2 / std::numbers::pi));
  c.give(b.mul(b.mul(x, b.add(b.unary("Tanh", inner), 1.0)), 0.5));
}
void lower_silu(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.mul(x, c.b.unary("Sigmoid", x)));
}
void lower_glu(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  const ir::Expr half = c.symbols().floor_divide(b.size_of(x, axis), b.expr(2));
  const auto parts = b.split(x, axis, {half, half});
  c.give(b.mul(parts[0], b.unary("Sigmoid", parts[1])));
}

template <const char* kOp>
void lower_softmax(Call& c) {
  Value* x = c.tensor("self");
  if (const auto dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  if (c.boolean("half_to_float", false)) x = c.b.cast(x, DType::f32);
  x = c.floating(x);
  if (x->type.sizes.empty()) {
    const bool log = std::string_view(kOp) == "LogSoftmax";
    return c.give(c.b.number(log ? 0.0 : 1.0, x->type.dtype));
  }
  c.give(c.b.softmax(x, c.axis("dim", x->type.sizes.size()), kOp));
}
constexpr char kSoftmax[] = "Softmax", kLogSoftmax[] = "LogSoftmax";

constexpr Row kRows[] = {
    {"aten::_log_softmax", lower_softmax<kLogSoftmax>},
    {"aten::_prelu_kernel", lower_prelu},
    {"aten::_softmax", lower_softmax<kSoftmax>},
    {"aten::celu", lower_celu},
    {"aten::elu", lower_elu},
    {"aten::gelu", lower_gelu},
    {"aten::glu", lower_glu},
    {"aten::hardshrink", lower_hardshrink},
    {"aten::hardsigmoid", lower_hardsigmoid},
    {"aten::hardswish", lower_hardswish},
    {"aten::hardtanh", lower_hardtanh},
    {"aten::leaky_relu", lower_leaky_relu},
    {"aten::log_sigmoid", lower_log_sigmoid},
    {"aten::log_softmax", lower_softmax<kLogSoftmax>},
    {"aten::mish", lower_mish},
    {"aten::prelu", lower_prelu},
    {"aten::relu", lower_unary<kRelu>},
    {"aten::relu6", lower_relu6},
    {"aten::rrelu", lower_rrelu},
    {"aten::selu", lower_selu},
    {"aten::sigmoid", lower_float_unary<kSigmoid>},
    {"aten::silu", lower_silu},
    {"aten::softmax", lower_softmax<kSoftmax>},
    {"aten::softplus", lower_softplus},
    {"aten::softshrink", lower_softshrink},
    {"aten::softsign", lower_float_unary<kSoftsign>},
    {"aten::special_expit", lower_float_unary<kSigmoid>},
    {"aten::tanh", lower_float_unary<kTanh>},
    {"aten::tanhshrink", lower_tanhshrink},
    {"aten::threshold", lower_threshold},
};

}  // namespace

std::span<const Row> activation_rows() {
  return kRows;
}

}  // namespace mlc::onnx
