// Shapes, views and cutting. Sizes are expressions: most of these need no node for them.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

int64_t rank_of(const Value* x) {
  return static_cast<int64_t>(x->type.sizes.size());
}

/// The sizes that the program says, where it knows them better than the arguments tell.
void lower_reshape(Call& c) {
  Value* x = c.tensor("self");
  if (c.dtype("dtype")) Call::refuse("it reads the bytes of a tensor as another dtype");
  c.give(c.b.reshape(x, c.output_sizes()));
}

void lower_flatten(Call& c) {
  c.give(c.b.reshape(c.tensor("self"), c.output_sizes()));
}

void lower_expand(Call& c) {
  c.give(c.b.expand(c.tensor("self"), c.output_sizes()));
}

void lower_permute(Call& c) {
  Value* x = c.tensor("self");
  std::vector<int64_t> dims = c.fixed_list("dims");
  if (std::ssize(dims) != rank_of(x)) Call::refuse("its dims are not those of its tensor");
  for (int64_t& dim : dims) dim = Builder::axis_of(dim, dims.size());
  c.give(c.b.transpose(x, dims));
}

void lower_transpose(Call& c) {
  Value* x = c.tensor("self");
  const bool named = c.has("dim0");
  const size_t rank = x->type.sizes.size();
  const int64_t a = named ? c.axis("dim0", rank) : c.axis("axis0", rank);
  const int64_t z = named ? c.axis("dim1", rank) : c.axis("axis1", rank);
  c.give(c.b.swap_axes(x, a, z));
}

void lower_t(Call& c) {
  Value* x = c.tensor("self");
  c.give(rank_of(x) < 2 ? x : c.b.swap_axes(x, 0, 1));
}
void lower_mt(Call& c) {
  c.give(c.b.swap_axes(c.tensor("self"), -1, -2));
}

/// The transpose of what is real. Of less than two dimensions, itself.
void lower_adjoint(Call& c) {
  Value* x = c.tensor("self");
  if (info(x->type.dtype).kind == DTypeClass::complex) Call::refuse("it conjugates");
  c.give(rank_of(x) < 2 ? x : c.b.swap_axes(x, -1, -2));
}

/// What broadcasting to the sizes of SELF has come from.
void lower_sum_to_size(Call& c) {
  Value* x = c.b.cast(c.tensor("self"), c.output_dtype());
  const Sizes to = c.output_sizes();
  const size_t lead = x->type.sizes.size() - to.size();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) {
    const bool one = i >= lead && c.symbols().constant_value(to[i - lead]) == 1;
    if (i < lead || (one && x->type.sizes[i] != to[i - lead])) {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  c.give(axes.empty() ? x : c.b.reshape(c.b.reduce("ReduceSum", x, axes, true), to));
}

void lower_numpy_t(Call& c) {
  Value* x = c.tensor("self");
  std::vector<int64_t> back(x->type.sizes.size());
  std::iota(back.rbegin(), back.rend(), 0);
  c.give(c.b.transpose(x, back));
}

void lower_movedim(Call& c) {
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size();
  const std::vector<int64_t> from = c.axes("source", rank);
  std::vector<int64_t> sources = c.fixed_list("source");
  std::vector<int64_t> targets = c.fixed_list("destination");
  std::vector<int64_t> permutation(rank, -1);
  std::vector<bool> moved(rank, false);
  for (size_t i = 0; i < sources.size() && i < targets.size(); ++i) {
    const auto at = static_cast<size_t>(Builder::axis_of(sources[i], rank));
    permutation.at(static_cast<size_t>(Builder::axis_of(targets[i], rank))) =
        static_cast<int64_t>(at);
    moved.at(at) = true;
  }
  size_t next = 0;
  for (int64_t& axis : permutation) {
    if (axis >= 0) continue;
    while (next < rank && moved[next]) ++next;
    axis = static_cast<int64_t>(next++);
  }
  c.give(c.b.transpose(x, permutation));
}

void lower_unsqueeze(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.unsqueeze(x, {c.axis("dim", x->type.sizes.size() + 1)}));
}

/// Which dimensions go is what the program says: a size that is not known to be 1 stays.
void lower_squeeze(Call& c) {
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size();
  const auto* none = std::get_if<std::vector<ir::Expr>>(c.node.find("dim"));
  if (rank == 0 || (none != nullptr && none->empty())) return c.give(x);
  std::vector<int64_t> gone;
  for (const int64_t axis : c.axes("dim", rank)) {
    const ir::Expr size = c.b.size_of(x, axis);
    if (c.symbols().constant_value(size) == 1) {
      gone.push_back(axis);
    } else if (!c.symbols().constant_value(size)) {
      c.b.need_at_least(size, 2);
    }
  }
  c.give(c.b.squeeze(x, gone));
}

void lower_slice(Call& c) {
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size(), 0);
  const int64_t step = c.fixed("step", 1);
  if (step < 1) Call::refuse("its step is not positive");
  const ir::Expr start = c.integer("start", 0);
  const ir::Expr end = c.integer("end", INT64_MAX);
  c.give(c.b.slice(x, axis, start, end, step));
}

void lower_select(Call& c) {
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  const ir::Expr index = c.integer("index");
  const auto known = c.symbols().constant_value(index);
  Value* const part = known ? projected_part(c.b, x, static_cast<size_t>(axis), *known) : nullptr;
  c.give(part != nullptr ? part : c.b.select(x, axis, index));
}

/// Whether argument NAME is a tensor, where others have a number.
bool is_tensor_argument(const Call& c, std::string_view name) {
  const ir::Attribute* attribute = c.node.find(name);
  const auto* value = attribute == nullptr ? nullptr : std::get_if<ir::Value*>(attribute);
  return value != nullptr && (*value)->tensor() != nullptr;
}

void lower_narrow(Call& c) {
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  const ir::Expr length = c.integer("length");
  if (is_tensor_argument(c, "start")) {
    Builder& b = c.b;
    Value* first = b.reshape(b.cast(c.tensor("start"), DType::i64), {});
    return c.give(b.gather(x, b.range(first, b.number(int64_t{1}, DType::i64), length), axis));
  }
  ir::Expr start = c.integer("start");
  if (c.symbols().bounds(start).high < 0) start = c.symbols().add(start, c.b.size_of(x, axis));
  c.give(c.b.slice(x, axis, start, c.symbols().add(start, length)));
}

/// Along AXES, backwards.
Value* flipped(Builder& b, Value* x, std::vector<int64_t> axes) {
  std::erase_if(axes, [&](int64_t axis) {
    const auto size = b.symbols().constant_value(b.size_of(x, axis));
    return size == 0 || size == 1;
  });
  if (axes.empty()) return x;
  const std::vector<int64_t> lowest(axes.size(), INT64_MIN);
  const std::vector<int64_t> last(axes.size(), -1);
  return b.node("Slice",
                {x, b.integers(last), b.integers(lowest), b.integers(axes), b.integers(last)}, {},
                x->type);
}

template <int64_t kAxis>
void lower_flip_axis(Call& c) {
  c.give(flipped(c.b, c.tensor("self"), {kAxis}));
}

void lower_flip(Call& c) {
  Value* x = c.tensor("self");
  const std::vector<int64_t> dims = c.fixed_list("dims", {});
  if (dims.empty() || rank_of(x) == 0) return c.give(x);
  c.give(flipped(c.b, x, c.axes("dims", x->type.sizes.size())));
}

Value* rolled(Call& c, Value* x, int64_t axis, ir::Expr shift) {
  ir::Symbols& s = c.symbols();
  const ir::Expr size = c.b.size_of(x, axis);
  const ir::Expr cut = s.remainder(s.negate(shift), size);
  if (s.constant_value(cut) == 0) return x;
  const ir::Expr end = c.b.expr(INT64_MAX);
  return c.b.concat({c.b.slice(x, axis, cut, end), c.b.slice(x, axis, c.b.expr(0), cut)}, axis);
}

void lower_roll(Call& c) {
  Value* x = c.tensor("self");
  const Sizes shifts = c.sizes("shifts");
  const std::vector<int64_t> dims = c.fixed_list("dims", {});
  if (rank_of(x) == 0) return c.give(x);
  if (dims.empty()) {
    Value* flat = c.b.reshape(x, {c.b.product(x->type.sizes)});
    return c.give(c.b.reshape(rolled(c, flat, 0, shifts.at(0)), x->type.sizes));
  }
  for (size_t i = 0; i < dims.size(); ++i) x = rolled(c, x, dims[i], shifts.at(i));
  c.give(x);
}

void lower_repeat(Call& c) {
  Value* x = c.tensor("self");
  const bool is_tile = c.op() == "aten::tile";
  Sizes repeats = c.sizes(is_tile ? "dims" : "repeats");
  if (std::ssize(repeats) < rank_of(x)) {
    repeats.insert(repeats.begin(), x->type.sizes.size() - repeats.size(), c.b.expr(1));
  }
  std::vector<int64_t> lead(repeats.size() - x->type.sizes.size());
  std::iota(lead.begin(), lead.end(), 0);
  c.give(c.b.tile(c.b.unsqueeze(x, lead), repeats));
}

/// Which element each of COUNT results repeats: how many elements have ended before it.
Value* repeated_places(Call& c, Value* repeats, ir::Expr size, ir::Expr count) {
  Builder& b = c.b;
  repeats = b.cast(b.expand(repeats, {size}), DType::i64);
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* ends = b.node("CumSum", {repeats, zero}, {}, repeats->type);
  for (const size_t symbol : c.symbols().symbols_of(count)) {
    if (c.symbols().text(count) == c.symbols().all()[symbol].name) {
      b.define_symbol(symbol, b.reduce("ReduceSum", repeats, {}, false));
    }
  }
  Value* places = b.range(zero, b.number(int64_t{1}, DType::i64), count);
  Value* ended = b.compare("LessOrEqual", ends, b.unsqueeze(places, {1}));
  return b.reduce("ReduceSum", b.cast(ended, DType::i64), {1}, false);
}

void lower_repeat_interleave(Call& c) {
  Builder& b = c.b;
  if (!c.has("self")) {
    Value* repeats = c.tensor("repeats");
    return c.give(repeated_places(c, repeats, b.size_of(repeats, 0), c.output_sizes().at(0)));
  }
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) x = b.reshape(x, {b.expr(1)});
  if (!c.has("dim")) x = b.reshape(x, {b.product(x->type.sizes)});
  const int64_t axis = c.axis("dim", x->type.sizes.size(), 0);
  const auto* given = std::get_if<ir::Value*>(c.node.find("repeats"));
  if (given != nullptr && (*given)->tensor() != nullptr) {
    Value* repeats = c.tensor("repeats");
    const auto known = b.known_integers(repeats);
    const auto size = c.symbols().constant_value(b.size_of(x, axis));
    if (!known || !size) {
      const ir::Expr count = c.output_sizes().at(static_cast<size_t>(axis));
      return c.give(b.gather(x, repeated_places(c, repeats, b.size_of(x, axis), count), axis));
    }
    std::vector<int64_t> from;
    for (int64_t i = 0; i < *size; ++i) {
      const int64_t times = known->size() == 1 ? known->front() : known->at(static_cast<size_t>(i));
      from.insert(from.end(), static_cast<size_t>(times), i);
    }
    return c.give(b.gather(x, b.integers(from), axis));
  }
  const ir::Expr times = c.integer("repeats");
  Sizes wide = x->type.sizes;
  wide.insert(wide.begin() + axis + 1, times);
  Value* spread = b.expand(b.unsqueeze(x, {axis + 1}), wide);
  Sizes sizes = x->type.sizes;
  sizes[static_cast<size_t>(axis)] = c.symbols().multiply(sizes[static_cast<size_t>(axis)], times);
  c.give(b.reshape(spread, sizes));
}

/// torch counts pairs from the last dimension. Negative ones cut, once what is added is there.
Value* padded(Call& c, Value* x, const Sizes& pads, std::string_view mode, Value* fill) {
  ir::Symbols& s = c.symbols();
  const size_t rank = x->type.sizes.size();
  if (pads.size() % 2 != 0 || pads.size() / 2 > rank) Call::refuse("its padding does not fit");
  Sizes before(rank, c.b.expr(0));
  Sizes after(rank, c.b.expr(0));
  struct Cut {
    int64_t axis = 0;
    ir::Expr from, to;
  };
  std::vector<Cut> cuts;
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    const size_t axis = rank - 1 - i;
    const auto low = s.constant_value(pads[2 * i]);
    const auto high = s.constant_value(pads[2 * i + 1]);
    if ((low && *low < 0) || (high && *high < 0)) {
      const ir::Expr from = c.b.expr(low && *low < 0 ? -*low : 0);
      const ir::Expr grown =
          low && *low < 0 ? x->type.sizes[axis] : s.add(x->type.sizes[axis], pads[2 * i]);
      const ir::Expr to = high && *high < 0 ? s.add(grown, pads[2 * i + 1]) : c.b.expr(INT64_MAX);
      cuts.push_back({static_cast<int64_t>(axis), from, to});
    }
    if (!low || *low > 0) before[axis] = pads[2 * i];
    if (!high || *high > 0) after[axis] = pads[2 * i + 1];
  }
  if (mode == "constant" && fill == nullptr) fill = c.b.number(0.0, x->type.dtype);
  x = c.b.pad(x, before, after, mode, fill);
  for (const Cut& cut : cuts) x = c.b.slice(x, cut.axis, cut.from, cut.to);
  return x;
}

Value* wrapped(Call& c, Value* x, const Sizes& pads) {
  const size_t rank = x->type.sizes.size();
  ir::Symbols& s = c.symbols();
  const ir::Expr end = c.b.expr(INT64_MAX);
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    const auto axis = static_cast<int64_t>(rank - 1 - i);
    const ir::Expr size = c.b.size_of(x, axis);
    const auto low = s.constant_value(pads[2 * i]);
    const auto high = s.constant_value(pads[2 * i + 1]);
    // Negative pads cut what is repeated, too.
    Value* kept = x;
    if ((low && *low < 0) || (high && *high < 0)) {
      const ir::Expr from = c.b.expr(low && *low < 0 ? -*low : 0);
      const ir::Expr to = high && *high < 0 ? s.add(size, pads[2 * i + 1]) : end;
      kept = c.b.slice(x, axis, from, to);
    }
    Inputs parts;
    if (!low || *low > 0) {
      const ir::Expr last = high && *high < 0 ? s.add(size, pads[2 * i + 1]) : size;
      parts.push_back(c.b.slice(x, axis, s.subtract(last, pads[2 * i]), last));
    }
    parts.push_back(kept);
    if (!high || *high > 0) {
      const ir::Expr first = c.b.expr(low && *low < 0 ? -*low : 0);
      parts.push_back(c.b.slice(x, axis, first, s.add(first, pads[2 * i + 1])));
    }
    x = c.b.concat(parts, axis);
  }
  return x;
}

void lower_constant_pad(Call& c) {
  Value* x = c.tensor("self");
  Value* fill = c.has("value") ? c.b.cast(c.operand("value").value, x->type.dtype) : nullptr;
  c.give(padded(c, x, c.sizes("pad"), "constant", fill));
}
void lower_reflection_pad(Call& c) {
  c.give(padded(c, c.tensor("self"), c.sizes("padding"), "reflect", nullptr));
}
void lower_replication_pad(Call& c) {
  c.give(padded(c, c.tensor("self"), c.sizes("padding"), "edge", nullptr));
}
void lower_circular_pad(Call& c) {
  c.give(wrapped(c, c.tensor("self"), c.sizes("pad")));
}
void lower_pad(Call& c) {
  const std::string mode = c.text("mode", "constant");
  if (mode == "constant") return lower_constant_pad(c);
  Value* x = c.tensor("self");
  if (mode == "circular") return c.give(wrapped(c, x, c.sizes("pad")));
  c.give(padded(c, x, c.sizes("pad"), mode == "reflect" ? "reflect" : "edge", nullptr));
}

template <int64_t kUpper>
void lower_triangle(Call& c) {
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Trilu", dtype);
  Inputs inputs = {c.b.cast(x, computed)};
  const ir::Expr diagonal = c.integer("diagonal", 0);
  if (c.symbols().constant_value(diagonal) != 0) inputs.push_back(c.b.integer(diagonal));
  c.give(
      c.b.cast(c.b.node("Trilu", inputs, {{"upper", kUpper}}, {computed, x->type.sizes}), dtype));
}

void lower_pixel_shuffle(Call& c) {
  Value* x = c.tensor("self");
  const int64_t block = c.fixed("upscale_factor");
  const Sizes sizes = c.output_sizes();
  const Sizes flat = {c.b.product(std::span(x->type.sizes).first(x->type.sizes.size() - 3)),
                      c.b.size_of(x, -3), c.b.size_of(x, -2), c.b.size_of(x, -1)};
  // ONNX Runtime has kernels for few dtypes; integers would not survive a cast to floats.
  if (info(x->type.dtype).kind != DTypeClass::floating) {
    const ir::Expr r = c.b.expr(block);
    const Sizes parted = {flat[0], c.symbols().floor_divide(flat[1], c.b.expr(block * block)),
                          r,       r,
                          flat[2], flat[3]};
    Value* y = c.b.transpose(c.b.reshape(x, parted), {0, 1, 4, 2, 5, 3});
    return c.give(c.b.reshape(y, sizes));
  }
  Value* in = c.b.reshape(x, flat);
  Sizes out = {flat[0], sizes.at(sizes.size() - 3), sizes[sizes.size() - 2], sizes.back()};
  Value* y = c.b.node("DepthToSpace", {in}, {{"blocksize", block}, {"mode", std::string("CRD")}},
                      {x->type.dtype, out});
  c.give(c.b.reshape(y, sizes));
}

void lower_pixel_unshuffle(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Value* x = c.tensor("self");
  const ir::Expr r = b.expr(c.fixed("downscale_factor"));
  const ir::Expr lead = b.product(std::span(x->type.sizes).first(x->type.sizes.size() - 2));
  const ir::Expr h = s.floor_divide(b.size_of(x, -2), r);
  const ir::Expr w = s.floor_divide(b.size_of(x, -1), r);
  Value* y = b.transpose(b.reshape(x, {lead, h, r, w, r}), {0, 2, 4, 1, 3});
  c.give(b.reshape(y, c.output_sizes()));
}

void lower_channel_shuffle(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const ir::Expr groups = b.expr(c.fixed("groups"));
  const ir::Expr each = c.symbols().floor_divide(b.size_of(x, 1), groups);
  const ir::Expr rest = b.product(std::span(x->type.sizes).subspan(2));
  Value* y = b.swap_axes(b.reshape(x, {b.size_of(x, 0), groups, each, rest}), 1, 2);
  c.give(b.reshape(y, x->type.sizes));
}

void lower_rot90(Call& c) {
  Value* x = c.tensor("self");
  const std::vector<int64_t> dims = c.fixed_list("dims", {0, 1});
  const int64_t k = ((c.fixed("k", 1) % 4) + 4) % 4;
  const auto flip = [&](Value* y, int64_t axis) { return flipped(c.b, y, {axis}); };
  const int64_t a = Builder::axis_of(dims.at(0), x->type.sizes.size());
  const int64_t z = Builder::axis_of(dims.at(1), x->type.sizes.size());
  if (k == 1) x = c.b.swap_axes(flip(x, z), a, z);
  if (k == 2) x = flip(flip(x, a), z);
  if (k == 3) x = flip(c.b.swap_axes(x, a, z), z);
  c.give(x);
}

/// Windows of Tensor.unfold, by the indices of their elements.
void lower_unfold(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dimension", x->type.sizes.size());
  const int64_t size = c.fixed("size");
  const int64_t step = c.fixed("step");
  if (x->type.sizes.empty()) return c.give(b.reshape(x, c.output_sizes()));
  const ir::Expr count = c.output_sizes()[static_cast<size_t>(axis)];
  Value* first = b.range(b.number(int64_t{0}, DType::i64), b.number(step, DType::i64), count);
  std::vector<int64_t> within(static_cast<size_t>(size));
  std::iota(within.begin(), within.end(), 0);
  Value* at = b.add(b.unsqueeze(first, {1}), b.integers(within));
  Value* y = b.gather(x, at, axis);
  // Gather leaves the elements of a window beside it; unfold puts them last.
  std::vector<int64_t> order(y->type.sizes.size());
  std::iota(order.begin(), order.end(), 0);
  order.erase(order.begin() + axis + 1);
  order.push_back(axis + 1);
  c.give(b.transpose(y, order));
}

void lower_as_strided(Call& c) {
  Value* x = c.tensor("self");
  const Sizes sizes = c.output_sizes();
  const auto known = fixed_sizes(c.symbols(), sizes);
  const auto from = fixed_sizes(c.symbols(), x->type.sizes);
  if (!known || !from) Call::refuse("it depends on how its tensor lies in memory");
  const std::vector<int64_t> strides = c.fixed_list("stride");
  std::vector<int64_t> at = {c.fixed("storage_offset", 0)};
  for (size_t i = 0; i < known->size(); ++i) {
    std::vector<int64_t> next;
    if (at.size() * static_cast<size_t>((*known)[i]) > 1'000'000) {
      Call::refuse("it looks at too many elements");
    }
    for (const int64_t base : at) {
      for (int64_t n = 0; n < (*known)[i]; ++n) next.push_back(base + n * strides.at(i));
    }
    at = std::move(next);
  }
  Value* flat = c.b.reshape(x, {c.b.product(x->type.sizes)});
  c.give(c.b.reshape(c.b.gather(flat, c.b.integers(at), 0), sizes));
}

void lower_diff(Call& c) {
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  const Sizes sizes = c.output_sizes();
  if (c.fixed("n", 1) == 0) return c.give(x);
  if (c.symbols().constant_value(sizes.at(static_cast<size_t>(axis))) == 0) {
    return c.give(c.b.expand(c.b.number(int64_t{0}, x->type.dtype), sizes));
  }
  Inputs parts;
  if (c.has("prepend")) parts.push_back(c.tensor("prepend"));
  parts.push_back(x);
  if (c.has("append")) parts.push_back(c.tensor("append"));
  x = c.b.concat(parts, axis);
  const ir::Expr end = c.b.expr(INT64_MAX);
  for (int64_t n = c.fixed("n", 1); n > 0; --n) {
    Value* next = c.b.slice(x, axis, c.b.expr(1), end);
    Value* last =
        c.b.slice(x, axis, c.b.expr(0), c.symbols().subtract(c.b.size_of(x, axis), c.b.expr(1)));
    const bool flags = x->type.dtype == DType::boolean;
    x = flags ? c.b.binary("Xor", next, last) : c.b.sub(next, last);
  }
  c.give(x);
}

/// Sizes that became expressions, but are wanted as a tensor.
void lower_shape_as_tensor(Call& c) {
  c.give(c.b.integer_list(c.tensor("self")->type.sizes));
}
void lower_number_to_tensor(Call& c) {
  c.give(c.tensor(c.has("a") ? "a" : "s"));
}
void lower_integer_known(Call&) {}

constexpr Row kRows[] = {
    {"aten::_pad_circular", lower_circular_pad},
    {"aten::_reshape_alias", lower_reshape},
    {"aten::_shape_as_tensor", lower_shape_as_tensor},
    {"aten::_unsafe_view", lower_reshape},
    {"aten::adjoint", lower_adjoint},
    {"aten::as_strided", lower_as_strided},
    {"aten::as_strided_copy", lower_as_strided},
    {"aten::broadcast_to", lower_expand},
    {"aten::channel_shuffle", lower_channel_shuffle},
    {"aten::constant_pad_nd", lower_constant_pad},
    {"aten::diff", lower_diff},
    {"aten::expand", lower_expand},
    {"aten::expand_as", lower_expand},
    {"aten::expand_copy", lower_expand},
    {"aten::flatten", lower_flatten},
    {"aten::flip", lower_flip},
    {"aten::fliplr", lower_flip_axis<1>},
    {"aten::flipud", lower_flip_axis<0>},
    {"aten::mH", lower_adjoint},
    {"aten::mT", lower_mt},
    {"aten::matrix_H", lower_adjoint},
    {"aten::moveaxis", lower_movedim},
    {"aten::movedim", lower_movedim},
    {"aten::narrow", lower_narrow},
    {"aten::narrow_copy", lower_narrow},
    {"aten::native_channel_shuffle", lower_channel_shuffle},
    {"aten::numel", lower_integer_known},
    {"aten::numpy_T", lower_numpy_t},
    {"aten::pad", lower_pad},
    {"aten::permute", lower_permute},
    {"aten::permute_copy", lower_permute},
    {"aten::pixel_shuffle", lower_pixel_shuffle},
    {"aten::pixel_unshuffle", lower_pixel_unshuffle},
    {"aten::ravel", lower_flatten},
    {"aten::reflection_pad1d", lower_reflection_pad},
    {"aten::reflection_pad2d", lower_reflection_pad},
    {"aten::reflection_pad3d", lower_reflection_pad},
    {"aten::repeat", lower_repeat},
    {"aten::repeat_interleave", lower_repeat_interleave},
    {"aten::replication_pad1d", lower_replication_pad},
    {"aten::replication_pad2d", lower_replication_pad},
    {"aten::replication_pad3d", lower_replication_pad},
    {"aten::reshape", lower_reshape},
    {"aten::reshape_as", lower_reshape},
    {"aten::roll", lower_roll},
    {"aten::rot90", lower_rot90},
    {"aten::scalar_tensor", lower_number_to_tensor},
    {"aten::select", lower_select},
    {"aten::select_copy", lower_select},
    {"aten::slice", lower_slice},
    {"aten::slice_copy", lower_slice},
    {"aten::squeeze", lower_squeeze},
    {"aten::squeeze_copy", lower_squeeze},
    {"aten::sum_to_size", lower_sum_to_size},
    {"aten::swapaxes", lower_transpose},
    {"aten::swapdims", lower_transpose},
    {"aten::sym_numel", lower_integer_known},
    {"aten::sym_size", lower_integer_known},
    {"aten::sym_stride", lower_integer_known},
    {"aten::t", lower_t},
    {"aten::t_copy", lower_t},
    {"aten::tile", lower_repeat},
    {"aten::transpose", lower_transpose},
    {"aten::transpose_copy", lower_transpose},
    {"aten::tril", lower_triangle<0>},
    {"aten::triu", lower_triangle<1>},
    {"aten::unflatten", lower_reshape},
    {"aten::unfold", lower_unfold},
    {"aten::unfold_copy", lower_unfold},
    {"aten::unsqueeze", lower_unsqueeze},
    {"aten::unsqueeze_copy", lower_unsqueeze},
    {"aten::view", lower_reshape},
    {"aten::view_as", lower_reshape},
    {"aten::view_copy", lower_reshape},
    {"prim::NumToTensor", lower_number_to_tensor},
};

}  // namespace

std::span<const Row> shape_rows() {
  return kRows;
}

}  // namespace mlc::onnx
