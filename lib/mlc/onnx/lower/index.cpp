// Reading and writing at indices.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

size_t rank_of(const Value* x) {
  return x->type.sizes.size();
}

void lower_index_select(Call& c) {
  Value* x = c.tensor("self");
  Value* index = c.tensor("index");
  if (rank_of(index) == 0) index = c.b.reshape(index, {c.b.expr(1)});
  if (rank_of(x) == 0) return c.give(x);
  c.give(c.b.gather(x, index, c.axis("dim", rank_of(x))));
}

void lower_embedding(Call& c) {
  c.give(c.b.gather(c.tensor("weight"), c.tensor("indices"), 0));
}

/// GatherElements wants an index no larger than the data in the other dimensions: PyTorch's rule
/// too.
void lower_gather(Call& c) {
  Value* x = c.tensor("self");
  Value* index = c.b.cast(c.tensor("index"), DType::i64);
  if (rank_of(x) == 0) return c.give(c.b.expand(x, index->type.sizes));
  if (rank_of(index) == 0) return c.give(c.b.gather(x, index, 0));
  // An index without elements may have any number of dimensions.
  if (rank_of(index) != rank_of(x)) {
    return c.give(c.b.expand(c.b.number(int64_t{0}, x->type.dtype), index->type.sizes));
  }
  c.give(c.b.node("GatherElements", {x, index}, {{"axis", c.axis("dim", rank_of(x))}},
                  {x->type.dtype, index->type.sizes}));
}

void lower_take_along_dim(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* index = c.tensor("indices");
  if (!c.has("dim")) {
    x = b.reshape(x, {b.product(x->type.sizes)});
    index = b.reshape(index, {b.product(index->type.sizes)});
    return c.give(b.node("GatherElements", {x, index}, {{"axis", int64_t{0}}},
                         {x->type.dtype, index->type.sizes}));
  }
  const int64_t axis = c.axis("dim", rank_of(x));
  Sizes both = b.broadcast(x->type.sizes, index->type.sizes);
  Sizes own = both;
  own.at(static_cast<size_t>(axis)) = b.size_of(x, axis);
  both[static_cast<size_t>(axis)] = b.size_of(index, axis);
  c.give(b.node("GatherElements", {b.expand(x, own), b.expand(index, both)}, {{"axis", axis}},
                {x->type.dtype, both}));
}

void lower_take(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  c.give(b.gather(b.reshape(x, {b.product(x->type.sizes)}), c.tensor("index"), 0));
}

/// The positions where MASK holds: one list for each of its dimensions.
Inputs true_positions(Call& c, Value* mask) {
  Builder& b = c.b;
  const ir::Expr count = c.symbols().fresh("n", {0, ir::kUnbounded});
  Value* in = b.cast(mask, DType::boolean);
  Value* all = b.node("NonZero", {in}, {},
                      {DType::i64, {b.expr(static_cast<int64_t>(rank_of(mask))), count}});
  b.define_symbols(all);
  Inputs out;
  for (Value* row : b.split(all, 0, Sizes(rank_of(mask), b.expr(1)))) {
    out.push_back(b.squeeze(row, {0}));
  }
  return out;
}

/// The tensors that index X, one slot for each dimension; null: the whole dimension.
Inputs index_slots(Call& c, const Value* x) {
  Inputs out;
  for (Value* index : c.optional_tensors("indices")) {
    if (index == nullptr) {
      out.push_back(nullptr);
    } else if (index->type.dtype == DType::boolean || index->type.dtype == DType::u8) {
      if (rank_of(index) == 0) Call::refuse("its index is one truth value");
      for (Value* one : true_positions(c, index)) out.push_back(one);
    } else {
      out.push_back(c.b.cast(index, DType::i64));
    }
  }
  if (out.size() > rank_of(x)) Call::refuse("it has more indices than its tensor dimensions");
  out.resize(rank_of(x), nullptr);
  return out;
}

struct Indexing {
  std::vector<int64_t> axes;  // that are indexed
  std::vector<int64_t> rest;  // that are not
  Inputs indices;             // one for each of axes
  Sizes common;               // what they broadcast to
  bool adjacent = true;       // the axes lie side by side
};

Indexing read_indexing(Call& c, const Value* x) {
  Indexing out;
  const Inputs slots = index_slots(c, x);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == nullptr) {
      out.rest.push_back(static_cast<int64_t>(i));
      continue;
    }
    out.adjacent =
        out.adjacent && (out.axes.empty() || out.axes.back() == static_cast<int64_t>(i) - 1);
    out.axes.push_back(static_cast<int64_t>(i));
    out.common = c.b.broadcast(out.common, slots[i]->type.sizes);
    out.indices.push_back(slots[i]);
  }
  return out;
}

/// The indices side by side in a last dimension, as GatherND and ScatterND want them.
Value* index_tuples(Builder& b, const Indexing& at) {
  Inputs columns;
  for (Value* index : at.indices) columns.push_back(b.unsqueeze(b.expand(index, at.common), {-1}));
  return b.concat(columns, -1);
}

/// The permutation that moves the first COUNT dimensions behind the next BEFORE ones.
std::vector<int64_t> moved_behind(size_t rank, size_t count, size_t before) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < before; ++i) out.push_back(static_cast<int64_t>(count + i));
  for (size_t i = 0; i < count; ++i) out.push_back(static_cast<int64_t>(i));
  for (size_t i = count + before; i < rank; ++i) out.push_back(static_cast<int64_t>(i));
  return out;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) {
    out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  }
  return out;
}

std::vector<int64_t> indexed_first(const Indexing& at) {
  std::vector<int64_t> order = at.axes;
  order.insert(order.end(), at.rest.begin(), at.rest.end());
  return order;
}

/// How many of the dimensions that are left whole stand before the indexed ones in the result.
size_t leading(const Indexing& at) {
  return at.adjacent && !at.axes.empty() ? static_cast<size_t>(at.axes.front()) : 0;
}

/// x[i, j] where i and j count through their dimensions, each along one of its own: only a reshape.
Value* counted_index(Call& c, Value* x, const Indexing& at) {
  if (!at.rest.empty() || !at.adjacent) return nullptr;
  std::optional<size_t> before;
  for (size_t i = 0; i < at.axes.size(); ++i) {
    const auto axis = counted_axis(c.b, at.indices[i], c.b.size_of(x, at.axes[i]));
    if (!axis) return nullptr;
    // Counted from the last dimension, as indices of other ranks broadcast.
    const size_t place = at.common.size() - at.indices[i]->type.sizes.size() + *axis;
    if (before && place <= *before) return nullptr;
    before = place;
  }
  return c.b.reshape(x, at.common);
}

void lower_index(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const Indexing at = read_indexing(c, x);
  if (at.axes.empty()) return c.give(x);
  if (Value* same = counted_index(c, x, at)) return c.give(same);
  if (at.axes.size() == 1) return c.give(b.gather(x, at.indices[0], at.axes[0]));
  Value* data = b.transpose(x, indexed_first(at));
  Value* tuples = index_tuples(b, at);
  Sizes sizes = at.common;
  for (const int64_t axis : at.rest) sizes.push_back(x->type.sizes[static_cast<size_t>(axis)]);
  Value* y = b.node("GatherND", {data, tuples}, {}, {x->type.dtype, sizes});
  c.give(b.transpose(y, moved_behind(sizes.size(), at.common.size(), leading(at))));
}

/// Adds, where ACCUMULATE, or replaces.
Value* scatter_nd(Builder& b, Value* x, Value* tuples, Value* updates, bool accumulate) {
  if (!accumulate) return b.node("ScatterND", {x, tuples, updates}, {}, x->type);
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("ScatterNDAdd", dtype);
  const TensorType type{computed, x->type.sizes};
  Value* y = b.node("ScatterND", {b.cast(x, computed), tuples, b.cast(updates, computed)},
                    {{"reduction", std::string("add")}}, type);
  return b.cast(y, dtype);
}

void lower_index_put(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* values = b.cast(c.tensor("values"), x->type.dtype);
  const bool accumulate = c.boolean("accumulate", false);
  const Inputs given = c.optional_tensors("indices");
  // A mask of the whole tensor and one value: no positions are needed.
  if (given.size() == 1 && given[0] != nullptr && given[0]->type.dtype == DType::boolean &&
      rank_of(values) == 0 && !accumulate) {
    Sizes sizes = given[0]->type.sizes;
    sizes.resize(rank_of(x), b.expr(1));
    return c.give(b.where(b.reshape(given[0], sizes), values, x));
  }
  const Indexing at = read_indexing(c, x);
  if (at.axes.empty()) {
    return c.give(accumulate ? b.add(x, b.expand(values, x->type.sizes))
                             : b.expand(values, x->type.sizes));
  }
  const std::vector<int64_t> order = indexed_first(at);
  // What the values are broadcast to is x[indices]; ScatterND wants the indexed dimensions first.
  Sizes front = at.common;
  for (const int64_t axis : at.rest) front.push_back(x->type.sizes[static_cast<size_t>(axis)]);
  const auto behind = moved_behind(front.size(), at.common.size(), leading(at));
  Sizes shape;
  for (const int64_t axis : behind) shape.push_back(front[static_cast<size_t>(axis)]);
  Value* updates = b.transpose(b.expand(values, shape), inverse(behind));
  Value* y = scatter_nd(b, b.transpose(x, order), index_tuples(b, at), updates, accumulate);
  c.give(b.transpose(y, inverse(order)));
}

void lower_masked_select(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* mask = c.tensor("mask");
  const Sizes both = b.broadcast(x->type.sizes, mask->type.sizes);
  Value* data = b.reshape(b.expand(x, both), {b.product(both)});
  Value* flat = b.reshape(b.expand(mask, both), {b.product(both)});
  c.give(
      b.node("Compress", {data, flat}, {{"axis", int64_t{0}}}, {x->type.dtype, c.output_sizes()}));
}

void lower_masked_scatter(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  x = b.expand(x, c.output_sizes());
  Value* mask = b.expand(b.cast(c.tensor("mask"), DType::boolean), x->type.sizes);
  Value* source = c.tensor("source");
  // The n-th true element takes the n-th of the source.
  const ir::Expr all = b.product(x->type.sizes);
  Value* flat = b.cast(b.reshape(mask, {all}), DType::i64);
  Value* rank = b.node("CumSum", {flat, b.number(int64_t{0}, DType::i64)}, {}, flat->type);
  Value* at = b.binary("Max", b.sub(rank, b.number(int64_t{1}, DType::i64)),
                       b.number(int64_t{0}, DType::i64));
  Value* taken = b.gather(b.reshape(source, {b.product(source->type.sizes)}), at, 0);
  c.give(b.where(mask, b.reshape(b.cast(taken, x->type.dtype), x->type.sizes), x));
}

/// Of what has no dimensions: one row, or none.
void lower_nonzero_numpy(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (rank_of(x) == 0) x = b.reshape(x, {b.expr(1)});
  const Inputs lists = true_positions(c, x);
  for (size_t i = 0; i < lists.size(); ++i) c.give(lists[i], i);
}

void lower_nonzero(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (kernel_dtype("NonZero", x->type.dtype) != x->type.dtype) x = b.cast(x, DType::boolean);
  const Sizes sizes = c.output_sizes();
  if (rank_of(x) == 0) {  // a row without columns where it is true
    Value* y =
        b.node("NonZero", {b.reshape(x, {b.expr(1)})}, {}, {DType::i64, {b.expr(1), sizes.at(0)}});
    return c.give(b.slice(b.swap_axes(y, 0, 1), 1, b.expr(0), b.expr(0)));
  }
  const ir::Expr rank = b.expr(static_cast<int64_t>(rank_of(x)));
  Value* y = b.node("NonZero", {x}, {}, {DType::i64, {rank, sizes.at(0)}});
  c.give(b.swap_axes(y, 0, 1));
}

void lower_one_hot(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const ir::Expr classes = c.output_sizes().back();
  Value* all = counting(b, classes);
  c.give(b.cast(b.compare("Equal", b.unsqueeze(x, {-1}), all), DType::i64));
}

void lower_index_fill(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* index = c.tensor("index");
  Value* value = b.cast(c.operand("value").value, x->type.dtype);
  if (rank_of(x) == 0) return c.give(value);
  if (rank_of(index) == 0) index = b.reshape(index, {b.expr(1)});
  const int64_t axis = c.axis("dim", rank_of(x));
  // Whether a place along the axis is one of the indices.
  const ir::Expr size = b.size_of(x, axis);
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* wrapped = b.where(b.compare("Less", index, zero), b.add(index, b.integer(size)), index);
  Value* places = b.range(zero, b.number(int64_t{1}, DType::i64), size);
  Value* same = b.compare("Equal", b.unsqueeze(places, {1}), b.unsqueeze(wrapped, {0}));
  Value* hit = b.cast(b.reduce("ReduceMax", b.cast(same, DType::i32), {1}, false), DType::boolean);
  Sizes sizes(rank_of(x), b.expr(1));
  sizes[static_cast<size_t>(axis)] = size;
  c.give(b.where(b.reshape(hit, sizes), value, x));
}

/// index_add, index_copy: rows of SOURCE along an axis.
template <bool kAdd>
void lower_index_rows(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* index = c.tensor("index");
  Value* source = b.cast(c.tensor("source"), x->type.dtype);
  if (kAdd && c.has("alpha")) {
    const double alpha = c.number("alpha");
    if (alpha != 1) source = b.mul(source, alpha);
  }
  if (rank_of(x) == 0) {
    source = b.reshape(source, {});
    return c.give(kAdd ? b.add(x, source) : source);
  }
  if (rank_of(index) == 0) index = b.reshape(index, {b.expr(1)});
  const int64_t axis = c.axis("dim", rank_of(x));
  if (rank_of(source) == 0) source = b.reshape(source, {b.expr(1)});
  Value* y = scatter_nd(b, b.swap_axes(x, 0, axis), b.unsqueeze(index, {1}),
                        b.swap_axes(source, 0, axis), kAdd);
  c.give(b.swap_axes(y, 0, axis));
}

/// In what ScatterElements computes REDUCTION.
DType scatter_dtype(const std::string& reduction, DType dtype) {
  if (reduction.empty()) return dtype;
  std::string op = "ScatterElements" + reduction;
  op[15] = static_cast<char>(op[15] - 'a' + 'A');
  return kernel_dtype(op, dtype);
}

/// scatter and its reductions: element by element along an axis.
Value* scatter_elements(Call& c, Value* x, Value* index, Value* source, int64_t axis,
                        const std::string& reduction) {
  Builder& b = c.b;
  Attributes attributes = {{"axis", axis}};
  Builder::Needs needs;
  if (!reduction.empty()) {
    attributes.push_back({"reduction", reduction});
    needs.opset = reduction == "add" || reduction == "mul" ? 16 : 18;
  }
  // Only as much of the source as there are indices.
  for (size_t i = 0; i < rank_of(index); ++i) {
    const ir::Expr size = index->type.sizes[i];
    if (rank_of(source) == rank_of(index) && source->type.sizes[i] != size) {
      source = b.slice(source, static_cast<int64_t>(i), b.expr(0), size);
    }
  }
  const DType dtype = x->type.dtype;
  const DType computed = scatter_dtype(reduction, dtype);
  return b.cast(b.nodes("ScatterElements", {b.cast(x, computed), index, b.cast(source, computed)},
                        std::move(attributes), {{computed, x->type.sizes}}, needs)
                    .front(),
                dtype);
}

std::string onnx_reduction(const std::string& torch) {
  if (torch.empty()) return "";
  if (torch == "add" || torch == "sum" || torch == "mean") return "add";
  if (torch == "multiply" || torch == "prod") return "mul";
  if (torch == "amax") return "max";
  if (torch == "amin") return "min";
  Call::refuse("its reduction is " + torch);
}

/// What changes nothing that it is reduced with.
Value* neutral(Builder& b, const std::string& reduction, DType dtype) {
  const bool is_max = reduction == "max";
  if (reduction == "mul") return b.number(int64_t{1}, dtype);
  if (reduction == "add") return b.number(int64_t{0}, dtype);
  if (info(dtype).kind == DTypeClass::floating) {
    const double most = std::numeric_limits<double>::infinity();
    return b.number(is_max ? -most : most, dtype);
  }
  if (dtype == DType::boolean) return b.number(int64_t{is_max ? 0 : 1}, dtype);
  const auto bits = static_cast<int64_t>(info(dtype).bytes * 8);
  const bool negative =
      dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
  if (is_max) return b.number(negative ? -1 - (INT64_MAX >> (64 - bits)) : 0, dtype);
  return b.number(bits == 64 ? INT64_MAX : (int64_t{1} << (negative ? bits - 1 : bits)) - 1, dtype);
}

struct Scatter {
  Value* x = nullptr;
  Value* index = nullptr;
  Value* source = nullptr;
  int64_t axis = 0;
  std::string reduction;  // "", "sum", "mean", ...: PyTorch's word
  bool with_self = true;
};

Value* scattered(Call& c, const Scatter& s) {
  Builder& b = c.b;
  const std::string reduce = onnx_reduction(s.reduction);
  const DType dtype = s.x->type.dtype;
  const auto everywhere = [&](Value* one) { return b.expand(one, s.index->type.sizes); };
  Value* base = s.x;
  if (!s.with_self) {
    base = scatter_elements(c, base, s.index, everywhere(neutral(b, reduce, dtype)), s.axis, "");
  }
  Value* y = scatter_elements(c, base, s.index, s.source, s.axis, reduce);
  if (s.reduction != "mean") return y;
  Value* one = b.number(int64_t{1}, dtype);
  Value* start = b.expand(b.number(int64_t{s.with_self ? 1 : 0}, dtype), s.x->type.sizes);
  Value* counts = scatter_elements(c, start, s.index, everywhere(one), s.axis, "add");
  counts = b.binary("Max", counts, one);
  return is_integral(dtype) ? integer_floor_divide(b, y, counts) : b.div(y, counts);
}

void lower_scatter(Call& c) {
  Builder& b = c.b;
  Scatter s;
  s.x = c.tensor("self");
  s.index = b.cast(c.tensor("index"), DType::i64);
  const bool is_value = !c.has("src");
  s.source = b.cast(is_value ? c.operand("value").value : c.tensor("src"), s.x->type.dtype);
  s.reduction = c.op() == "aten::scatter_add" ? "add" : c.text("reduce", "");
  s.with_self = c.op() != "aten::scatter_reduce" || c.boolean("include_self", true);
  const Sizes original = s.x->type.sizes;
  if (rank_of(s.x) == 0) s.x = b.reshape(s.x, {b.expr(1)});
  if (rank_of(s.index) == 0) s.index = b.reshape(s.index, {b.expr(1)});
  // An index without elements may have any number of dimensions.
  if (rank_of(s.index) != rank_of(s.x)) return c.give(b.reshape(s.x, original));
  if (is_value || rank_of(s.source) == 0) {
    s.source = b.expand(b.reshape(s.source, {}), s.index->type.sizes);
  }
  s.axis = c.axis("dim", rank_of(s.x));
  c.give(b.reshape(scattered(c, s), original));
}

/// Rows of SOURCE along an axis: an index for each of their elements.
void lower_index_reduce(Call& c) {
  Builder& b = c.b;
  Scatter s;
  s.x = c.tensor("self");
  s.source = b.cast(c.tensor("source"), s.x->type.dtype);
  s.reduction = c.text("reduce", "");
  s.with_self = c.boolean("include_self", true);
  s.axis = c.axis("dim", rank_of(s.x));
  const Sizes original = s.x->type.sizes;
  if (rank_of(s.x) == 0) s.x = b.reshape(s.x, {b.expr(1)});
  if (rank_of(s.source) == 0) s.source = b.reshape(s.source, {b.expr(1)});
  Value* index = b.cast(c.tensor("index"), DType::i64);
  Sizes own(rank_of(s.source), b.expr(1));
  own.at(static_cast<size_t>(s.axis)) = b.product(index->type.sizes);
  s.index = b.expand(b.reshape(index, own), s.source->type.sizes);
  c.give(b.reshape(scattered(c, s), original));
}

void lower_slice_scatter(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", rank_of(x), 0);
  const ir::Expr size = b.size_of(x, axis);
  const int64_t step = c.fixed("step", 1);
  const auto placed = [&](ir::Expr at) {
    const ir::Bounds bounds = s.bounds(at);
    if (bounds.high < 0) at = s.maximum(s.add(at, size), b.expr(0));
    return s.less_equal(at, size) == true ? at : s.minimum(at, size);
  };
  const ir::Expr start = placed(c.integer("start", 0));
  const ir::Expr end = s.maximum(placed(c.integer("end", INT64_MAX)), start);
  Sizes sizes = x->type.sizes;
  sizes[static_cast<size_t>(axis)] = s.ceil_divide(s.subtract(end, start), b.expr(step));
  Value* source = b.expand(b.cast(c.tensor("src"), x->type.dtype), sizes);
  if (step == 1) {
    Inputs parts;
    if (s.constant_value(start) != 0) parts.push_back(b.slice(x, axis, b.expr(0), start));
    parts.push_back(source);
    if (end != size) parts.push_back(b.slice(x, axis, end, b.expr(INT64_MAX)));
    return c.give(b.concat(parts, axis));
  }
  Value* places =
      b.range(b.integer(start), b.number(step, DType::i64), sizes[static_cast<size_t>(axis)]);
  Value* y = scatter_nd(b, b.swap_axes(x, 0, axis), b.unsqueeze(places, {1}),
                        b.swap_axes(source, 0, axis), false);
  c.give(b.swap_axes(y, 0, axis));
}

void lower_select_scatter(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", rank_of(x));
  const ir::Expr size = b.size_of(x, axis);
  ir::Expr at = c.integer("index");
  if (s.bounds(at).high < 0) at = s.add(at, size);
  Sizes sizes = x->type.sizes;
  sizes.erase(sizes.begin() + axis);
  Value* source = b.unsqueeze(b.expand(b.cast(c.tensor("src"), x->type.dtype), sizes), {axis});
  const ir::Expr next = s.add(at, b.expr(1));
  Inputs parts;
  if (s.constant_value(at) != 0) parts.push_back(b.slice(x, axis, b.expr(0), at));
  parts.push_back(source);
  if (next != size) parts.push_back(b.slice(x, axis, next, b.expr(INT64_MAX)));
  c.give(b.concat(parts, axis));
}

/// Of functional programs: the content of SRC in the shape and dtype of SELF.
void lower_copy(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.expand(c.b.cast(c.tensor("src"), x->type.dtype), x->type.sizes));
}

void lower_put(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const Sizes all = {b.product(x->type.sizes)};
  const auto flat = [&](Value* y) { return b.reshape(y, {b.product(y->type.sizes)}); };
  Value* source = b.cast(flat(c.tensor("source")), x->type.dtype);
  Value* at = b.unsqueeze(flat(c.tensor("index")), {1});
  Value* y = scatter_nd(b, b.reshape(x, all), at, source, c.boolean("accumulate", false));
  c.give(b.reshape(y, x->type.sizes));
}

void lower_item(Call& c) {
  Value* x = c.tensor("self");
  c.give(c.b.reshape(x, {}));
}

constexpr Row kRows[] = {
    {"aten::_index_put_impl", lower_index_put},
    {"aten::_local_scalar_dense", lower_item},
    {"aten::_unsafe_index", lower_index},
    {"aten::_unsafe_index_put", lower_index_put},
    {"aten::argwhere", lower_nonzero},
    {"aten::copy", lower_copy},
    {"aten::embedding", lower_embedding},
    {"aten::gather", lower_gather},
    {"aten::index", lower_index},
    {"aten::index_add", lower_index_rows<true>},
    {"aten::index_copy", lower_index_rows<false>},
    {"aten::index_fill", lower_index_fill},
    {"aten::index_put", lower_index_put},
    {"aten::index_reduce", lower_index_reduce},
    {"aten::index_select", lower_index_select},
    {"aten::item", lower_item},
    {"aten::masked_scatter", lower_masked_scatter},
    {"aten::masked_select", lower_masked_select},
    {"aten::nonzero", lower_nonzero},
    {"aten::nonzero_numpy", lower_nonzero_numpy},
    {"aten::one_hot", lower_one_hot},
    {"aten::put", lower_put},
    {"aten::scatter", lower_scatter},
    {"aten::scatter_add", lower_scatter},
    {"aten::scatter_reduce", lower_scatter},
    {"aten::select_scatter", lower_select_scatter},
    {"aten::slice_scatter", lower_slice_scatter},
    {"aten::take", lower_take},
    {"aten::take_along_dim", lower_take_along_dim},
};

}  // namespace

std::span<const Row> index_rows() {
  return kRows;
}

}  // namespace mlc::onnx
