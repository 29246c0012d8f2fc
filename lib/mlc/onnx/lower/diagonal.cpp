// Diagonals: read, written, made.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <cstdlib>
#include <numeric>

namespace mlc::onnx {
namespace {

/// All dimensions of RANK but ONE and TWO, then these.
std::vector<int64_t> moved_last(size_t rank, int64_t one, int64_t two) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < static_cast<int64_t>(rank); ++i) {
    if (i != one && i != two) order.push_back(i);
  }
  order.push_back(one);
  order.push_back(two);
  return order;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) {
    out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  }
  return out;
}

/// The diagonal of the last two dimensions of Y, COUNT elements, by their indices.
Value* diagonal_of(Call& c, Value* y, int64_t offset, ir::Expr count) {
  Builder& b = c.b;
  const ir::Expr columns = b.size_of(y, -1);
  Sizes flat(y->type.sizes.begin(), y->type.sizes.end() - 2);
  flat.push_back(c.symbols().multiply(b.size_of(y, -2), columns));
  Value* first =
      b.integer(offset >= 0 ? b.expr(offset) : c.symbols().multiply(b.expr(-offset), columns));
  Value* step = b.integer(c.symbols().add(columns, b.expr(1)));
  return b.gather(b.reshape(y, flat), b.range(first, step, count), -1);
}

void lower_diagonal(Call& c) {
  Value* x = c.tensor(c.has("A") ? "A" : "self");
  const bool last = c.op() == "aten::linalg_diagonal";
  const size_t rank = x->type.sizes.size();
  const int64_t one = c.axis("dim1", rank, last ? -2 : 0);
  const int64_t two = c.axis("dim2", rank, last ? -1 : 1);
  Value* y = c.b.transpose(x, moved_last(rank, one, two));
  const int64_t offset = c.fixed("offset", 0);
  const ir::Expr count = c.output_sizes().back();
  ir::Symbols& s = c.symbols();
  const ir::Expr rows = s.add(c.b.size_of(y, -2), c.b.expr(std::min<int64_t>(offset, 0)));
  const ir::Expr columns = s.subtract(c.b.size_of(y, -1), c.b.expr(std::max<int64_t>(offset, 0)));
  // A program that was recorded at some sizes says what held there.
  const ir::Expr shorter = s.minimum(rows, columns);
  if (s.equal(count, shorter) != true && s.equal(count, s.maximum(shorter, c.b.expr(0))) != true) {
    Call::refuse("its length is the smaller of two sizes, and nothing says which that is");
  }
  c.give(diagonal_of(c, y, offset, count));
}

/// SOURCE on the diagonal of the last two dimensions of Y, which stays as it is elsewhere.
Value* with_diagonal(Call& c, Value* y, Value* source, int64_t offset) {
  Builder& b = c.b;
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* step = b.number(int64_t{1}, DType::i64);
  Value* rows = b.unsqueeze(b.range(zero, step, b.size_of(y, -2)), {1});
  Value* columns = b.range(zero, step, b.size_of(y, -1));
  Value* on = b.compare("Equal", b.add(rows, b.number(offset, DType::i64)), columns);
  // Each element of the source in its row, or in its column where those are counted from the
  // offset.
  Value* place = offset >= 0 ? rows : b.unsqueeze(columns, {0});
  Value* last = b.integer(c.symbols().subtract(b.size_of(source, -1), b.expr(1)));
  Value* at = b.binary("Min", place, last);
  Value* spread = b.gather(source, b.reshape(at, {b.product(at->type.sizes)}), -1);
  spread = b.unsqueeze(spread, {offset >= 0 ? -1 : -2});
  return b.where(on, b.cast(spread, y->type.dtype), y);
}

void lower_diagonal_scatter(Call& c) {
  Value* x = c.tensor("self");
  Value* source = c.tensor("src");
  const size_t rank = x->type.sizes.size();
  const auto order = moved_last(rank, c.axis("dim1", rank, 0), c.axis("dim2", rank, 1));
  if (c.symbols().constant_value(c.b.size_of(source, -1)) == 0) return c.give(x);
  Value* y = with_diagonal(c, c.b.transpose(x, order), source, c.fixed("offset", 0));
  c.give(c.b.transpose(y, inverse(order)));
}

/// X, whose last dimension becomes a diagonal in SIZE rows and columns of zeros.
Value* embedded(Call& c, Value* x, int64_t offset) {
  Builder& b = c.b;
  const ir::Expr size = c.symbols().add(b.size_of(x, -1), b.expr(std::abs(offset)));
  Sizes sizes(x->type.sizes.begin(), x->type.sizes.end() - 1);
  sizes.push_back(size);
  sizes.push_back(size);
  Value* zeros = b.expand(b.number(int64_t{0}, x->type.dtype), sizes);
  if (c.symbols().constant_value(b.size_of(x, -1)) == 0) return zeros;
  return with_diagonal(c, zeros, x, offset);
}

void lower_diag_embed(Call& c) {
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size() + 1;
  const auto order = moved_last(rank, c.axis("dim1", rank, -2), c.axis("dim2", rank, -1));
  c.give(c.b.transpose(embedded(c, x, c.fixed("offset", 0)), inverse(order)));
}

/// Of a matrix its diagonal, of a list the matrix that has it as its diagonal.
void lower_diag(Call& c) {
  Value* x = c.tensor("self");
  const int64_t offset = c.fixed(c.has("offset") ? "offset" : "diagonal", 0);
  const bool flat = c.op() == "aten::diagflat";
  if (!flat && x->type.sizes.size() == 2) {
    return c.give(diagonal_of(c, x, offset, c.output_sizes().back()));
  }
  c.give(embedded(c, c.b.reshape(x, {c.b.product(x->type.sizes)}), offset));
}

/// 0, 1, ... along AXIS of RANK dimensions.
Value* places(Builder& b, ir::Expr size, size_t axis, size_t rank) {
  Value* line = counting(b, size);
  std::vector<int64_t> others;
  for (size_t i = 0; i < rank; ++i) {
    if (i != axis) others.push_back(static_cast<int64_t>(i));
  }
  return b.unsqueeze(line, others);
}

/// Of a matrix with more rows than columns a new diagonal begins below each that has ended, if it
/// is to wrap.
void lower_fill_diagonal(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size();
  if (rank < 2) Call::refuse("its tensor has no diagonal");
  Value* first = places(b, b.size_of(x, 0), 0, rank);
  Value* on = nullptr;
  if (rank == 2 && c.boolean("wrap", false)) {
    const ir::Expr columns = b.size_of(x, 1);
    Value* step = b.integer(c.symbols().add(columns, b.expr(1)));
    Value* place = b.add(b.mul(first, b.integer(columns)), places(b, columns, 1, rank));
    on = b.compare("Equal", b.binary("Mod", place, step), b.number(int64_t{0}, DType::i64));
  }
  for (size_t axis = 1; axis < rank && (on == nullptr || rank > 2); ++axis) {
    const auto own = static_cast<int64_t>(axis);
    Value* same = b.compare("Equal", first, places(b, b.size_of(x, own), axis, rank));
    on = on == nullptr ? same : b.logical("And", on, same);
  }
  Value* value = b.cast(c.operand("fill_value").value, x->type.dtype);
  c.give(b.where(on, value, x));
}

constexpr Row kRows[] = {
    {"aten::diag", lower_diag},
    {"aten::diag_embed", lower_diag_embed},
    {"aten::diagflat", lower_diag},
    {"aten::diagonal", lower_diagonal},
    {"aten::diagonal_copy", lower_diagonal},
    {"aten::diagonal_scatter", lower_diagonal_scatter},
    {"aten::fill_diagonal", lower_fill_diagonal},
    {"aten::linalg_diagonal", lower_diagonal},
};

}  // namespace

std::span<const Row> diagonal_rows() {
  return kRows;
}

}  // namespace mlc::onnx
