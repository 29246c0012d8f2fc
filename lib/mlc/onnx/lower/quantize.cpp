// Quantised programs: what torchao's export flow writes, and quantisation that is only simulated.
//
// Pairs of QuantizeLinear and DequantizeLinear where they say the same, so that runtimes find their
// integer kernels; arithmetic for other integers.
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <optional>

namespace mlc::onnx {
namespace {

struct Grid {
  Value* scale = nullptr;  // float32: a number, or one for each channel
  Value* zero = nullptr;   // int64, of the same shape
  std::optional<int64_t> axis;
  double low = 0;
  double high = 0;
};

bool is_byte(DType dtype) {
  return dtype == DType::u8 || dtype == DType::i8;
}

/// A number or a tensor of one element as one without dimensions, else a list.
Value* parameter(Call& c, std::string_view name, DType dtype) {
  Value* x = c.b.cast(c.tensor(name), dtype);
  const auto& sizes = x->type.sizes;
  const bool one = sizes.size() == 1 && c.symbols().constant_value(sizes[0]) == 1;
  return one ? c.b.reshape(x, {}) : x;
}

Grid read_grid(Call& c, size_t rank) {
  Grid g;
  const bool many = c.has("scales");
  g.scale = parameter(c, many ? "scales" : "scale", DType::f32);
  const std::string_view zeros = many || c.has("zero_points") ? "zero_points" : "zero_point";
  g.zero = c.has(zeros) ? parameter(c, zeros, DType::i64)
                        : c.b.expand(c.b.number(int64_t{0}, DType::i64), g.scale->type.sizes);
  if (c.has("axis")) {
    g.axis = c.axis("axis", rank);
    // One channel is a list of one.
    g.scale = c.b.reshape(g.scale, {c.b.product(g.scale->type.sizes)});
    g.zero = c.b.reshape(g.zero, {c.b.product(g.zero->type.sizes)});
  }
  g.low = c.number("quant_min");
  g.high = c.number("quant_max");
  return g;
}

Attributes axis_of(const Grid& g) {
  return g.axis ? Attributes{{"axis", *g.axis}} : Attributes{};
}

/// PARAMETER so that it broadcasts to tensors of RANK dimensions.
Value* spread(Builder& b, const Grid& g, Value* parameter, size_t rank) {
  if (!g.axis) return parameter;
  Sizes sizes(rank, b.expr(1));
  sizes[static_cast<size_t>(*g.axis)] = b.size_of(parameter, 0);
  return b.reshape(parameter, sizes);
}

/// X on the grid as whole numbers of float32.
Value* steps(Builder& b, const Grid& g, Value* x) {
  const size_t rank = x->type.sizes.size();
  Value* zero = b.cast(spread(b, g, g.zero, rank), DType::f32);
  Value* y = b.add(b.unary("Round", b.div(x, spread(b, g, g.scale, rank))), zero);
  y = b.binary("Max", y, b.number(g.low, DType::f32));
  return b.binary("Min", y, b.number(g.high, DType::f32));
}

Value* from_steps(Builder& b, const Grid& g, Value* y) {
  const size_t rank = y->type.sizes.size();
  Value* zero = b.cast(spread(b, g, g.zero, rank), DType::f32);
  return b.mul(b.sub(b.cast(y, DType::f32), zero), spread(b, g, g.scale, rank));
}

/// Whether DTYPE holds nothing but the grid.
bool fills(const Grid& g, DType dtype) {
  return dtype == DType::u8 ? g.low == 0 && g.high == 255 : g.low == -128 && g.high == 127;
}

/// QuantizeLinear; values beyond a grid that is narrower than DTYPE are cut off before.
Value* quantized(Builder& b, const Grid& g, Value* x, DType dtype) {
  if (!fills(g, dtype)) {
    const size_t rank = x->type.sizes.size();
    Value* zero = b.cast(spread(b, g, g.zero, rank), DType::f32);
    Value* scale = spread(b, g, g.scale, rank);
    const auto limit = [&](double step) {
      return b.mul(b.sub(b.number(step, DType::f32), zero), scale);
    };
    x = b.binary("Min", b.binary("Max", x, limit(g.low)), limit(g.high));
  }
  return b.node("QuantizeLinear", {x, g.scale, b.cast(g.zero, dtype)}, axis_of(g),
                {dtype, x->type.sizes});
}

Value* dequantized(Builder& b, const Grid& g, Value* y) {
  return b.node("DequantizeLinear", {y, g.scale, b.cast(g.zero, y->type.dtype)}, axis_of(g),
                {DType::f32, y->type.sizes});
}

void lower_quantize(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("input"), DType::f32);
  const Grid g = read_grid(c, x->type.sizes.size());
  const DType dtype = c.output_dtype();
  if (!is_byte(dtype)) return c.give(b.cast(steps(b, g, x), dtype));
  c.give(quantized(b, g, x, dtype));
}

bool are_zero(const Call& c, const Value* zeros) {
  const auto known = c.b.known_integers(zeros);
  return known && std::ranges::all_of(*known, [](int64_t one) { return one == 0; });
}

void lower_dequantize(Call& c) {
  Builder& b = c.b;
  Value* y = c.tensor("input");
  const Grid g = read_grid(c, y->type.sizes.size());
  // ONNX has integers of 32 bits for what is added to products of bytes, without a zero point.
  if (y->type.dtype == DType::i32 && are_zero(c, g.zero)) {
    return c.give(
        b.node("DequantizeLinear", {y, g.scale}, axis_of(g), {DType::f32, y->type.sizes}));
  }
  c.give(is_byte(y->type.dtype) ? dequantized(b, g, y) : from_steps(b, g, y));
}

/// The bytes that hold the grid of a simulated quantisation; nothing where it is larger.
std::optional<DType> byte_for(const Grid& g) {
  if (g.low >= 0 && g.high <= 255) return DType::u8;
  if (g.low >= -128 && g.high <= 127) return DType::i8;
  return std::nullopt;
}

bool is_whole(const Value* zero_point) {
  return info(zero_point->type.dtype).kind == DTypeClass::integer;
}

/// Rounds to the grid and back; a mask, where it is wanted, says what lay on the grid.
void lower_fake_quantize(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (c.has("fake_quant_enabled")) {
    const auto on = b.known_number(c.tensor("fake_quant_enabled"));
    if (!on) Call::refuse("whether it quantises is known at run time only");
    if (*on == 0) return c.give(x, 0);
  }
  Value* in = b.cast(x, DType::f32);
  if (!is_whole(c.tensor("zero_point"))) Call::refuse("its zero point is no integer");
  const Grid g = read_grid(c, x->type.sizes.size());
  const auto byte = byte_for(g);
  c.give(byte ? dequantized(b, g, quantized(b, g, in, *byte)) : from_steps(b, g, steps(b, g, in)),
         0);
  if (c.output_count() < 2 || !c.is_used(1)) return;
  const size_t rank = x->type.sizes.size();
  Value* zero = b.cast(spread(b, g, g.zero, rank), DType::f32);
  Value* y = b.add(b.unary("Round", b.div(in, spread(b, g, g.scale, rank))), zero);
  c.give(b.logical("And", b.compare("GreaterOrEqual", y, b.number(g.low, DType::f32)),
                   b.compare("LessOrEqual", y, b.number(g.high, DType::f32))),
         1);
}

/// The grid that holds all of INPUT, and 0.
template <bool kSymmetric>
void lower_choose(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("input"), DType::f32);
  const double low = c.number("quant_min");
  const double high = c.number("quant_max");
  Value* none = b.number(0.0, DType::f32);
  Value* least = b.binary("Min", b.reduce("ReduceMin", x, {}, false), none);
  Value* most = b.binary("Max", b.reduce("ReduceMax", x, {}, false), none);
  const auto one = [&](Value* y) { return b.reshape(y, c.output_sizes(0)); };
  if (kSymmetric) {
    if (c.output_count() > 1 && c.dtype("dtype") != DType::i8) {
      Call::refuse("its integers are no int8");
    }
    most = b.binary("Max", most, b.unary("Neg", least));
  }
  const double width = kSymmetric ? (high - low) / 2 : high - low;
  Value* scale = b.div(kSymmetric ? most : b.sub(most, least), width);
  scale = b.binary("Max", scale, b.number(c.number("eps"), DType::f32));
  c.give(one(scale), 0);
  if (kSymmetric) return c.give(one(b.number(int64_t{0}, DType::i64)), 1);
  Value* start = b.number(low, DType::f32);
  Value* zero = b.sub(start, b.unary("Round", b.div(least, scale)));
  zero = b.binary("Min", b.binary("Max", zero, start), b.number(high, DType::f32));
  c.give(one(b.cast(zero, DType::i64)), 1);
}

void lower_int_mm(Call& c) {
  c.give(c.b.node("MatMulInteger", {c.tensor("self"), c.tensor("mat2")}, {},
                  {DType::i32, c.output_sizes()}));
}

void refuse_stored(Call&) {
  Call::refuse(
      "PyTorch's quantised tensors: mlc exports them from TorchScript; as .pt2 what torchao's "
      "export flow writes");
}

constexpr Row kRows[] = {
    {"aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", lower_fake_quantize},
    {"aten::_int_mm", lower_int_mm},
    {"aten::dequantize", refuse_stored},
    {"aten::fake_quantize_per_channel_affine", lower_fake_quantize},
    {"aten::fake_quantize_per_channel_affine_cachemask", lower_fake_quantize},
    {"aten::fake_quantize_per_tensor_affine", lower_fake_quantize},
    {"aten::fake_quantize_per_tensor_affine_cachemask", lower_fake_quantize},
    {"aten::quantize_per_channel", refuse_stored},
    {"aten::quantize_per_tensor", refuse_stored},
    {"quantized_decomposed::choose_qparams", lower_choose<false>},
    {"quantized_decomposed::choose_qparams_symmetric", lower_choose<true>},
    {"quantized_decomposed::dequantize_per_channel", lower_dequantize},
    {"quantized_decomposed::dequantize_per_tensor", lower_dequantize},
    {"quantized_decomposed::quantize_per_channel", lower_quantize},
    {"quantized_decomposed::quantize_per_tensor", lower_quantize},
};

}  // namespace

std::span<const Row> quantize_rows() {
  return kRows;
}

}  // namespace mlc::onnx
