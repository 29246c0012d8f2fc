// Pooling.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace mlc::onnx {
namespace {

std::vector<int64_t> per_dimension(std::vector<int64_t> list, size_t count) {
  if (list.size() == 1) list.resize(count, list[0]);
  if (list.size() != count) Call::refuse("a list of its arguments has another length");
  return list;
}

struct Pool {
  Value* input = nullptr;  // batched
  bool unbatched = false;
  size_t dims = 0;
  std::vector<int64_t> kernel, stride, padding, dilation;
  bool ceil = false;
  bool rounds_up = false;    // ceil_mode of ONNX, where sizes vary
  DType dtype = DType::f32;  // of the input as it came
};

/// DIMS dimensions of space: from the name of the operator, "avg_pool2d".
size_t space_of(Call& c) {
  for (const char digit : c.node.op().name) {
    if (digit >= '1' && digit <= '3') return static_cast<size_t>(digit - '0');
  }
  Call::refuse("its number of dimensions is not known");
}

/// [N, C, ...]: with a batch where there is none.
Value* batched(Call& c, Value* x, size_t dims, bool& unbatched) {
  unbatched = x->type.sizes.size() == dims + 1;
  if (!unbatched && x->type.sizes.size() != dims + 2) {
    Call::refuse("its input has another number of dimensions");
  }
  return unbatched ? c.b.unsqueeze(x, {0}) : x;
}

/// Whether ceil_mode of ONNX says what PyTorch's does, whatever the sizes: no last window that
/// begins in the padding behind, which PyTorch drops. Such a window begins at most at
/// size + 2*padding - window + stride - 1.
bool rounds_alike(const Pool& p) {
  for (size_t i = 0; i < p.dims; ++i) {
    const int64_t window = p.dilation[i] * (p.kernel[i] - 1) + 1;
    if (window < p.stride[i] + p.padding[i]) return false;
  }
  return true;
}

/// Whether the sizes that are pooled are numbers, and so what is pooled to.
bool has_fixed_sizes(Call& c, const Pool& p) {
  const Sizes out = c.output_sizes();
  const auto known = [&](ir::Expr size) { return c.symbols().constant_value(size).has_value(); };
  return std::ranges::all_of(std::span(out).last(p.dims), known) &&
         std::ranges::all_of(std::span(p.input->type.sizes).last(p.dims), known);
}

Pool read(Call& c, std::string_view op) {
  Pool p;
  p.dims = space_of(c);
  p.input = batched(c, c.tensor("self"), p.dims, p.unbatched);
  p.dtype = p.input->type.dtype;
  p.input = c.b.cast(p.input, kernel_dtype(op, p.dtype));
  p.kernel = per_dimension(c.fixed_list("kernel_size"), p.dims);
  const std::vector<int64_t> stride = c.fixed_list("stride", {});
  p.stride = stride.empty() ? p.kernel : per_dimension(stride, p.dims);
  p.padding = per_dimension(c.fixed_list("padding", {0}), p.dims);
  p.dilation = per_dimension(c.fixed_list("dilation", {1}), p.dims);
  p.ceil = c.boolean("ceil_mode", false);
  p.rounds_up = p.ceil && !has_fixed_sizes(c, p) && rounds_alike(p);
  return p;
}

/// What has to be added behind, so that rounding down gives the size that the program says. PyTorch
/// drops a last window that begins in the padding, which ceil_mode of ONNX does not everywhere.
std::vector<int64_t> end_pads(Call& c, const Pool& p) {
  std::vector<int64_t> out = p.padding;
  if (!p.ceil || p.rounds_up) return out;
  Sizes sizes = c.output_sizes();
  for (size_t i = 0; i < p.dims; ++i) {
    const auto size = c.symbols().constant_value(sizes.at(sizes.size() - p.dims + i));
    const auto in = c.symbols().constant_value(p.input->type.sizes[2 + i]);
    if (!size || !in) Call::refuse("ceil_mode with sizes that vary");
    out[i] = (*size - 1) * p.stride[i] + p.dilation[i] * (p.kernel[i] - 1) + 1 - *in - p.padding[i];
    out[i] = std::max<int64_t>(out[i], 0);
  }
  return out;
}

bool any_positive(const std::vector<int64_t>& list) {
  return std::ranges::any_of(list, [](int64_t one) { return one > 0; });
}

Attributes window(const Pool& p, const std::vector<int64_t>& before,
                  const std::vector<int64_t>& after) {
  Attributes out = {{"kernel_shape", p.kernel}, {"strides", p.stride}};
  std::vector<int64_t> pads = before;
  pads.insert(pads.end(), after.begin(), after.end());
  if (any_positive(pads)) out.push_back({"pads", pads});
  if (std::ranges::any_of(p.dilation, [](int64_t one) { return one != 1; })) {
    out.push_back({"dilations", p.dilation});
  }
  if (p.rounds_up) out.push_back({"ceil_mode", int64_t{1}});
  return out;
}

Sizes batched_sizes(Call& c, const Pool& p, size_t index = 0) {
  Sizes sizes = c.output_sizes(index);
  if (p.unbatched) sizes.insert(sizes.begin(), c.b.expr(1));
  return sizes;
}

void give_pooled(Call& c, const Pool& p, Value* y, size_t index = 0) {
  if (p.unbatched) y = c.b.squeeze(y, {0});
  c.give(index == 0 ? c.b.cast(y, p.dtype) : y, index);
}

/// ONNX counts positions over the whole tensor, PyTorch within a plane.
Value* plane_indices(Call& c, const Pool& p, Value* indices) {
  const ir::Expr plane = c.b.product(std::span(p.input->type.sizes).last(p.dims));
  return c.b.binary("Mod", indices, c.b.integer(plane));
}

/// X with the least value around, where a pad is as large as the kernel, which dilation allows but
/// ONNX Runtime does not: PADS are none then.
Value* padded_outside(Call& c, const Pool& p, std::vector<int64_t>& before,
                      std::vector<int64_t>& after) {
  Builder& b = c.b;
  bool large = false;
  Sizes low(2, b.expr(0));
  Sizes high(2, b.expr(0));
  for (size_t i = 0; i < p.dims; ++i) {
    large = large || before[i] >= p.kernel[i] || after[i] >= p.kernel[i];
    low.push_back(b.expr(before[i]));
    high.push_back(b.expr(after[i]));
  }
  if (!large) return p.input;
  const DType dtype = p.input->type.dtype;
  if (info(dtype).kind != DTypeClass::floating) Call::refuse("pads as large as its kernel");
  if (c.output_count() > 1 && c.is_used(1)) {
    Call::refuse("indices with pads as large as its kernel");
  }
  before.assign(p.dims, 0);
  after.assign(p.dims, 0);
  const double least = -std::numeric_limits<double>::infinity();
  return b.pad(p.input, low, high, "constant", b.number(least, dtype));
}

void lower_max_pool(Call& c) {
  Builder& b = c.b;
  Pool p = read(c, "MaxPool");
  const Sizes sizes = batched_sizes(c, p);
  std::vector<int64_t> before = p.padding;
  std::vector<int64_t> after = end_pads(c, p);
  p.input = padded_outside(c, p, before, after);
  const Attributes attributes = window(p, before, after);
  const TensorType type{p.input->type.dtype, sizes};
  if (c.output_count() < 2 || !c.is_used(1)) {
    return give_pooled(c, p, b.node("MaxPool", {p.input}, attributes, type));
  }
  const auto both = b.nodes("MaxPool", {p.input}, attributes, {type, {DType::i64, sizes}});
  give_pooled(c, p, both[0]);
  give_pooled(c, p, plane_indices(c, p, both[1]), 1);
}

Value* average(Call& c, const Pool& p, Value* in, const std::vector<int64_t>& before,
               const std::vector<int64_t>& after, bool count_padding) {
  Attributes attributes = window(p, before, after);
  if (count_padding) attributes.push_back({"count_include_pad", int64_t{1}});
  return c.b.node("AveragePool", {in}, attributes, {in->type.dtype, batched_sizes(c, p)});
}

void lower_avg_pool(Call& c) {
  Builder& b = c.b;
  const Pool p = read(c, "AveragePool");
  const bool count_padding = c.boolean("count_include_pad", true);
  const std::vector<int64_t> after = end_pads(c, p);
  const std::vector<int64_t> none(p.dims, 0);
  Value* in = p.input;
  const auto zero_padded = [&] {
    Sizes before(2, b.expr(0));
    for (const int64_t pad : p.padding) before.push_back(b.expr(pad));
    return b.pad(in, before, before, "constant", b.number(0.0, in->type.dtype));
  };
  std::vector<int64_t> overflow(p.dims, 0);
  for (size_t i = 0; i < p.dims; ++i) overflow[i] = std::max<int64_t>(after[i] - p.padding[i], 0);
  if (c.has("divisor_override")) {
    if (p.rounds_up) Call::refuse("ceil_mode and divisor_override with sizes that vary");
    double elements = 1;
    for (const int64_t size : p.kernel) elements *= static_cast<double>(size);
    Value* padded = zero_padded();
    // All windows are whole once the overflow is zeros too.
    Sizes none_before(p.dims + 2, b.expr(0));
    Sizes end(2, b.expr(0));
    for (const int64_t pad : overflow) end.push_back(b.expr(pad));
    padded = b.pad(padded, none_before, end, "constant", b.number(0.0, in->type.dtype));
    Value* mean = average(c, p, padded, none, none, true);
    return give_pooled(c, p, b.mul(mean, elements / c.number("divisor_override")));
  }
  const bool may_overflow = p.rounds_up || any_positive(overflow);
  if (!may_overflow) {
    return give_pooled(c, p, average(c, p, in, p.padding, p.padding, count_padding));
  }
  // Padding counts, what lies behind it does not.
  if (count_padding) {
    return give_pooled(c, p, average(c, p, zero_padded(), none, overflow, false));
  }
  give_pooled(c, p, average(c, p, in, p.padding, after, false));
}

/// The weights with which the windows of adaptive pooling average: one row for each output.
Value* window_means(Builder& b, int64_t in, int64_t out, DType dtype) {
  std::vector<double> rows(static_cast<size_t>(in * out), 0);
  for (int64_t o = 0; o < out; ++o) {
    const int64_t first = o * in / out;
    const int64_t last = ((o + 1) * in + out - 1) / out;
    for (int64_t i = first; i < last; ++i) {
      rows[static_cast<size_t>(o * in + i)] = 1.0 / static_cast<double>(last - first);
    }
  }
  return b.floats(rows, {out, in}, dtype);
}

/// The same of sizes that vary, in columns: [IN, OUT].
Value* computed_window_means(Builder& b, ir::Expr in, ir::Expr out, DType dtype) {
  Value* const one = b.number(int64_t{1}, DType::i64);
  Value* const zero = b.number(int64_t{0}, DType::i64);
  Value* const size = b.integer(in);
  Value* const count = b.integer(b.symbols().maximum(out, b.expr(1)));
  Value* const window = b.range(zero, one, out);
  Value* const place = b.unsqueeze(b.range(zero, one, in), {1});
  Value* const first = b.div(b.mul(window, size), count);
  Value* const ends = b.add(b.mul(b.add(window, one), size), b.sub(count, one));
  Value* const end = b.div(ends, count);
  Value* const begun = b.logical_not(b.compare("Less", place, first));
  Value* const inside = b.logical("And", begun, b.compare("Less", place, end));
  return b.div(b.cast(inside, dtype), b.cast(b.sub(end, first), dtype));
}

/// What to pool to: None keeps a size.
Sizes adaptive_sizes(Call& c, size_t dims) {
  const Sizes sizes = c.output_sizes();
  if (sizes.size() < dims) Call::refuse("its result has too few dimensions");
  return {sizes.end() - static_cast<ptrdiff_t>(dims), sizes.end()};
}

void lower_adaptive_avg_pool(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  const size_t dims = space_of(c);
  bool unbatched = false;
  Value* x = batched(c, c.tensor("self"), dims, unbatched);
  const DType dtype = x->type.dtype;
  x = b.cast(x, kernel_dtype("AveragePool", dtype));
  const Sizes to = adaptive_sizes(c, dims);
  const auto done = [&](Value* y) { c.give(b.cast(unbatched ? b.squeeze(y, {0}) : y, dtype)); };
  const bool global = std::ranges::all_of(to, [&](ir::Expr n) { return s.constant_value(n) == 1; });
  Sizes sizes = {x->type.sizes[0], x->type.sizes[1]};
  sizes.insert(sizes.end(), to.begin(), to.end());
  if (global) {
    return done(b.node("GlobalAveragePool", {x}, {}, {x->type.dtype, sizes}));
  }
  std::vector<int64_t> kernel;
  for (size_t i = 0; i < dims; ++i) {
    const auto in = s.constant_value(x->type.sizes[2 + i]);
    const auto out = s.constant_value(to[i]);
    if (out == 0) Call::refuse("it pools to a size of 0");
    const bool divides = in && out && *in % *out == 0;
    kernel.push_back(x->type.sizes[2 + i] == to[i] ? 1 : divides ? *in / *out : 0);
  }
  if (std::ranges::find(kernel, 0) == kernel.end()) {
    if (std::ranges::all_of(kernel, [](int64_t k) { return k == 1; })) return done(x);
    return done(b.node("AveragePool", {x}, {{"kernel_shape", kernel}, {"strides", kernel}},
                       {x->type.dtype, sizes}));
  }
  for (size_t i = 0; i < dims; ++i) {
    if (kernel[i] == 1) continue;
    const auto in = s.constant_value(x->type.sizes[2 + i]);
    const auto out = s.constant_value(to[i]);
    const auto axis = static_cast<int64_t>(2 + i);
    Value* means = in && out ? b.swap_axes(window_means(b, *in, *out, x->type.dtype), 0, 1)
                             : computed_window_means(b, x->type.sizes[2 + i], to[i], x->type.dtype);
    x = b.swap_axes(b.matmul(b.swap_axes(x, axis, -1), means), axis, -1);
  }
  done(x);
}

/// Along one axis, the largest of each window.
Value* adaptive_max(Builder& b, ir::Symbols& s, Value* x, int64_t axis, int64_t out) {
  Inputs parts;
  const ir::Expr in = x->type.sizes[static_cast<size_t>(axis)];
  for (int64_t o = 0; o < out; ++o) {
    const ir::Expr first = s.floor_divide(s.multiply(in, b.expr(o)), b.expr(out));
    const ir::Expr last = s.ceil_divide(s.multiply(in, b.expr(o + 1)), b.expr(out));
    Value* piece = b.slice(x, axis, first, last);
    parts.push_back(b.reduce("ReduceMax", piece, {axis}, true));
  }
  return b.concat(parts, axis);
}

/// The places of an axis that each of OUT windows sees, as many for all: the last one again and
/// again where a window has fewer.
std::vector<int64_t> window_places(int64_t in, int64_t out, int64_t& width) {
  const auto end_of = [&](int64_t o) { return ((o + 1) * in + out - 1) / out; };
  width = 0;
  for (int64_t o = 0; o < out; ++o) width = std::max(width, end_of(o) - o * in / out);
  std::vector<int64_t> places;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < width; ++i) {
      places.push_back(std::min(o * in / out + i, end_of(o) - 1));
    }
  }
  return places;
}

/// Of windows of several sizes, the largest element and its place in the plane: all elements of a
/// window side by side, then ArgMax. X is [N, C, ...].
void adaptive_max_places(Call& c, Value* x, const std::vector<int64_t>& in,
                         const std::vector<int64_t>& out, bool unbatched) {
  Builder& b = c.b;
  Value* windows = x;
  std::vector<int64_t> order = {0, 1};
  std::vector<int64_t> inner;
  Sizes grid = {x->type.sizes[0], x->type.sizes[1]};
  Value* places = b.number(int64_t{0}, DType::i64);
  for (size_t i = 0; i < in.size(); ++i) {
    int64_t width = 0;
    const std::vector<int64_t> at = window_places(in[i], out[i], width);
    // [..., out, width, ...] where the axis was.
    const auto axis = static_cast<int64_t>(2 + 2 * i);
    Value* index = b.int_tensor(at, {out[i], width}, DType::i64);
    windows = b.gather(windows, index, axis);
    order.push_back(axis);
    inner.push_back(axis + 1);
    grid.push_back(b.expr(out[i]));
    Sizes own(2 * in.size(), b.expr(1));
    own[2 * i] = b.expr(out[i]);
    own[2 * i + 1] = b.expr(width);
    Value* scaled = b.mul(places, b.number(in[i], DType::i64));
    places = b.add(scaled, b.reshape(index, own));
  }
  order.insert(order.end(), inner.begin(), inner.end());
  std::vector<int64_t> order_of_places;
  for (size_t i = 2; i < order.size(); ++i) order_of_places.push_back(order[i] - 2);
  Sizes flat = grid;
  windows = b.transpose(windows, order);
  flat.push_back(b.product(std::span(windows->type.sizes).last(in.size())));
  windows = b.reshape(windows, flat);
  Sizes flat_places = {b.expr(1), b.expr(1)};
  flat_places.insert(flat_places.end(), flat.begin() + 2, flat.end());
  places = b.reshape(b.transpose(places, order_of_places), flat_places);
  Value* best = b.arg("ArgMax", windows, -1, true);
  const auto pick = [&](Value* from) {
    Value* one = b.node("GatherElements", {b.expand(from, flat), best}, {{"axis", int64_t{-1}}},
                        {from->type.dtype, best->type.sizes});
    one = b.squeeze(one, {-1});
    return unbatched ? b.squeeze(one, {0}) : one;
  };
  c.give(pick(windows), 0);
  c.give(pick(places), 1);
}

/// The largest of everything, and its place where somebody asks for it.
void give_global_max(Call& c, Value* x, size_t dims, bool unbatched) {
  Builder& b = c.b;
  Sizes one(2 + dims, b.expr(1));
  one[0] = x->type.sizes[0];
  one[1] = x->type.sizes[1];
  const ir::Expr all = b.product(std::span(x->type.sizes).subspan(2));
  Value* flat = b.reshape(x, {one[0], one[1], all});
  const auto give = [&](Value* y, size_t index) {
    y = b.reshape(y, one);
    c.give(unbatched ? b.squeeze(y, {0}) : y, index);
  };
  give(b.reduce("ReduceMax", flat, {2}, false), 0);
  if (c.output_count() > 1 && c.is_used(1)) give(b.arg("ArgMax", flat, 2, false), 1);
}

void lower_adaptive_max_pool(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  const size_t dims = space_of(c);
  bool unbatched = false;
  Value* x = batched(c, c.tensor("self"), dims, unbatched);
  const DType dtype = x->type.dtype;
  const Sizes to = adaptive_sizes(c, dims);
  const auto varies = [&](ir::Expr size) { return !s.constant_value(size); };
  const bool global = std::ranges::all_of(to, [&](ir::Expr n) { return s.constant_value(n) == 1; });
  if (global && std::any_of(x->type.sizes.begin() + 2, x->type.sizes.end(), varies))
    return give_global_max(c, x, dims, unbatched);
  const bool wants_places = c.output_count() > 1 && c.is_used(1);
  std::vector<int64_t> kernel;
  for (size_t i = 0; i < dims; ++i) {
    const auto in = s.constant_value(x->type.sizes[2 + i]);
    const auto out = s.constant_value(to[i]);
    if (!out || *out == 0) Call::refuse("it pools to a size that varies, or to 0");
    if (!in && wants_places) Call::refuse("indices of sizes that vary");
    kernel.push_back(in && *in % *out == 0 ? *in / *out : 0);
  }
  const bool divides = std::ranges::find(kernel, 0) == kernel.end();
  if (divides) {
    Pool p;
    p.input = b.cast(x, kernel_dtype("MaxPool", dtype));
    p.unbatched = unbatched;
    p.dims = dims;
    p.kernel = p.stride = kernel;
    p.padding.assign(dims, 0);
    p.dilation.assign(dims, 1);
    p.dtype = dtype;
    const TensorType type{p.input->type.dtype, batched_sizes(c, p)};
    const auto both = b.nodes("MaxPool", {p.input}, window(p, p.padding, p.padding),
                              {type, {DType::i64, type.sizes}});
    give_pooled(c, p, both[0]);
    if (wants_places) give_pooled(c, p, plane_indices(c, p, both[1]), 1);
    return;
  }
  if (wants_places) {
    std::vector<int64_t> in;
    std::vector<int64_t> out;
    for (size_t i = 0; i < dims; ++i) {
      in.push_back(*s.constant_value(x->type.sizes[2 + i]));
      out.push_back(*s.constant_value(to[i]));
    }
    return adaptive_max_places(c, x, in, out, unbatched);
  }
  for (size_t i = 0; i < dims; ++i) {
    x = adaptive_max(b, s, x, static_cast<int64_t>(2 + i), *s.constant_value(to[i]));
  }
  c.give(unbatched ? b.squeeze(x, {0}) : x);
}

constexpr Row kRows[] = {
    {"aten::_adaptive_avg_pool2d", lower_adaptive_avg_pool},
    {"aten::_adaptive_avg_pool3d", lower_adaptive_avg_pool},
    {"aten::adaptive_avg_pool1d", lower_adaptive_avg_pool},
    {"aten::adaptive_avg_pool2d", lower_adaptive_avg_pool},
    {"aten::adaptive_avg_pool3d", lower_adaptive_avg_pool},
    {"aten::adaptive_max_pool1d", lower_adaptive_max_pool},
    {"aten::adaptive_max_pool2d", lower_adaptive_max_pool},
    {"aten::adaptive_max_pool3d", lower_adaptive_max_pool},
    {"aten::avg_pool1d", lower_avg_pool},
    {"aten::avg_pool2d", lower_avg_pool},
    {"aten::avg_pool3d", lower_avg_pool},
    {"aten::max_pool1d", lower_max_pool},
    {"aten::max_pool1d_with_indices", lower_max_pool},
    {"aten::max_pool2d", lower_max_pool},
    {"aten::max_pool2d_with_indices", lower_max_pool},
    {"aten::max_pool3d", lower_max_pool},
    {"aten::max_pool3d_with_indices", lower_max_pool},
};

}  // namespace

std::span<const Row> pool_rows() {
  return kRows;
}

}  // namespace mlc::onnx
