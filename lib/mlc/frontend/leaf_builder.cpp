#include "mlc/frontend/leaf_builder.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/frontend/forward_text.h"
#include "mlc/frontend/module_types.h"

#include <algorithm>
#include <cmath>

namespace mlc::arch {
namespace {

std::string indented(std::string_view body) {
  std::string out;
  for (const std::string_view line : split(body, '\n')) {
    if (!line.empty()) out += "    " + std::string(line) + "\n";
  }
  return out;
}

}  // namespace

int64_t saturating_mul(int64_t a, int64_t b) {
  return checked_mul(a, b).value_or(std::numeric_limits<int64_t>::max());
}

std::string require_text(std::string_view condition, std::string_view message) {
  return "if not (" + std::string(condition) + "):\n    raise ValueError(" + std::string(message) +
         ")\n";
}

std::string require_dims(std::string_view type, std::string_view value, int count) {
  const std::string found = std::string(value) + ".dim()";
  const std::string_view article = value == "input" ? " takes an " : " takes a ";
  return require_text(found + " == " + std::to_string(count),
                      "\"" + std::string(type) + std::string(article) + std::string(value) +
                          " of " + std::to_string(count) + " dimensions, found \" + str(" + found +
                          ")");
}

Init uniform_for(int64_t fan_in) {
  const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  return {Init::Kind::uniform, bound, {}};
}

const BoundArgument& LeafBuilder::bound(std::string_view name) const {
  const auto it = std::find_if(arguments_.begin(), arguments_.end(),
                               [&](const BoundArgument& one) { return one.name == name; });
  assert(it != arguments_.end());
  return *it;
}

bool LeafBuilder::is_none(std::string_view name) const {
  return std::holds_alternative<std::monostate>(value(name));
}

GivenArgument LeafBuilder::passed(std::string name, std::string_view argument) const {
  return {std::move(name), value(argument), std::nullopt, bound(argument).origin};
}

std::string LeafBuilder::filled(std::string_view text) const {
  std::string out;
  while (true) {
    const size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const size_t close = text.find('}', open);
    out += literal(text.substr(open + 1, close - open - 1));
    text.remove_prefix(close + 1);
  }
}

DType LeafBuilder::dtype() const {
  const auto it = std::find_if(arguments_.begin(), arguments_.end(),
                               [](const BoundArgument& one) { return one.name == "dtype"; });
  if (it == arguments_.end()) return DType::f32;
  const auto* name = std::get_if<std::string>(&it->value);
  return name ? *dtype_from_torch(*name) : DType::f32;
}

void LeafBuilder::tensor(std::vector<ScriptTensor>& list, std::string name, Ints shape, Init init) {
  ScriptTensor one;
  one.path = module_.path.empty() ? name : module_.path + "." + name;
  one.name = std::move(name);
  one.dtype = dtype();
  one.shape = std::move(shape);
  one.init = std::move(init);
  list.push_back(std::move(one));
}

void LeafBuilder::parameter(std::string name, Ints shape, Init init) {
  tensor(module_.parameters, std::move(name), std::move(shape), std::move(init));
}

void LeafBuilder::buffer(std::string name, Ints shape, Init init) {
  tensor(module_.buffers, std::move(name), std::move(shape), std::move(init));
}

void LeafBuilder::counter(std::string name) {
  tensor(module_.buffers, std::move(name), {}, full(0));
  module_.buffers.back().dtype = DType::i64;
}

void LeafBuilder::constant(std::string name, Value value) {
  module_.constants.push_back({std::move(name), std::move(value)});
}

std::vector<GivenArgument> LeafBuilder::with_dtype(std::vector<GivenArgument> arguments,
                                                   std::string_view type) const {
  const ModuleType* row = find_module_type(type);
  const bool takes_it = row != nullptr && row->signature.find("dtype:") != row->signature.npos;
  if (takes_it && dtype() != DType::f32) {
    arguments.push_back(given("dtype", std::string(info(dtype()).torch)));
  }
  return arguments;
}

Status LeafBuilder::child(std::string name, std::string_view type,
                          std::vector<GivenArgument> arguments) {
  MLC_TRY(ScriptModule made,
          children_.make(name, module_.path, type, with_dtype(std::move(arguments), type), node_));
  module_.children.push_back(std::move(made));
  return {};
}

Status LeafBuilder::child_from(std::string name, std::string_view argument) {
  MLC_TRY(ScriptModule made, children_.make_from(name, module_.path, *bound(argument).node));
  module_.children.push_back(std::move(made));
  return {};
}

bool LeafBuilder::has_module(std::string_view name) const {
  const auto& node = bound(name).node;
  return node && node->kind() == yaml::Kind::mapping;
}

ScriptModule LeafBuilder::empty_child(std::string name, std::string type) const {
  ScriptModule child;
  child.path = module_.path.empty() ? name : module_.path + "." + name;
  child.name = std::move(name);
  child.type = std::move(type);
  child.position = module_.position;
  return child;
}

Status LeafBuilder::nested(std::string name, std::string type,
                           const std::function<Status(LeafBuilder&)>& fill) {
  ScriptModule made = empty_child(std::move(name), std::move(type));
  LeafBuilder within(made, arguments_, node_, children_);
  MLC_CHECK(fill(within));
  module_.children.push_back(std::move(made));
  return {};
}

Status LeafBuilder::copies_from(std::string name, std::string_view argument, int64_t count) {
  ScriptModule list = empty_child(std::move(name), "ModuleList");
  for (int64_t i = 0; i < count; ++i) {
    MLC_TRY(ScriptModule made,
            children_.make_from(std::to_string(i), list.path, *bound(argument).node));
    list.children.push_back(std::move(made));
  }
  module_.children.push_back(std::move(list));
  return {};
}

Status LeafBuilder::copies(std::string name, std::string_view type,
                           const std::vector<GivenArgument>& arguments, int64_t count) {
  ScriptModule list = empty_child(std::move(name), "ModuleList");
  for (int64_t i = 0; i < count; ++i) {
    MLC_TRY(ScriptModule made,
            children_.make(std::to_string(i), list.path, type, with_dtype(arguments, type), node_));
    list.children.push_back(std::move(made));
  }
  module_.children.push_back(std::move(list));
  return {};
}

void LeafBuilder::forward(std::string_view parameters, std::string_view returns,
                          std::string_view body) {
  std::string source = "def forward(self, " + std::string(parameters) + ")" +
                       (returns.empty() ? "" : " -> " + std::string(returns)) + ":\n" +
                       indented(body);
  source += call_method(source);
  set_generated_source(module_, std::move(source));
}

void LeafBuilder::method(std::string_view name, std::string_view parameters,
                         std::string_view returns, std::string_view body) {
  set_generated_source(module_, module_.source + "def " + std::string(name) + "(self, " +
                                    std::string(parameters) + ") -> " + std::string(returns) +
                                    ":\n" + indented(body));
}

void LeafBuilder::forward_expression(std::string_view expression) {
  forward("input: Tensor", "Tensor", "return " + filled(expression));
}

Error LeafBuilder::error(std::string_view argument, std::string_view message,
                         std::string hint) const {
  const auto& node = bound(argument).node;
  return (node ? *node : node_).error(type() + ": " + std::string(message), std::move(hint));
}

}  // namespace mlc::arch
