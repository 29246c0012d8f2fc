#include "mlc/onnx/op_map.h"

#include "mlc/base/text.h"
#include "mlc/yaml/document.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

using YamlNode = yaml::Node;

constexpr int64_t kMostVersion = 1'000'000;

Result<std::string> text_of(const YamlNode& owner, std::string_view key) {
  const YamlNode* node = owner.find(key);
  if (node == nullptr) return owner.error("an operator needs " + quoted(key));
  MLC_TRY(std::string out, node->as_string());
  if (out.empty()) return node->error(std::string(key) + " is empty");
  return out;
}

Result<int> number_of(const YamlNode& owner, std::string_view key, int64_t low, int64_t high,
                      int otherwise) {
  const YamlNode* node = owner.find(key);
  if (node == nullptr) return otherwise;
  MLC_TRY(const int64_t out, node->as_int());
  if (out < low || out > high) {
    return node->error(fmt::format("{} is {} to {}, not {}", key, low, high, out));
  }
  return static_cast<int>(out);
}

Result<MappedConstant> one_constant(const YamlNode& node) {
  switch (node.type()) {
    case yaml::PlainType::boolean: {
      MLC_TRY(const bool value, node.as_bool());
      return MappedConstant(int64_t{value});
    }
    case yaml::PlainType::integer: {
      MLC_TRY(const int64_t value, node.as_int());
      return MappedConstant(value);
    }
    case yaml::PlainType::number: {
      MLC_TRY(const double value, node.as_double());
      return MappedConstant(static_cast<float>(value));
    }
    case yaml::PlainType::null:
      return node.error("null is no value of an attribute", "leave the attribute out");
    default: {
      MLC_TRY(std::string value, node.as_string());
      return MappedConstant(std::move(value));
    }
  }
}

template <class T>
MappedConstant list_of(const std::vector<MappedConstant>& items) {
  std::vector<T> out;
  for (const MappedConstant& item : items) out.push_back(std::get<T>(item));
  return out;
}

Result<MappedConstant> constant_of(const YamlNode& node) {
  if (node.kind() == yaml::Kind::scalar) return one_constant(node);
  if (node.kind() != yaml::Kind::sequence) {
    return node.error(
        "an attribute is a number, a text, a list of them, or {argument: NAME}, not " +
        node.describe());
  }
  std::vector<MappedConstant> items;
  for (const YamlNode& item : node.items()) {
    if (item.kind() != yaml::Kind::scalar) return item.error("an item is a number or a text");
    MLC_TRY(MappedConstant value, one_constant(item));
    if (!items.empty() && value.index() != items.front().index()) {
      return item.error("a list has items of one kind", "write 1.0 for a number with a fraction");
    }
    items.push_back(std::move(value));
  }
  if (items.empty() || std::holds_alternative<int64_t>(items[0])) return list_of<int64_t>(items);
  return std::holds_alternative<float>(items[0]) ? list_of<float>(items)
                                                 : list_of<std::string>(items);
}

/// {argument: NAME}, perhaps with a default.
Result<MappedArgument> argument_of(const YamlNode& node) {
  MLC_CHECK(node.only_keys({"argument", "default"}));
  MappedArgument out;
  MLC_TRY(out.name, text_of(node, "argument"));
  const YamlNode* otherwise = node.find("default");
  out.has_default = otherwise != nullptr;
  const bool is_null =
      otherwise != nullptr &&
      (otherwise->kind() == yaml::Kind::null ||
       (otherwise->kind() == yaml::Kind::scalar && otherwise->type() == yaml::PlainType::null));
  if (otherwise != nullptr && !is_null) {
    MLC_TRY(out.otherwise, constant_of(*otherwise));
  }
  return out;
}

Result<std::vector<MappedArgument>> inputs_of(const YamlNode& node) {
  if (node.kind() != yaml::Kind::sequence) {
    return node.error("inputs is a list of names of arguments, not " + node.describe());
  }
  std::vector<MappedArgument> out;
  for (const YamlNode& item : node.items()) {
    if (item.kind() == yaml::Kind::mapping) {
      MLC_TRY(MappedArgument made, argument_of(item));
      if (made.otherwise) {
        return item.error("the default of an input is null", "a constant can be an attribute only");
      }
      out.push_back(std::move(made));
    } else {
      MappedArgument made;
      MLC_TRY(made.name, item.as_string());
      out.push_back(std::move(made));
    }
  }
  return out;
}

Result<MappedOperator> operator_of(const YamlNode& node) {
  if (node.kind() != yaml::Kind::mapping) {
    return node.error("an operator is a mapping, not " + node.describe(),
                      "as in {from: 'mylib::rotate', to: Rotate, domain: com.example}");
  }
  MLC_CHECK(
      node.only_keys({"from", "to", "domain", "domain_version", "opset", "inputs", "attributes"}));
  MappedOperator out;
  MLC_TRY(out.from, text_of(node, "from"));
  const size_t colons = out.from.find("::");
  if (colons == std::string::npos || colons == 0 || out.from.find('.') != std::string::npos) {
    return node.find("from")->error(
        "an operator of PyTorch is NAMESPACE::NAME, not " + quoted(out.from),
        "overloads have no names here: aten::add, not aten::add.Tensor");
  }
  MLC_TRY(out.to, text_of(node, "to"));
  if (node.find("domain") != nullptr) {
    MLC_TRY(out.domain, text_of(node, "domain"));
  }
  MLC_TRY(out.domain_version, number_of(node, "domain_version", 1, kMostVersion, 1));
  MLC_TRY(out.opset, number_of(node, "opset", 1, 23, 0));
  if (const YamlNode* inputs = node.find("inputs")) {
    MLC_TRY(out.inputs, inputs_of(*inputs));
  }
  if (const YamlNode* attributes = node.find("attributes")) {
    if (attributes->kind() != yaml::Kind::mapping) {
      return attributes->error("attributes is a mapping, not " + attributes->describe());
    }
    for (const auto& [name, value] : attributes->entries()) {
      if (value.kind() == yaml::Kind::mapping) {
        MLC_TRY(MappedArgument made, argument_of(value));
        out.attributes.emplace_back(name, std::move(made));
      } else {
        MLC_TRY(MappedConstant made, constant_of(value));
        out.attributes.emplace_back(name, std::move(made));
      }
    }
  }
  return out;
}

AttributeValue attribute_value(const MappedConstant& constant) {
  return std::visit([](const auto& value) { return AttributeValue(value); }, constant);
}

/// The argument of that name, null where the call has a default for it.
const ir::Attribute* argument(const Call& call, const MappedArgument& wanted) {
  const ir::Attribute* found = call.node.find(wanted.name);
  if (found != nullptr || wanted.has_default) return found;
  std::vector<std::string> names;
  for (const ir::Argument& one : call.node.arguments()) names.push_back(one.name);
  const auto near = nearest(wanted.name, names);
  Call::refuse(fmt::format("the --op-map wants its argument {}, but it has {}{}",
                           quoted(wanted.name), names.empty() ? "none" : join_list(names),
                           near ? "; did you mean " + quoted(*near) + "?" : std::string()));
}

}  // namespace

std::optional<AttributeValue> attribute_of(Call& call, const std::string& name,
                                           const ir::Attribute& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return int64_t{*flag};
  if (const auto* number = std::get_if<double>(&value)) return static_cast<float>(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* dtype = std::get_if<DType>(&value)) return int64_t{info(*dtype).onnx};
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) return *texts;
  if (const auto* flags = std::get_if<std::vector<bool>>(&value)) {
    return std::vector<int64_t>(flags->begin(), flags->end());
  }
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    std::vector<float> out;
    for (const double number : *numbers) out.push_back(static_cast<float>(number));
    return out;
  }
  if (std::holds_alternative<ir::Expr>(value)) return call.fixed(name);
  if (std::holds_alternative<std::vector<ir::Expr>>(value)) return call.fixed_list(name);
  const auto* one = std::get_if<ir::Value*>(&value);
  const bool is_tensor = std::holds_alternative<ir::Values>(value) ||
                         (one != nullptr && *one != nullptr && (*one)->tensor() != nullptr);
  if (is_tensor) {
    Call::refuse("its argument " + quoted(name) + " is a tensor, which is no attribute");
  }
  if (one != nullptr && *one != nullptr) return call.fixed(name);
  return std::nullopt;
}

namespace {

bool is_tensor(const ir::Attribute& value) {
  return std::holds_alternative<ir::Value*>(value) || std::holds_alternative<ir::Values>(value);
}

Inputs mapped_inputs(Call& call, const MappedOperator& to) {
  Inputs out;
  const auto add = [&](const std::string& name, const ir::Attribute& value) {
    if (std::holds_alternative<ir::Values>(value)) {
      for (Value* one : call.optional_tensors(name)) out.push_back(one);
    } else {
      out.push_back(call.optional(name));
    }
  };
  if (!to.inputs) {
    for (const ir::Argument& one : call.node.arguments()) {
      if (is_tensor(one.value)) add(one.name, one.value);
    }
    return out;
  }
  for (const MappedArgument& wanted : *to.inputs) {
    const ir::Attribute* value = argument(call, wanted);
    if (value == nullptr) {
      out.push_back(nullptr);
    } else {
      add(wanted.name, *value);
    }
  }
  return out;
}

}  // namespace

const MappedOperator* OpMap::find(std::string_view op) const {
  const auto found = std::ranges::find(operators, op, &MappedOperator::from);
  return found == operators.end() ? nullptr : &*found;
}

Result<OpMap> read_op_map(const std::string& path) {
  MLC_TRY(const YamlNode root, yaml::parse_file(path));
  if (root.kind() != yaml::Kind::mapping) {
    return root.error("an operator map is a mapping with version and operators, not " +
                      root.describe());
  }
  MLC_CHECK(root.only_keys({"version", "operators"}));
  const YamlNode* version = root.find("version");
  if (version == nullptr) return root.error("the version is missing", "begin with version: 1");
  MLC_TRY(const int64_t number, version->as_int());
  if (number != 1) return version->error("this mlc reads version 1");
  const YamlNode* operators = root.find("operators");
  if (operators == nullptr || operators->kind() != yaml::Kind::sequence) {
    return root.error("operators is missing, or no list");
  }
  OpMap out;
  for (const YamlNode& node : operators->items()) {
    MLC_TRY(MappedOperator made, operator_of(node));
    if (out.find(made.from) != nullptr) {
      return node.error(quoted(made.from) + " is there twice");
    }
    out.operators.push_back(std::move(made));
  }
  return out;
}

void lower_mapped(Call& call, const MappedOperator& to) {
  Attributes attributes;
  for (const auto& [name, from] : to.attributes) {
    if (const auto* constant = std::get_if<MappedConstant>(&from)) {
      attributes.push_back({name, attribute_value(*constant)});
      continue;
    }
    const auto& wanted = std::get<MappedArgument>(from);
    const ir::Attribute* value = argument(call, wanted);
    if (value != nullptr) {
      if (auto made = attribute_of(call, wanted.name, *value)) {
        attributes.push_back({name, std::move(*made)});
      }
    } else if (wanted.otherwise) {
      attributes.push_back({name, attribute_value(*wanted.otherwise)});
    }
  }
  std::vector<TensorType> types;
  for (size_t i = 0; i < call.output_count(); ++i) types.push_back(call.output_type(i));
  const Builder::Needs needs{to.opset, to.domain, to.domain_version};
  const auto made =
      call.b.nodes(to.to, mapped_inputs(call, to), std::move(attributes), std::move(types), needs);
  for (size_t i = 0; i < made.size(); ++i) call.give(made[i], i);
}

}  // namespace mlc::onnx
