// What operators of the program are given, as arguments of the graph.
#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <array>
#include <utility>

#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using c10::TypeKind;
using ir::Attribute;
using ir::Expr;

/// The word that PyTorch has for the number VALUE of a layout or memory format.
std::optional<std::string> layout_name(int64_t value) {
  static constexpr std::array kNames = std::to_array<std::pair<c10::Layout, const char*>>({
      {c10::kStrided, "strided"},
      {c10::kSparse, "sparse_coo"},
      {c10::kSparseCsr, "sparse_csr"},
      {c10::kMkldnn, "_mkldnn"},
  });
  for (const auto& [layout, name] : kNames) {
    if (static_cast<int64_t>(layout) == value) return name;
  }
  return std::nullopt;
}

std::optional<std::string> format_name(int64_t value) {
  static constexpr std::array kNames = std::to_array<std::pair<at::MemoryFormat, const char*>>({
      {at::MemoryFormat::Contiguous, "contiguous_format"},
      {at::MemoryFormat::ChannelsLast, "channels_last"},
      {at::MemoryFormat::ChannelsLast3d, "channels_last_3d"},
      {at::MemoryFormat::Preserve, "preserve_format"},
  });
  for (const auto& [format, name] : kNames) {
    if (static_cast<int64_t>(format) == value) return name;
  }
  return std::nullopt;
}

c10::TypePtr without_optional(const c10::TypePtr& type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

/// Operators whose result has a type of all of its operands, of which a number of Python counts for
/// less than a tensor.
constexpr auto kPromote = std::to_array<std::string_view>({
    "aten::add",         "aten::div",       "aten::divide", "aten::eq",       "aten::floor_divide",
    "aten::fmod",        "aten::ge",        "aten::gt",     "aten::le",       "aten::lt",
    "aten::maximum",     "aten::minimum",   "aten::mul",    "aten::multiply", "aten::ne",
    "aten::pow",         "aten::remainder", "aten::rsub",   "aten::sub",      "aten::subtract",
    "aten::true_divide", "aten::where",
});

/// Arguments that say where and how a tensor lies, not what is in it, at their usual values.
bool is_noise(const std::string& name, const Item& item, const ir::Symbols& symbols) {
  if (name == "pin_memory") {
    const auto* pinned = item.as<bool>();
    return item.is_none() || (pinned != nullptr && !*pinned);
  }
  if (name != "layout") return false;
  const auto* layout = item.as<Expr>();
  return item.is_none() || (layout != nullptr && symbols.constant_value(*layout) == 0);
}

/// The attribute for a list of PARTS, which are all of one kind.
std::optional<Attribute> joined(const std::vector<Attribute>& parts) {
  const auto all = [&]<class T>(std::vector<T> out) -> std::optional<Attribute> {
    for (const Attribute& one : parts) {
      const auto* value = std::get_if<T>(&one);
      if (value == nullptr) return std::nullopt;
      out.push_back(*value);
    }
    return Attribute(std::move(out));
  };
  if (std::holds_alternative<Expr>(parts[0])) return all(std::vector<Expr>());
  if (std::holds_alternative<double>(parts[0])) return all(std::vector<double>());
  if (std::holds_alternative<bool>(parts[0])) return all(std::vector<bool>());
  if (std::holds_alternative<std::string>(parts[0])) return all(std::vector<std::string>());
  ir::Values values;
  for (const Attribute& one : parts) {
    auto* const* value = std::get_if<ir::Value*>(&one);
    if (value == nullptr && !std::holds_alternative<ir::None>(one)) return std::nullopt;
    values.push_back(value == nullptr ? nullptr : *value);
  }
  return Attribute(std::move(values));
}

/// An integer for an argument of TYPE: PyTorch counts its types, layouts and formats.
std::optional<Attribute> integer_attribute(Expr number, std::optional<int64_t> value,
                                           const c10::TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::ScalarTypeType: {
      const auto dtype = dtype_of(static_cast<c10::ScalarType>(value.value_or(-1)));
      return dtype.ok() ? std::optional(Attribute(*dtype)) : std::nullopt;
    }
    case TypeKind::LayoutType: {
      const auto name = layout_name(value.value_or(-1));
      return name ? std::optional(Attribute(ir::Layout{*name})) : std::nullopt;
    }
    case TypeKind::MemoryFormatType: {
      const auto name = format_name(value.value_or(-1));
      return name ? std::optional(Attribute(ir::MemoryFormat{*name})) : std::nullopt;
    }
    case TypeKind::FloatType:
      return value ? std::optional(Attribute(static_cast<double>(*value))) : std::nullopt;
    default:
      return Attribute(number);
  }
}

}  // namespace

std::optional<Attribute> Capturer::attribute(const Item& item, const c10::TypePtr& given) {
  const c10::TypePtr type = without_optional(given);
  if (item.is_none()) return Attribute(ir::None{});
  if (const TensorItem* tensor = item.tensor()) return Attribute(tensor->value);
  if (const auto* dynamic = item.as<DynamicRef>()) return Attribute((*dynamic)->value);
  if (const auto* truth = item.as<bool>()) return Attribute(*truth);
  if (const auto* number = item.as<double>()) return Attribute(*number);
  if (const auto* text = item.as<std::string>()) return Attribute(*text);
  if (const auto* number = item.as<Expr>()) {
    return integer_attribute(*number, symbols().constant_value(*number), type);
  }
  if (const auto* other = item.as<IValue>()) {
    if (other->isDevice()) return Attribute(ir::Device{other->toDevice().str()});
    if (other->isComplexDouble()) {
      const at::Tensor tensor = at::scalar_tensor(other->toScalar(), at::kComplexDouble);
      return Attribute(constant(tensor, "constant")->value);
    }
    return std::nullopt;
  }
  const Items* items = item.items();
  if (items == nullptr) return std::nullopt;
  const auto list = type->cast<c10::ListType>();
  const c10::TypePtr element = list ? list->getElementType() : c10::AnyType::get();
  if (items->empty()) {
    const bool of_tensors = without_optional(element)->kind() == TypeKind::TensorType;
    return of_tensors ? Attribute(ir::Values()) : Attribute(std::vector<Expr>());
  }
  std::vector<Attribute> parts;
  for (const Item& one : *items) {
    auto part = attribute(one, element);
    if (!part) return std::nullopt;
    parts.push_back(std::move(*part));
  }
  return joined(parts);
}

void Capturer::take_numbers(Call& call) const {
  const std::string_view name = call.node.kind().toQualString();
  if (std::ranges::find(kPromote, name) == kPromote.end()) return;
  const auto number_of = [&](size_t i) -> std::optional<double> {
    if (call.node.input(i)->node()->kind() != c10::prim::Constant) return std::nullopt;
    const IValue value = *torch::jit::toIValue(call.node.input(i));
    if (!value.isTensor() || value.toTensor().dim() != 0) return std::nullopt;
    if (value.toTensor().scalar_type() != at::kDouble) return std::nullopt;
    return value.toTensor().item<double>();
  };
  const size_t count = call.inputs.size();
  bool has_other = false;
  for (size_t i = 0; i < count; ++i)
    has_other = has_other || (call.inputs[i].tensor() != nullptr && !number_of(i));
  for (size_t i = 0; has_other && i < count; ++i) {
    if (const auto number = number_of(i)) call.inputs[i] = *number;
  }
}

Result<std::optional<std::vector<ir::Argument>>> Capturer::arguments_of(const Call& call) {
  const auto& arguments = call.node.schema().arguments();
  const bool traced_convolution = call.node.schema().name() == "aten::_convolution";
  std::vector<ir::Argument> out;
  for (size_t i = 0; i < std::min(arguments.size(), call.inputs.size()); ++i) {
    if (traced_convolution && i > 8) break;
    const c10::Argument& argument = arguments[i];
    const Item& item = call.inputs[i];
    if (is_noise(argument.name(), item, symbols())) continue;
    const bool known = !varies(item, symbols());
    const auto& usual = argument.default_value();
    if (known && usual && lane(item, 0) == *usual) continue;
    auto value = attribute(item, argument.real_type());
    if (!value) {
      MLC_CHECK(refuse(call.node, std::string(call.node.kind().toQualString()) + " with a " +
                                      argument.type()->annotation_str() + " for " +
                                      mlc::quoted(argument.name())));
      return std::optional<std::vector<ir::Argument>>();
    }
    out.push_back({argument.name(), std::move(*value)});
  }
  return std::optional(std::move(out));
}

}  // namespace mlc::torch_module
