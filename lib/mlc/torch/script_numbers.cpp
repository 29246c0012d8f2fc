#include "mlc/torch/script_numbers.h"

#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <map>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/ScalarOps.h>
#include <ATen/native/TypeProperties.h>
#include <torch/csrc/jit/runtime/operator.h>

namespace mlc::torch_module {
namespace {

using c10::TypeKind;

/// The kinds of type that numbers among the arguments are wanted as, by name.
using Wanted = std::map<std::string, TypeKind>;

TypeKind kind_of(const c10::Argument& argument) {
  const auto optional = argument.type()->cast<c10::OptionalType>();
  return (optional ? optional->getElementType() : argument.type())->kind();
}

bool is_number(const ir::Attribute& value) {
  if (auto* const* one = std::get_if<ir::Value*>(&value)) {
    return std::holds_alternative<ir::ScalarType>((*one)->type());
  }
  return std::holds_alternative<bool>(value) || std::holds_alternative<ir::Expr>(value) ||
         std::holds_alternative<double>(value);
}

/// Whether OTHER is SCHEMA but for the types in WANTED.
bool takes(const c10::FunctionSchema& other, const c10::FunctionSchema& schema,
           const Wanted& wanted) {
  const auto fits = [&](const c10::Argument& one, const c10::Argument& here) {
    if (one.name() != here.name()) return false;
    const auto row = wanted.find(one.name());
    return row != wanted.end() ? kind_of(one) == row->second : *one.type() == *here.type();
  };
  return std::ranges::equal(other.arguments(), schema.arguments(), fits);
}

bool any_takes(const c10::FunctionSchema& schema, const Wanted& wanted) {
  const auto& overloads =
      torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(schema.name()));
  return std::any_of(overloads.begin(), overloads.end(),
                     [&](const auto& one) { return takes(one->schema(), schema, wanted); });
}

/// Whether a boolean is to NODE what 0 or 1 is, whatever the tensors are. TorchScript's optimizer
/// makes numbers of the second operands of these where they are constant tensors, and then finds
/// that no overload takes a boolean.
bool is_as_integer(const ir::Node& node) {
  const std::string& name = node.op().name;
  const bool is_multiple = name == "add" && node.find("alpha") != nullptr;
  return node.op().domain == "aten" && (name == "sub" || name == "div" || is_multiple);
}

/// An empty tensor for every one that NODE has, of its type, with and without dimensions as it is.
std::vector<at::Tensor> tensors_like_those_of(const ir::Node& node) {
  std::vector<at::Tensor> out;
  for (const ir::Argument& one : node.arguments()) {
    auto* const* value = std::get_if<ir::Value*>(&one.value);
    const ir::TensorType* type = value == nullptr ? nullptr : (*value)->tensor();
    if (type == nullptr || !type->dtype || !type->sizes) continue;
    const auto dtype = scalar_type(*type->dtype);
    if (!dtype.ok()) continue;
    const std::vector<int64_t> sizes(type->sizes->empty() ? 0 : 1, 0);
    out.push_back(at::empty(sizes, at::TensorOptions(*dtype)));
  }
  return out;
}

}  // namespace

std::set<std::string> numbers_as_tensors(const ir::Node& node, const c10::FunctionSchema& schema) {
  Wanted wanted;
  Wanted here;
  std::set<std::string> booleans;
  std::set<std::string> tensors;
  for (const c10::Argument& one : schema.arguments()) {
    const ir::Attribute* given = node.find(one.name());
    const TypeKind kind = kind_of(one);
    const bool counts = kind == TypeKind::TensorType || kind == TypeKind::NumberType;
    if (given == nullptr || !counts || !is_number(*given)) continue;
    const bool is_boolean = std::holds_alternative<bool>(*given) && !is_as_integer(node);
    wanted[one.name()] = is_boolean ? TypeKind::TensorType : TypeKind::NumberType;
    if (is_boolean) booleans.insert(one.name());
    if (kind == TypeKind::TensorType) tensors.insert(one.name());
  }
  return any_takes(schema, wanted) ? booleans : tensors;
}

c10::ScalarType promoting_type(const c10::Scalar& number, const ir::Node& node) {
  std::vector<at::Tensor> tensors = tensors_like_those_of(node);
  const at::Tensor as_number = at::native::wrapped_scalar_tensor(number);
  const c10::ScalarType own = as_number.scalar_type();
  tensors.push_back(as_number);
  const c10::ScalarType wanted = at::native::result_type(tensors);
  tensors.back() = at::scalar_tensor(number, at::TensorOptions(own));
  return at::native::result_type(tensors) == wanted ? own : wanted;
}

bool puts_boolean_first(const ir::Node& node) {
  const ir::Attribute* other = node.find("other");
  return node.op().domain == "aten" && (node.op().name == "mul" || node.op().name == "add") &&
         other != nullptr && std::holds_alternative<bool>(*other) && node.find("alpha") == nullptr;
}

bool makes_booleans(const ir::Node& node) {
  if (node.op().domain != "aten" || node.op().name != "full") return false;
  const ir::Attribute* value = node.find("fill_value");
  const ir::Attribute* dtype = node.find("dtype");
  return value != nullptr && std::holds_alternative<bool>(*value) &&
         (dtype == nullptr || std::holds_alternative<ir::None>(*dtype));
}

}  // namespace mlc::torch_module
