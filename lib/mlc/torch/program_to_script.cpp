#include "mlc/torch/program_to_script.h"

#include "mlc/base/text.h"
#include "mlc/ir/linear_size.h"
#include "mlc/torch/call_operator.h"
#include "mlc/torch/script_names.h"
#include "mlc/torch/script_numbers.h"
#include "mlc/torch/script_reals.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/Functions.h>
#include <c10/core/MemoryFormat.h>
#include <torch/csrc/jit/frontend/error_report.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_pooling.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/runtime/operator.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using ir::Attribute;
using ir::Expr;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::NamedValue;
using JitValue = torch::jit::Value*;

const ir::OpName kChoice = {"torch", "sym_ite", ""};

/// Operators that only check: the ranges of sizes, types that are known.
bool only_checks(const ir::Node& node) {
  const std::string& name = node.op().name;
  return node.outputs().empty() &&
         (name.starts_with("_assert") || name.starts_with("sym_constrain_range"));
}

bool is_size_of(const ir::Node& node) {
  return node.op() == ir::OpName{"aten", "sym_size", "int"};
}

bool is_alone(const ir::Symbols& symbols, Expr size) {
  return ir::is_symbol_name(symbols.text(size));
}

class ScriptMaker {
 public:
  ScriptMaker(const ExportedProgram& program, c10::Device device)
      : program_(program),
        symbols_(program.graph.symbols()),
        device_(device),
        unit_(std::make_shared<torch::jit::CompilationUnit>()),
        root_(c10::QualifiedName("__torch__.mlc.Program"), unit_, true),
        graph_(std::make_shared<Graph>()) {}

  Result<Module> run(const std::function<at::Tensor(const ir::Value*)>& weight);

  // For Symbols::build().
  JitValue constant(int64_t value) { return graph_->insertConstant(value); }
  JitValue symbol(size_t index);
  JitValue add(JitValue a, JitValue b) { return insert("aten::add", a, b); }
  JitValue multiply(JitValue a, JitValue b) { return insert("aten::mul", a, b); }
  JitValue floor_divide(JitValue a, JitValue b) { return insert("aten::floordiv", a, b); }
  JitValue minimum(JitValue a, JitValue b) { return insert("prim::min", a, b); }
  JitValue maximum(JitValue a, JitValue b) { return insert("prim::max", a, b); }
  JitValue rounded(const ir::RealSteps& steps, const std::vector<JitValue>& operands) {
    return rounded_number(*graph_, steps, operands);
  }

 private:
  struct Size {
    const ir::Value* input = nullptr;  // whose dimension it is; null: it is a value
    size_t dimension = 0;
    JitValue value = nullptr;
    ir::LinearSize given;  // what the dimension is of the symbol
  };

  /// How an operator that has blocks is made.
  struct Control {
    std::string_view name;
    size_t blocks;
    Status (ScriptMaker::*make)(const ir::Node&);
  };

  static const Control* control_of(const ir::Node& node);
  static bool has(const ir::Node& node);
  static void find_missing(const ir::Block& block, std::set<std::string>& missing);
  void place_weights(const std::function<at::Tensor(const ir::Value*)>& weight);
  Module& folder(const std::string& path);
  void add_inputs(JitValue self);
  Status block(const ir::Block& block);
  Status node(const ir::Node& node);
  Status operation(const ir::Node& node);
  Status symbolic(const ir::Node& node, const char* name);
  Status choice(const ir::Node& node);
  Status condition(const ir::Node& node);
  Status loop(const ir::Node& node);
  Status without_gradients(const ir::Node& node);
  Status without_autocast(const ir::Node& node);
  Status in_line(const ir::Node& node, size_t from);
  std::vector<JitValue> operands(const ir::Node& node, size_t from);
  Result<std::vector<JitValue>> inlined(const ir::Block& from,
                                        const std::vector<JitValue>& operands);
  JitValue truth(JitValue value);
  void take_outputs(const ir::Node& node, torch::jit::Node* made, size_t from);
  void set_outputs(const ir::Node& node, JitValue result);
  void define(const ir::Value* value, JitValue made);
  JitValue insert(const char* name, JitValue a, JitValue b) {
    return graph_->insert(c10::Symbol::fromQualString(name), {a, b});
  }
  JitValue integer(Expr size) { return symbols_.build<JitValue>(size, *this); }
  JitValue read(const ir::Value* value);
  NamedValue argument(const std::string& name, const Attribute& value, const c10::TypePtr& type);
  std::vector<NamedValue> arguments_of(const ir::Node& node, const c10::FunctionSchema& schema);
  JitValue number_as_tensor(const Attribute& value, const ir::Node& node);
  JitValue list(const Attribute& value, const c10::TypePtr& type);
  JitValue result(const Attribute& value);
  void give_results();

  const ExportedProgram& program_;
  const ir::Symbols& symbols_;
  c10::Device device_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  Module root_;
  std::map<std::string, Module> folders_;
  std::shared_ptr<Graph> graph_;
  JitValue self_ = nullptr;
  std::unordered_map<const ir::Value*, JitValue> values_;
  std::unordered_map<const ir::Value*, std::string> paths_;  // of weights, below self
  std::map<size_t, Size> sizes_;                             // by symbol
};

/// The submodule at PATH, made where it is not there.
Module& ScriptMaker::folder(const std::string& path) {
  if (path.empty()) return root_;
  if (const auto known = folders_.find(path); known != folders_.end()) return known->second;
  const size_t dot = path.rfind('.');
  Module& parent = folder(dot == std::string::npos ? "" : path.substr(0, dot));
  Module made(c10::QualifiedName("__torch__.mlc.Part"), unit_, true);
  made.register_attribute("training", c10::BoolType::get(), false);
  parent.register_module(path.substr(dot + 1), made);
  return folders_.emplace(path, made).first->second;
}

void ScriptMaker::place_weights(const std::function<at::Tensor(const ir::Value*)>& weight) {
  root_.register_attribute("training", c10::BoolType::get(), false);
  // Parts come before what is in them: a class is complete when an object of it is registered.
  for (const ProgramWeight& one : program_.weights) {
    const size_t dot = one.key.rfind('.');
    Module& part = folder(dot == std::string::npos ? "" : one.key.substr(0, dot));
    const std::string name = one.key.substr(dot + 1);
    paths_[one.value] = one.key;
    if (part.hasattr(name)) continue;  // the same tensor under two names of the program
    const ir::ValueKind kind = one.value->kind();
    if (kind == ir::ValueKind::parameter) {
      part.register_parameter(name, weight(one.value), /*is_buffer=*/false);
    } else if (kind == ir::ValueKind::buffer && one.persistent) {
      part.register_buffer(name, weight(one.value));
    } else {
      part.register_attribute(name, c10::TensorType::get(), weight(one.value));
    }
  }
}

void ScriptMaker::add_inputs(JitValue self) {
  self_ = self;
  for (const ProgramInput& input : program_.inputs) {
    if (input.value == nullptr) continue;
    JitValue made = graph_->addInput(input.name);
    const ir::TensorType* tensor = input.value->tensor();
    made->setType(tensor != nullptr ? c10::TypePtr(c10::TensorType::get())
                                    : c10::TypePtr(c10::IntType::get()));
    values_[input.value] = made;
    if (tensor == nullptr) {
      define(input.value, made);
      continue;
    }
    for (size_t i = 0; i < tensor->sizes->size(); ++i) {
      const auto given = ir::linear_size(symbols_, (*tensor->sizes)[i]);
      if (!given) continue;
      // A dimension of 2*h tells h as well, but one of h says it more simply.
      const Size place{input.value, i, nullptr, *given};
      const auto [known, is_new] = sizes_.try_emplace(given->symbol, place);
      if (!is_new && given->is_symbol() && !known->second.given.is_symbol()) known->second = place;
    }
  }
}

/// VALUE is MADE, and the symbol that stands for it too.
void ScriptMaker::define(const ir::Value* value, JitValue made) {
  const auto* scalar = std::get_if<ir::ScalarType>(&value->type());
  const bool is_any = scalar != nullptr && made->type()->kind() == c10::TypeKind::NumberType;
  if (is_any) {
    const auto symbol = scalar->kind == ir::ScalarKind::integer   ? c10::aten::Int
                        : scalar->kind == ir::ScalarKind::boolean ? c10::aten::Bool
                                                                  : c10::aten::Float;
    made = graph_->insert(symbol, {made});
  }
  values_[value] = made;
  if (scalar == nullptr || !scalar->value || !is_alone(symbols_, *scalar->value)) return;
  sizes_[symbols_.symbols_of(*scalar->value)[0]] = Size{nullptr, 0, made, {}};
}

JitValue ScriptMaker::symbol(size_t index) {
  const auto known = sizes_.find(index);
  TORCH_CHECK(known != sizes_.end(), "nothing in the program defines the size ",
              symbols_.all()[index].name);
  const Size& place = known->second;
  if (place.value != nullptr) return place.value;
  JitValue out = graph_->insert(c10::aten::size,
                                {values_.at(place.input), static_cast<int64_t>(place.dimension)});
  if (place.given.offset != 0) out = insert("aten::sub", out, constant(place.given.offset));
  if (place.given.factor != 1) out = floor_divide(out, constant(place.given.factor));
  return out;
}

JitValue ScriptMaker::read(const ir::Value* value) {
  if (const auto known = values_.find(value); known != values_.end()) return known->second;
  if (const auto path = paths_.find(value); path != paths_.end()) {
    JitValue at = self_;
    for (const std::string_view part : split(path->second, '.')) {
      at = graph_->insertGetAttr(at, std::string(part));
    }
    return at;
  }
  const auto* scalar = std::get_if<ir::ScalarType>(&value->type());
  TORCH_CHECK(scalar != nullptr && scalar->value, "a value is read before it is made");
  return integer(*scalar->value);
}

JitValue ScriptMaker::list(const Attribute& value, const c10::TypePtr& type) {
  std::vector<JitValue> items;
  c10::TypePtr item = c10::IntType::get();
  if (const auto* sizes = std::get_if<std::vector<Expr>>(&value)) {
    for (const Expr size : *sizes) items.push_back(integer(size));
    const auto list_type = type->cast<c10::ListType>();
    if (items.empty() && list_type) item = list_type->getElementType();
  } else {
    const auto& values = std::get<ir::Values>(value);
    const auto list_type = type->cast<c10::ListType>();
    const bool optional =
        list_type && list_type->getElementType()->kind() == c10::TypeKind::OptionalType;
    item = optional ? c10::TypePtr(c10::OptionalType::ofTensor())
                    : c10::TypePtr(c10::TensorType::get());
    for (const ir::Value* one : values) {
      items.push_back(one == nullptr ? graph_->insertConstant(IValue()) : read(one));
    }
  }
  return graph_->insertNode(graph_->createList(item, items))->output();
}

NamedValue ScriptMaker::argument(const std::string& name, const Attribute& value,
                                 const c10::TypePtr& wanted) {
  c10::TypePtr type = wanted;
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  if (auto* const* one = std::get_if<ir::Value*>(&value)) return {name, read(*one)};
  if (const auto* size = std::get_if<Expr>(&value)) {
    const auto number = symbols_.constant_value(*size);
    if (number && type->kind() == c10::TypeKind::FloatType) {
      return {name, IValue(static_cast<double>(*number))};
    }
    if (number) return {name, IValue(*number)};
    return {name, integer(*size)};
  }
  if (std::holds_alternative<std::vector<Expr>>(value) ||
      std::holds_alternative<ir::Values>(value)) {
    return {name, list(value, type)};
  }
  if (const auto* real = std::get_if<double>(&value)) return {name, IValue(*real)};
  const auto* truth = std::get_if<bool>(&value);
  if (truth != nullptr && type->kind() != c10::TypeKind::BoolType) {
    return {name, IValue(static_cast<int64_t>(*truth))};
  }
  return {name, constant_argument(value, type, device_)};
}

/// The number VALUE, an argument of NODE, as a tensor without dimensions.
JitValue ScriptMaker::number_as_tensor(const Attribute& value, const ir::Node& node) {
  const auto* size = std::get_if<Expr>(&value);
  const auto known = size != nullptr ? symbols_.constant_value(*size) : std::nullopt;
  std::optional<c10::Scalar> number;
  if (known) number = *known;
  if (const auto* real = std::get_if<double>(&value)) number = *real;
  if (const auto* truth = std::get_if<bool>(&value)) number = *truth;
  if (number) {
    const at::TensorOptions options(promoting_type(*number, node));
    return graph_->insertConstant(at::scalar_tensor(*number, options.device(device_)));
  }
  JitValue made = result(value);
  const bool is_real = made->type()->kind() == c10::TypeKind::FloatType;
  const c10::Scalar example = is_real ? c10::Scalar(1.0) : c10::Scalar(int64_t{1});
  return graph_->insert(c10::aten::scalar_tensor, {made},
                        {{"dtype", static_cast<int64_t>(promoting_type(example, node))},
                         {"device", IValue(device_)}});
}

std::vector<NamedValue> ScriptMaker::arguments_of(const ir::Node& node,
                                                  const c10::FunctionSchema& schema) {
  const std::set<std::string> as_tensors = numbers_as_tensors(node, schema);
  const bool of_booleans = makes_booleans(node);
  std::vector<NamedValue> out;
  for (const c10::Argument& one : schema.arguments()) {
    const std::string& name = one.name();
    const Attribute* given = node.find(name);
    if (of_booleans && name == "dtype") {
      out.emplace_back(name, IValue(static_cast<int64_t>(at::kBool)));
    } else if (given != nullptr && as_tensors.contains(name)) {
      out.emplace_back(name, number_as_tensor(*given, node));
    } else if (given != nullptr) {
      out.push_back(argument(name, *given, one.type()));
    }
  }
  if (puts_boolean_first(node)) {
    out[0] = NamedValue("other", out[0].value(*graph_));
    out[1] = NamedValue("self", out[1].value(*graph_));
  }
  return out;
}

Status ScriptMaker::operation(const ir::Node& node) {
  const auto symbol = c10::Symbol::fromQualString(node.op().domain + "::" + node.op().name);
  const bool is_size = is_size_of(node);
  const c10::FunctionSchema& schema = find_operator(node.op())->schema();
  try {
    const std::vector<NamedValue> arguments = arguments_of(node, schema);
    set_outputs(node, graph_->insert(is_size ? c10::aten::size : symbol, {}, arguments));
  } catch (const torch::jit::ErrorReport&) {
    return unsupported(
        "TorchScript does not take the arguments that the program gives " + ir::to_text(node.op()),
        "`mlc run` and `bench` take the program as it is");
  }
  return {};
}

Status ScriptMaker::symbolic(const ir::Node& node, const char* name) {
  std::vector<NamedValue> arguments;
  for (const ir::Argument& one : node.arguments()) {
    arguments.emplace_back(argument("", one.value, c10::AnyType::get()).value(*graph_));
  }
  set_outputs(node, graph_->insert(c10::Symbol::fromQualString(name), arguments));
  return {};
}

/// sym_ite(condition, a, b) of two integers, or two reals.
Status ScriptMaker::choice(const ir::Node& node) {
  const std::vector<JitValue> given = operands(node, 0);
  TORCH_CHECK(given.size() == 3, "a choice takes three arguments");
  torch::jit::Node* made = graph_->insertNode(graph_->create(c10::prim::If, {truth(given[0])}, 0));
  made->addBlock()->registerOutput(given[1]);
  made->addBlock()->registerOutput(given[2]);
  define(node.output(0), made->addOutput()->setType(given[1]->type()));
  return {};
}

void ScriptMaker::set_outputs(const ir::Node& node, JitValue result) {
  std::vector<JitValue> made = {result};
  if (node.outputs().size() != 1 || result->type()->kind() == c10::TypeKind::ListType) {
    if (result->node()->kind() == c10::prim::TupleConstruct) {
      made = result->node()->inputs().vec();
    } else if (result->type()->kind() == c10::TypeKind::ListType) {
      made = graph_->insertNode(graph_->createListUnpack(result, node.outputs().size()))
                 ->outputs()
                 .vec();
    }
  }
  TORCH_CHECK(made.size() >= node.outputs().size(), ir::to_text(node.op()), " gives ", made.size(),
              " values");
  for (size_t i = 0; i < node.outputs().size(); ++i) define(node.output(i), made[i]);
}

/// What the arguments of NODE from the one at FROM on are, lists taken apart.
std::vector<JitValue> ScriptMaker::operands(const ir::Node& node, size_t from) {
  std::vector<JitValue> out;
  for (size_t i = from; i < node.arguments().size(); ++i) {
    const Attribute& value = node.arguments()[i].value;
    if (const auto* many = std::get_if<ir::Values>(&value)) {
      for (const ir::Value* one : *many) out.push_back(read(one));
    } else if (const auto* sizes = std::get_if<std::vector<Expr>>(&value)) {
      for (const Expr size : *sizes) out.push_back(integer(size));
    } else {
      out.push_back(result(value));
    }
  }
  return out;
}

/// The nodes of BLOCK here, for OPERANDS; its results.
Result<std::vector<JitValue>> ScriptMaker::inlined(const ir::Block& from,
                                                   const std::vector<JitValue>& operands) {
  TORCH_CHECK(from.inputs().size() == operands.size(), "a part of the program takes ",
              from.inputs().size(), " values and is given ", operands.size());
  for (size_t i = 0; i < operands.size(); ++i) define(from.inputs()[i], operands[i]);
  MLC_CHECK(block(from));
  std::vector<JitValue> out;
  for (const ir::Argument& one : from.results()->arguments()) out.push_back(result(one.value));
  return out;
}

JitValue ScriptMaker::truth(JitValue value) {
  return value->type()->kind() == c10::TypeKind::BoolType
             ? value
             : graph_->insert(c10::aten::Bool, {value});
}

void ScriptMaker::take_outputs(const ir::Node& node, torch::jit::Node* made, size_t from) {
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    JitValue output = made->addOutput();
    output->setType(made->blocks()[0]->outputs()[from + i]->type());
    define(node.output(i), output);
  }
}

// cond(predicate, true graph, false graph, operands)
Status ScriptMaker::condition(const ir::Node& node) {
  JitValue predicate = truth(read(std::get<ir::Value*>(node.arguments()[0].value)));
  const std::vector<JitValue> given = operands(node, 1);
  torch::jit::Node* choice = graph_->insertNode(graph_->create(c10::prim::If, {predicate}, 0));
  for (const auto& inner : node.blocks()) {
    torch::jit::Block* made = choice->addBlock();
    const torch::jit::WithInsertPoint within(made);
    MLC_TRY(const std::vector<JitValue> results, inlined(*inner, given));
    for (JitValue one : results) made->registerOutput(one);
  }
  take_outputs(node, choice, 0);
  return {};
}

// while_loop(condition graph, body graph, carried, additional): prim::Loop asks for the next round
// at the end of each.
Status ScriptMaker::loop(const ir::Node& node) {
  const std::vector<JitValue> given = operands(node, 0);
  const size_t carried = node.outputs().size();
  TORCH_CHECK(carried <= given.size(), "a loop of the program carries ", carried, " values");
  const auto goes_on = [&](const std::vector<JitValue>& values) -> Result<JitValue> {
    MLC_TRY(const std::vector<JitValue> answer, inlined(*node.blocks()[0], values));
    TORCH_CHECK(answer.size() == 1, "the condition of a loop gives several values");
    return truth(answer[0]);
  };
  MLC_TRY(JitValue first, goes_on(given));
  JitValue most = constant(std::numeric_limits<int64_t>::max());
  torch::jit::Node* made = graph_->insertNode(graph_->create(c10::prim::Loop, {most, first}, 0));
  torch::jit::Block* body = made->addBlock();
  body->addInput()->setType(c10::IntType::get());
  std::vector<JitValue> within_loop = given;
  for (size_t i = 0; i < carried; ++i) {
    made->addInput(given[i]);
    within_loop[i] = body->addInput();
    within_loop[i]->setType(given[i]->type());
  }
  {
    const torch::jit::WithInsertPoint within(body);
    MLC_TRY(const std::vector<JitValue> next, inlined(*node.blocks()[1], within_loop));
    TORCH_CHECK(next.size() == carried, "a loop of the program gives ", next.size(), " values");
    std::copy(next.begin(), next.end(), within_loop.begin());
    MLC_TRY(JitValue again, goes_on(within_loop));
    body->registerOutput(again);
    for (JitValue one : next) body->registerOutput(one);
  }
  take_outputs(node, made, 1);
  return {};
}

// wrap_with_set_grad_enabled(enabled, graph, operands): no gradients are taken anyway.
Status ScriptMaker::without_gradients(const ir::Node& node) {
  return in_line(node, 1);
}

// wrap_with_autocast(device type, type, enabled, cache, graph, operands): the engine has refused
// one that is enabled.
Status ScriptMaker::without_autocast(const ir::Node& node) {
  return in_line(node, 4);
}

/// The only block of NODE here, for its arguments from the one at FROM on.
Status ScriptMaker::in_line(const ir::Node& node, size_t from) {
  MLC_TRY(const std::vector<JitValue> made, inlined(*node.blocks()[0], operands(node, from)));
  TORCH_CHECK(made.size() == node.outputs().size(), "a part of the program gives ", made.size(),
              " values");
  for (size_t i = 0; i < made.size(); ++i) define(node.output(i), made[i]);
  return {};
}

const ScriptMaker::Control* ScriptMaker::control_of(const ir::Node& node) {
  static constexpr Control kRows[] = {
      {"cond", 2, &ScriptMaker::condition},
      {"while_loop", 2, &ScriptMaker::loop},
      {"wrap_with_autocast", 1, &ScriptMaker::without_autocast},
      {"wrap_with_set_grad_enabled", 1, &ScriptMaker::without_gradients},
  };
  const auto row = std::ranges::find(kRows, node.op().name, &Control::name);
  const bool fits = row != std::end(kRows) && node.op().domain == "higher_order" &&
                    node.blocks().size() == row->blocks;
  return fits ? row : nullptr;
}

Status ScriptMaker::node(const ir::Node& node) {
  if (only_checks(node)) return {};
  if (!node.blocks().empty()) return (this->*control_of(node)->make)(node);
  if (node.op() == kChoice) return choice(node);
  if (const char* name = script_name(node.op())) return symbolic(node, name);
  return operation(node);
}

bool ScriptMaker::has(const ir::Node& node) {
  if (!node.blocks().empty()) return control_of(node) != nullptr;
  if (only_checks(node) || script_name(node.op()) != nullptr) return true;
  if (node.op() == kChoice) return true;
  if (!find_operator(node.op())) return false;
  const auto symbol = c10::Symbol::fromQualString(node.op().domain + "::" + node.op().name);
  return is_size_of(node) || !torch::jit::getAllOperatorsFor(symbol).empty();
}

void ScriptMaker::find_missing(const ir::Block& block, std::set<std::string>& missing) {
  for (const ir::Node* node : block.nodes()) {
    if (!has(*node)) missing.insert(ir::to_text(node->op()));
    for (const auto& inner : node->blocks()) find_missing(*inner, missing);
  }
}

Status ScriptMaker::block(const ir::Block& block) {
  for (const ir::Node* one : block.nodes()) MLC_CHECK(node(*one));
  return {};
}

JitValue ScriptMaker::result(const Attribute& value) {
  if (auto* const* one = std::get_if<ir::Value*>(&value)) return read(*one);
  if (const auto* size = std::get_if<Expr>(&value)) return integer(*size);
  return graph_->insertConstant(constant_argument(value, c10::AnyType::get(), device_));
}

void ScriptMaker::give_results() {
  const auto& results = program_.graph.body().results()->arguments();
  for (const ProgramMutation& one : program_.mutations) {
    graph_->insert(c10::aten::copy_, {read(one.target), result(results[one.result].value)});
  }
  std::vector<JitValue> values;
  std::vector<JitValue> keys;
  bool has_keys = program_.outputs.size() > 0;
  for (const ProgramOutput& one : program_.outputs) {
    values.push_back(result(results[one.result].value));
    has_keys = has_keys && one.name != "output" && !one.name.starts_with("output.") &&
               values.back()->type()->kind() == c10::TypeKind::TensorType;
  }
  if (has_keys) {
    for (const ProgramOutput& one : program_.outputs) {
      keys.push_back(graph_->insertConstant(one.name));
    }
    graph_->registerOutput(graph_
                               ->insertNode(graph_->createDict(
                                   c10::StringType::get(), c10::TensorType::get(), keys, values))
                               ->output());
  } else if (values.size() == 1) {
    graph_->registerOutput(values[0]);
  } else {
    graph_->registerOutput(graph_->insertNode(graph_->createTuple(values))->output());
  }
}

Result<Module> ScriptMaker::run(const std::function<at::Tensor(const ir::Value*)>& weight) {
  std::set<std::string> missing;
  find_missing(program_.graph.body(), missing);
  if (!missing.empty()) {
    return unsupported("TorchScript lacks " + plural(missing.size(), "operator") +
                           " of the program: " +
                           join_list(std::vector<std::string>(missing.begin(), missing.end())),
                       "`mlc run` and `bench` take the program as it is");
  }
  place_weights(weight);
  JitValue self = graph_->addInput("self");
  self->setType(root_.type());
  add_inputs(self);
  MLC_CHECK(block(program_.graph.body()));
  give_results();
  torch::jit::EliminateDeadCode(graph_);
  torch::jit::ConstantPooling(graph_);
  const c10::QualifiedName name(*root_.type()->name(), "forward");
  root_.type()->addMethod(unit_->create_function(name, graph_));
  return root_;
}

}  // namespace

Result<Module> program_to_script(const ExportedProgram& program, c10::Device device,
                                 const std::function<at::Tensor(const ir::Value*)>& weight) {
  return ScriptMaker(program, device).run(weight);
}

}  // namespace mlc::torch_module
