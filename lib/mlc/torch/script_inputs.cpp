#include "mlc/torch/script_inputs.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>

namespace mlc::torch_module {
namespace {

using c10::IValue;

/// PARTS by their indices. Errors: usage unless these are 0, 1, 2, ...
Result<std::vector<at::Tensor>> in_order(const Parts& parts) {
  std::vector<at::Tensor> out(parts.size());
  for (const auto& [key, value] : parts) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool is_index = error == std::errc() && end == key.data() + key.size();
    if (!is_index || index >= out.size() || out[index].defined()) {
      return usage_error(
          "there is no part " + mlc::quoted(key) + " among " + plural(parts.size(), "part"),
          "they are numbered 0, 1, 2, ... without a gap");
    }
    out[index] = value;
  }
  return out;
}

/// PARTS with the indices of fields instead of their names, where TUPLE has names.
Parts by_index(Parts parts, const c10::TupleTypePtr& tuple) {
  if (!tuple || !tuple->schema()) return parts;
  for (auto& [key, value] : parts) {
    if (const auto index = tuple->schema()->argumentIndexWithName(key))
      key = std::to_string(*index);
  }
  return parts;
}

}  // namespace

std::vector<c10::Argument> arguments_of(const torch::jit::Module& module) {
  std::vector<c10::Argument> arguments =
      module.get_method("forward").function().getSchema().arguments();
  arguments.erase(arguments.begin());
  return arguments;
}

c10::TypePtr without_none(c10::TypePtr type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

bool is_tensor(const c10::TypePtr& type) {
  return type->kind() == c10::TypeKind::TensorType;
}

bool takes_parts(const c10::Argument& argument) {
  const c10::TypePtr type = without_none(argument.type());
  if (const auto list = type->cast<c10::ListType>()) return is_tensor(list->getElementType());
  if (const auto dict = type->cast<c10::DictType>()) {
    return dict->getKeyType()->kind() == c10::TypeKind::StringType &&
           is_tensor(dict->getValueType());
  }
  const auto tuple = type->cast<c10::TupleType>();
  return tuple && std::ranges::all_of(tuple->elements(), is_tensor);
}

std::string type_text(const c10::Argument& argument) {
  const auto tuple = without_none(argument.type())->cast<c10::TupleType>();
  if (!tuple || !tuple->schema()) return argument.type()->annotation_str();
  const std::string parts = c10::TupleType::create(tuple->elements().vec())->annotation_str();
  const bool is_optional = argument.type()->kind() == c10::TypeKind::OptionalType;
  return is_optional ? "Optional[" + parts + "]" : parts;
}

Signature signature_of(const std::vector<c10::Argument>& arguments,
                       const std::vector<TracedInput>& traced) {
  Signature signature;
  for (size_t i = 0; i < arguments.size(); ++i) {
    InputInfo input;
    input.name = arguments[i].name();
    input.type = type_text(arguments[i]);
    input.required = !arguments[i].default_value().has_value();
    if (traced.size() == arguments.size()) {
      input.dtype = traced[i].dtype;
      input.sizes = traced[i].sizes;
    }
    signature.inputs.push_back(std::move(input));
  }
  return signature;
}

std::optional<std::string> part_of(const std::string& name, const std::string& input) {
  if (!input.starts_with(name + ".")) return std::nullopt;
  return input.substr(name.size() + 1);
}

Result<IValue> joined_parts(const c10::Argument& argument, const Parts& parts) {
  const c10::TypePtr type = without_none(argument.type());
  if (type->kind() == c10::TypeKind::DictType) {
    c10::Dict<std::string, at::Tensor> dict;
    for (const auto& [key, value] : parts) dict.insert(key, value);
    return IValue(std::move(dict));
  }
  const auto tuple = type->cast<c10::TupleType>();
  MLC_TRY(std::vector<at::Tensor> values, in_order(by_index(parts, tuple)));
  if (!tuple) return IValue(std::move(values));
  if (values.size() != tuple->elements().size()) {
    return usage_error("it has " + plural(tuple->elements().size(), "part") + ", not " +
                       std::to_string(values.size()));
  }
  std::vector<IValue> elements(values.begin(), values.end());
  if (tuple->schema()) return IValue(c10::ivalue::Tuple::createNamed(std::move(elements), tuple));
  return IValue(c10::ivalue::Tuple::create(std::move(elements)));
}

}  // namespace mlc::torch_module
