// Distances, norms of matrices, determinants and inverses.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <cmath>

namespace mlc::onnx {
namespace {

std::vector<int64_t> all_axes(const Value* x) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) out.push_back(static_cast<int64_t>(i));
  return out;
}

/// PyTorch multiplies matrices where there are many rows, which is less exact.
bool by_products(Call& c, const Value* x, const Value* y) {
  if (c.op() == "aten::_euclidean_dist") return true;
  const int64_t mode = c.has("compute_mode") ? c.fixed("compute_mode") : 0;
  if (mode != 0) return mode == 1;
  const auto many = [&](const Value* one) {
    return c.symbols().constant_value(c.b.size_of(one, -2)).value_or(0) > 25;
  };
  return many(x) || many(y);
}

/// sqrt(|x|^2 + |y|^2 - 2 x y).
Value* distances_by_products(Builder& b, Value* x, Value* y) {
  const auto squares = [&](Value* z) { return b.reduce("ReduceSum", b.mul(z, z), {-1}, true); };
  Value* cross = b.mul(b.matmul(x, b.swap_axes(y, -1, -2)), 2.0);
  Value* sum = b.add(squares(x), b.swap_axes(squares(y), -1, -2));
  return b.unary("Sqrt", b.binary("Max", b.sub(sum, cross), b.number(0.0, x->type.dtype)));
}

/// Between each row of X and each of Y.
Value* distances(Builder& b, Value* x, Value* y, double p) {
  Value* difference = b.sub(b.unsqueeze(x, {-2}), b.unsqueeze(y, {-3}));
  return vector_norm(b, difference, p, {-1}, false);
}

void lower_cdist(Call& c) {
  Value* x = c.floating("x1");
  Value* y = c.floating("x2");
  const double p = c.number("p", 2);
  const bool products = p == 2 && by_products(c, x, y);
  c.give(products ? distances_by_products(c.b, x, y) : distances(c.b, x, y, p));
}

void lower_pdist(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const auto rows = c.symbols().constant_value(b.size_of(x, 0));
  if (!rows || *rows > 2000) Call::refuse("its number of rows varies, or is too large");
  std::vector<int64_t> first;
  std::vector<int64_t> second;
  for (int64_t i = 0; i < *rows; ++i) {
    for (int64_t j = i + 1; j < *rows; ++j) {
      first.push_back(i);
      second.push_back(j);
    }
  }
  Value* difference = b.sub(b.gather(x, b.integers(first), 0), b.gather(x, b.integers(second), 0));
  c.give(vector_norm(b, difference, c.number("p", 2), {1}, false));
}

void lower_pairwise_distance(Call& c) {
  const auto v = c.floating({"x1", "x2"});
  Value* difference = c.b.add(c.b.sub(v[0], v[1]), c.number("eps", 1e-6));
  c.give(vector_norm(c.b, difference, c.number("p", 2), {-1}, c.boolean("keepdim", false)));
}

void lower_dist(Call& c) {
  const auto v = c.promoted({"self", "other"});
  Value* difference = c.b.sub(v[0], v[1]);
  c.give(vector_norm(c.b, difference, c.number("p", 2), all_axes(difference), false));
}

void lower_cosine_similarity(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"x1", "x2"});
  Value* x = c.floating(v[0]);
  Value* y = c.floating(v[1]);
  const Sizes sizes = b.broadcast(x->type.sizes, y->type.sizes);
  x = b.expand(x, sizes);
  y = b.expand(y, sizes);
  const int64_t axis = c.axis("dim", sizes.size(), 1);
  const double eps = c.number("eps", 1e-8);
  const auto unit = [&](Value* z) {
    Value* length = vector_norm(b, z, 2, {axis}, true);
    return b.div(z, b.binary("Max", length, b.number(eps, z->type.dtype)));
  };
  c.give(b.reduce("ReduceSum", b.mul(unit(x), unit(y)), {axis}, false));
}

/// Of the two AXES; ORDER is a number.
Value* matrix_norm(Builder& b, Value* x, double order, const std::vector<int64_t>& axes,
                   bool keep) {
  const bool rows = std::isinf(order);
  if (!rows && std::fabs(order) != 1) {
    throw Unlowerable("it needs singular values, which ONNX does not compute");
  }
  for (const int64_t axis : axes) {
    if (b.symbols().constant_value(b.size_of(x, axis)) != 0) continue;
    Value* zero = b.number(0.0, x->type.dtype);
    Sizes sizes = x->type.sizes;
    for (const int64_t gone : axes) sizes[static_cast<size_t>(gone)] = b.expr(1);
    Value* zeros = b.expand(zero, sizes);
    return keep ? zeros : b.squeeze(zeros, axes);
  }
  // The sums of the columns, or of the rows.
  Value* sums = b.reduce("ReduceSum", b.unary("Abs", x), {axes[rows ? 1 : 0]}, true);
  Value* y = b.reduce(order > 0 ? "ReduceMax" : "ReduceMin", sums, {axes[rows ? 0 : 1]}, true);
  return keep ? y : b.squeeze(y, axes);
}

Value* norm_input(Call& c) {
  Value* x = c.tensor("self");
  if (const auto dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  return c.floating(x);
}

/// In the order in which they were named.
std::vector<int64_t> norm_axes(Call& c, const Value* x, std::vector<int64_t> otherwise) {
  std::vector<int64_t> axes = c.fixed_list("dim", std::move(otherwise));
  for (int64_t& axis : axes) axis = Builder::axis_of(axis, x->type.sizes.size());
  return axes;
}

bool has_text(const Call& c, std::string_view name) {
  const ir::Attribute* attribute = c.node.find(name);
  return attribute != nullptr && std::holds_alternative<std::string>(*attribute);
}

void give_matrix_norm(Call& c, Value* x, const std::vector<int64_t>& axes) {
  const bool keep = c.boolean("keepdim", false);
  if (axes.size() != 2) Call::refuse("it is the norm of no matrix");
  if (has_text(c, "ord") || !c.has("ord")) {
    const std::string order = c.text("ord", "fro");
    if (order != "fro") Call::refuse("it needs singular values, which ONNX does not compute");
    return c.give(vector_norm(c.b, x, 2, axes, keep));
  }
  c.give(matrix_norm(c.b, x, c.number("ord"), axes, keep));
}

void lower_matrix_norm(Call& c) {
  Value* x = norm_input(c);
  give_matrix_norm(c, x, norm_axes(c, x, {-2, -1}));
}

void lower_linalg_norm(Call& c) {
  Value* x = norm_input(c);
  const bool keep = c.boolean("keepdim", false);
  const bool named = c.has("dim");
  const std::vector<int64_t> axes = named ? norm_axes(c, x, {}) : all_axes(x);
  if (!c.has("ord")) return c.give(vector_norm(c.b, x, 2, axes, keep));
  if (axes.size() == 2) return give_matrix_norm(c, x, axes);
  c.give(vector_norm(c.b, x, c.number("ord"), axes, keep));
}

void lower_cross(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  const Sizes sizes = b.broadcast(v[0]->type.sizes, v[1]->type.sizes);
  Value* x = b.expand(v[0], sizes);
  Value* y = b.expand(v[1], sizes);
  int64_t axis = -1;
  if (c.has("dim") || c.op() == "aten::linalg_cross") {
    axis = c.axis("dim", sizes.size(), -1);
  } else {
    // The first dimension of size 3.
    const auto found = std::ranges::find(sizes, b.expr(3));
    if (found == sizes.end()) Call::refuse("it has no dimension of size 3");
    axis = found - sizes.begin();
  }
  const auto turned = [&](Value* z, const std::vector<int64_t>& order) {
    return b.gather(z, b.integers(order), axis);
  };
  c.give(b.sub(b.mul(turned(x, {1, 2, 0}), turned(y, {2, 0, 1})),
               b.mul(turned(x, {2, 0, 1}), turned(y, {1, 2, 0}))));
}

/// ONNX Runtime computes determinants of float32 alone.
Value* determinant(Builder& b, Value* x) {
  Sizes sizes = x->type.sizes;
  if (sizes.size() < 2) throw Unlowerable("it is the determinant of no matrix");
  sizes.resize(sizes.size() - 2);
  const DType dtype = x->type.dtype;
  return b.cast(b.node("Det", {b.cast(x, DType::f32)}, {}, {DType::f32, sizes}), dtype);
}

Value* matrix_of(Call& c) {
  return c.tensor(c.has("A") ? "A" : "self");
}

void lower_det(Call& c) {
  c.give(determinant(c.b, matrix_of(c)), 0);
  for (size_t i = 1; i < c.output_count(); ++i) {
    if (c.is_used(i)) Call::refuse("the factors of its matrix are used");
  }
}
void lower_logdet(Call& c) {
  c.give(c.b.unary("Log", determinant(c.b, matrix_of(c))));
}
void lower_slogdet(Call& c) {
  Value* det = determinant(c.b, matrix_of(c));
  c.give(c.b.unary("Sign", det), 0);
  c.give(c.b.unary("Log", c.b.unary("Abs", det)), 1);
  for (size_t i = 2; i < c.output_count(); ++i) {
    if (c.is_used(i)) Call::refuse("the factors of its matrix are used");
  }
}

/// Element [I, J] of the last two dimensions, [..., 1, 1].
Value* element(Builder& b, Value* x, int64_t i, int64_t j) {
  Value* row = b.slice(x, -2, b.expr(i), b.expr(i + 1));
  return b.slice(row, -1, b.expr(j), b.expr(j + 1));
}

/// The transposed cofactors of 3x3 matrices.
Value* adjugate(Builder& b, Value* x) {
  Inputs rows;
  for (int64_t i = 0; i < 3; ++i) {
    Inputs row;
    for (int64_t j = 0; j < 3; ++j) {
      const int64_t r = (j + 1) % 3;
      const int64_t s = (j + 2) % 3;
      const int64_t u = (i + 1) % 3;
      const int64_t v = (i + 2) % 3;
      row.push_back(b.sub(b.mul(element(b, x, r, u), element(b, x, s, v)),
                          b.mul(element(b, x, r, v), element(b, x, s, u))));
    }
    rows.push_back(b.concat(row, -1));
  }
  return b.concat(rows, -2);
}

/// In closed form: ONNX has no operator that solves equations.
Value* inverse(Call& c, Value* x) {
  Builder& b = c.b;
  const auto size = c.symbols().constant_value(b.size_of(x, -1));
  if (size == 1) return b.div(b.number(1.0, x->type.dtype), x);
  if (size == 2) {
    Value* one = element(b, x, 0, 0);
    Value* two = element(b, x, 0, 1);
    Value* three = element(b, x, 1, 0);
    Value* four = element(b, x, 1, 1);
    Value* det = b.sub(b.mul(one, four), b.mul(two, three));
    Value* first = b.concat({four, b.unary("Neg", two)}, -1);
    Value* second = b.concat({b.unary("Neg", three), one}, -1);
    return b.div(b.concat({first, second}, -2), det);
  }
  if (size != 3) Call::refuse("ONNX solves no equations; matrices up to 3x3 are inverted");
  Value* turned = adjugate(b, x);
  // The first row of the matrix with the first column of its adjugate.
  Value* det =
      b.matmul(b.slice(x, -2, b.expr(0), b.expr(1)), b.slice(turned, -1, b.expr(0), b.expr(1)));
  return b.div(turned, det);
}

void lower_inverse(Call& c) {
  Value* x = matrix_of(c);
  c.give(inverse(c, x), 0);
  if (c.output_count() < 2 || !c.is_used(1)) return;
  c.give(c.b.expand(c.b.number(int64_t{0}, DType::i32), c.output_sizes(1)), 1);
}

void lower_trace(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* one = b.number(int64_t{1}, DType::i64);
  Value* rows = b.unsqueeze(b.range(zero, one, b.size_of(x, 0)), {1});
  Value* on = b.compare("Equal", rows, b.range(zero, one, b.size_of(x, 1)));
  Value* kept = b.where(on, x, b.number(int64_t{0}, x->type.dtype));
  c.give(b.reduce("ReduceSum", b.cast(kept, c.output_dtype()), {}, false));
}

void lower_matrix_power(Call& c) {
  Builder& b = c.b;
  Value* x = matrix_of(c);
  int64_t n = c.fixed("n");
  if (n < 0) {
    x = inverse(c, x);
    n = -n;
  }
  if (n == 0) Call::refuse("the power 0 of a matrix");
  Value* y = nullptr;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) y = y == nullptr ? x : b.matmul(y, x);
    if (n > 1) x = b.matmul(x, x);
  }
  c.give(y);
}

void lower_multi_dot(Call& c) {
  const auto matrices = c.tensors(c.has("tensors") ? "tensors" : "matrices");
  if (matrices.empty()) Call::refuse("a product of nothing");
  Value* y = matrices[0];
  for (size_t i = 1; i < matrices.size(); ++i) y = c.b.matmul(y, matrices[i]);
  c.give(y);
}

void lower_vecdot(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"x", "y"});
  Value* product = b.mul(v[0], v[1]);
  c.give(b.reduce("ReduceSum", product, {c.axis("dim", product->type.sizes.size(), -1)}, false));
}

void lower_inner(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* y = c.tensor("other");
  if (x->type.sizes.empty() || y->type.sizes.empty()) return c.give(b.mul(x, y));
  const ir::Expr size = b.size_of(x, -1);
  const auto rows = [&](Value* z) {
    const Sizes lead(z->type.sizes.begin(), z->type.sizes.end() - 1);
    return b.reshape(z, {b.product(lead), size});
  };
  c.give(b.reshape(b.matmul(rows(x), b.swap_axes(rows(y), 0, 1)), c.output_sizes()));
}

constexpr Row kRows[] = {
    {"aten::_cdist_forward", lower_cdist},
    {"aten::_euclidean_dist", lower_cdist},
    {"aten::_linalg_det", lower_det},
    {"aten::_linalg_slogdet", lower_slogdet},
    {"aten::_pdist_forward", lower_pdist},
    {"aten::cdist", lower_cdist},
    {"aten::chain_matmul", lower_multi_dot},
    {"aten::cosine_similarity", lower_cosine_similarity},
    {"aten::cross", lower_cross},
    {"aten::det", lower_det},
    {"aten::dist", lower_dist},
    {"aten::inner", lower_inner},
    {"aten::inverse", lower_inverse},
    {"aten::linalg_cross", lower_cross},
    {"aten::linalg_det", lower_det},
    {"aten::linalg_inv", lower_inverse},
    {"aten::linalg_inv_ex", lower_inverse},
    {"aten::linalg_matrix_norm", lower_matrix_norm},
    {"aten::linalg_matrix_power", lower_matrix_power},
    {"aten::linalg_multi_dot", lower_multi_dot},
    {"aten::linalg_norm", lower_linalg_norm},
    {"aten::linalg_slogdet", lower_slogdet},
    {"aten::linalg_vecdot", lower_vecdot},
    {"aten::logdet", lower_logdet},
    {"aten::matrix_power", lower_matrix_power},
    {"aten::pairwise_distance", lower_pairwise_distance},
    {"aten::pdist", lower_pdist},
    {"aten::slogdet", lower_slogdet},
    {"aten::trace", lower_trace},
};

}  // namespace

std::span<const Row> distance_rows() {
  return kRows;
}

}  // namespace mlc::onnx
