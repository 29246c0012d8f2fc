// Matrix products.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

size_t rank_of(const Value* x) {
  return x->type.sizes.size();
}

/// Large weights that something else reads as they are (an embedding that is also the head) stay
/// one tensor: Gemm reads them transposed.
bool is_shared(const ir::Node& node, std::string_view weight) {
  const auto* value = std::get_if<ir::Value*>(node.find(weight));
  if (value == nullptr) return false;
  return std::ranges::any_of((*value)->uses(), [&](const ir::Use& use) {
    const std::string& op = use.node->op().name;
    return use.node != &node && op != "linear" && op != "t";
  });
}

void lower_linear(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  Value* w = c.tensor("weight");
  Value* bias = c.optional("bias");
  if (rank_of(w) == 1) {
    Value* y = b.matmul(x, w);
    return c.give(bias == nullptr ? y : b.add(y, bias));
  }
  const bool plain = bias == nullptr || rank_of(bias) == 1;
  if (rank_of(x) == 2 && plain) return c.give(b.gemm(x, w, bias, true));
  if (plain && rank_of(x) > 2 && is_shared(c.node, "weight")) {
    const ir::Expr rows = b.product(std::span(x->type.sizes).first(rank_of(x) - 1));
    Value* y = b.gemm(b.reshape(x, {rows, b.size_of(x, -1)}), w, bias, true);
    return c.give(b.plain_reshape(y, c.output_sizes()));
  }
  Value* y = b.matmul(x, b.swap_axes(w, 0, 1));
  c.give(bias == nullptr ? y : b.add(y, bias));
}

void lower_matmul(Call& c) {
  const std::string_view second = c.has("mat2") ? "mat2" : (c.has("vec") ? "vec" : "other");
  const std::string_view third = c.has("tensor") ? "tensor" : second;
  c.give(c.b.matmul(c.tensor("self"), c.tensor(third)));
}

/// beta * self + alpha * product; beta = 0 leaves NaNs of self out.
void give_sum(Call& c, Value* product) {
  Builder& b = c.b;
  const double alpha = c.number("alpha", 1);
  const double beta = c.number("beta", 1);
  if (alpha != 1) product = b.mul(product, alpha);
  if (beta == 0) return c.give(b.expand(product, c.output_sizes()));
  Value* self = c.tensor("self");
  c.give(b.add(product, beta == 1 ? self : b.mul(self, beta)));
}

void lower_addmm(Call& c) {
  Value* a = c.tensor("mat1");
  Value* z = c.tensor("mat2");
  const double beta = c.number("beta", 1);
  const DTypeClass kind = info(a->type.dtype).kind;
  // ONNX Runtime's Gemm forgets beta where there is nothing to add up.
  const bool nothing = c.symbols().constant_value(c.b.size_of(a, 1)) == 0;
  if (kind != DTypeClass::floating || nothing) return give_sum(c, c.b.matmul(a, z));
  // What torch.export makes of a linear layer: its weight comes transposed.
  bool transposed = false;
  if (z->producer != nullptr && z->producer->op == "Transpose" && rank_of(z) == 2) {
    z = z->producer->inputs[0];
    transposed = true;
  }
  Value* self = beta == 0 ? nullptr : c.tensor("self");
  c.give(c.b.gemm(a, z, self, transposed, c.number("alpha", 1), beta));
}
void lower_baddbmm(Call& c) {
  give_sum(c, c.b.matmul(c.tensor("batch1"), c.tensor("batch2")));
}
void lower_addbmm(Call& c) {
  give_sum(c,
           c.b.reduce("ReduceSum", c.b.matmul(c.tensor("batch1"), c.tensor("batch2")), {0}, false));
}
void lower_addmv(Call& c) {
  give_sum(c, c.b.matmul(c.tensor("mat"), c.tensor("vec")));
}
void lower_addr(Call& c) {
  Value* a = c.b.unsqueeze(c.tensor("vec1"), {1});
  give_sum(c, c.b.mul(a, c.b.unsqueeze(c.tensor("vec2"), {0})));
}

void lower_outer(Call& c) {
  const std::string_view second = c.has("vec2") ? "vec2" : "other";
  const auto v = c.promoted({"self", second});
  c.give(c.b.mul(c.b.unsqueeze(v[0], {1}), c.b.unsqueeze(v[1], {0})));
}

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The equation of an einsum: a letter for each dimension.
struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

/// Letters for ellipses instead of these, which ONNX wants to stand for equally many dimensions
/// everywhere, and the result written out, as numpy understands a missing one: letters that occur
/// once, in order, behind the ellipsis.
Equation read_equation(std::string text, const Inputs& v) {
  std::erase_if(text, [](unsigned char ch) { return std::isspace(ch) != 0; });
  const size_t arrow = text.find("->");
  const bool implicit = arrow == std::string::npos;
  Equation out;
  std::string left = text.substr(0, arrow) + ",";
  for (size_t end = left.find(','); end != std::string::npos; end = left.find(',')) {
    out.operands.push_back(left.substr(0, end));
    left.erase(0, end + 1);
  }
  if (out.operands.size() != v.size()) Call::refuse("its equation has another number of operands");
  std::string unused;
  for (const char letter : kLetters) {
    if (text.find(letter) == std::string::npos) unused += letter;
  }
  size_t widest = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    std::string& one = out.operands[i];
    const size_t dots = one.find("...");
    const size_t count = rank_of(v[i]) - (one.size() - (dots == std::string::npos ? 0 : 3));
    if (dots == std::string::npos) continue;
    if (count > unused.size()) Call::refuse("its equation does not fit its operands");
    one.replace(dots, 3, unused.substr(unused.size() - count));
    widest = std::max(widest, count);
  }
  const std::string all = unused.substr(unused.size() - widest);
  if (implicit) {
    out.result = all;
    for (const char letter : kLetters) {
      if (std::ranges::count(text, letter) == 1) out.result += letter;
    }
    return out;
  }
  out.result = text.substr(arrow + 2);
  if (const size_t dots = out.result.find("..."); dots != std::string::npos) {
    out.result.replace(dots, 3, all);
  }
  return out;
}

/// Takes dimensions of size 1 away that another operand has larger: ONNX Runtime broadcasts only
/// those of an ellipsis.
void drop_broadcast(Call& c, Equation& equation, Inputs& v) {
  const auto is_one = [&](size_t operand, size_t axis) {
    return c.symbols().constant_value(v[operand]->type.sizes.at(axis)) == 1;
  };
  for (size_t i = 0; i < v.size(); ++i) {
    std::vector<int64_t> gone;
    std::string kept;
    for (size_t axis = 0; axis < equation.operands[i].size(); ++axis) {
      const char letter = equation.operands[i][axis];
      bool larger = false;
      for (size_t other = 0; other < v.size() && is_one(i, axis); ++other) {
        const size_t at = equation.operands[other].find(letter);
        larger = larger || (other != i && at != std::string::npos && !is_one(other, at));
      }
      if (larger) gone.push_back(static_cast<int64_t>(axis));
      if (!larger) kept += letter;
    }
    v[i] = c.b.squeeze(v[i], gone);
    equation.operands[i] = kept;
  }
}

void lower_einsum(Call& c) {
  Builder& b = c.b;
  Inputs v = c.tensors("tensors");
  if (v.empty()) Call::refuse("it has no operands");
  Equation equation = read_equation(c.text("equation", ""), v);
  drop_broadcast(c, equation, v);
  const DType computed = kernel_dtype("Einsum", v[0]->type.dtype);
  for (Value*& one : v) one = b.cast(one, computed == DType::f16 ? DType::f32 : computed);
  // ONNX knows lower and upper case letters as PyTorch does.
  const std::string text =
      fmt::format("{}->{}", fmt::join(equation.operands, ","), equation.result);
  c.give(b.node("Einsum", v, {{"equation", text}}, {v[0]->type.dtype, c.output_sizes()}));
}

void lower_tensordot(Call& c) {
  Builder& b = c.b;
  auto v = c.promoted({"self", "other"});
  const std::vector<int64_t> dims_self = c.fixed_list("dims_self", {});
  const std::vector<int64_t> dims_other = c.fixed_list("dims_other", {});
  // A size of 1 is paired with any other: what it meets is added up.
  for (size_t i = 0; i < dims_self.size(); ++i) {
    const auto one = c.symbols().constant_value(b.size_of(v[0], dims_self[i]));
    const auto two = c.symbols().constant_value(b.size_of(v[1], dims_other.at(i)));
    if (one == 1 && two != 1) v[1] = b.reduce("ReduceSum", v[1], {dims_other[i]}, true);
    if (two == 1 && one != 1) v[0] = b.reduce("ReduceSum", v[0], {dims_self[i]}, true);
  }
  const auto flat = [&](Value* x, std::vector<int64_t> dims, bool last) {
    std::vector<int64_t> order;
    Sizes kept;
    for (int64_t& dim : dims) dim = Builder::axis_of(dim, rank_of(x));
    for (size_t i = 0; i < rank_of(x); ++i) {
      if (std::ranges::find(dims, static_cast<int64_t>(i)) != dims.end()) continue;
      order.push_back(static_cast<int64_t>(i));
      kept.push_back(x->type.sizes[i]);
    }
    order.insert(last ? order.end() : order.begin(), dims.begin(), dims.end());
    Sizes summed;
    for (const int64_t dim : dims) summed.push_back(b.size_of(x, dim));
    const Sizes two = last ? Sizes{b.product(kept), b.product(summed)}
                           : Sizes{b.product(summed), b.product(kept)};
    return b.reshape(b.transpose(x, order), two);
  };
  Value* x = flat(v[0], dims_self, true);
  Value* y = flat(v[1], dims_other, false);
  c.give(b.reshape(b.matmul(x, y), c.output_sizes()));
}

void lower_kron(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  const size_t rank = std::max(rank_of(v[0]), rank_of(v[1]));
  const auto spread = [&](Value* x, bool first) {
    Sizes sizes;
    for (size_t i = 0; i < rank; ++i) {
      const size_t missing = rank - rank_of(x);
      const ir::Expr size = i < missing ? b.expr(1) : x->type.sizes[i - missing];
      sizes.push_back(first ? size : b.expr(1));
      sizes.push_back(first ? b.expr(1) : size);
    }
    return b.reshape(x, sizes);
  };
  c.give(b.reshape(b.mul(spread(v[0], true), spread(v[1], false)), c.output_sizes()));
}

void lower_bilinear(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input1");
  Value* y = c.tensor("input2");
  Value* w = c.tensor("weight");  // [out, in1, in2]
  // x[..., 1, 1, in1] * w[out, in1, in2] -> [..., out, 1, in2], then times y.
  Value* left = b.matmul(b.unsqueeze(x, {-2, -3}), w);
  Value* out = b.matmul(left, b.unsqueeze(y, {-3, -1}));
  out = b.squeeze(out, {-1, -2});
  Value* bias = c.optional("bias");
  c.give(bias == nullptr ? out : b.add(out, bias));
}

/// The groups of X along AXIS, which end at ENDS, and last what lies behind them.
Inputs groups_of(Call& c, Value* x, int64_t axis, Value* ends, int64_t count) {
  Builder& b = c.b;
  Value* begins = b.concat({b.integers({0}), b.slice(ends, 0, b.expr(0), b.expr(count - 1))}, 0);
  Value* last = b.slice(ends, 0, b.expr(count - 1), b.expr(count));
  Value* rest = b.sub(b.integer_1d(b.size_of(x, axis)), last);
  Value* lengths = b.concat({b.sub(ends, begins), rest}, 0);
  std::vector<TensorType> types;
  for (int64_t i = 0; i <= count; ++i) {
    TensorType type = x->type;
    type.sizes.at(static_cast<size_t>(axis)) = c.symbols().fresh("rows", {0, ir::kUnbounded});
    types.push_back(std::move(type));
  }
  return b.nodes("Split", {x, lengths}, {{"axis", axis}}, std::move(types));
}

/// Products of the rows of each group with the matrix of the group (a mixture of experts): one
/// MatMul for each group, so that no row is multiplied with a matrix that is not its own. Two lists
/// of groups are summed over; two stacks of matrices are a batch.
void lower_grouped_product(Call& c) {
  Builder& b = c.b;
  const bool aten = c.has("self");
  Value* x = c.tensor(aten ? "self" : "input");
  Value* w = c.tensor(aten ? "mat2" : "weight");
  if (c.has("bias")) Call::refuse("it has a bias, which PyTorch does not compute either");
  if (rank_of(x) == 3 && rank_of(w) == 3) return c.give(b.matmul(x, w));
  Value* ends = b.cast(c.tensor("offs"), DType::i64);
  const auto count = c.symbols().constant_value(b.size_of(ends, 0));
  if (!count || *count == 0) Call::refuse("the number of its groups varies");
  const bool rows = rank_of(x) == 2;
  const bool columns = rank_of(w) == 2;
  const Inputs left = rows ? groups_of(c, x, columns ? 1 : 0, ends, *count) : Inputs();
  const Inputs right = columns ? groups_of(c, w, rows ? 0 : 1, ends, *count) : Inputs();
  Inputs parts;
  for (int64_t i = 0; i < *count; ++i) {
    const auto at = static_cast<size_t>(i);
    Value* one = b.matmul(rows ? left[at] : b.select(x, 0, b.expr(i)),
                          columns ? right[at] : b.select(w, 0, b.expr(i)));
    parts.push_back(rows && columns ? b.unsqueeze(one, {0}) : one);
  }
  Sizes sizes = c.output_sizes();
  const int64_t axis = !rows ? 1 : 0;
  if (!rows || !columns) {
    // What lies behind the last group belongs to none: zeros.
    Value* behind = rows ? left.back() : right.back();
    TensorType type{parts[0]->type.dtype, sizes};
    type.sizes.at(static_cast<size_t>(axis)) = b.size_of(behind, axis);
    b.define_symbols(behind);
    parts.push_back(b.expand(b.number(0.0, type.dtype), type.sizes));
  }
  const DType dtype = parts[0]->type.dtype;
  c.give(b.node("Concat", parts, {{"axis", axis}}, {dtype, std::move(sizes)}));
}

constexpr Row kRows[] = {
    {"aten::_grouped_mm", lower_grouped_product},
    {"aten::addbmm", lower_addbmm},
    {"aten::addmm", lower_addmm},
    {"aten::addmv", lower_addmv},
    {"aten::addr", lower_addr},
    {"aten::baddbmm", lower_baddbmm},
    {"aten::bilinear", lower_bilinear},
    {"aten::bmm", lower_matmul},
    {"aten::dot", lower_matmul},
    {"aten::einsum", lower_einsum},
    {"aten::ger", lower_outer},
    {"aten::kron", lower_kron},
    {"aten::linear", lower_linear},
    {"aten::matmul", lower_matmul},
    {"aten::mm", lower_matmul},
    {"aten::mv", lower_matmul},
    {"aten::outer", lower_outer},
    {"aten::tensordot", lower_tensordot},
    {"aten::vdot", lower_matmul},
    {"transformers::grouped_mm_fallback", lower_grouped_product},
};

}  // namespace

std::span<const Row> linear_rows() {
  return kRows;
}

}  // namespace mlc::onnx
