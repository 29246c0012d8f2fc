// Joining tensors, and parting them.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <numeric>

namespace mlc::onnx {
namespace {

void lower_broadcast_tensors(Call& c) {
  const auto v = c.tensors("tensors");
  for (size_t i = 0; i < v.size(); ++i) c.give(c.b.expand(v[i], c.output_sizes(i)), i);
}

/// Those of PARTS that count: an empty tensor of one dimension is left out, as PyTorch does.
Inputs joined(Call& c, const Inputs& parts) {
  Inputs out;
  std::vector<Operand> operands;
  for (Value* part : parts) {
    const Rank rank = part->type.sizes.empty() ? Rank::zero_dim : Rank::tensor;
    operands.push_back({part->type.dtype, rank});
    const bool is_empty =
        part->type.sizes.size() == 1 && c.symbols().constant_value(part->type.sizes[0]) == 0;
    if (!is_empty) out.push_back(part);
  }
  if (out.empty()) out = parts;
  const DType dtype = promote(operands);
  for (Value*& part : out) part = c.b.cast(part, dtype);
  return out;
}

void lower_cat(Call& c) {
  const Inputs parts = joined(c, c.tensors("tensors"));
  if (parts.empty()) Call::refuse("it joins nothing");
  c.give(c.b.concat(parts, c.axis("dim", parts[0]->type.sizes.size(), 0)));
}

void lower_stack(Call& c) {
  Inputs parts = joined(c, c.tensors("tensors"));
  if (parts.empty()) Call::refuse("it joins nothing");
  const int64_t axis = c.axis("dim", parts[0]->type.sizes.size() + 1, 0);
  for (Value*& part : parts) part = c.b.unsqueeze(part, {axis});
  c.give(c.b.concat(parts, axis));
}

/// hstack, vstack, dstack: every part with at least RANK dimensions.
Value* at_least(Builder& b, Value* x, int64_t rank) {
  const Sizes& sizes = x->type.sizes;
  const ir::Expr one = b.expr(1);
  const auto have = static_cast<int64_t>(sizes.size());
  if (have >= rank) return x;
  if (rank == 1) return b.reshape(x, {one});
  if (rank == 2) return have == 0 ? b.reshape(x, {one, one}) : b.reshape(x, {one, sizes[0]});
  if (have == 0) return b.reshape(x, {one, one, one});
  return have == 1 ? b.reshape(x, {one, sizes[0], one}) : b.reshape(x, {sizes[0], sizes[1], one});
}

template <int64_t kRank>
void lower_at_least(Call& c) {
  if (c.has("tensors")) {
    const auto v = c.tensors("tensors");
    for (size_t i = 0; i < v.size(); ++i) c.give(at_least(c.b, v[i], kRank), i);
    return;
  }
  c.give(at_least(c.b, c.tensor("self"), kRank));
}

template <int64_t kRank, int64_t kAxis>
void lower_stacked(Call& c) {
  Inputs parts = joined(c, c.tensors("tensors"));
  if (parts.empty()) Call::refuse("it joins nothing");
  for (Value*& part : parts) part = at_least(c.b, part, kRank);
  const bool flat = kAxis == 1 && parts[0]->type.sizes.size() < 2;
  c.give(c.b.concat(parts, flat ? 0 : kAxis));
}

/// Cut where a tensor says it, which is known only at run time.
void split_at(Call& c, Value* x, int64_t axis, Value* places) {
  Builder& b = c.b;
  Value* start = b.integers({0});
  for (size_t i = 0; i < c.output_count(); ++i) {
    const bool is_last = i + 1 == c.output_count();
    const auto at = static_cast<int64_t>(i);
    Value* end = is_last ? b.integers({INT64_MAX}) : b.slice(places, 0, b.expr(at), b.expr(at + 1));
    c.give(b.node("Slice", {x, start, end, b.integers({axis})}, {},
                  {x->type.dtype, c.output_sizes(i)}),
           i);
    start = end;
  }
}

/// PLACES one by one: pieces between places that do not follow each other are empty, or overlap.
void split_at(Call& c, Value* x, int64_t axis, const Sizes& places) {
  Builder& b = c.b;
  Value* start = b.integers({0});
  for (size_t i = 0; i < c.output_count(); ++i) {
    Value* end = i < places.size() ? b.integer_1d(places[i]) : b.integers({INT64_MAX});
    c.give(b.node("Slice", {x, start, end, b.integers({axis})}, {},
                  {x->type.dtype, c.output_sizes(i)}),
           i);
    start = end;
  }
}

/// The pieces are what the program says.
void lower_split(Call& c) {
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size();
  const int64_t axis = c.axis("dim", rank, 0);
  if (c.has("tensor_indices_or_sections")) {
    Value* places = c.tensor("tensor_indices_or_sections");
    if (places->type.sizes.size() == 1) return split_at(c, x, axis, places);
  }
  if (c.has("indices")) return split_at(c, x, axis, c.sizes("indices"));
  Sizes parts;
  for (size_t i = 0; i < c.output_count(); ++i) {
    const Sizes sizes = c.output_sizes(i);
    if (sizes.size() != rank) Call::refuse("its results have another number of dimensions");
    parts.push_back(sizes[static_cast<size_t>(axis)]);
  }
  const auto pieces = c.b.split(x, axis, parts);
  for (size_t i = 0; i < pieces.size(); ++i) c.give(pieces[i], i);
}

void lower_unbind(Call& c) {
  Value* x = c.tensor("self");
  const int64_t axis = c.axis("dim", x->type.sizes.size(), 0);
  const auto pieces = c.b.split(x, axis, Sizes(c.output_count(), c.b.expr(1)));
  for (size_t i = 0; i < pieces.size(); ++i) c.give(c.b.squeeze(pieces[i], {axis}), i);
}

/// hsplit, vsplit, dsplit: along an axis of their own.
template <int64_t kAxis>
void lower_split_axis(Call& c) {
  Value* x = c.tensor("self");
  const auto axis = static_cast<size_t>(kAxis == 1 && x->type.sizes.size() == 1 ? 0 : kAxis);
  Sizes parts;
  for (size_t i = 0; i < c.output_count(); ++i) parts.push_back(c.output_sizes(i).at(axis));
  const auto pieces = c.b.split(x, static_cast<int64_t>(axis), parts);
  for (size_t i = 0; i < pieces.size(); ++i) c.give(pieces[i], i);
}

void lower_column_stack(Call& c) {
  Inputs parts = joined(c, c.tensors("tensors"));
  if (parts.empty()) Call::refuse("it joins nothing");
  for (Value*& part : parts) {
    if (part->type.sizes.size() < 2) {
      part = c.b.reshape(part, {c.b.product(part->type.sizes), c.b.expr(1)});
    }
  }
  c.give(c.b.concat(parts, 1));
}

void lower_block_diagonal(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Inputs parts = c.tensors("tensors");
  std::vector<Operand> operands;
  ir::Expr columns = b.expr(0);
  for (Value*& part : parts) {
    operands.push_back({part->type.dtype, Rank::tensor});
    part = at_least(b, part, 2);
    columns = s.add(columns, part->type.sizes[1]);
  }
  if (parts.empty()) Call::refuse("it joins nothing");
  const DType dtype = promote(operands);
  ir::Expr at = b.expr(0);
  for (Value*& part : parts) {
    const ir::Expr next = s.add(at, part->type.sizes[1]);
    part = b.pad(b.cast(part, dtype), {b.expr(0), at}, {b.expr(0), s.subtract(columns, next)},
                 "constant", b.number(int64_t{0}, dtype));
    at = next;
  }
  c.give(b.concat(parts, 0));
}

void lower_meshgrid(Call& c) {
  Inputs v = c.tensors("tensors");
  const bool swap = c.text("indexing", "ij") == "xy" && v.size() > 1;
  if (swap) std::swap(v[0], v[1]);
  Sizes all;
  for (const Value* one : v) all.push_back(c.b.product(one->type.sizes));
  for (size_t i = 0; i < v.size(); ++i) {
    Sizes own(v.size(), c.b.expr(1));
    own[i] = all[i];
    Value* grid = c.b.expand(c.b.reshape(v[i], own), all);
    c.give(grid, swap && i < 2 ? 1 - i : i);
  }
}

void lower_cartesian_product(Call& c) {
  Builder& b = c.b;
  const Inputs v = c.tensors("tensors");
  if (v.size() == 1) return c.give(v[0]);
  Sizes all;
  for (const Value* one : v) all.push_back(b.product(one->type.sizes));
  Inputs columns;
  for (size_t i = 0; i < v.size(); ++i) {
    Sizes own(v.size(), b.expr(1));
    own[i] = all[i];
    columns.push_back(b.reshape(b.expand(b.reshape(v[i], own), all), {b.product(all), b.expr(1)}));
  }
  c.give(b.concat(columns, 1));
}

void lower_combinations(Call& c) {
  Value* x = c.tensor("self");
  const int64_t width = c.fixed("r", 2);
  const bool again = c.boolean("with_replacement", false);
  const auto size = c.symbols().constant_value(c.b.size_of(x, 0));
  if (!size) Call::refuse("it combines elements of a number that varies");
  std::vector<int64_t> all;
  std::vector<int64_t> one(static_cast<size_t>(width), 0);
  if (!again) std::iota(one.begin(), one.end(), 0);
  const int64_t step = again ? 0 : 1;
  int64_t rows = 0;
  const auto room = [&](int64_t place) { return again ? *size : *size - (width - 1 - place); };
  while (width > 0 && one.front() < room(0) && one.back() < *size) {
    all.insert(all.end(), one.begin(), one.end());
    if (++rows > 100'000) Call::refuse("its result is too large");
    int64_t place = width - 1;
    while (place > 0 && one[static_cast<size_t>(place)] + 1 >= room(place)) --place;
    ++one[static_cast<size_t>(place)];
    for (int64_t i = place + 1; i < width; ++i) {
      one[static_cast<size_t>(i)] = one[static_cast<size_t>(i - 1)] + step;
    }
  }
  if (width == 0) return c.give(c.b.filled(0, x->type.dtype, {0}));
  c.give(c.b.gather(x, c.b.int_tensor(all, {rows, width}, DType::i64), 0));
}

constexpr Row kRows[] = {
    {"aten::atleast_1d", lower_at_least<1>},
    {"aten::atleast_2d", lower_at_least<2>},
    {"aten::atleast_3d", lower_at_least<3>},
    {"aten::block_diag", lower_block_diagonal},
    {"aten::broadcast_tensors", lower_broadcast_tensors},
    {"aten::cartesian_prod", lower_cartesian_product},
    {"aten::cat", lower_cat},
    {"aten::chunk", lower_split},
    {"aten::column_stack", lower_column_stack},
    {"aten::combinations", lower_combinations},
    {"aten::concat", lower_cat},
    {"aten::concatenate", lower_cat},
    {"aten::dsplit", lower_split_axis<2>},
    {"aten::dstack", lower_stacked<3, 2>},
    {"aten::hsplit", lower_split_axis<1>},
    {"aten::hstack", lower_stacked<1, 1>},
    {"aten::meshgrid", lower_meshgrid},
    {"aten::row_stack", lower_stacked<2, 0>},
    {"aten::split", lower_split},
    {"aten::split_copy", lower_split},
    {"aten::split_with_sizes", lower_split},
    {"aten::split_with_sizes_copy", lower_split},
    {"aten::stack", lower_stack},
    {"aten::tensor_split", lower_split},
    {"aten::unbind", lower_unbind},
    {"aten::unbind_copy", lower_unbind},
    {"aten::unsafe_chunk", lower_split},
    {"aten::unsafe_split", lower_split},
    {"aten::unsafe_split_with_sizes", lower_split},
    {"aten::vsplit", lower_split_axis<0>},
    {"aten::vstack", lower_stacked<2, 0>},
};

}  // namespace

std::span<const Row> join_rows() {
  return kRows;
}

}  // namespace mlc::onnx
