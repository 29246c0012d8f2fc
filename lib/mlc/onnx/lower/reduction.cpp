// Reductions, extremes with their places, sorting.
#include "mlc/ir/linear_size.h"
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace mlc::onnx {
namespace {

/// How many elements are reduced, as a number of DTYPE.
Value* element_count(Call& c, const Value* x, const std::vector<int64_t>& axes, DType dtype) {
  Sizes sizes;
  for (const int64_t axis : axes) sizes.push_back(c.b.size_of(x, axis));
  return c.b.cast(c.b.integer(c.b.product(sizes)), dtype);
}

/// Whether the program itself allows that SIZE is 0: it is that, or a multiple of a symbol that may
/// be. Other sizes say less of what their model takes: (n - 3)//2 of a convolution.
bool may_be_nothing(ir::Symbols& s, ir::Expr size) {
  if (const auto known = s.constant_value(size)) return known == 0;
  if (s.bounds(size).low > 0) return false;
  const std::vector<size_t> used = s.symbols_of(size);
  if (used.size() != 1) return false;
  if (s.text(size) == s.all()[used[0]].name) return true;
  const auto line = ir::linear_size(s, size);
  return line && line->offset == 0;
}

/// ReduceMean. Of nothing, it is NaN in PyTorch and 0 in ONNX Runtime.
Value* mean_of(Call& c, Value* x, const std::vector<int64_t>& axes, bool keep) {
  const bool nothing = std::ranges::any_of(
      axes, [&](int64_t axis) { return may_be_nothing(c.symbols(), c.b.size_of(x, axis)); });
  if (!nothing || !is_floating(x)) return c.b.reduce("ReduceMean", x, axes, keep);
  return c.b.div(c.b.reduce("ReduceSum", x, axes, keep), element_count(c, x, axes, x->type.dtype));
}

void lower_mean(Call& c) {
  Value* x = c.b.cast(c.tensor("self"), c.output_dtype());
  if (x->type.sizes.empty()) return c.give(x);
  c.give(mean_of(c, x, c.axes("dim", x->type.sizes.size()), c.boolean("keepdim", false)));
}

template <const char* kOp>
void lower_reduce(Call& c) {
  Value* x = c.tensor("self");
  if (kOp != std::string_view("ReduceMax") && kOp != std::string_view("ReduceMin")) {
    x = c.b.cast(x, c.output_dtype());
  }
  if (x->type.sizes.empty()) return c.give(x);
  const auto axes = c.axes("dim", x->type.sizes.size());
  c.give(c.b.reduce(kOp, x, axes, c.boolean("keepdim", false)));
}
constexpr char kSum[] = "ReduceSum", kProd[] = "ReduceProd", kMax[] = "ReduceMax",
               kMin[] = "ReduceMin";

Value* without_nan(Call& c, Value* x) {
  if (!is_floating(x)) return x;
  return c.b.where(is_nan(c.b, x), c.b.number(0.0, x->type.dtype), x);
}

void lower_nansum(Call& c) {
  Value* x = c.b.cast(without_nan(c, c.tensor("self")), c.output_dtype());
  if (x->type.sizes.empty()) return c.give(x);
  c.give(
      c.b.reduce("ReduceSum", x, c.axes("dim", x->type.sizes.size()), c.boolean("keepdim", false)));
}

void lower_nanmean(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  Value* nan = is_nan(b, x);
  Value* counted = b.cast(b.logical_not(nan), x->type.dtype);
  Value* zeros = b.where(nan, b.number(0.0, x->type.dtype), x);
  const auto axes = c.axes("dim", x->type.sizes.size());
  const bool keep = c.boolean("keepdim", false);
  c.give(
      b.div(b.reduce("ReduceSum", zeros, axes, keep), b.reduce("ReduceSum", counted, axes, keep)));
}

template <const char* kOp>
void lower_truth(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(b.cast(c.tensor("self"), DType::boolean), DType::i32);
  if (!x->type.sizes.empty()) {
    x = b.reduce(kOp, x, c.axes("dim", x->type.sizes.size()), c.boolean("keepdim", false));
  }
  // Of nothing the largest is the least integer, and the least the largest one.
  c.give(b.compare("Greater", x, b.number(int64_t{0}, DType::i32)));
}

void lower_count_nonzero(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(b.cast(c.tensor("self"), DType::boolean), DType::i64);
  if (x->type.sizes.empty()) return c.give(x);
  c.give(b.reduce("ReduceSum", x, c.axes("dim", x->type.sizes.size()), false));
}

template <const char* kArg>
void lower_arg(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) return c.give(b.number(int64_t{0}, DType::i64));
  if (!c.has("dim")) {
    Value* flat = b.reshape(x, {b.product(x->type.sizes)});
    return c.give(b.reshape(b.arg(kArg, flat, 0, true), c.output_sizes()));
  }
  c.give(b.arg(kArg, x, c.axis("dim", x->type.sizes.size()), c.boolean("keepdim", false)));
}
constexpr char kArgMax[] = "ArgMax", kArgMin[] = "ArgMin";

/// max and min: of two tensors, of all elements, or along a dimension with the places.
template <const char* kReduce, const char* kArg, const char* kBinary>
void lower_extreme(Call& c) {
  Builder& b = c.b;
  if (c.has("other")) {
    const auto v = c.promoted({"self", "other"});
    return c.give(b.binary(kBinary, v[0], v[1]));
  }
  Value* x = c.tensor("self");
  if (!c.has("dim")) {
    return c.give(x->type.sizes.empty() ? x : b.reduce(kReduce, x, {}, false));
  }
  const bool keep = c.boolean("keepdim", false);
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(b.number(int64_t{0}, DType::i64), 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  c.give(b.reduce(kReduce, x, {axis}, keep), 0);
  if (c.output_count() > 1 && c.is_used(1)) c.give(b.arg(kArg, x, axis, keep), 1);
}
constexpr char kMaximum[] = "Max", kMinimum[] = "Min";

void lower_aminmax(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(x, 1);
  }
  const bool keep = c.boolean("keepdim", false);
  std::vector<int64_t> axes;
  if (c.has("dim")) axes.push_back(c.axis("dim", x->type.sizes.size()));
  c.give(b.reduce("ReduceMin", x, axes, keep), 0);
  c.give(b.reduce("ReduceMax", x, axes, keep), 1);
}

struct Moments {
  Value* mean = nullptr;
  Value* variance = nullptr;
};

/// What is reduced over nothing has no moments.
std::optional<Moments> moments_of_nothing(Call& c, const Value* x, const std::vector<int64_t>& axes,
                                          bool keep) {
  Sizes sizes;
  bool nothing = false;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) {
    const bool gone = std::ranges::binary_search(axes, static_cast<int64_t>(i));
    nothing = nothing || (gone && c.symbols().constant_value(x->type.sizes[i]) == 0);
    if (!gone) sizes.push_back(x->type.sizes[i]);
    if (gone && keep) sizes.push_back(c.b.expr(1));
  }
  if (!nothing) return std::nullopt;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Value* out = c.b.expand(c.b.number(nan, x->type.dtype), sizes);
  return Moments{out, out};
}

Moments moments(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  const auto axes = c.axes("dim", x->type.sizes.size());
  const bool keep = c.boolean("keepdim", false);
  if (const auto nothing = moments_of_nothing(c, x, axes, keep)) return *nothing;
  double correction = 1;
  if (c.node.find("correction") != nullptr) {
    correction = c.number("correction", 1);
  } else if (c.has("unbiased")) {
    correction = c.boolean("unbiased", true) ? 1 : 0;
  }
  Value* mean = x->type.sizes.empty() ? x : mean_of(c, x, axes, true);
  Value* centred = b.sub(x, mean);
  Value* square = b.mul(centred, centred);
  Moments out;
  if (correction == 0) {
    out.variance = x->type.sizes.empty() ? square : mean_of(c, square, axes, keep);
  } else {
    Value* sum = x->type.sizes.empty() ? square : b.reduce("ReduceSum", square, axes, keep);
    Value* n = element_count(c, x, axes, dtype);
    Value* rest = b.binary("Max", b.sub(n, correction), b.number(0.0, dtype));
    out.variance = b.div(sum, rest);
  }
  out.mean = keep || x->type.sizes.empty() ? mean : b.squeeze(mean, axes);
  return out;
}

void lower_var(Call& c) {
  c.give(moments(c).variance);
}
void lower_std(Call& c) {
  c.give(c.b.unary("Sqrt", moments(c).variance));
}
void lower_var_mean(Call& c) {
  const Moments m = moments(c);
  c.give(m.variance, 0);
  c.give(m.mean, 1);
}
void lower_std_mean(Call& c) {
  const Moments m = moments(c);
  c.give(c.b.unary("Sqrt", m.variance), 0);
  c.give(m.mean, 1);
}

void lower_cumsum(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("self"), c.output_dtype());
  if (x->type.sizes.empty()) return c.give(x);
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  const DType computed = kernel_dtype("CumSum", x->type.dtype);
  Value* y = b.node("CumSum", {b.cast(x, computed), b.number(axis, DType::i64)}, {},
                    {computed, x->type.sizes});
  c.give(b.cast(y, x->type.dtype));
}

void lower_logsumexp(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  if (x->type.sizes.empty()) return c.give(x);
  const auto axes = c.axes("dim", x->type.sizes.size());
  const bool keep = c.boolean("keepdim", false);
  // The largest is taken out, so that nothing overflows.
  Value* most = b.reduce("ReduceMax", x, axes, true);
  const double lowest = x->type.dtype == DType::f16 ? -65504 : -3.4028234663852886e38;
  Value* bounded = b.binary("Max", most, b.number(lowest, x->type.dtype));
  bounded = b.binary("Min", bounded, b.number(-lowest, x->type.dtype));
  Value* sum = b.reduce("ReduceSum", b.unary("Exp", b.sub(x, bounded)), axes, true);
  Value* y = b.add(b.unary("Log", sum), bounded);
  c.give(keep ? y : b.squeeze(y, axes));
}

void lower_norm(Call& c) {
  Value* x = c.tensor("self");
  if (const auto dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  x = c.floating(x);
  const std::string_view name = c.has("ord") ? "ord" : "p";
  const double p = c.has(name) ? c.number(name) : 2;
  c.give(vector_norm(c.b, x, p, c.axes("dim", x->type.sizes.size()), c.boolean("keepdim", false)));
}

void lower_topk(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(b.number(int64_t{0}, DType::i64), 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  const DType computed = kernel_dtype("TopK", x->type.dtype);
  const Sizes sizes = c.output_sizes();
  const auto both = b.nodes("TopK", {b.cast(x, computed), b.integer_1d(c.integer("k"))},
                            {{"axis", axis}, {"largest", int64_t{c.boolean("largest", true)}}},
                            {{computed, sizes}, {DType::i64, sizes}});
  c.give(b.cast(both[0], x->type.dtype), 0);
  c.give(both[1], 1);
}

struct Sorted {
  Value* values = nullptr;
  Value* indices = nullptr;
};

/// All of an axis in order: TopK breaks ties by the lower index, as a stable sort does.
Sorted sorted(Call& c, Value* x, int64_t axis, bool descending) {
  Builder& b = c.b;
  const DType computed = kernel_dtype("TopK", x->type.dtype);
  Value* k = b.integer_1d(b.size_of(x, axis));
  const auto both =
      b.nodes("TopK", {b.cast(x, computed), k}, {{"axis", axis}, {"largest", int64_t{descending}}},
              {{computed, x->type.sizes}, {DType::i64, x->type.sizes}});
  return {b.cast(both[0], x->type.dtype), both[1]};
}

void lower_sort(Call& c) {
  Value* x = c.tensor("self");
  const bool places_only = c.op() == "aten::argsort";
  if (x->type.sizes.empty()) {
    Value* zero = c.b.number(int64_t{0}, DType::i64);
    if (places_only) return c.give(zero);
    c.give(x, 0);
    return c.give(zero, 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  const Sorted s = sorted(c, x, axis, c.boolean("descending", false));
  if (places_only) return c.give(s.indices);
  c.give(s.values, 0);
  c.give(s.indices, 1);
}

void lower_msort(Call& c) {
  Value* x = c.tensor("self");
  c.give(x->type.sizes.empty() ? x : sorted(c, x, 0, false).values);
}

/// Slices along an axis whose norm is too large are scaled down to it.
void lower_renorm(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < std::ssize(x->type.sizes); ++i) {
    if (i != axis) axes.push_back(i);
  }
  Value* norm = vector_norm(b, x, c.number("p"), axes, true);
  Value* most = b.number(c.number("maxnorm"), dtype);
  Value* scale = b.div(most, b.add(norm, 1e-7));
  c.give(b.mul(x, b.where(b.compare("Greater", norm, most), scale, b.number(1.0, dtype))));
}

void lower_kthvalue(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(b.number(int64_t{0}, DType::i64), 1);
  }
  const int64_t axis = c.axis("dim", x->type.sizes.size(), -1);
  const bool keep = c.boolean("keepdim", false);
  const Sorted s = sorted(c, x, axis, false);
  const ir::Expr at = c.symbols().subtract(c.integer("k"), b.expr(1));
  const auto pick = [&](Value* y) {
    Value* one = b.select(y, axis, at);
    return keep ? b.unsqueeze(one, {axis}) : one;
  };
  c.give(pick(s.values), 0);
  if (c.is_used(1)) c.give(pick(s.indices), 1);
}

void lower_median(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Value* x = c.tensor("self");
  const bool all = !c.has("dim");
  if (x->type.sizes.empty()) {
    c.give(x, 0);
    return c.give(b.number(int64_t{0}, DType::i64), 1);
  }
  if (all) x = b.reshape(x, {b.product(x->type.sizes)});
  const int64_t axis = all ? 0 : c.axis("dim", x->type.sizes.size());
  const ir::Expr middle = s.floor_divide(s.subtract(b.size_of(x, axis), b.expr(1)), b.expr(2));
  const Sorted order = sorted(c, x, axis, false);
  const auto pick = [&](Value* y) {
    Value* one = b.select(y, axis, middle);
    return c.boolean("keepdim", false) ? b.unsqueeze(one, {axis}) : one;
  };
  c.give(pick(order.values), 0);
  if (!all && c.is_used(1)) c.give(pick(order.indices), 1);
}

constexpr Row kRows[] = {
    {"aten::_is_all_true", lower_truth<kMin>},
    {"aten::_is_any_true", lower_truth<kMax>},
    {"aten::all", lower_truth<kMin>},
    {"aten::amax", lower_reduce<kMax>},
    {"aten::amin", lower_reduce<kMin>},
    {"aten::aminmax", lower_aminmax},
    {"aten::any", lower_truth<kMax>},
    {"aten::argmax", lower_arg<kArgMax>},
    {"aten::argmin", lower_arg<kArgMin>},
    {"aten::argsort", lower_sort},
    {"aten::count_nonzero", lower_count_nonzero},
    {"aten::cumsum", lower_cumsum},
    {"aten::frobenius_norm", lower_norm},
    {"aten::kthvalue", lower_kthvalue},
    {"aten::linalg_vector_norm", lower_norm},
    {"aten::logsumexp", lower_logsumexp},
    {"aten::max", lower_extreme<kMax, kArgMax, kMaximum>},
    {"aten::mean", lower_mean},
    {"aten::median", lower_median},
    {"aten::min", lower_extreme<kMin, kArgMin, kMinimum>},
    {"aten::msort", lower_msort},
    {"aten::nanmean", lower_nanmean},
    {"aten::nansum", lower_nansum},
    {"aten::norm", lower_norm},
    {"aten::prod", lower_reduce<kProd>},
    {"aten::renorm", lower_renorm},
    {"aten::sort", lower_sort},
    {"aten::special_logsumexp", lower_logsumexp},
    {"aten::std", lower_std},
    {"aten::std_mean", lower_std_mean},
    {"aten::sum", lower_reduce<kSum>},
    {"aten::topk", lower_topk},
    {"aten::var", lower_var},
    {"aten::var_mean", lower_var_mean},
};

}  // namespace

std::span<const Row> reduction_rows() {
  return kRows;
}

}  // namespace mlc::onnx
