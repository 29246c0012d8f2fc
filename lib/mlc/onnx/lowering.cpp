#include "mlc/onnx/lowering.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

[[noreturn]] void wrong_kind(std::string_view name, std::string_view wanted) {
  throw Unlowerable(fmt::format("its argument {} is no {}", name, wanted));
}

bool is_none(const ir::Attribute* attribute) {
  return attribute == nullptr || std::holds_alternative<ir::None>(*attribute);
}

DType dtype_of(ir::ScalarKind kind) {
  switch (kind) {
    case ir::ScalarKind::integer:
      return DType::i64;
    case ir::ScalarKind::boolean:
      return DType::boolean;
    default:
      return DType::f32;
  }
}

}  // namespace

bool Call::has(std::string_view name) const {
  return !is_none(node.find(name));
}

const ir::Attribute& Call::required(std::string_view name) const {
  const ir::Attribute* attribute = node.find(name);
  if (is_none(attribute)) throw Unlowerable(fmt::format("its argument {} is missing", name));
  return *attribute;
}

Value* Call::value_of(const ir::Value* value) {
  if (value == nullptr) return nullptr;
  if (const auto found = values_.find(value); found != values_.end()) return found->second;
  // An integer that is known as an expression never became a tensor.
  const auto* scalar = std::get_if<ir::ScalarType>(&value->type());
  if (scalar != nullptr && scalar->value) {
    Value* number = b.integer(*scalar->value);
    return scalar->kind == ir::ScalarKind::boolean ? b.cast(number, DType::boolean) : number;
  }
  throw Unlowerable(fmt::format("%{} is not known", value->name()));
}

Value* Call::tensor(std::string_view name) {
  return tensor_of(required(name), name);
}

Value* Call::tensor_at(size_t index) {
  const ir::Argument& argument = node.arguments().at(index);
  return tensor_of(argument.value, argument.name);
}

Value* Call::tensor_of(const ir::Attribute& attribute, std::string_view name) {
  if (const auto* value = std::get_if<ir::Value*>(&attribute)) return value_of(*value);
  if (const auto* flag = std::get_if<bool>(&attribute)) {
    return b.number(int64_t{*flag}, DType::boolean);
  }
  if (const auto* integer = std::get_if<ir::Expr>(&attribute)) return b.integer(*integer);
  if (const auto* number = std::get_if<double>(&attribute)) return b.number(*number, DType::f32);
  wrong_kind(name, "tensor");
}

Value* Call::optional(std::string_view name) {
  return has(name) ? tensor(name) : nullptr;
}

std::vector<Value*> Call::optional_tensors(std::string_view name) {
  const ir::Attribute& attribute = required(name);
  if (const auto* list = std::get_if<ir::Values>(&attribute)) {
    std::vector<Value*> out;
    for (const ir::Value* value : *list) out.push_back(value_of(value));
    return out;
  }
  // A list without items is one of integers.
  if (const auto* none = std::get_if<std::vector<ir::Expr>>(&attribute); none && none->empty()) {
    return {};
  }
  wrong_kind(name, "list of tensors");
}

std::vector<Value*> Call::tensors(std::string_view name) {
  std::vector<Value*> out = optional_tensors(name);
  if (std::ranges::find(out, nullptr) != out.end()) wrong_kind(name, "list of tensors");
  return out;
}

Call::Scalar Call::operand(std::string_view name) {
  const ir::Attribute& attribute = required(name);
  Value* value = tensor(name);
  Rank rank = value->type.sizes.empty() ? Rank::zero_dim : Rank::tensor;
  const auto* of = std::get_if<ir::Value*>(&attribute);
  if (of == nullptr || (*of)->tensor() == nullptr) rank = Rank::scalar;
  // A Python float keeps its digits until the dtype it is used in is known.
  if (const auto* number = std::get_if<double>(&attribute)) {
    return {b.number(*number, DType::f64), {DType::f32, Rank::scalar}};
  }
  return {value, {value->type.dtype, rank}};
}

ir::Expr Call::expr_of(const ir::Attribute& attribute, std::string_view name) {
  if (const auto* integer = std::get_if<ir::Expr>(&attribute)) return *integer;
  if (const auto* flag = std::get_if<bool>(&attribute)) return b.expr(*flag ? 1 : 0);
  if (const auto* value = std::get_if<ir::Value*>(&attribute)) {
    const auto* scalar = std::get_if<ir::ScalarType>(&(*value)->type());
    if (scalar != nullptr && scalar->value) return *scalar->value;
    const auto found = values_.find(*value);
    if (found != values_.end()) {
      if (const auto known = b.known_integers(found->second); known && known->size() == 1) {
        return b.expr(known->front());
      }
    }
  }
  if (const auto* number = std::get_if<double>(&attribute);
      number != nullptr && std::trunc(*number) == *number && std::fabs(*number) < 1e15) {
    return b.expr(static_cast<int64_t>(*number));
  }
  wrong_kind(name, "integer that is known");
}

ir::Expr Call::integer(std::string_view name) {
  return expr_of(required(name), name);
}
ir::Expr Call::integer(std::string_view name, int64_t otherwise) {
  return has(name) ? integer(name) : b.expr(otherwise);
}

int64_t Call::fixed(std::string_view name) {
  const ir::Expr value = integer(name);
  const auto known = symbols().constant_value(value);
  if (!known) {
    refuse(fmt::format("its argument {} depends on sizes: {}", name, symbols().text(value)));
  }
  return *known;
}
int64_t Call::fixed(std::string_view name, int64_t otherwise) {
  return has(name) ? fixed(name) : otherwise;
}

bool Call::boolean(std::string_view name, bool otherwise) {
  if (!has(name)) return otherwise;
  const ir::Attribute& attribute = required(name);
  if (const auto* flag = std::get_if<bool>(&attribute)) return *flag;
  return fixed(name) != 0;
}

double Call::number(std::string_view name) {
  const ir::Attribute& attribute = required(name);
  if (const auto* number = std::get_if<double>(&attribute)) return *number;
  if (const auto* value = std::get_if<ir::Value*>(&attribute)) {
    const auto found = values_.find(*value);
    if (found != values_.end()) {
      if (const auto known = b.known_number(found->second)) return *known;
    }
  }
  return static_cast<double>(fixed(name));
}
double Call::number(std::string_view name, double otherwise) {
  return has(name) ? number(name) : otherwise;
}

std::string Call::text(std::string_view name, std::string_view otherwise) {
  if (!has(name)) return std::string(otherwise);
  const auto* text = std::get_if<std::string>(&required(name));
  if (text == nullptr) wrong_kind(name, "text");
  return *text;
}

Sizes Call::sizes(std::string_view name) {
  const ir::Attribute& attribute = required(name);
  if (const auto* list = std::get_if<std::vector<ir::Expr>>(&attribute)) return *list;
  if (const auto* values = std::get_if<ir::Values>(&attribute)) {
    Sizes out;
    for (ir::Value* value : *values) {
      if (value == nullptr) wrong_kind(name, "list of integers");
      out.push_back(expr_of(ir::Attribute(value), name));
    }
    return out;
  }
  return {expr_of(attribute, name)};
}

std::vector<int64_t> Call::fixed_list(std::string_view name) {
  const auto known = fixed_sizes(symbols(), sizes(name));
  if (!known) refuse(fmt::format("its argument {} depends on sizes", name));
  return *known;
}
std::vector<int64_t> Call::fixed_list(std::string_view name, std::vector<int64_t> otherwise) {
  return has(name) ? fixed_list(name) : std::move(otherwise);
}

std::vector<double> Call::numbers(std::string_view name) {
  if (!has(name)) return {};
  if (const auto* list = std::get_if<std::vector<double>>(&required(name))) return *list;
  std::vector<double> out;
  for (const int64_t value : fixed_list(name)) out.push_back(static_cast<double>(value));
  return out;
}

std::optional<DType> Call::dtype(std::string_view name) const {
  const ir::Attribute* attribute = node.find(name);
  if (is_none(attribute)) return std::nullopt;
  const auto* dtype = std::get_if<DType>(attribute);
  if (dtype == nullptr) wrong_kind(name, "dtype");
  return *dtype;
}

int64_t Call::axis(std::string_view name, size_t rank, std::optional<int64_t> otherwise) {
  const int64_t given = otherwise ? fixed(name, *otherwise) : fixed(name);
  const auto room = static_cast<int64_t>(std::max<size_t>(rank, 1));
  if (given < -room || given >= room) {
    refuse(fmt::format("dimension {} of a tensor that has {}", given, rank));
  }
  return given < 0 ? given + room : given;
}

std::vector<int64_t> Call::axes(std::string_view name, size_t rank) {
  std::vector<int64_t> out = fixed_list(name, {});
  const auto room = static_cast<int64_t>(std::max<size_t>(rank, 1));
  for (int64_t& axis : out) {
    if (axis < -room || axis >= room) {
      refuse(fmt::format("dimension {} of a tensor that has {}", axis, rank));
    }
    if (axis < 0) axis += room;
  }
  if (out.empty()) {
    for (size_t i = 0; i < rank; ++i) out.push_back(static_cast<int64_t>(i));
  }
  std::ranges::sort(out);
  return out;
}

std::optional<DType> part_dtype(DType dtype) {
  if (dtype == DType::c32) return DType::f16;
  if (dtype == DType::c64) return DType::f32;
  if (dtype == DType::c128) return DType::f64;
  return std::nullopt;
}

bool is_complex(const ir::Value* value) {
  const ir::TensorType* type = value == nullptr ? nullptr : value->tensor();
  return type != nullptr && type->dtype && part_dtype(*type->dtype).has_value();
}

TensorType Call::output_type(size_t index) const {
  if (index >= node.outputs().size()) throw Unlowerable("it has too few outputs");
  const ir::Type& type = node.output(index)->type();
  if (const auto* scalar = std::get_if<ir::ScalarType>(&type)) return {dtype_of(scalar->kind), {}};
  const auto& tensor = std::get<ir::TensorType>(type);
  if (!tensor.dtype || !tensor.sizes) throw Unlowerable("the shape of its result is not known");
  const auto part = complex == Complex::refused ? std::nullopt : part_dtype(*tensor.dtype);
  return {part.value_or(*tensor.dtype), *tensor.sizes};
}

void Call::give(Value* value, size_t index) {
  if (index >= node.outputs().size()) return;
  const ir::Value* output = node.output(index);
  const auto* scalar = std::get_if<ir::ScalarType>(&output->type());
  if (scalar != nullptr) {
    if (!value->type.sizes.empty()) value = b.reshape(value, {});
    value = b.cast(value, dtype_of(scalar->kind));
    if (scalar->value && scalar->kind == ir::ScalarKind::integer) {
      const std::vector<size_t> used = symbols().symbols_of(*scalar->value);
      if (used.size() == 1 && symbols().text(*scalar->value) == symbols().all()[used[0]].name) {
        b.define_symbol(used[0], value);
      }
    }
    values_.insert_or_assign(output, value);
    return;
  }
  const ir::TensorType& declared = *output->tensor();
  const bool is_pair = complex == Complex::pairs && is_complex(output);
  if (declared.dtype) value = b.cast(value, output_type(index).dtype);
  if (declared.sizes) {
    if (declared.sizes->size() + (is_pair ? 1 : 0) != value->type.sizes.size()) {
      refuse(fmt::format("the program says that its result has {} dimensions, but it has {}",
                         declared.sizes->size(), value->type.sizes.size()));
    }
    if (value->data == nullptr) {
      for (size_t i = 0; i < declared.sizes->size(); ++i) {
        ir::Expr& size = value->type.sizes[i];
        if (!symbols().constant_value(size)) size = (*declared.sizes)[i];
      }
    }
  }
  b.define_symbols(value);
  values_.insert_or_assign(output, value);
}

std::vector<Value*> Call::promoted(std::initializer_list<std::string_view> names,
                                   std::optional<DType> dtype) {
  std::vector<Scalar> found;
  std::vector<Operand> operands;
  for (const std::string_view name : names) {
    found.push_back(operand(name));
    operands.push_back(found.back().operand);
  }
  const DType common = dtype ? *dtype : promote(operands);
  std::vector<Value*> out;
  for (const Scalar& one : found) out.push_back(b.cast(one.value, common));
  return out;
}

std::vector<Value*> Call::floating(std::initializer_list<std::string_view> names) {
  std::vector<Value*> out = promoted(names);
  for (Value*& one : out) one = floating(one);
  return out;
}

Value* Call::floating(Value* x) {
  const DTypeClass kind = info(x->type.dtype).kind;
  if (kind == DTypeClass::boolean || kind == DTypeClass::integer) return b.cast(x, DType::f32);
  return x;
}

}  // namespace mlc::onnx
