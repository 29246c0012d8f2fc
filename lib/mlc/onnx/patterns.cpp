#include "mlc/onnx/patterns.h"

#include "mlc/onnx/constants.h"

#include <algorithm>
#include <cmath>

namespace mlc::onnx {
namespace {

/// Input INDEX of the node that makes VALUE.
Value* input_of(const Value* value, size_t index) {
  return value->producer->inputs.at(index);
}

/// A value of a single number, also where it has been expanded.
std::optional<double> number_of(const Builder& b, const Value* value) {
  if (is_made_by(value, "Expand")) value = input_of(value, 0);
  return b.known_number(value);
}

Sizes last(const Sizes& sizes, size_t count) {
  return {sizes.end() - static_cast<ptrdiff_t>(std::min(count, sizes.size())), sizes.end()};
}

/// X behind casts.
Value* uncast(Value* x) {
  while (is_made_by(x, "Cast")) x = input_of(x, 0);
  return x;
}

/// How X, of float16, is transposed, where that moves its first axis behind all others but the
/// last, or behind that too. Null where it is not.
const std::vector<int64_t>* moved_batch(const Value* x) {
  if (x->type.dtype != DType::f16 || !is_made_by(x, "Transpose")) return nullptr;
  const auto& perm = std::get<std::vector<int64_t>>(*x->producer->find("perm"));
  if (perm.size() < 3) return nullptr;
  for (size_t i = 0; i + 2 < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i) + 1) return nullptr;
  return perm.back() == 0 || perm[perm.size() - 2] == 0 ? &perm : nullptr;
}

}  // namespace

bool is_made_by(const Value* value, std::string_view op) {
  return value->producer != nullptr && value->producer->op == op &&
         value->producer->domain.empty() && value->producer->outputs.front() == value;
}

Value* unexpanded(Builder& b, Value* value, std::initializer_list<const Value*> others,
                  const Sizes& sizes) {
  Value* source = nullptr;
  if (is_made_by(value, "Expand")) {
    source = input_of(value, 0);
  } else if (is_made_by(value, "ConstantOfShape")) {
    const AttributeValue* fill = value->producer->find("value");
    if (fill == nullptr) return nullptr;
    source = b.reshape(b.constant(std::get<DataRef>(*fill)), {});
  } else {
    return nullptr;
  }
  Sizes all = source->type.sizes;
  for (const Value* other : others) all = b.broadcast(all, other->type.sizes);
  return all == sizes ? source : nullptr;
}

Value* without_neutral(Builder& b, std::string_view op, Value* x, Value* y) {
  const bool commutes = op == "Add" || op == "Mul" || op == "And" || op == "Or";
  if (!commutes && op != "Sub" && op != "Div") return nullptr;
  const double neutral = op == "Mul" || op == "And" || op == "Div" ? 1 : 0;
  const Sizes sizes = b.broadcast(x->type.sizes, y->type.sizes);
  const auto is_neutral = [&](Value* one, const Value* other) {
    const auto number = number_of(b, one);
    // 0.0 + -0.0 is 0.0, which no model tells from -0.0.
    return number == neutral && other->data == nullptr;
  };
  if (is_neutral(y, x)) return b.expand(x, sizes);
  if (commutes && is_neutral(x, y)) return b.expand(y, sizes);
  return nullptr;
}

std::optional<size_t> counted_axis(Builder& b, const Value* value, ir::Expr size) {
  const Sizes& sizes = value->type.sizes;
  std::optional<size_t> axis;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (b.symbols().constant_value(sizes[i]) == 1) continue;
    if (axis || sizes[i] != size) return std::nullopt;
    axis = i;
  }
  if (!axis) return std::nullopt;
  while (is_made_by(value, "Reshape") || is_made_by(value, "Unsqueeze")) value = input_of(value, 0);
  if (!is_made_by(value, "Range") || value->type.sizes[0] != size) return std::nullopt;
  const bool counts =
      b.known_number(input_of(value, 0)) == 0.0 && b.known_number(input_of(value, 2)) == 1.0;
  return counts ? axis : std::nullopt;
}

Value* batched_product(Builder& b, Value* product, const Sizes& sizes) {
  if (!is_made_by(product, "MatMul") || sizes.size() < 4) return nullptr;
  Value* x = input_of(product, 0);
  Value* y = input_of(product, 1);
  if (!is_made_by(x, "Reshape") || !is_made_by(y, "Reshape")) return nullptr;
  Value* p = input_of(x, 0);
  Value* q = input_of(y, 0);
  const size_t rank = sizes.size();
  if (p->type.sizes.size() != rank || q->type.sizes.size() != rank) return nullptr;
  if (x->type.sizes.size() != 3 || y->type.sizes.size() != 3) return nullptr;
  // Only the leading dimensions may have been joined.
  const bool whole = last(p->type.sizes, 2) == last(x->type.sizes, 2) &&
                     last(q->type.sizes, 2) == last(y->type.sizes, 2) &&
                     std::equal(sizes.begin(), sizes.end() - 2, p->type.sizes.begin()) &&
                     std::equal(sizes.begin(), sizes.end() - 2, q->type.sizes.begin());
  if (!whole) return nullptr;
  return b.matmul(p, q);
}

namespace {

/// How many of SIZES, one after the other, each dimension of WHOLE is parted in; nothing where it
/// is not a matter of parting.
std::optional<std::vector<size_t>> parted(Builder& b, const Sizes& whole, const Sizes& sizes) {
  std::vector<size_t> out;
  size_t at = 0;
  for (const ir::Expr one : whole) {
    ir::Expr product = b.expr(1);
    const size_t begin = at;
    while (at < sizes.size() && (product != one || at == begin))
      product = b.symbols().multiply(product, sizes[at++]);
    if (product != one || at == begin) return std::nullopt;
    out.push_back(at - begin);
  }
  if (at != sizes.size()) return std::nullopt;
  return out;
}

}  // namespace

Value* parted_before(Builder& b, Value* transposed, const Sizes& sizes) {
  if (!is_made_by(transposed, "Transpose") || sizes.size() <= transposed->type.sizes.size())
    return nullptr;
  Value* reshaped = input_of(transposed, 0);
  if (!is_made_by(reshaped, "Reshape")) return nullptr;
  const auto counts = parted(b, transposed->type.sizes, sizes);
  if (!counts) return nullptr;
  const auto& perm = std::get<std::vector<int64_t>>(*transposed->producer->find("perm"));
  std::vector<std::vector<ir::Expr>> parts(perm.size());  // of each dimension of RESHAPED
  size_t at = 0;
  for (size_t i = 0; i < perm.size(); ++i)
    for (size_t k = 0; k < (*counts)[i]; ++k)
      parts[static_cast<size_t>(perm[i])].push_back(sizes[at++]);
  Sizes before;
  std::vector<int64_t> begins;
  for (const auto& part : parts) {
    begins.push_back(std::ssize(before));
    before.insert(before.end(), part.begin(), part.end());
  }
  std::vector<int64_t> order;
  for (const int64_t axis : perm)
    for (size_t k = 0; k < parts[static_cast<size_t>(axis)].size(); ++k)
      order.push_back(begins[static_cast<size_t>(axis)] + static_cast<int64_t>(k));
  return b.transpose(b.reshape(input_of(reshaped, 0), before), order);
}

Value* linear_of_reshaped(Builder& b, Value* gemm, const Sizes& sizes) {
  if (!is_made_by(gemm, "Gemm") || sizes.size() < 3) return nullptr;
  const Node& node = *gemm->producer;
  if (node.find("alpha") != nullptr || node.find("beta") != nullptr) return nullptr;
  Value* flat = node.inputs[0];
  if (!is_made_by(flat, "Reshape")) return nullptr;
  Value* x = input_of(flat, 0);
  if (sizes.back() != gemm->type.sizes.back()) return nullptr;
  Sizes rows = sizes;
  rows.back() = flat->type.sizes.back();
  // As the heads of attention, which are joined together with what lies before them.
  if (x->type.sizes != rows && b.reshape_target(x->type.sizes, rows)) x = b.reshape(x, rows);
  if (x->type.sizes != rows) return nullptr;
  Value* weight = node.inputs[1];
  if (node.find("transB") != nullptr) {
    if (weight->data == nullptr) return nullptr;
    weight = b.transpose(weight, {1, 0});
  }
  Value* y = b.matmul(x, weight);
  Value* bias = node.inputs.size() > 2 ? node.inputs[2] : nullptr;
  if (bias != nullptr && bias->type.sizes.size() > 1) return nullptr;
  return bias == nullptr ? y : b.add(y, bias);
}

namespace {

/// The dimensions of SIZES that are not 1, by their places.
std::vector<size_t> real_axes(Builder& b, const Sizes& sizes) {
  std::vector<size_t> out;
  for (size_t i = 0; i < sizes.size(); ++i)
    if (b.symbols().constant_value(sizes[i]) != 1) out.push_back(i);
  return out;
}

/// Where AXIS of VIEW, which is not of size 1, was in what VIEW was made of; nothing where other
/// dimensions than it and those of size 1 have moved.
std::optional<size_t> axis_before(Builder& b, const Value* view, size_t axis) {
  const Sizes& sizes = view->type.sizes;
  const Sizes& before = input_of(view, 0)->type.sizes;
  const std::vector<size_t> real = real_axes(b, sizes);
  if (!is_made_by(view, "Transpose")) {
    const std::vector<size_t> from = real_axes(b, before);
    const bool same =
        std::ranges::equal(real, from, [&](size_t x, size_t y) { return sizes[x] == before[y]; });
    if (!same) return std::nullopt;
    return from[static_cast<size_t>(std::ranges::find(real, axis) - real.begin())];
  }
  const auto& perm = std::get<std::vector<int64_t>>(*view->producer->find("perm"));
  std::vector<int64_t> order;
  for (const size_t one : real)
    if (one != axis) order.push_back(perm[one]);
  if (!std::ranges::is_sorted(order)) return std::nullopt;
  return static_cast<size_t>(perm[axis]);
}

}  // namespace

Value* projected_part(Builder& b, Value* viewed, size_t axis, int64_t index) {
  if (axis >= viewed->type.sizes.size()) return nullptr;
  const auto count = b.symbols().constant_value(viewed->type.sizes[axis]);
  if (!count || *count < 2 || index < -*count || index >= *count) return nullptr;
  Sizes sizes = viewed->type.sizes;
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(axis));
  for (Value* at = viewed; at->producer != nullptr; at = input_of(at, 0)) {
    const bool reshaped =
        is_made_by(at, "Reshape") || is_made_by(at, "Unsqueeze") || is_made_by(at, "Squeeze");
    if (!reshaped && !is_made_by(at, "Transpose")) return nullptr;
    const Sizes& now = at->type.sizes;
    const Sizes& before = input_of(at, 0)->type.sizes;
    const bool parts = reshaped && before.size() + 1 == now.size() && axis + 2 == now.size() &&
                       std::equal(before.begin(), before.end() - 1, now.begin());
    if (parts && !b.symbols().constant_value(before.back())) return nullptr;
    if (parts) {
      const auto pieces = b.split(input_of(at, 0), static_cast<int64_t>(before.size()) - 1,
                                  Sizes(static_cast<size_t>(*count), now.back()));
      return b.reshape(pieces[static_cast<size_t>(index < 0 ? index + *count : index)], sizes);
    }
    const auto from = axis_before(b, at, axis);
    if (!from) return nullptr;
    axis = *from;
  }
  return nullptr;
}

Value* product_of_moved(Builder& builder, Value* a, Value* b) {
  const std::vector<int64_t>* const perm = moved_batch(a);
  if (perm != nullptr && perm->back() != 0 && b->type.sizes.size() == 2 &&
      moved_batch(b) == nullptr)
    return builder.transpose(builder.matmul(a->producer->inputs[0], b), std::vector(*perm));
  if (perm == nullptr && moved_batch(b) == nullptr) return nullptr;
  Value* const wide = builder.matmul(builder.cast(a, DType::f32), builder.cast(b, DType::f32));
  return builder.cast(wide, DType::f16);
}

Value* scaled_product(Builder& b, Value* x, Value* y) {
  const auto scale_of = [&](const Value* value) -> std::optional<double> {
    if (!is_made_by(value, "Mul")) return std::nullopt;
    return b.known_number(input_of(value, 1));
  };
  // The scale of a transposed factor stands before the transposition, or behind it.
  const auto scale_x = scale_of(x);
  const auto scale_y = scale_of(y);
  if (!scale_x || !scale_y || input_of(x, 0)->data != nullptr || input_of(y, 0)->data != nullptr) {
    return nullptr;
  }
  return b.mul(b.matmul(input_of(x, 0), input_of(y, 0)), *scale_x * *scale_y);
}

namespace {

/// Zeros of any sizes, which are a constant where all of them are fixed.
bool is_zeros(const Builder& b, const Value* value) {
  if (is_made_by(value, "ConstantOfShape") || number_of(b, value) == 0.0) return true;
  const auto known = is_small_constant(value) ? array_of(*value->data) : std::nullopt;
  return known && known->is_floating() &&
         std::ranges::all_of(known->doubles, [](double one) { return one == 0; });
}

}  // namespace

Value* guarded_softmax(Builder& b, Value* condition, Value* x, Value* y) {
  // where(not any(not (scores == -inf)), 0, softmax(scores))
  if (!is_made_by(y, "Softmax") || !is_made_by(condition, "Not") || !is_zeros(b, x)) return nullptr;
  Value* any = input_of(condition, 0);
  if (!is_made_by(any, "Greater") || b.known_number(input_of(any, 1)) != 0.0) return nullptr;
  any = input_of(any, 0);
  if (!is_made_by(any, "ReduceMax")) return nullptr;
  Value* finite = uncast(input_of(any, 0));
  if (!is_made_by(finite, "Not")) return nullptr;
  Value* equal = input_of(finite, 0);
  Value* scores = input_of(y, 0);
  if (!is_made_by(equal, "Equal") || input_of(equal, 0) != scores) return nullptr;
  const auto lowest = b.known_number(input_of(equal, 1));
  if (!lowest || !std::isinf(*lowest) || *lowest > 0) return nullptr;
  if (never_minus_infinity(scores)) return y;
  const DType dtype = scores->type.dtype;
  // scores = s + where(mask, 0, -inf): what is hidden is known without looking at the sums.
  if (is_made_by(scores, "Add") && is_made_by(input_of(scores, 1), "Where")) {
    const Value* bias = input_of(scores, 1);
    Value* mask = input_of(bias, 0);
    const auto seen = b.known_number(input_of(bias, 1));
    const auto hidden = b.known_number(input_of(bias, 2));
    if (seen == 0.0 && hidden && std::isinf(*hidden)) {
      return masked_softmax(b, input_of(scores, 0), mask);
    }
  }
  Value* nan = b.node("IsNaN", {y}, {}, {DType::boolean, y->type.sizes});
  return b.where(nan, b.number(0.0, dtype), y);
}

bool never_minus_infinity(const Value* value, int depth) {
  if (info(value->type.dtype).kind != DTypeClass::floating) return true;
  if (value->data != nullptr) {
    if (value->data->count() > 65536) return false;
    const auto known = array_of(*value->data);
    return known && std::ranges::none_of(known->doubles, [](double x) { return std::isinf(x); });
  }
  const Node* node = value->producer;
  if (node == nullptr || depth > 16) return false;
  constexpr std::string_view kKeep[] = {"Cast",  "Expand", "Reshape",   "Unsqueeze", "Squeeze",
                                        "Slice", "Concat", "Transpose", "Where",     "Add",
                                        "Sub",   "Mul",    "Gather"};
  if (std::ranges::find(kKeep, node->op) == std::end(kKeep)) return false;
  return std::ranges::all_of(node->inputs, [&](const Value* input) {
    return input == nullptr || never_minus_infinity(input, depth + 1);
  });
}

Value* masked_scores(Builder& b, Value* scores, Value* mask) {
  const DType dtype = scores->type.dtype;
  // Not -inf, of which a row has no softmax; half the range, so that no score takes it to -inf.
  const double lowest = dtype == DType::f16 ? -32752 : -1.7e38;
  return b.add(scores, b.where(mask, b.number(0.0, dtype), b.number(lowest, dtype)));
}

Value* seen_rows(Builder& b, Value* mask, DType dtype) {
  return b.reduce("ReduceMax", b.cast(mask, dtype), {-1}, true);
}

Value* masked_softmax(Builder& b, Value* scores, Value* mask) {
  Value* seen = seen_rows(b, mask, scores->type.dtype);
  return b.mul(b.softmax(masked_scores(b, scores, mask), -1), seen);
}

}  // namespace mlc::onnx
