// The operators that the builder knows how to simplify.
#include "mlc/onnx/builder.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

std::vector<int64_t> normalized(std::vector<int64_t> axes, size_t rank) {
  for (int64_t& axis : axes) {
    axis = Builder::axis_of(axis, rank);
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) {
      throw Unlowerable(fmt::format("dimension {} of a tensor that has {}", axis, rank));
    }
  }
  std::ranges::sort(axes);
  if (std::ranges::adjacent_find(axes) != axes.end()) {
    throw Unlowerable("a dimension that is named twice");
  }
  return axes;
}

bool is_identity(const std::vector<int64_t>& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

/// Of what is larger or smaller ONNX Runtime 1.31 compares the lower halves alone where numbers
/// have 64 bits and the CPU has AVX2; its comparisons and ArgMax are right.
bool compares_halves(std::string_view op, const Value* x) {
  constexpr std::array<std::string_view, 5> kWrong = {"Max", "Min", "ReduceMax", "ReduceMin",
                                                      "Sign"};
  return x->type.dtype == DType::i64 && x->data == nullptr &&
         std::ranges::find(kWrong, op) != kWrong.end();
}

Value* sign_of(Builder& b, Value* x) {
  Value* zero = b.number(int64_t{0}, DType::i64);
  return b.sub(b.cast(b.compare("Greater", x, zero), DType::i64),
               b.cast(b.compare("Less", x, zero), DType::i64));
}

/// The largest or smallest of X along AXES, one after the other, by their places.
Value* found_extreme(Builder& b, Value* x, bool largest, const std::vector<int64_t>& axes,
                     bool keep) {
  for (const int64_t axis : axes) {
    Value* place = b.arg(largest ? "ArgMax" : "ArgMin", x, axis, true);
    x = b.node("GatherElements", {x, place}, {{"axis", axis}}, {DType::i64, place->type.sizes});
  }
  return keep ? x : b.squeeze(x, axes);
}

}  // namespace

Value* Builder::unary(std::string_view op, Value* x) {
  if (compares_halves(op, x)) return sign_of(*this, x);
  // There is no Relu of 64 bits, and not all of them fit a double.
  if (op == "Relu" && x->type.dtype == DType::i64 && x->data == nullptr)
    return binary("Max", x, number(int64_t{0}, DType::i64));
  if (op == "Not" && is_made_by(x, "Not")) return x->producer->inputs[0];
  const DType dtype = x->type.dtype;
  Value* in = cast(x, kernel_dtype(op, dtype));
  return cast(node(op, {in}, {}, in->type), dtype);
}

Value* Builder::binary(std::string_view op, Value* a, Value* b) {
  same_dtype(op, a, b);
  if (Value* simpler = without_neutral(*this, op, a, b)) return simpler;
  if (compares_halves(op, a) || compares_halves(op, b))
    return where(compare(op == "Max" ? "Greater" : "Less", a, b), a, b);
  const DType dtype = a->type.dtype;
  const DType computed = kernel_dtype(op, dtype);
  Sizes sizes = broadcast(a->type.sizes, b->type.sizes);
  if (Value* source = unexpanded(*this, a, {b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {a}, sizes)) b = source;
  Value* out = node(op, {cast(a, computed), cast(b, computed)}, {}, {computed, std::move(sizes)});
  return cast(out, dtype);
}

Value* Builder::compare(std::string_view op, Value* a, Value* b) {
  same_dtype(op, a, b);
  const DType computed = kernel_dtype(op, a->type.dtype);
  Sizes sizes = broadcast(a->type.sizes, b->type.sizes);
  if (Value* source = unexpanded(*this, a, {b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {a}, sizes)) b = source;
  return node(op, {cast(a, computed), cast(b, computed)}, {}, {DType::boolean, std::move(sizes)});
}

Value* Builder::cast(Value* x, DType dtype) {
  if (x->type.dtype == dtype) return x;
  // bool -> int -> float is bool -> float; others may lose something in between.
  if (is_made_by(x, "Cast") && x->producer->inputs[0]->type.dtype == DType::boolean) {
    return cast(x->producer->inputs[0], dtype);
  }
  if (x->data != nullptr && !is_small_constant(x)) {
    if (DataRef data = cast_data(x->data, dtype)) return constant(std::move(data));
  }
  return node("Cast", {x}, {{"to", int64_t{info(dtype).onnx}}}, {dtype, x->type.sizes});
}

Value* Builder::where(Value* condition, Value* a, Value* b) {
  same_dtype("Where", a, b);
  if (Value* simpler = guarded_softmax(*this, condition, a, b)) return simpler;
  Sizes sizes = broadcast(condition->type.sizes, broadcast(a->type.sizes, b->type.sizes));
  if (Value* source = unexpanded(*this, condition, {a, b}, sizes)) condition = source;
  if (Value* source = unexpanded(*this, a, {condition, b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {condition, a}, sizes)) b = source;
  if (a->type.dtype == DType::boolean) {
    // ONNX Runtime has no Where for bool.
    return binary("Or", binary("And", condition, a), binary("And", logical_not(condition), b));
  }
  const DType computed = kernel_dtype("Where", a->type.dtype);
  return cast(node("Where", {condition, cast(a, computed), cast(b, computed)}, {},
                   {computed, std::move(sizes)}),
              a->type.dtype);
}

std::optional<std::vector<int64_t>> Builder::reshape_target(const Sizes& from, const Sizes& to) {
  std::vector<int64_t> out;
  bool open = false;
  for (size_t i = 0; i < to.size(); ++i) {
    const auto known = symbols().constant_value(to[i]);
    if (known && *known == 0) return std::nullopt;
    if (known) {
      out.push_back(*known);
    } else if (i < from.size() && from[i] == to[i]) {
      out.push_back(0);
    } else if (!open) {
      out.push_back(-1);
      open = true;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

Value* Builder::reshape(Value* x, const Sizes& sizes) {
  if (x->type.sizes == sizes) return x;
  if (Value* simpler = batched_product(*this, x, sizes)) return simpler;
  if (Value* simpler = linear_of_reshaped(*this, x, sizes)) return simpler;
  if (Value* simpler = parted_before(*this, x, sizes)) return simpler;
  if (is_made_by(x, "Reshape") || is_made_by(x, "Unsqueeze") || is_made_by(x, "Squeeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (reshape_target(source->type.sizes, sizes)) return reshape(source, sizes);
  }
  return plain_reshape(x, sizes);
}

Value* Builder::plain_reshape(Value* x, const Sizes& sizes) {
  TensorType type{x->type.dtype, sizes};
  const auto fixed = fixed_sizes(symbols(), sizes);
  if (x->data != nullptr && fixed) return constant(reshape_data(x->data, *fixed));
  if (const auto target = reshape_target(x->type.sizes, sizes)) {
    return node("Reshape", {x, integers(*target)}, {}, std::move(type));
  }
  // Before opset 14 a 0 can only stand for the size that X has there.
  if (fixed && !can_use(14)) {
    for (size_t i = 0; i < fixed->size(); ++i) {
      const bool same = i < x->type.sizes.size() && x->type.sizes[i] == sizes[i];
      if ((*fixed)[i] == 0 && !same) throw Unlowerable("it needs opset 14");
    }
  }
  Value* list = integer_list(sizes);
  Attributes attributes;
  if (fixed && can_use(14)) attributes.push_back({"allowzero", int64_t{1}});
  return node("Reshape", {x, list}, std::move(attributes), std::move(type));
}

Value* Builder::transpose(Value* x, const std::vector<int64_t>& permutation) {
  if (normalized(permutation, x->type.sizes.size()).size() != x->type.sizes.size()) {
    throw Unlowerable("a permutation of another number of dimensions");
  }
  if (is_identity(permutation)) return x;
  if (is_made_by(x, "Transpose")) {
    const auto& first = std::get<std::vector<int64_t>>(*x->producer->find("perm"));
    std::vector<int64_t> both;
    for (const int64_t axis : permutation) both.push_back(first[static_cast<size_t>(axis)]);
    return transpose(x->producer->inputs[0], both);
  }
  Sizes sizes;
  for (const int64_t axis : permutation) sizes.push_back(x->type.sizes[static_cast<size_t>(axis)]);
  if (x->data != nullptr) return constant(transpose_data(x->data, permutation));
  return node("Transpose", {x}, {{"perm", permutation}}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::swap_axes(Value* x, int64_t a, int64_t b) {
  const size_t rank = x->type.sizes.size();
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  if (rank > 0) {
    (void)size_of(x, a);
    (void)size_of(x, b);
    std::swap(permutation[static_cast<size_t>(axis_of(a, rank))],
              permutation[static_cast<size_t>(axis_of(b, rank))]);
  }
  return transpose(x, permutation);
}

Value* Builder::unsqueeze(Value* x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  const size_t rank = x->type.sizes.size() + axes.size();  // before they are moved
  axes = normalized(std::move(axes), rank);
  Sizes sizes = x->type.sizes;
  for (const int64_t axis : axes) sizes.insert(sizes.begin() + axis, expr(1));
  if (x->data != nullptr) return reshape(x, sizes);
  if (is_made_by(x, "Reshape") || is_made_by(x, "Squeeze") || is_made_by(x, "Unsqueeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (is_made_by(x, "Reshape") && reshape_target(source->type.sizes, sizes)) {
      return reshape(source, sizes);
    }
  }
  return node("Unsqueeze", {x, integers(axes)}, {}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::squeeze(Value* x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  axes = normalized(std::move(axes), x->type.sizes.size());
  Sizes sizes;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) {
    if (!std::ranges::binary_search(axes, static_cast<int64_t>(i))) {
      sizes.push_back(x->type.sizes[i]);
    }
  }
  if (x->data != nullptr) return reshape(x, sizes);
  if (is_made_by(x, "Reshape") || is_made_by(x, "Squeeze") || is_made_by(x, "Unsqueeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (is_made_by(x, "Reshape") && reshape_target(source->type.sizes, sizes)) {
      return reshape(source, sizes);
    }
  }
  return node("Squeeze", {x, integers(axes)}, {}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::expand(Value* x, const Sizes& sizes) {
  if (x->type.sizes == sizes) return x;
  if (sizes.size() < x->type.sizes.size()) throw Unlowerable("an expansion to fewer dimensions");
  Sizes from(sizes.size() - x->type.sizes.size(), expr(1));
  from.insert(from.end(), x->type.sizes.begin(), x->type.sizes.end());
  if (from == sizes) return reshape(x, sizes);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto known = symbols().constant_value(from[i]);
    if (known && *known != 1 && symbols().equal(from[i], sizes[i]) == false) {
      throw Unlowerable(
          fmt::format("an expansion of size {} to {}", *known, symbols().text(sizes[i])));
    }
  }
  // 1 leaves a size as it is, so that only those that grow have to be known.
  Sizes target = sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (from[i] == sizes[i]) target[i] = expr(1);
  }
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Expand", dtype);
  Value* list = integer_list(target);
  return cast(node("Expand", {cast(x, computed), list}, {}, {computed, sizes}), dtype);
}

Value* Builder::concat(const Inputs& parts, int64_t axis) {
  if (parts.empty()) throw Unlowerable("a concatenation of nothing");
  for (const Value* part : parts) {
    (void)size_of(part, axis);
    same_dtype("Concat", part, parts[0]);
    if (part->type.sizes.size() != parts[0]->type.sizes.size()) {
      throw Unlowerable("a concatenation of tensors with different numbers of dimensions");
    }
  }
  if (parts.size() == 1) return parts[0];
  const size_t rank = parts[0]->type.sizes.size();
  const auto at = static_cast<size_t>(axis_of(axis, rank));
  Sizes sizes = parts[0]->type.sizes;
  for (size_t i = 1; i < parts.size(); ++i) {
    sizes[at] = symbols().add(sizes[at], parts[i]->type.sizes[at]);
    for (size_t d = 0; d < rank; ++d) {
      const ir::Expr other = parts[i]->type.sizes[d];
      if (d != at && symbols().constant_value(other)) sizes[d] = other;
    }
  }
  return node("Concat", parts, {{"axis", static_cast<int64_t>(at)}},
              {parts[0]->type.dtype, std::move(sizes)});
}

Value* Builder::slice(Value* x, int64_t axis, ir::Expr start, ir::Expr end, int64_t step) {
  ir::Symbols& s = symbols();
  const ir::Expr size = size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  const auto clamp = [&](ir::Expr at) {
    const ir::Bounds bounds = s.bounds(at);
    if (s.constant_value(at) == INT64_MAX || s.less_equal(size, at) == true) return size;
    if (bounds.high < 0) return s.maximum(s.add(at, size), expr(0));
    if (s.less_equal(at, size) == true && bounds.low >= 0) return at;
    if (bounds.low >= 0) return s.minimum(at, size);
    return s.fresh("n", {0, ir::kUnbounded});
  };
  const ir::Expr from = clamp(start);
  const ir::Expr to = clamp(end);
  if (step == 1 && s.constant_value(from) == 0 && to == size) return x;
  ir::Expr count = s.ceil_divide(s.subtract(to, from), expr(step));
  if (s.bounds(count).low < 0) count = s.maximum(count, expr(0));
  Sizes sizes = x->type.sizes;
  sizes[static_cast<size_t>(axis)] = count;
  // Where the end is the size, the largest number says so without knowing it.
  Value* last = to == size ? integers({INT64_MAX}) : integer_1d(end);
  Value* first = integer_1d(start);
  Inputs inputs = {x, first, last, integers({axis})};
  if (step != 1) inputs.push_back(integers({step}));
  Value* out = node("Slice", std::move(inputs), {}, {x->type.dtype, std::move(sizes)});
  define_symbols(out);
  return out;
}

std::vector<Value*> Builder::split(Value* x, int64_t axis, const Sizes& parts) {
  if (parts.size() == 1) return {x};
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  std::vector<TensorType> types;
  for (const ir::Expr part : parts) {
    TensorType type = x->type;
    type.sizes[static_cast<size_t>(axis)] = part;
    types.push_back(std::move(type));
  }
  Value* list = integer_list(parts);
  return nodes("Split", {x, list}, {{"axis", axis}}, std::move(types));
}

Value* Builder::gather(Value* x, Value* indices, int64_t axis) {
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  Sizes sizes(x->type.sizes.begin(), x->type.sizes.begin() + axis);
  sizes.insert(sizes.end(), indices->type.sizes.begin(), indices->type.sizes.end());
  sizes.insert(sizes.end(), x->type.sizes.begin() + axis + 1, x->type.sizes.end());
  return node("Gather", {x, indices}, {{"axis", axis}}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::select(Value* x, int64_t axis, ir::Expr index) {
  (void)size_of(x, axis);
  return gather(x, integer(index), axis);
}

Value* Builder::pad(Value* x, const Sizes& before, const Sizes& after, std::string_view mode,
                    Value* fill) {
  Sizes all = before;
  all.insert(all.end(), after.begin(), after.end());
  if (std::ranges::all_of(all, [&](ir::Expr one) { return symbols().constant_value(one) == 0; })) {
    return x;
  }
  Sizes sizes = x->type.sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = symbols().add(sizes[i], symbols().add(before[i], after[i]));
  }
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Pad", dtype);
  Value* list = integer_list(all);
  if (fill != nullptr) fill = cast(fill, computed);
  return cast(node("Pad", {cast(x, computed), list, fill}, {{"mode", std::string(mode)}},
                   {computed, std::move(sizes)}),
              dtype);
}

Value* Builder::tile(Value* x, const Sizes& repeats) {
  Sizes sizes = x->type.sizes;
  for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = symbols().multiply(sizes[i], repeats[i]);
  if (sizes == x->type.sizes) return x;
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Tile", dtype);
  Value* list = integer_list(repeats);
  return cast(node("Tile", {cast(x, computed), list}, {}, {computed, std::move(sizes)}), dtype);
}

Value* Builder::reduce(std::string_view op, Value* x, std::vector<int64_t> axes, bool keep) {
  const size_t rank = x->type.sizes.size();
  if (rank == 0) axes.clear();
  axes = normalized(std::move(axes), rank);
  if (axes.empty()) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (compares_halves(op, x) && !axes.empty())
    return found_extreme(*this, x, op == "ReduceMax", axes, keep);
  Sizes sizes;
  for (size_t i = 0; i < rank; ++i) {
    const bool gone = std::ranges::binary_search(axes, static_cast<int64_t>(i));
    if (!gone) sizes.push_back(x->type.sizes[i]);
    if (gone && keep) sizes.push_back(expr(1));
  }
  Attributes attributes = {{"keepdims", int64_t{keep}}};
  if (!axes.empty()) attributes.push_back({"axes", axes});
  const DType computed = kernel_dtype(op, x->type.dtype);
  return cast(node(op, {cast(x, computed)}, std::move(attributes), {computed, std::move(sizes)}),
              x->type.dtype);
}

Value* Builder::arg(std::string_view op, Value* x, int64_t axis, bool keep) {
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  Sizes sizes = x->type.sizes;
  if (keep) {
    sizes[static_cast<size_t>(axis)] = expr(1);
  } else {
    sizes.erase(sizes.begin() + axis);
  }
  return node(op, {cast(x, kernel_dtype(op, x->type.dtype))},
              {{"axis", axis}, {"keepdims", int64_t{keep}}}, {DType::i64, std::move(sizes)});
}

Value* Builder::softmax(Value* x, int64_t axis, std::string_view op) {
  const DType dtype = x->type.dtype;
  Value* in = cast(x, kernel_dtype(op, dtype));
  return cast(node(op, {in}, {{"axis", axis_of(axis, x->type.sizes.size())}}, in->type), dtype);
}

Value* Builder::matmul(Value* a, Value* b) {
  if (Value* other = product_of_moved(*this, a, b)) return other;
  const Sizes& x = a->type.sizes;
  const Sizes& y = b->type.sizes;
  if (x.empty() || y.empty()) throw Unlowerable("a matrix product of a number");
  // ONNX Runtime computes a transposed matrix times a vector wrongly, once it fuses the two.
  if (x.size() >= 2 && y.size() == 1 && a->data == nullptr) {
    return squeeze(matmul(a, unsqueeze(b, {1})), {-1});
  }
  Sizes lead_a(x.begin(), x.end() - std::min<ptrdiff_t>(2, std::ssize(x)));
  Sizes lead_b(y.begin(), y.end() - std::min<ptrdiff_t>(2, std::ssize(y)));
  Sizes sizes = broadcast(lead_a, lead_b);
  if (x.size() >= 2) sizes.push_back(x[x.size() - 2]);
  if (y.size() >= 2) sizes.push_back(y.back());
  same_dtype("MatMul", a, b);
  // ONNX Runtime refuses batches of size 0.
  for (const ir::Expr size : sizes) {
    if (symbols().constant_value(size) == 0) return expand(number(0.0, a->type.dtype), sizes);
  }
  if (Value* simpler = scaled_product(*this, a, b)) return simpler;
  // Leading dimensions broadcast, so that a weight need not be repeated.
  for (Value** side : {&a, &b}) {
    const Value* other = *side == a ? b : a;
    if (!is_made_by(*side, "Expand")) continue;
    Value* source = (*side)->producer->inputs[0];
    if (source->type.sizes.size() < 2) continue;
    const Sizes lead(source->type.sizes.begin(), source->type.sizes.end() - 2);
    const Sizes& wide = other->type.sizes;
    if (wide.size() < 2 || source->type.sizes.back() != (*side)->type.sizes.back() ||
        size_of(source, -2) != size_of(*side, -2)) {
      continue;
    }
    Sizes all(sizes.begin(), sizes.end() - static_cast<ptrdiff_t>(x.size() >= 2) -
                                 static_cast<ptrdiff_t>(y.size() >= 2));
    if (broadcast(lead, Sizes(wide.begin(), wide.end() - 2)) == all) *side = source;
  }
  const DType computed = kernel_dtype("MatMul", a->type.dtype);
  return cast(
      node("MatMul", {cast(a, computed), cast(b, computed)}, {}, {computed, std::move(sizes)}),
      a->type.dtype);
}

Value* Builder::gemm(Value* a, Value* b, Value* c, bool transpose_b, double alpha, double beta) {
  Attributes attributes;
  if (alpha != 1) attributes.push_back({"alpha", static_cast<float>(alpha)});
  if (beta != 1 && c != nullptr) attributes.push_back({"beta", static_cast<float>(beta)});
  if (transpose_b) attributes.push_back({"transB", int64_t{1}});
  const DType dtype = a->type.dtype;
  const DType computed = kernel_dtype("Gemm", dtype);
  Inputs inputs = {cast(a, computed), cast(b, computed), c == nullptr ? c : cast(c, computed)};
  return cast(node("Gemm", std::move(inputs), std::move(attributes),
                   {computed, {size_of(a, 0), size_of(b, transpose_b ? 0 : 1)}}),
              dtype);
}

Value* Builder::range(Value* start, Value* step, ir::Expr count) {
  const DType dtype = start->type.dtype;
  Value* n = integer(count);
  Value* end = add(start, mul(cast(n, dtype), step));
  const DType computed = kernel_dtype("Range", dtype);
  return cast(node("Range", {cast(start, computed), cast(end, computed), cast(step, computed)}, {},
                   {computed, {count}}),
              dtype);
}

}  // namespace mlc::onnx
