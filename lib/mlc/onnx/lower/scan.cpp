// Running products, maxima and sums of exponentials, and areas under curves.
//
// ONNX has a running sum alone. The others reduce, for each place, everything up to it: a triangle
// of N * N elements.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <limits>

namespace mlc::onnx {
namespace {

/// [..., N, N]: row i holds the elements up to i of the last dimension of X, then FILL.
Value* prefixes(Builder& b, Value* x, Value* fill) {
  const ir::Expr size = b.size_of(x, -1);
  return b.where(lower_triangle(b, size, size), b.unsqueeze(x, {-2}), fill);
}

void lower_cumprod(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("self"), c.output_dtype());
  if (x->type.sizes.empty()) return c.give(x);
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  Value* all = prefixes(b, b.swap_axes(x, axis, -1), b.number(int64_t{1}, x->type.dtype));
  c.give(b.swap_axes(b.reduce("ReduceProd", all, {-1}, false), axis, -1));
}

void lower_logcumsumexp(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  if (x->type.sizes.empty()) return c.give(x);
  const DType dtype = x->type.dtype;
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  const double least = -std::numeric_limits<double>::infinity();
  Value* all = prefixes(b, b.swap_axes(x, axis, -1), b.number(least, dtype));
  // The largest is taken out, so that nothing overflows.
  Value* most = b.reduce("ReduceMax", all, {-1}, true);
  Value* bounded = b.binary("Max", most, b.number(dtype == DType::f16 ? -65504 : -3.4e38, dtype));
  Value* sum = b.reduce("ReduceSum", b.unary("Exp", b.sub(all, bounded)), {-1}, true);
  Value* y = b.squeeze(b.add(b.unary("Log", sum), bounded), {-1});
  c.give(b.swap_axes(y, axis, -1));
}

/// The least number of an integer DTYPE, or the largest.
int64_t extreme_integer(DType dtype, bool least) {
  const auto bits = static_cast<int64_t>(info(dtype).bytes * 8);
  if (dtype == DType::boolean) return least ? 0 : 1;
  if (dtype == DType::u8) return least ? 0 : 255;
  if (dtype == DType::boolean) return least ? 0 : 1;
  const int64_t most = bits == 64 ? INT64_MAX : (int64_t{1} << (bits - 1)) - 1;
  return least ? -most - 1 : most;
}

/// cummax and cummin, with the last place of equal extremes.
template <bool kMax>
void lower_running_extreme(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(b.number(int64_t{0}, DType::i64), 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  const double infinity = std::numeric_limits<double>::infinity();
  Value* fill = info(dtype).kind == DTypeClass::floating
                    ? b.number(kMax ? -infinity : infinity, dtype)
                    : b.number(extreme_integer(dtype, kMax), dtype);
  Value* all = prefixes(b, b.swap_axes(x, axis, -1), fill);
  Value* extreme = b.reduce(kMax ? "ReduceMax" : "ReduceMin", all, {-1}, true);
  c.give(b.swap_axes(b.squeeze(extreme, {-1}), axis, -1), 0);
  if (c.output_count() < 2 || !c.is_used(1)) return;
  // The largest place, of those up to the own one, at which the extreme stands.
  const ir::Expr size = b.size_of(x, axis);
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* places = b.range(zero, b.number(int64_t{1}, DType::i64), size);
  Value* same = b.logical("And", b.compare("Equal", all, extreme), lower_triangle(b, size, size));
  Value* last = b.reduce("ReduceMax", b.where(same, places, zero), {-1}, false);
  c.give(b.swap_axes(last, axis, -1), 1);
}

/// The areas between neighbours along AXIS.
Value* trapezoids(Call& c, Value* y, int64_t axis) {
  Builder& b = c.b;
  const auto pair_of = [&](Value* z, int64_t at) {
    const ir::Expr before = b.symbols().subtract(b.size_of(z, at), b.expr(1));
    return std::pair(b.slice(z, at, b.expr(1), b.expr(INT64_MAX)),
                     b.slice(z, at, b.expr(0), before));
  };
  const auto [later, earlier] = pair_of(y, axis);
  Value* heights = b.mul(b.add(later, earlier), 0.5);
  if (!c.has("x")) return b.mul(heights, c.number("dx", 1));
  Value* x = b.cast(c.tensor("x"), y->type.dtype);
  const bool is_line = x->type.sizes.size() == 1;
  const auto [right, left] = pair_of(x, is_line ? 0 : axis);
  Value* widths = b.sub(right, left);
  if (is_line) {
    Sizes sizes(y->type.sizes.size(), b.expr(1));
    sizes[static_cast<size_t>(axis)] = b.size_of(widths, 0);
    widths = b.reshape(widths, sizes);
  }
  return b.mul(heights, widths);
}

void lower_trapezoid(Call& c) {
  Value* y = c.floating("y");
  const int64_t axis = c.axis("dim", y->type.sizes.size(), -1);
  c.give(c.b.reduce("ReduceSum", trapezoids(c, y, axis), {axis}, false));
}
void lower_cumulative_trapezoid(Call& c) {
  Builder& b = c.b;
  Value* y = c.floating("y");
  const int64_t axis = c.axis("dim", y->type.sizes.size(), -1);
  Value* areas = trapezoids(c, y, axis);
  const DType computed = kernel_dtype("CumSum", areas->type.dtype);
  c.give(b.node("CumSum", {b.cast(areas, computed), b.number(axis, DType::i64)}, {},
                {computed, areas->type.sizes}));
}

constexpr Row kRows[] = {
    {"aten::_logcumsumexp", lower_logcumsumexp},
    {"aten::cummax", lower_running_extreme<true>},
    {"aten::cummin", lower_running_extreme<false>},
    {"aten::cumprod", lower_cumprod},
    {"aten::cumulative_trapezoid", lower_cumulative_trapezoid},
    {"aten::logcumsumexp", lower_logcumsumexp},
    {"aten::trapezoid", lower_trapezoid},
    {"aten::trapz", lower_trapezoid},
};

}  // namespace

std::span<const Row> scan_rows() {
  return kRows;
}

}  // namespace mlc::onnx
