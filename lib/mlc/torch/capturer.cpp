#include "mlc/torch/capturer.h"

#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"
#include "mlc/torch/call_operator.h"
#include "mlc/torch/capture_limits.h"
#include "mlc/torch/evaluators.h"
#include "mlc/torch/grown_list.h"
#include "mlc/torch/number_inputs.h"
#include "mlc/torch/source_place.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <utility>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>

namespace mlc::torch_module {

using c10::IValue;
using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

namespace {

constexpr size_t kMaxSteps = 200'000;

template <class Visit>
void each_input(const Node& node, Visit visit) {
  for (const Value* input : node.inputs()) visit(input);
  for (const Block* block : node.blocks()) {
    for (const Node* inner : block->nodes()) each_input(*inner, visit);
    for (const Value* output : block->outputs()) visit(output);
  }
}

/// After which node of BLOCK each value that the block makes is read no more.
std::unordered_map<const Node*, std::vector<const Value*>> last_uses(const Block& block) {
  std::unordered_map<const Value*, const Node*> last;
  for (const Node* node : block.nodes()) {
    for (const Value* output : node->outputs()) last[output] = node;
    each_input(*node, [&](const Value* value) {
      if (const auto known = last.find(value); known != last.end()) known->second = node;
    });
  }
  for (const Value* output : block.outputs()) last.erase(output);
  std::unordered_map<const Node*, std::vector<const Value*>> out;
  for (const auto& [value, node] : last) out[node].push_back(value);
  return out;
}

bool takes_tensor(const c10::Argument& argument) {
  c10::TypePtr type = argument.type();
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  return type->kind() == c10::TypeKind::TensorType;
}

}  // namespace

Capturer::Capturer(const CaptureTarget& target, const CaptureRequest& request,
                   CaptureAttempt& attempt)
    : target_(target),
      request_(request),
      attempt_(attempt),
      program_(target.module.get_method("forward").graph()),
      sizes_(symbols(), attempt.lanes),
      block_(&out_.program.graph.body()),
      active_(attempt.lanes, true) {}

Result<CapturedProgram> Capturer::run() {
  for (size_t i = 0; i < attempt_.symbols.size(); ++i) {
    const ir::Expr symbol = symbols().symbol(attempt_.symbols[i], attempt_.bounds[i]);
    sizes_.define(symbol, attempt_.sizes[i]);
  }
  frames_.push_back({nullptr, target_.module._ivalue().get()});
  set(program_->inputs()[0], object(target_.module._ivalue(), ""));
  MLC_CHECK(add_inputs());
  Status done = block(*program_->block());
  if (done.ok() && problems_.empty()) done = add_outputs();
  if (!problems_.empty() && stop_ != CaptureStop::written_weight) {
    // Whatever came behind what was refused.
    stop_ = CaptureStop::none;
    return unsupported("the program has what mlc cannot capture: " + join_list(problems_),
                       advice_on(problems_, keeps_loops_));
  }
  MLC_CHECK(std::move(done));
  erase_dead();
  note_sizes();
  MLC_CHECK(ir::verify(out_.program.graph));
  if (target_.places != nullptr) target_.places->sites = std::move(sites_);
  return std::move(out_);
}

Status Capturer::refuse(Node& node, const std::string& what) {
  for (const Value* output : node.outputs()) set(output, Missing{});
  const ir::Origin where = origin(node);
  std::string text = what;
  if (!where.scope.empty()) text += " in " + printable(where.scope);
  if (!where.text.empty()) text += ": " + where.text;
  if (std::ranges::find(problems_, text) == problems_.end()) problems_.push_back(std::move(text));
  return {};
}

void Capturer::note(std::string text) {
  if (std::ranges::find(out_.notes, text) == out_.notes.end()) {
    out_.notes.push_back(std::move(text));
  }
}

ir::Origin Capturer::origin(const Node& node) const {
  return {scope_, source_place(stands_for_ == nullptr ? node : *stands_for_)};
}

Result<std::vector<ir::Expr>> Capturer::input_sizes(const InputSpec& spec) {
  std::vector<ir::Expr> out;
  for (const InputDim& dim : spec.dims) {
    if (!dim.computed.empty()) {
      MLC_TRY_CTX(const ir::Expr size, symbols().parse(dim.computed), "the size " + dim.computed);
      out.push_back(size);
      continue;
    }
    if (dim.symbol.empty()) {
      out.push_back(symbols().constant(dim.example));
      continue;
    }
    const auto symbol = symbols().find(dim.symbol);
    if (!symbol) return internal_error("the size " + dim.symbol + " is none of the capture's");
    out_.program.examples[dim.symbol] = dim.example;
    out.push_back(*symbol);
  }
  return out;
}

Status Capturer::add_input(const InputSpec& spec, const c10::Argument& argument,
                           const Value* value) {
  MLC_TRY(const std::vector<ir::Expr> sizes, input_sizes(spec));
  auto item = std::make_shared<TensorItem>();
  for (size_t lane = 0; lane < lanes(); ++lane) {
    std::vector<int64_t> numbers;
    for (const ir::Expr size : sizes) numbers.push_back(sizes_.at(size)[lane]);
    MLC_TRY(const HostTensor host, request_.sample(spec, numbers, lane));
    MLC_TRY_CTX(IValue one, target_.to_argument(argument, host), "input " + mlc::quoted(spec.name));
    if (!one.isTensor()) {
      add_number(spec, one, argument, value);
      return {};
    }
    item->lanes.push_back(one.toTensor());
  }
  MLC_TRY(const DType dtype, dtype_of(item->lanes[0].scalar_type()));
  item->value = out_.program.graph.add_input(spec.name, ir::TensorType{dtype, sizes});
  out_.program.inputs.push_back({spec.name, item->value, ""});
  set(value, std::move(item));
  return {};
}

/// GIVEN is what ARGUMENT is in the first lane.
void Capturer::add_number(const InputSpec& spec, const IValue& given, const c10::Argument& argument,
                          const Value* value) {
  const auto number = attempt_.numbers.find(spec.name);
  if (number == attempt_.numbers.end()) {
    set(value, lift(given, argument.type(), symbols()));
    out_.program.inputs.push_back({spec.name, nullptr, number_text(given)});
    return;
  }
  ir::Graph& graph = out_.program.graph;
  if (given.isInt()) {
    const ir::Expr symbol = *symbols().find(number->second);
    ir::Value* made = graph.add_input(spec.name, ir::ScalarType{ir::ScalarKind::integer, symbol});
    out_.program.examples[number->second] = given.toInt();
    out_.program.inputs.push_back({spec.name, made, ""});
    set(value, symbol);
    return;
  }
  const auto kind = given.isBool() ? ir::ScalarKind::boolean : ir::ScalarKind::number;
  auto item = std::make_shared<DynamicItem>();
  item->value = graph.add_input(spec.name, ir::ScalarType{kind, std::nullopt});
  for (size_t lane = 0; lane < lanes(); ++lane) item->lanes.push_back(number_in_lane(given, lane));
  out_.program.inputs.push_back({spec.name, item->value, ""});
  set(value, std::move(item));
}

Status Capturer::add_inputs() {
  for (const InputSpec& spec : request_.inputs) {
    const bool known = std::ranges::any_of(
        target_.arguments, [&](const c10::Argument& one) { return one.name() == spec.name; });
    if (!known) return usage_error("the model has no input " + mlc::quoted(spec.name));
  }
  for (size_t i = 0; i < target_.arguments.size(); ++i) {
    const c10::Argument& argument = target_.arguments[i];
    const Value* value = program_->inputs()[i + 1];
    const auto spec = std::ranges::find(request_.inputs, argument.name(), &InputSpec::name);
    if (spec != request_.inputs.end()) {
      MLC_CHECK(add_input(*spec, argument, value));
      continue;
    }
    if (!argument.default_value()) {
      return usage_error("input " + mlc::quoted(argument.name()) + " is missing");
    }
    const IValue& usual = *argument.default_value();
    if (takes_tensor(argument) && usual.isTensor()) {
      set(value, constant(usual.toTensor(), argument.name()));
      continue;
    }
    set(value, lift(usual, argument.type(), symbols()));
    if (is_number(usual))
      out_.program.inputs.push_back({argument.name(), nullptr, number_text(usual)});
  }
  return {};
}

Status Capturer::block(Block& block) {
  const auto [known, is_new] = last_uses_.try_emplace(&block);
  if (is_new) known->second = last_uses(block);
  // References into a map stay where they are, iterators do not.
  const auto& last = known->second;
  for (Node* one : block.nodes()) {
    if (++steps_ > kMaxSteps) {
      return unsupported("the program takes more than " + format_count(kMaxSteps) +
                             " steps when its loops are unrolled: " + source_place(*one),
                         "loops over sizes that vary are kept");
    }
    MLC_CHECK(node(*one));
    const auto read = last.find(one);
    if (read == last.end()) continue;
    for (const Value* value : read->second) items_.erase(value);
  }
  return {};
}

Status Capturer::node(Node& node) {
  switch (node.kind()) {
    case prim::Constant:
      return constant_node(node);
    case prim::GetAttr:
      return attribute_of(node);
    case prim::SetAttr:
      return set_attribute(node);
    case prim::If:
      return branch(node);
    case prim::Loop:
      return loop(node);
    case prim::ListConstruct:
    case prim::TupleConstruct:
    case prim::DictConstruct:
      return construct(node);
    case prim::ListUnpack:
    case prim::TupleUnpack:
      return unpack(node);
    case prim::TupleIndex:
    case prim::TupleSlice:
      return tuple_index(node);
    case prim::isinstance:
      return is_instance(node);
    case prim::RaiseException:
      return raise(node);
    case prim::Uninitialized:
      set(node.output(), Missing{});
      return {};
    case prim::Print:
      return {};
    case prim::CallMethod:
      return call_method(node);
    case prim::CallFunction:
      return call_function(node);
    case prim::Enter:
    case prim::Exit:
      return within(node);
    case prim::fork:
      return fork_task(node);
    case prim::CreateObject: {
      const auto type = node.output()->type()->expect<c10::ClassType>();
      set(node.output(), object(c10::ivalue::Object::create(c10::StrongTypePtr(nullptr, type),
                                                            type->numAttributes()),
                                ""));
      return {};
    }
    default:
      return call(node);
  }
}

/// Runs GRAPH, which takes INPUTS, in the place of NODE.
Status Capturer::enter(Node& node, torch::jit::Graph& graph, const Items& inputs,
                       std::string scope) {
  constexpr size_t kMostNested = 200;
  if (frames_.size() > kMostNested) return refuse(node, "calls nested too deep");
  if (graph.inputs().size() != inputs.size() || graph.outputs().size() != node.outputs().size()) {
    return refuse(node, "a call with other arguments than the function has");
  }
  const std::string outer = std::exchange(scope_, std::move(scope));
  frames_.push_back({&node, module_of(node, inputs)});
  for (size_t i = 0; i < inputs.size(); ++i) set(graph.inputs()[i], inputs[i]);
  MLC_CHECK(block(*graph.block()));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    set(node.output(i), Item(get(graph.outputs()[i])));
    items_.erase(graph.outputs()[i]);
  }
  for (const Value* input : graph.inputs()) items_.erase(input);
  scope_ = outer;
  frames_.pop_back();
  return {};
}

Status Capturer::call_method(Node& node) {
  Items inputs;
  for (const Value* input : node.inputs()) inputs.push_back(get(input));
  const auto* owner = inputs[0].as<ObjectRef>();
  if (owner == nullptr) {
    for (const Value* output : node.outputs()) set(output, Missing{});
    return {};
  }
  const auto type = (*owner)->object.toObject()->type();
  const std::string& name = node.s(c10::attr::name);
  torch::jit::Function* method = type->findMethod(name);
  auto* const function = method == nullptr ? nullptr : torch::jit::tryToGraphFunction(*method);
  if (function == nullptr) return refuse(node, "the method " + printable(name));
  const bool is_module = type->is_module();
  return enter(node, *function->graph(), inputs, is_module ? (*owner)->path : scope_);
}

Status Capturer::call_function(Node& node) {
  const auto type = node.input(0)->type()->expect<c10::FunctionType>();
  auto* const function = torch::jit::tryToGraphFunction(*type->function());
  if (function == nullptr) return refuse(node, "the function " + type->function()->name());
  Items inputs;
  for (size_t i = 1; i < node.inputs().size(); ++i) inputs.push_back(get(node.input(i)));
  return enter(node, *function->graph(), inputs, scope_);
}

/// `with object:` calls its methods, as torch.no_grad() has them.
Status Capturer::within(Node& node) {
  const bool enters = node.kind() == prim::Enter;
  const auto* owner = get(node.input(0)).as<ObjectRef>();
  const auto type = owner == nullptr ? nullptr : (*owner)->object.toObject()->type();
  torch::jit::Function* method =
      type == nullptr ? nullptr : type->findMethod(enters ? "__enter__" : "__exit__");
  auto* const function = method == nullptr ? nullptr : torch::jit::tryToGraphFunction(*method);
  if (function == nullptr) return refuse(node, "a with statement");
  Items inputs = {get(node.input(0))};
  while (inputs.size() < function->graph()->inputs().size()) inputs.emplace_back();
  return enter(node, *function->graph(), inputs, scope_);
}

/// A task that runs by itself runs here at once; what waits for it passes it through.
Status Capturer::fork_task(Node& node) {
  Items inputs;
  for (const Value* input : node.inputs()) inputs.push_back(get(input));
  return enter(node, *node.g(c10::attr::Subgraph), inputs, scope_);
}

Status Capturer::constant_node(Node& node) {
  const c10::TypePtr& type = node.output()->type();
  if (type->kind() == c10::TypeKind::FunctionType) {
    set(node.output(), Missing{});
    return {};
  }
  const IValue value = *torch::jit::toIValue(node.output());
  if (value.isTensor()) {
    const std::string scope = origin(node).scope;
    set(node.output(),
        constant(value.toTensor(), scope.empty() ? "constant" : scope + ".constant"));
    return {};
  }
  Item item = value.isObject() ? object(value, "constant") : lift(value, type, symbols());
  if (const auto* list = item.as<ListRef>()) {
    (*list)->depth = depth_;
    if (value.isTensorList()) {
      Items tensors;
      for (const at::Tensor& one : value.toTensorVector())
        tensors.push_back(constant(one, "constant"));
      (*list)->items = std::move(tensors);
    }
  }
  set(node.output(), std::move(item));
  return {};
}

ObjectRef Capturer::object(const IValue& value, const std::string& path) {
  ObjectRef& known = objects_[value.toObject().get()];
  if (known == nullptr) {
    known = std::make_shared<ObjectItem>();
    known->object = value;
    known->path = path;
    known->depth = path.empty() ? depth_ : 0;
  }
  return known;
}

Status Capturer::attribute_of(Node& node) {
  const auto* owner = get(node.input()).as<ObjectRef>();
  set(node.output(), owner == nullptr ? Item(Missing{}) : read(**owner, node.s(c10::attr::name)));
  return {};
}

Item Capturer::read(ObjectItem& object, const std::string& name) {
  const auto known = object.attributes.find(name);
  if (known != object.attributes.end()) return known->second;
  const auto& type = *object.object.toObject()->type();
  const size_t slot = type.getAttributeSlot(name);
  const IValue& value = object.object.toObject()->getSlot(slot);
  const std::string path = object.path.empty() ? name : object.path + "." + name;
  const auto kind = type.is_parameter(slot) ? ir::ValueKind::parameter : ir::ValueKind::buffer;
  Item item;
  if (value.isTensor() && value.toTensor().defined()) {
    item = weight(value.toTensor(), kind, path, true);
  } else if (value.isTensorList()) {
    auto list = std::make_shared<ListItem>();
    list->type = c10::ListType::ofTensors();
    for (const at::Tensor& one : value.toTensorVector()) {
      list->items.push_back(
          weight(one, kind, path + "." + std::to_string(list->items.size()), true));
    }
    item = std::move(list);
  } else if (value.isObject()) {
    item = this->object(value, path);
  } else {
    item = lift(value, type.getAttribute(slot), symbols());
  }
  object.attributes[name] = item;
  return item;
}

Status Capturer::set_attribute(Node& node) {
  const auto* owner = get(node.input(0)).as<ObjectRef>();
  if (owner == nullptr) return {};
  ObjectItem& object = **owner;
  const std::string& name = node.s(c10::attr::name);
  // What it was: the other branch still has it.
  if (object.depth < depth_) read(object, name);
  if (!may_change(*owner, node)) return {};
  object.attributes[name] = get(node.input(1));
  if (object.object.toObject()->type()->is_module()) {
    note("the model assigns to its attribute " +
         mlc::quoted(object.path.empty() ? name : object.path + "." + name) +
         ", which lasts for one run in the program");
  }
  return {};
}

Status Capturer::construct(Node& node) {
  Items items;
  for (const Value* input : node.inputs()) items.push_back(get(input));
  const c10::TypePtr& type = node.output()->type();
  if (node.kind() == prim::TupleConstruct) {
    set(node.output(), std::make_shared<TupleItem>(TupleItem{type, std::move(items)}));
  } else if (node.kind() == prim::ListConstruct) {
    set(node.output(), std::make_shared<ListItem>(ListItem{type, std::move(items), depth_}));
  } else {
    auto dict = std::make_shared<DictItem>(DictItem{type, {}, depth_});
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const auto known = std::ranges::find_if(
          dict->entries, [&](const auto& entry) { return same(entry.first, items[i]); });
      if (known != dict->entries.end()) {
        known->second = items[i + 1];
      } else {
        dict->entries.emplace_back(items[i], items[i + 1]);
      }
    }
    set(node.output(), std::move(dict));
  }
  return {};
}

Status Capturer::unpack(Node& node) {
  const Item whole = get(node.input());
  const Items* items = whole.items();
  if (items == nullptr) {
    for (const Value* output : node.outputs()) set(output, Missing{});
    return {};
  }
  if (whole.as<ListRef>() != nullptr && has_rows(whole)) {
    return refuse(node,
                  "a list to which a loop that hangs on sizes or values appends, taken apart");
  }
  if (items->size() != node.outputs().size()) {
    return usage_error("the program takes " + plural(node.outputs().size(), "value") +
                       " from a list of " + std::to_string(items->size()) + ": " +
                       source_place(node));
  }
  for (size_t i = 0; i < items->size(); ++i) set(node.output(i), (*items)[i]);
  return {};
}

Status Capturer::tuple_index(Node& node) {
  const Item whole = get(node.input(0));
  const Items* items = whole.items();
  if (items == nullptr) {
    set(node.output(), Missing{});
    return {};
  }
  const auto size = static_cast<int64_t>(items->size());
  if (node.kind() == prim::TupleSlice) {
    const int64_t from = node.i(c10::attr::beg);
    const int64_t to = node.i(c10::attr::end);
    Items part(items->begin() + from, items->begin() + to);
    set(node.output(),
        std::make_shared<TupleItem>(TupleItem{node.output()->type(), std::move(part)}));
    return {};
  }
  const auto* index = get(node.input(1)).as<ir::Expr>();
  const auto number = index == nullptr ? std::nullopt : symbols().constant_value(*index);
  if (!number || *number < -size || *number >= size) {
    return refuse(node, "a tuple read at a place that is not known");
  }
  set(node.output(), (*items)[static_cast<size_t>(*number < 0 ? *number + size : *number)]);
  return {};
}

Status Capturer::is_instance(Node& node) {
  const Item& item = get(node.input());
  if (has_missing(item)) {
    set(node.output(), Missing{});
    return {};
  }
  const auto lane = std::ranges::find(active_, true) - active_.begin();
  const c10::TypePtr type = this->lane(item, static_cast<size_t>(lane)).type();
  const auto& candidates = node.tys(c10::attr::types);
  set(node.output(), std::ranges::any_of(candidates, [&](const c10::TypePtr& one) {
        return type->isSubtypeOf(*one);
      }));
  return {};
}

Status Capturer::raise(Node& node) {
  const auto* text = get(node.input(0)).as<std::string>();
  return give_up(
      CaptureStop::lane_failed,
      usage_error("the model refuses the inputs: " +
                  (text == nullptr ? "" : printable(*text) + ": ") + source_place(node)));
}

Status Capturer::call(Node& node) {
  Call call{node, {}};
  for (const Value* input : node.inputs()) call.inputs.push_back(get(input));
  if (std::ranges::any_of(call.inputs, has_missing)) {
    for (const Value* output : node.outputs()) set(output, Missing{});
    return {};
  }
  if (std::ranges::any_of(call.inputs, has_rows)) return use_rows(call);
  if (touches_files(node.kind().toQualString())) {
    return refuse(node, std::string(node.kind().toQualString()));
  }
  MLC_TRY(const bool done, evaluate(*this, call));
  if (done) return {};
  if (!node.blocks().empty() || node.maybeSchema() == nullptr) {
    return refuse(node, node.kind().toQualString());
  }
  const bool tensors = std::ranges::any_of(call.inputs, has_tensor) ||
                       std::ranges::any_of(node.outputs(), [](const Value* output) {
                         return output->type()->kind() == c10::TypeKind::TensorType ||
                                output->type()->isSubtypeOf(*c10::ListType::ofTensors());
                       });
  if (!tensors) return compute(call);
  take_numbers(call);
  MLC_CHECK(operate(call));
  follow_content(*this, call);
  return {};
}

/// Nothing but what is known goes in, so that what comes out is known.
Status Capturer::compute(const Call& call) {
  const bool known = std::ranges::none_of(
      call.inputs, [this](const Item& item) { return varies(item, symbols()); });
  if (!known) {
    return refuse(call.node,
                  std::string(call.node.kind().toQualString()) + " on a number that varies");
  }
  torch::jit::Stack stack;
  for (const Item& item : call.inputs) stack.push_back(lane(item, 0));
  if (call.node.schema().is_vararg()) stack.emplace_back(static_cast<int64_t>(stack.size()));
  try {
    call.node.getOperation()(stack);
  } catch (const std::exception& error) {
    return give_up(CaptureStop::lane_failed,
                   usage_error(exception_sentence(error.what()) + ": " + source_place(call.node)));
  }
  for (size_t i = 0; i < call.node.outputs().size(); ++i) {
    set(call.node.output(i), lift(stack[i], call.node.output(i)->type(), symbols()));
  }
  return {};
}

Result<bool> evaluate(Capturer& capturer, const Call& call) {
  const std::string_view name = call.node.kind().toQualString();
  const auto* schema = call.node.maybeSchema();
  const std::string_view overload =
      schema == nullptr ? std::string_view() : std::string_view(schema->overload_name());
  for (const auto& table : {number_evaluators(), container_evaluators(), tensor_evaluators()}) {
    for (const EvaluatorRow& row : table) {
      if (row.name != name || (row.overload != "*" && row.overload != overload)) continue;
      MLC_TRY(const bool done, row.run(capturer, call));
      if (done) return true;
    }
  }
  return false;
}

}  // namespace mlc::torch_module
