#include "mlc/onnx/lower/complex_parts.h"

#include <algorithm>

namespace mlc::onnx {

Value* paired(Builder& b, const Parts& parts) {
  return b.concat({b.unsqueeze(parts.re, {-1}), b.unsqueeze(parts.im, {-1})}, -1);
}

Parts parts_of_pairs(Builder& b, Value* pairs) {
  // Those that paired() made are there already.
  const Node* made = pairs->producer;
  const auto is_part = [&](const Value* x) {
    return x->type.sizes.size() == pairs->type.sizes.size() &&
           b.symbols().constant_value(x->type.sizes.back()) == 1;
  };
  if (made != nullptr && made->op == "Concat" && made->inputs.size() == 2 &&
      std::ranges::all_of(made->inputs, is_part))
    return {b.squeeze(made->inputs[0], {-1}), b.squeeze(made->inputs[1], {-1})};
  return {b.select(pairs, -1, b.expr(0)), b.select(pairs, -1, b.expr(1))};
}

bool is_complex_argument(const Call& c, std::string_view name) {
  const ir::Attribute* attribute = c.node.find(name);
  const auto* value = attribute == nullptr ? nullptr : std::get_if<ir::Value*>(attribute);
  return value != nullptr && is_complex(*value);
}

/// DTYPE: of the parts of the result. A number among the operands has none of its own.
Parts parts_of(Call& c, std::string_view name, DType dtype) {
  if (is_complex_argument(c, name)) return parts_of_pairs(c.b, c.b.cast(c.tensor(name), dtype));
  return {c.b.cast(c.operand(name).value, dtype), nullptr};
}

Value* zeros_like(Builder& b, Value* x) {
  return b.expand(b.number(0.0, x->type.dtype), x->type.sizes);
}

void give_parts(Call& c, Parts parts) {
  Builder& b = c.b;
  if (parts.im == nullptr) parts.im = zeros_like(b, parts.re);
  const Sizes sizes = b.broadcast(parts.re->type.sizes, parts.im->type.sizes);
  c.give(paired(b, {b.expand(parts.re, sizes), b.expand(parts.im, sizes)}));
}

Value* sum_or(Builder& b, Value* x, Value* y, bool negative) {
  if (y == nullptr) return x;
  if (x == nullptr) return negative ? b.unary("Neg", y) : y;
  return negative ? b.sub(x, y) : b.add(x, y);
}

}  // namespace mlc::onnx
