#include "mlc/onnx/model.h"

#include <algorithm>

namespace mlc::onnx {

uint64_t TensorData::count() const {
  uint64_t out = 1;
  for (const int64_t size : sizes) out *= static_cast<uint64_t>(size);
  return out;
}

const AttributeValue* Node::find(std::string_view attribute) const {
  const auto found = std::ranges::find(attributes, attribute, &Attribute::name);
  return found == attributes.end() ? nullptr : &found->value;
}

Value* Model::new_value(TensorType type) {
  values.push_back({.name = {}, .type = std::move(type), .producer = nullptr, .data = nullptr});
  return &values.back();
}

std::optional<std::vector<int64_t>> fixed_sizes(const ir::Symbols& symbols,
                                                const std::vector<ir::Expr>& sizes) {
  std::vector<int64_t> out;
  for (const ir::Expr size : sizes) {
    const auto value = symbols.constant_value(size);
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  return out;
}

}  // namespace mlc::onnx
