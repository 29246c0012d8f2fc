// Rare functions, element by element, and those that ONNX has no form for.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <limits>
#include <numbers>

namespace mlc::onnx {
namespace {

/// x * 2^n, or x / 2^n rounded down: BitShift knows unsigned integers alone.
template <bool kLeft>
void lower_shift(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  const DType dtype = v[0]->type.dtype;
  const DType computed = is_floating(v[0]) ? dtype : DType::i64;
  Value* x = b.cast(v[0], computed);
  Value* power = b.binary("Pow", b.number(int64_t{2}, computed), b.cast(v[1], computed));
  if (kLeft) return c.give(b.cast(b.mul(x, power), dtype));
  if (is_floating(x)) return c.give(b.div(x, power));
  c.give(b.cast(b.div(b.sub(x, b.binary("Mod", x, power)), power), dtype));
}

void lower_masked_softmax(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* mask = c.tensor("mask");
  const size_t rank = x->type.sizes.size();
  // Of type 1, a key is hidden in all rows of its sequence.
  if (c.fixed("mask_type", 2) == 1 && mask->type.sizes.size() == 2 && rank == 4) {
    mask = b.unsqueeze(mask, {1, 2});
  }
  Value* least = b.number(-std::numeric_limits<double>::infinity(), x->type.dtype);
  c.give(b.softmax(b.where(mask, least, x), c.axis("dim", rank, -1)));
}

/// The norm of V over all dimensions but one; of everything where DIM is -1.
Value* norm_but(Call& c, Value* v, int64_t dim, double p) {
  const auto rank = static_cast<int64_t>(v->type.sizes.size());
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i) {
    if (dim == -1 || i != Builder::axis_of(dim, static_cast<size_t>(rank))) axes.push_back(i);
  }
  return axes.empty() ? c.b.unary("Abs", v) : vector_norm(c.b, v, p, axes, dim != -1);
}

void lower_norm_except_dim(Call& c) {
  c.give(norm_but(c, c.tensor("v"), c.fixed("dim", 0), c.number("pow", 2)));
}

/// g * v / |v|.
void lower_weight_norm(Call& c) {
  Builder& b = c.b;
  Value* v = c.tensor("v");
  Value* norm = norm_but(c, v, c.fixed("dim", 0), 2);
  c.give(b.mul(v, b.div(c.tensor("g"), norm)), 0);
  if (c.output_count() > 1 && c.is_used(1)) c.give(norm, 1);
}

void refuse_function(Call&) {
  Call::refuse("ONNX has no such function, and no exact form of others");
}
void refuse_solving(Call&) {
  Call::refuse("it factors or solves matrices, for which ONNX has no operator");
}

constexpr Row kRows[] = {
    {"aten::__lshift__", lower_shift<true>},
    {"aten::__rshift__", lower_shift<false>},
    {"aten::_linalg_eigh", refuse_solving},
    {"aten::_linalg_solve_ex", refuse_solving},
    {"aten::_linalg_svd", refuse_solving},
    {"aten::_masked_softmax", lower_masked_softmax},
    {"aten::_weight_norm", lower_weight_norm},
    {"aten::_weight_norm_interface", lower_weight_norm},
    {"aten::bitwise_left_shift", lower_shift<true>},
    {"aten::bitwise_right_shift", lower_shift<false>},
    {"aten::cholesky", refuse_solving},
    {"aten::gcd", refuse_function},
    {"aten::i0", refuse_function},
    {"aten::igamma", refuse_function},
    {"aten::igammac", refuse_function},
    {"aten::lcm", refuse_function},
    {"aten::linalg_cholesky", refuse_solving},
    {"aten::linalg_cholesky_ex", refuse_solving},
    {"aten::linalg_eig", refuse_solving},
    {"aten::linalg_eigh", refuse_solving},
    {"aten::linalg_lstsq", refuse_solving},
    {"aten::linalg_pinv", refuse_solving},
    {"aten::linalg_qr", refuse_solving},
    {"aten::linalg_solve", refuse_solving},
    {"aten::linalg_solve_triangular", refuse_solving},
    {"aten::linalg_svd", refuse_solving},
    {"aten::nextafter", refuse_function},
    {"aten::norm_except_dim", lower_norm_except_dim},
    {"aten::polygamma", refuse_function},
    {"aten::triangular_solve", refuse_solving},
};

}  // namespace

std::span<const Row> rare_rows() {
  return kRows;
}

}  // namespace mlc::onnx
