// Searching, counting, unique values and quantiles.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <limits>

namespace mlc::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value* zero_of(Builder& b, DType dtype = DType::i64) {
  return b.number(int64_t{0}, dtype);
}
Value* one_of(Builder& b) {
  return b.number(int64_t{1}, DType::i64);
}

Value* flattened(Builder& b, Value* x) {
  return b.reshape(x, {b.product(x->type.sizes)});
}

/// How many of the last dimension of BORDERS lie before each of VALUES: also equal ones where
/// RIGHT.
Value* places_among(Builder& b, Value* values, Value* borders, bool right) {
  const bool one_list = borders->type.sizes.size() == 1;
  Value* each = b.unsqueeze(values, {-1});
  Value* list = one_list ? borders : b.unsqueeze(borders, {-2});
  Value* before = b.compare(right ? "LessOrEqual" : "Less", list, each);
  return b.reduce("ReduceSum", b.cast(before, DType::i64), {-1}, false);
}

void lower_searchsorted(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"sorted_sequence", "self"});
  Value* borders = v[0];
  if (c.has("sorter")) {
    Value* order = c.tensor("sorter");
    const auto last = static_cast<int64_t>(borders->type.sizes.size()) - 1;
    borders = b.node("GatherElements", {borders, order}, {{"axis", last}}, borders->type);
  }
  const bool right = c.boolean("right", false) || c.text("side", "left") == "right";
  c.give(places_among(b, v[1], borders, right));
}

void lower_bucketize(Call& c) {
  const auto v = c.promoted({"boundaries", "self"});
  c.give(places_among(c.b, v[1], v[0], c.boolean("right", false)));
}

/// UPDATES added at PLACES to COUNTS zeros; SHAPE is their number, of one dimension.
Value* counted_at(Builder& b, Value* places, Value* updates, Value* shape, ir::Expr count) {
  if (!b.can_use(16)) throw Unlowerable("it needs opset 16");
  const DType dtype = updates->type.dtype;
  Value* fill = b.reshape(zero_of(b, dtype), {b.expr(1)});
  Value* none = b.node("ConstantOfShape", {shape}, {{"value", fill->data}}, {dtype, {count}});
  Builder::Needs needs;
  needs.opset = 16;
  return b
      .nodes("ScatterElements", {none, places, updates},
             {{"axis", int64_t{0}}, {"reduction", std::string("add")}}, {none->type}, needs)
      .front();
}

void lower_bincount(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("self"), DType::i64);
  Value* least = b.integer_1d(c.integer("minlength", 0));
  Value* most = b.add(b.reduce("ReduceMax", x, {0}, true), one_of(b));
  Value* updates = c.has("weights") ? b.cast(c.tensor("weights"), c.output_dtype())
                                    : b.expand(one_of(b), x->type.sizes);
  c.give(counted_at(b, x, updates, b.binary("Max", most, least), c.output_sizes().at(0)));
}

void lower_histc(Call& c) {
  Builder& b = c.b;
  Value* x = flattened(b, c.tensor("self"));
  const DType dtype = x->type.dtype;
  if (info(dtype).kind != DTypeClass::floating) Call::refuse("it counts integers");
  const int64_t bins = c.fixed("bins", 100);
  Value* low = b.number(c.number("min", 0), dtype);
  Value* high = b.number(c.number("max", 0), dtype);
  if (c.number("min", 0) == c.number("max", 0)) {
    low = b.reduce("ReduceMin", x, {}, false);
    high = b.reduce("ReduceMax", x, {}, false);
    Value* none = b.cast(b.compare("Equal", low, high), dtype);
    low = b.sub(low, none);
    high = b.add(high, none);
  }
  Value* scaled = b.div(b.mul(b.sub(x, low), static_cast<double>(bins)), b.sub(high, low));
  Value* place = b.cast(b.unary("Floor", scaled), DType::i64);
  // The upper end belongs to the last bin.
  place = b.binary("Max", place, zero_of(b));
  place = b.binary("Min", place, b.number(bins - 1, DType::i64));
  Value* inside =
      b.logical("And", b.compare("GreaterOrEqual", x, low), b.compare("LessOrEqual", x, high));
  c.give(counted_at(b, place, b.cast(inside, dtype), b.integers({bins}), b.expr(bins)));
}

/// ONNX Runtime finds unique values of these alone.
DType unique_dtype(DType dtype) {
  if (info(dtype).kind == DTypeClass::boolean || dtype == DType::i8) return DType::i8;
  if (info(dtype).kind == DTypeClass::integer) return DType::i64;
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

/// _unique2, unique_dim: values, the place of each element among them, how often each occurs.
void lower_unique(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  // PyTorch sorts in any case.
  Attributes attributes = {{"sorted", int64_t{1}}};
  const bool by_rows = c.has("dim");
  if (by_rows) attributes.push_back({"axis", c.axis("dim", x->type.sizes.size())});
  const ir::Expr all =
      by_rows ? b.size_of(x, c.axis("dim", x->type.sizes.size())) : b.product(x->type.sizes);
  const Sizes sizes = c.output_sizes(0);
  const ir::Expr found =
      by_rows ? sizes.at(static_cast<size_t>(c.axis("dim", x->type.sizes.size()))) : sizes.at(0);
  const DType computed = unique_dtype(dtype);
  const auto made = b.nodes(
      "Unique", {b.cast(x, computed)}, std::move(attributes),
      {{computed, sizes}, {DType::i64, {found}}, {DType::i64, {all}}, {DType::i64, {found}}});
  c.give(b.cast(made[0], dtype), 0);
  if (c.output_count() > 1 && c.is_used(1)) c.give(b.reshape(made[2], c.output_sizes(1)), 1);
  if (c.output_count() > 2 && c.is_used(2)) c.give(made[3], 2);
}

/// Whether each place along AXIS differs from the one before; the first does.
Value* changes(Builder& b, Value* x, int64_t axis) {
  const ir::Expr one = b.expr(1);
  const ir::Expr size = b.size_of(x, axis);
  Value* later = b.slice(x, axis, one, b.expr(INT64_MAX));
  Value* before = b.slice(x, axis, b.expr(0), b.symbols().subtract(size, one));
  Value* other = b.cast(b.logical_not(b.compare("Equal", later, before)), DType::i32);
  std::vector<int64_t> rest;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) {
    if (static_cast<int64_t>(i) != axis) rest.push_back(static_cast<int64_t>(i));
  }
  if (!rest.empty()) other = b.reduce("ReduceMax", other, rest, false);
  Value* first = b.int_tensor({1}, {1}, DType::boolean);
  return b.concat({first, b.cast(other, DType::boolean)}, 0);
}

void lower_unique_consecutive(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (std::ranges::find(x->type.sizes, b.expr(0)) != x->type.sizes.end()) {
    Call::refuse("its tensor has no elements");
  }
  const bool by_rows = c.has("dim");
  if (!by_rows) x = flattened(b, x);
  const int64_t axis = by_rows ? c.axis("dim", x->type.sizes.size()) : 0;
  const Sizes sizes = c.output_sizes(0);
  if (sizes.size() != x->type.sizes.size()) Call::refuse("its result has another rank");
  Value* begins = changes(b, x, axis);
  c.give(b.node("Compress", {x, begins}, {{"axis", axis}}, {x->type.dtype, sizes}), 0);
  if (c.output_count() > 1 && c.is_used(1)) {
    Value* steps = b.cast(begins, DType::i64);
    Value* rank = b.node("CumSum", {steps, zero_of(b)}, {}, steps->type);
    c.give(b.reshape(b.sub(rank, one_of(b)), c.output_sizes(1)), 1);
  }
  if (c.output_count() < 3 || !c.is_used(2)) return;
  const ir::Expr found = sizes.at(static_cast<size_t>(axis));
  Value* places = b.node("NonZero", {begins}, {}, {DType::i64, {b.expr(1), found}});
  places = b.squeeze(places, {0});
  Value* next = b.slice(places, 0, b.expr(1), b.expr(INT64_MAX));
  next = b.concat({next, b.integer_1d(b.size_of(x, axis))}, 0);
  c.give(b.sub(next, places), 2);
}

/// X in ascending order along its last dimension.
std::vector<Value*> sorted_last(Builder& b, Value* x) {
  const DType computed = kernel_dtype("TopK", x->type.dtype);
  Value* all = b.integer_1d(b.size_of(x, -1));
  return b.nodes("TopK", {b.cast(x, computed), all},
                 {{"axis", int64_t{-1}}, {"largest", int64_t{0}}},
                 {{computed, x->type.sizes}, {DType::i64, x->type.sizes}});
}

/// The middle of what is no NaN, the lower one of two.
void lower_nanmedian(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const bool all = !c.has("dim");
  const bool scalar = x->type.sizes.empty();
  const bool whole = info(x->type.dtype).kind == DTypeClass::integer;
  if (all || scalar) x = flattened(b, x);
  const size_t rank = std::max<size_t>(x->type.sizes.size(), 1);
  const int64_t axis = all ? 0 : c.axis("dim", rank);
  x = b.swap_axes(x, axis, -1);
  Value* none = b.number(int64_t{0}, DType::boolean);
  Value* nan = whole ? b.expand(none, x->type.sizes) : is_nan(b, x);
  Value* counts = b.reduce("ReduceSum", b.cast(b.logical_not(nan), DType::i64), {-1}, true);
  Value* in = whole ? x : b.where(nan, b.number(kInfinity, x->type.dtype), x);
  const auto order = sorted_last(b, in);
  Value* less = b.binary("Max", b.sub(counts, one_of(b)), zero_of(b));
  Value* middle = b.div(less, b.number(int64_t{2}, DType::i64));
  const auto pick = [&](Value* y) {
    Value* one = b.node("GatherElements", {y, middle}, {{"axis", static_cast<int64_t>(rank) - 1}},
                        {y->type.dtype, middle->type.sizes});
    return b.swap_axes(one, axis, -1);
  };
  const bool keep = !all && !scalar && c.boolean("keepdim", false);
  const auto shaped = [&](Value* y) { return keep ? y : b.squeeze(y, {axis}); };
  Value* empty = b.swap_axes(b.compare("Equal", counts, zero_of(b)), axis, -1);
  const double nothing_number = whole ? 0 : std::numeric_limits<double>::quiet_NaN();
  Value* nothing = b.number(nothing_number, x->type.dtype);
  c.give(shaped(b.where(empty, nothing, b.cast(pick(order[0]), x->type.dtype))), 0);
  if (!all && c.is_used(1)) c.give(shaped(pick(order[1])), 1);
}

/// SORTED at the ranks RANK of its last dimension, between two where a rank lies between.
Value* at_rank(Call& c, Value* sorted, Value* rank, const std::string& how) {
  Builder& b = c.b;
  const auto at = [&](std::string_view rounding) {
    return b.gather(sorted, b.cast(b.unary(rounding, rank), DType::i64), -1);
  };
  if (how == "lower") return at("Floor");
  if (how == "higher") return at("Ceil");
  if (how == "nearest") return at("Round");
  Value* low = at("Floor");
  Value* high = at("Ceil");
  if (how == "midpoint") return b.add(low, b.mul(b.sub(high, low), 0.5));
  if (how != "linear") Call::refuse("its interpolation is " + how);
  Value* weight = b.sub(rank, b.unary("Floor", rank));
  return b.add(low, b.mul(b.sub(high, low), weight));
}

void lower_quantile(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  Value* q = b.cast(c.tensor("q"), dtype);
  const bool all = !c.has("dim");
  const size_t rank = x->type.sizes.size();
  const int64_t axis = all ? 0 : c.axis("dim", rank);
  if (all || rank == 0) x = flattened(b, x);
  Value* nan = b.reduce("ReduceMax", b.cast(is_nan(b, x), DType::i32), {axis}, true);
  Value* last = b.swap_axes(x, axis, -1);
  Value* order = b.cast(sorted_last(b, last)[0], dtype);
  Value* most = b.cast(b.integer(b.size_of(last, -1)), dtype);
  Value* places = b.mul(q, b.sub(most, 1.0));
  const bool one = places->type.sizes.empty();
  if (one) places = b.reshape(places, {b.expr(1)});
  Value* y = at_rank(c, order, places, c.text("interpolation", "linear"));
  // Any NaN makes all of them NaN.
  Value* nothing = b.number(std::numeric_limits<double>::quiet_NaN(), dtype);
  y = b.where(b.swap_axes(b.cast(nan, DType::boolean), axis, -1), nothing, y);
  // [..., ranks] to [ranks, ...], then what the reduced dimension leaves.
  Value* in_front = b.unsqueeze(y, {0});
  in_front = b.swap_axes(in_front, 0, -1);
  in_front = b.swap_axes(in_front, axis + 1, -1);
  const Sizes sizes = c.output_sizes();
  c.give(b.reshape(in_front, sizes));
}

/// The most frequent value, the least of several; of its places the last, where PyTorch names any.
void lower_mode(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(zero_of(b), 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  Value* last = b.swap_axes(x, axis, -1);
  Value* same = b.compare("Equal", b.unsqueeze(last, {-1}), b.unsqueeze(last, {-2}));
  Value* counts = b.reduce("ReduceSum", b.cast(same, DType::i64), {-1}, false);
  Value* most = b.reduce("ReduceMax", counts, {-1}, true);
  const DType dtype = x->type.dtype;
  Value* large =
      is_floating(x) ? b.number(kInfinity, dtype) : b.reduce("ReduceMax", last, {-1}, true);
  Value* frequent = b.where(b.compare("Equal", counts, most), last, large);
  Value* value = b.reduce("ReduceMin", frequent, {-1}, true);
  const auto shaped = [&](Value* y) {
    y = b.swap_axes(y, axis, -1);
    return c.boolean("keepdim", false) ? y : b.squeeze(y, {axis});
  };
  c.give(shaped(value), 0);
  if (c.output_count() < 2 || !c.is_used(1)) return;
  Value* places = b.range(zero_of(b), one_of(b), b.size_of(last, -1));
  Value* own = b.where(b.compare("Equal", last, value), places, zero_of(b));
  c.give(shaped(b.reduce("ReduceMax", own, {-1}, true)), 1);
}

constexpr Row kRows[] = {
    {"aten::_unique", lower_unique},
    {"aten::_unique2", lower_unique},
    {"aten::bincount", lower_bincount},
    {"aten::bucketize", lower_bucketize},
    {"aten::histc", lower_histc},
    {"aten::mode", lower_mode},
    {"aten::nanmedian", lower_nanmedian},
    {"aten::quantile", lower_quantile},
    {"aten::searchsorted", lower_searchsorted},
    {"aten::unique_consecutive", lower_unique_consecutive},
    {"aten::unique_dim", lower_unique},
    {"aten::unique_dim_consecutive", lower_unique_consecutive},
};

}  // namespace

std::span<const Row> search_rows() {
  return kRows;
}

}  // namespace mlc::onnx
