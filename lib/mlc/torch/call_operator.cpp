#include "mlc/torch/call_operator.h"

#include "mlc/base/text.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <array>
#include <utility>

#include <ATen/Functions.h>
#include <ATen/ScalarOps.h>
#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using c10::TypeKind;
using ir::Attribute;
using ir::Expr;
using ir::Value;

constexpr std::array kLayouts = std::to_array<std::pair<std::string_view, c10::Layout>>({
    {"strided", c10::kStrided},
    {"sparse_coo", c10::kSparse},
    {"sparse_csr", c10::kSparseCsr},
    {"sparse_csc", c10::kSparseCsc},
    {"sparse_bsr", c10::kSparseBsr},
    {"sparse_bsc", c10::kSparseBsc},
    {"_mkldnn", c10::kMkldnn},
});
constexpr std::array kFormats = std::to_array<std::pair<std::string_view, at::MemoryFormat>>({
    {"contiguous_format", at::MemoryFormat::Contiguous},
    {"channels_last", at::MemoryFormat::ChannelsLast},
    {"channels_last_3d", at::MemoryFormat::ChannelsLast3d},
    {"preserve_format", at::MemoryFormat::Preserve},
});

template <class Table>
IValue number_of(const Table& table, const std::string& name) {
  const auto row = std::ranges::find(table, name, &Table::value_type::first);
  TORCH_CHECK(row != table.end(), "there is no layout or memory format ", name);
  return static_cast<int64_t>(row->second);
}

/// One argument of the schema's type TYPE.
class Conversion {
 public:
  Conversion(const Surroundings& surroundings, c10::Device device, const c10::TypePtr& type,
             int32_t repeat)
      : surroundings_(surroundings), device_(device), repeat_(repeat), type_(type) {
    if (const auto optional = type->cast<c10::OptionalType>()) type_ = optional->getElementType();
  }

  IValue run(const Attribute& attribute) const { return std::visit(*this, attribute); }

  IValue operator()(ir::None) const { return IValue(); }
  IValue operator()(Value* value) const { return scalar(surroundings_.value(value)); }
  IValue operator()(bool value) const { return scalar(IValue(value)); }
  IValue operator()(Expr value) const { return scalar(IValue(surroundings_.integer(value))); }
  IValue operator()(double value) const { return scalar(IValue(value)); }
  IValue operator()(const std::string& value) const { return IValue(value); }
  IValue operator()(DType value) const {
    const auto type = scalar_type(value);
    TORCH_CHECK(type.ok(), type.ok() ? "" : type.error().message());
    return static_cast<int64_t>(*type);
  }
  IValue operator()(const ir::Device&) const { return IValue(device_); }
  IValue operator()(const ir::Layout& value) const { return number_of(kLayouts, value.name); }
  IValue operator()(const ir::MemoryFormat& value) const { return number_of(kFormats, value.name); }
  IValue operator()(const std::vector<bool>& values) const {
    c10::List<bool> out;
    for (const bool one : values) out.push_back(one);
    return out;
  }
  IValue operator()(const std::vector<double>& values) const {
    return c10::List<double>(c10::ArrayRef<double>(values));
  }
  IValue operator()(const std::vector<std::string>& values) const {
    c10::List<std::string> out;
    for (const std::string& one : values) out.push_back(one);
    return out;
  }
  IValue operator()(const std::vector<Expr>& values) const {
    const TypeKind item = item_kind();
    if (values.empty() && item == TypeKind::TensorType) return c10::List<at::Tensor>();
    if (values.empty() && item == TypeKind::OptionalType) {
      return c10::List<std::optional<at::Tensor>>();
    }
    if (item == TypeKind::FloatType) {
      c10::List<double> out;
      for (const Expr one : values) out.push_back(static_cast<double>(surroundings_.integer(one)));
      return out;
    }
    c10::List<int64_t> out;
    for (const Expr one : values) out.push_back(surroundings_.integer(one));
    return out;
  }
  IValue operator()(const ir::Values& values) const {
    if (item_kind() == TypeKind::OptionalType) {
      c10::List<std::optional<at::Tensor>> out;
      for (const Value* one : values) {
        out.push_back(one == nullptr ? std::nullopt
                                     : std::optional(surroundings_.value(one).toTensor()));
      }
      return out;
    }
    c10::List<at::Tensor> out;
    for (const Value* one : values) {
      out.push_back(one == nullptr ? at::Tensor() : surroundings_.value(one).toTensor());
    }
    return out;
  }

 private:
  TypeKind item_kind() const {
    const auto list = type_->cast<c10::ListType>();
    return list ? list->getElementType()->kind() : TypeKind::AnyType;
  }

  /// A number where a tensor, another kind of number or a list of them belongs.
  IValue scalar(const IValue& value) const {
    const TypeKind kind = type_->kind();
    if (value.isTensor() || value.isNone()) return value;
    if (kind == TypeKind::TensorType) {
      return at::native::wrapped_scalar_tensor(value.toScalar(), device_);
    }
    if (kind == TypeKind::FloatType) return value.toScalar().toDouble();
    if (kind == TypeKind::IntType && value.isBool()) return static_cast<int64_t>(value.toBool());
    if (kind == TypeKind::ListType) return repeated(value);
    return value;
  }

  IValue repeated(const IValue& value) const {
    const int32_t count = std::max(repeat_, 1);
    if (item_kind() == TypeKind::FloatType) {
      return c10::List<double>(
          std::vector<double>(static_cast<size_t>(count), value.toScalar().toDouble()));
    }
    return c10::List<int64_t>(
        std::vector<int64_t>(static_cast<size_t>(count), value.toScalar().toLong()));
  }

  const Surroundings& surroundings_;
  c10::Device device_;
  int32_t repeat_;
  c10::TypePtr type_;
};

/// Whether VALUE is another thing at another time.
bool varies(const ir::Graph& graph, const Attribute& value) {
  const auto is_number = [&](Expr one) { return graph.symbols().constant_value(one).has_value(); };
  if (std::holds_alternative<Value*>(value)) return true;
  if (const auto* one = std::get_if<Expr>(&value)) return !is_number(*one);
  if (const auto* list = std::get_if<std::vector<Expr>>(&value)) {
    return !std::ranges::all_of(*list, is_number);
  }
  return std::holds_alternative<ir::Values>(value);
}

}  // namespace

IValue constant_argument(const Attribute& attribute, const c10::TypePtr& type, c10::Device device) {
  const Surroundings nothing{
      [](const Value*) -> const IValue& { throw std::logic_error("a value in a constant"); },
      [](Expr) -> int64_t { throw std::logic_error("a size in a constant"); }};
  return Conversion(nothing, device, type, 0).run(attribute);
}

bool touches_files(std::string_view name) {
  return name == "aten::save" || name == "aten::from_file";
}

void refuse_crash(const c10::FunctionSchema& schema, const std::vector<IValue>& arguments) {
  if (!schema.name().ends_with("embedding_bag") && !schema.name().ends_with("bag_forward_only")) {
    return;
  }
  const auto argument = [&](const char* name) {
    const auto index = schema.argumentIndexWithName(name);
    return index ? arguments[static_cast<size_t>(*index)] : IValue();
  };
  const IValue offsets = argument("offsets");
  const IValue mode = argument("mode");
  const IValue with_last = argument("include_last_offset");
  if (!offsets.isTensor() || !mode.isInt()) return;
  constexpr int64_t kMax = 2;
  const int64_t bags = offsets.toTensor().numel() - (with_last.isBool() && with_last.toBool());
  TORCH_CHECK(mode.toInt() != kMax || bags > 0, "the largest of no bag at all is asked for");
}

std::optional<c10::OperatorHandle> find_operator(const ir::OpName& op) {
  if (touches_files(op.domain + "::" + op.name)) return std::nullopt;
  return c10::Dispatcher::singleton().findSchema({op.domain + "::" + op.name, op.overload});
}

Result<OperatorCall> OperatorCall::make(const ir::Graph& graph, const ir::Node& node,
                                        c10::OperatorHandle handle, c10::Device device) {
  OperatorCall out(std::move(handle));
  const c10::FunctionSchema& schema = out.handle_.schema();
  const Surroundings constants{
      [](const Value*) -> const IValue& { throw std::logic_error("a value in a constant"); },
      [&graph](Expr one) { return graph.symbols().constant_value(one).value_or(0); }};
  size_t used = 0;
  for (const c10::Argument& argument : schema.arguments()) {
    Slot slot;
    slot.type = argument.type();
    slot.repeat = argument.N().value_or(0);
    const Attribute* given = node.find(argument.name());
    if (given == nullptr) {
      if (!argument.default_value()) {
        return corrupt(ir::to_text(node.op()) + " has no argument " + mlc::quoted(argument.name()));
      }
      slot.constant = *argument.default_value();
    } else {
      ++used;
      if (varies(graph, *given)) {
        slot.varying = given;
      } else {
        slot.constant = Conversion(constants, device, slot.type, slot.repeat).run(*given);
      }
    }
    out.slots_.push_back(std::move(slot));
  }
  out.device_ = device;
  if (used == node.arguments().size()) return out;
  for (const ir::Argument& argument : node.arguments()) {
    if (!schema.argumentIndexWithName(argument.name)) {
      return corrupt(ir::to_text(node.op()) + " takes no argument " + mlc::quoted(argument.name));
    }
  }
  return out;
}

std::vector<IValue> OperatorCall::run(const Surroundings& surroundings) const {
  torch::jit::Stack stack;
  stack.reserve(slots_.size());
  for (const Slot& slot : slots_) {
    if (slot.varying == nullptr) {
      stack.push_back(slot.constant);
    } else {
      stack.push_back(Conversion(surroundings, device_, slot.type, slot.repeat).run(*slot.varying));
    }
  }
  refuse_crash(handle_.schema(), stack);
  handle_.callBoxed(stack);
  std::vector<IValue> out;
  for (IValue& one : stack) {
    if (!one.isTensorList()) {
      out.push_back(std::move(one));
      continue;
    }
    for (const at::Tensor& item : one.toTensorVector()) out.emplace_back(item);
  }
  return out;
}

}  // namespace mlc::torch_module
