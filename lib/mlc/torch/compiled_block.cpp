#include "mlc/torch/compiled_block.h"

#include "mlc/base/text.h"
#include "mlc/ir/linear_size.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <ATen/Functions.h>
#include <c10/util/Exception.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using ir::Attribute;
using ir::Expr;
using ir::Node;
using ir::Value;

/// The values in the arguments of NODE and in its blocks.
template <class Visit>
void each_read(const Node& node, Visit visit) {
  for (const ir::Argument& argument : node.arguments()) {
    if (auto* const* one = std::get_if<Value*>(&argument.value)) visit(*one);
    if (const auto* list = std::get_if<ir::Values>(&argument.value)) {
      for (const Value* item : *list) {
        if (item != nullptr) visit(item);
      }
    }
  }
  for (const auto& block : node.blocks()) {
    for (const Node* inner : block->nodes()) each_read(*inner, visit);
    each_read(*block->results(), visit);
  }
}

/// All arguments of NODE, lists taken apart.
std::vector<IValue> contents(const Node& node, size_t from, Memory& memory) {
  std::vector<IValue> out;
  for (size_t i = from; i < node.arguments().size(); ++i) {
    const Attribute& value = node.arguments()[i].value;
    if (const auto* list = std::get_if<ir::Values>(&value)) {
      for (const Value* item : *list) out.push_back(item == nullptr ? IValue() : memory.get(item));
    } else if (const auto* sizes = std::get_if<std::vector<Expr>>(&value)) {
      for (const Expr size : *sizes) out.emplace_back(memory.integer(size));
    } else {
      out.push_back(CompiledBlock::content(value, memory));
    }
  }
  return out;
}

bool turns_autocast_off(const Node& node) {
  const auto* enabled = std::get_if<bool>(&node.arguments()[2].value);
  return enabled != nullptr && !*enabled;
}

bool is_true(const IValue& value) {
  return value.isTensor() ? value.toTensor().item().toBool() : value.toBool();
}

void set_outputs(const Node& node, const std::vector<IValue>& values, Memory& memory) {
  TORCH_CHECK(values.size() == node.outputs().size(), ir::to_text(node.op()), " gave ",
              values.size(), " values, the program expects ", node.outputs().size());
  for (size_t i = 0; i < values.size(); ++i) memory.set(node.output(i), values[i]);
}

}  // namespace

void Memory::add(const Value* value) {
  places_.try_emplace(value, values_.size());
  values_.emplace_back();
  if (const ir::TensorType* tensor = value->tensor()) {
    if (!tensor->sizes) return;
    for (size_t i = 0; i < tensor->sizes->size(); ++i) {
      claim(value, (*tensor->sizes)[i], static_cast<int64_t>(i));
    }
  } else if (const auto& number = std::get<ir::ScalarType>(value->type()).value) {
    claim(value, *number, std::nullopt);
  }
}

void Memory::claim(const Value* value, Expr size, std::optional<int64_t> dimension) {
  const ir::Symbols& symbols = graph_.symbols();
  if (symbols.constant_value(size)) return;
  const std::vector<size_t> parts = symbols.symbols_of(size);
  const bool alone = parts.size() == 1 && symbols.find(symbols.all()[parts[0]].name) == size;
  if (alone && defined_.insert(parts[0]).second) {
    definitions_[value].push_back({parts[0], dimension});
  }
}

void Memory::set(const Value* value, IValue content) {
  const auto found = definitions_.find(value);
  if (found != definitions_.end()) {
    sizes_.resize(graph_.symbols().all().size());
    for (const Definition& one : found->second) {
      if (one.dimension ? !content.isTensor() : !content.isInt()) continue;
      const int64_t number =
          one.dimension ? content.toTensor().size(*one.dimension) : content.toInt();
      if (sizes_[one.symbol] == number) continue;
      sizes_[one.symbol] = number;
      evaluator_.reset();
    }
  }
  values_[places_.at(value)] = std::move(content);
}

bool Memory::define(Expr size, int64_t number) {
  const ir::Symbols& symbols = graph_.symbols();
  if (const auto known = symbols.constant_value(size)) return *known == number;
  sizes_.resize(symbols.all().size());
  const std::vector<size_t> parts = symbols.symbols_of(size);
  const bool alone = parts.size() == 1 && symbols.text(size) == symbols.all()[parts[0]].name;
  if (alone && !sizes_[parts[0]]) {
    sizes_[parts[0]] = number;
    evaluator_.reset();
    return true;
  }
  if (parts.size() == 1 && !sizes_[parts[0]]) return solve(size, parts[0], number);
  if (!evaluator_) evaluator_.emplace(symbols, sizes_);
  const auto value = (*evaluator_)(size);
  return !value || *value == number;
}

/// SIZE, which depends on SYMBOL alone, is NUMBER, as in an export with 2*Dim("n"): defines the
/// symbol. False where it cannot be.
bool Memory::solve(Expr size, size_t symbol, int64_t number) {
  const auto given = ir::linear_size(graph_.symbols(), size);
  if (!given) return true;
  const auto value = given->solve(number);
  const ir::Bounds& bounds = graph_.symbols().all()[symbol].bounds;
  if (!value || *value < bounds.low || *value > bounds.high) return false;
  sizes_[symbol] = *value;
  evaluator_.reset();
  return true;
}

std::optional<int64_t> Memory::find(Expr size) {
  if (const auto known = graph_.symbols().constant_value(size)) return *known;
  if (!evaluator_) evaluator_.emplace(graph_.symbols(), sizes_);
  return (*evaluator_)(size);
}

int64_t Memory::integer(Expr size) {
  const auto value = find(size);
  TORCH_CHECK(value.has_value(), "nothing in the program defines the size ",
              graph_.symbols().text(size));
  return *value;
}

IValue CompiledBlock::content(const Attribute& attribute, Memory& memory) {
  if (auto* const* value = std::get_if<Value*>(&attribute)) return memory.get(*value);
  if (const auto* size = std::get_if<Expr>(&attribute)) return memory.integer(*size);
  if (const auto* number = std::get_if<double>(&attribute)) return *number;
  if (const auto* truth = std::get_if<bool>(&attribute)) return *truth;
  if (const auto* text = std::get_if<std::string>(&attribute)) return *text;
  return IValue();
}

std::vector<IValue> CompiledBlock::results(Memory& memory) const {
  return contents(*block_->results(), 0, memory);
}

std::vector<IValue> CompiledBlock::run_block(const CompiledBlock& block,
                                             const std::vector<IValue>& inputs, Memory& memory,
                                             const Surroundings& surroundings) {
  const auto& wanted = block.block_->inputs();
  TORCH_CHECK(wanted.size() == inputs.size(), "a part of the program takes ", wanted.size(),
              " values and is given ", inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) memory.set(wanted[i], inputs[i]);
  block.run(memory, surroundings);
  return block.results(memory);
}

// If(condition) { } { }: the blocks see what is around them.
void CompiledBlock::run_if(const Control& control, Memory& memory,
                           const Surroundings& surroundings) {
  const bool holds = is_true(content(control.node->arguments()[0].value, memory));
  set_outputs(*control.node, run_block(control.blocks[holds ? 0 : 1], {}, memory, surroundings),
              memory);
}

// Loop(trips, condition, carried) { round, carried }: gives the next condition, the next carried,
// and tensors of which the loop gives those of all rounds.
void CompiledBlock::run_loop(const Control& control, Memory& memory,
                             const Surroundings& surroundings) {
  std::vector<IValue> values = contents(*control.node, 0, memory);
  const int64_t trips = values[0].toInt();
  bool go_on = is_true(values[1]);
  values.erase(values.begin(), values.begin() + 2);
  const size_t carried = values.size();
  std::vector<std::vector<at::Tensor>> rows(control.node->outputs().size() - carried);
  for (int64_t round = 0; round < trips && go_on; ++round) {
    values.insert(values.begin(), IValue(round));
    values = run_block(control.blocks[0], values, memory, surroundings);
    go_on = is_true(values.at(0));
    values.erase(values.begin());
    for (size_t i = 0; i < rows.size(); ++i) rows[i].push_back(values.at(carried + i).toTensor());
    values.resize(carried);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const ir::TensorType& type = *control.node->output(carried + i)->tensor();
    std::vector<int64_t> sizes = {0};
    for (size_t dim = 1; dim < type.sizes->size(); ++dim) {
      sizes.push_back(memory.integer((*type.sizes)[dim]));
    }
    auto dtype = scalar_type(*type.dtype);
    TORCH_CHECK(dtype.ok(), "a type that LibTorch does not have");
    values.emplace_back(rows[i].empty() ? at::empty(sizes, *dtype) : at::stack(rows[i]));
  }
  set_outputs(*control.node, values, memory);
}

// cond(predicate, true graph, false graph, operands)
void CompiledBlock::run_cond(const Control& control, Memory& memory,
                             const Surroundings& surroundings) {
  const bool holds = is_true(content(control.node->arguments()[0].value, memory));
  set_outputs(*control.node,
              run_block(control.blocks[holds ? 0 : 1], contents(*control.node, 1, memory), memory,
                        surroundings),
              memory);
}

// while_loop(condition graph, body graph, carried, additional): the body gives the next carried
// ones.
void CompiledBlock::run_while(const Control& control, Memory& memory,
                              const Surroundings& surroundings) {
  std::vector<IValue> inputs = contents(*control.node, 0, memory);
  const size_t carried = control.node->outputs().size();
  while (is_true(run_block(control.blocks[0], inputs, memory, surroundings).at(0))) {
    const std::vector<IValue> next = run_block(control.blocks[1], inputs, memory, surroundings);
    TORCH_CHECK(next.size() == carried && carried <= inputs.size(),
                "a loop of the program carries ", carried, " values and gives ", next.size());
    std::copy(next.begin(), next.end(), inputs.begin());
  }
  inputs.resize(carried);
  set_outputs(*control.node, inputs, memory);
}

// wrap_with_set_grad_enabled(enabled, graph, operands): no gradients are taken anyway.
void CompiledBlock::run_inline(const Control& control, Memory& memory,
                               const Surroundings& surroundings) {
  set_outputs(
      *control.node,
      run_block(control.blocks[0], contents(*control.node, 1, memory), memory, surroundings),
      memory);
}

// wrap_with_autocast(device type, type, enabled, cache, graph, operands), where it is not enabled.
void CompiledBlock::run_without_autocast(const Control& control, Memory& memory,
                                         const Surroundings& surroundings) {
  set_outputs(
      *control.node,
      run_block(control.blocks[0], contents(*control.node, 4, memory), memory, surroundings),
      memory);
}

Result<std::optional<CompiledBlock::Step>> CompiledBlock::make_control(
    const ir::Graph& graph, const Node& node, c10::Device device, Memory& memory,
    std::map<std::string, size_t>& missing) {
  struct Row {
    std::string_view domain;
    std::string_view name;
    size_t blocks;
    size_t arguments;  // at least
    void (*run)(const Control&, Memory&, const Surroundings&);
  };
  static constexpr Row kRows[] = {
      {"prim", "If", 2, 1, &CompiledBlock::run_if},
      {"prim", "Loop", 1, 2, &CompiledBlock::run_loop},
      {"higher_order", "cond", 2, 1, &CompiledBlock::run_cond},
      {"higher_order", "while_loop", 2, 0, &CompiledBlock::run_while},
      {"higher_order", "wrap_with_autocast", 1, 4, &CompiledBlock::run_without_autocast},
      {"higher_order", "wrap_with_set_grad_enabled", 1, 1, &CompiledBlock::run_inline},
  };
  const auto row = std::ranges::find(kRows, node.op().name, &Row::name);
  if (row == std::end(kRows) || node.op().domain != row->domain) {
    ++missing[ir::to_text(node.op())];
    return std::optional<Step>();
  }
  if (node.blocks().size() != row->blocks || node.arguments().size() < row->arguments) {
    return corrupt(ir::to_text(node.op()) + " has " + plural(node.blocks().size(), "graph") +
                   " and " + plural(node.arguments().size(), "argument"));
  }
  if (row->run == &CompiledBlock::run_without_autocast && !turns_autocast_off(node)) {
    return unsupported("the program casts within torch.autocast, which mlc cannot do",
                       "export it in the type that it shall compute in");
  }
  Control control{row->run, &node, {}};
  for (const auto& inner : node.blocks()) {
    MLC_TRY(CompiledBlock one, make(graph, *inner, device, memory, missing));
    control.blocks.push_back(std::move(one));
  }
  return std::optional(Step{std::move(control), &node, {}});
}

Result<std::optional<CompiledBlock::Step>> CompiledBlock::make_step(
    const ir::Graph& graph, const Node& node, c10::Device device, Memory& memory,
    std::map<std::string, size_t>& missing) {
  if (!node.blocks().empty()) return make_control(graph, node, device, memory, missing);
  if (const auto symbolic = symbolic_operator(node.op())) {
    return std::optional(Step{Symbolic{*symbolic, &node}, &node, {}});
  }
  if (touches_files(node.op().domain + "::" + node.op().name)) {
    return unsupported("the program calls " + ir::to_text(node.op()) +
                           ", which writes or reads files of its choice",
                       "mlc runs no such program: take the call out of the model");
  }
  auto handle = find_operator(node.op());
  if (!handle) {
    ++missing[ir::to_text(node.op())];
    return std::optional<Step>();
  }
  MLC_TRY(OperatorCall call, OperatorCall::make(graph, node, std::move(*handle), device));
  return std::optional(Step{std::move(call), &node, {}});
}

Result<CompiledBlock> CompiledBlock::make(const ir::Graph& graph, const ir::Block& block,
                                          c10::Device device, Memory& memory,
                                          std::map<std::string, size_t>& missing) {
  CompiledBlock out;
  out.block_ = &block;
  for (const Value* input : block.inputs()) memory.add(input);
  for (const Node* node : block.nodes()) {
    for (const Value* output : node->outputs()) memory.add(output);
    MLC_TRY(auto step, make_step(graph, *node, device, memory, missing));
    if (step) out.steps_.push_back(std::move(*step));
  }
  out.find_last_uses();
  return out;
}

/// Only values that this block makes: its inputs may be read again, by another run.
void CompiledBlock::find_last_uses() {
  std::unordered_map<const Value*, size_t> last;
  for (size_t i = 0; i < steps_.size(); ++i) {
    for (const Value* output : steps_[i].node->outputs()) last[output] = i;
    each_read(*steps_[i].node, [&](const Value* value) {
      if (const auto known = last.find(value); known != last.end()) known->second = i;
    });
  }
  each_read(*block_->results(), [&](const Value* value) { last.erase(value); });
  for (const Step& step : steps_) {
    for (const Value* output : step.node->outputs()) {
      if (const auto at = last.find(output); at != last.end()) {
        steps_[at->second].last_uses.push_back(output);
      }
    }
  }
}

void CompiledBlock::run(Memory& memory, const Surroundings& surroundings) const {
  for (const Step& step : steps_) {
    try {
      if (const auto* call = std::get_if<OperatorCall>(&step.work)) {
        std::vector<IValue> values = call->run(surroundings);
        // Operators that only check something give nothing that the program names.
        if (!step.node->outputs().empty()) set_outputs(*step.node, values, memory);
      } else if (const auto* symbolic = std::get_if<Symbolic>(&step.work)) {
        set_outputs(*step.node, {symbolic->run(contents(*step.node, 0, memory))}, memory);
      } else {
        const auto& control = std::get<Control>(step.work);
        control.run(control, memory, surroundings);
      }
    } catch (c10::Error& error) {
      const std::string& place = step.node->origin().text;
      if (!place.empty()) error.add_context("at " + place);
      throw;
    }
    for (const Value* value : step.last_uses) memory.forget(value);
  }
}

}  // namespace mlc::torch_module
