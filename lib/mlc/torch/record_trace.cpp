#include "mlc/torch/record_trace.h"

#include "mlc/base/text.h"
#include "mlc/torch/chain_length.h"
#include "mlc/torch/source_place.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_pooling.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inline_fork_wait.h>
#include <torch/csrc/jit/runtime/operator.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Stack;
using torch::jit::Value;
namespace prim = c10::prim;

constexpr size_t kMaxSteps = 1'000'000;

/// The tree of modules without its methods: the same parameters under the same names, and copies of
/// the buffers.
class BareCopy {
 public:
  BareCopy() : unit_(std::make_shared<torch::jit::CompilationUnit>()) {}

  Module copy(const Module& source) {
    const auto* const key = source._ivalue().get();
    if (const auto known = copied_.find(key); known != copied_.end()) return known->second;
    const c10::ClassTypePtr type = source.type();
    Module out(*type->name(), unit_, /*shouldMangle=*/true);
    for (size_t i = 0; i < type->numAttributes(); ++i) add(source, *type, i, out);
    copied_.emplace(key, out);
    return out;
  }

 private:
  void add(const Module& source, const c10::ClassType& type, size_t i, Module& out) {
    const std::string& name = type.getAttributeName(i);
    const c10::TypePtr& kind = type.getAttribute(i);
    const IValue value = source._ivalue()->getSlot(i);
    if (kind->is_module() && value.isObject()) {
      out.register_module(name, copy(Module(value.toObject())));
    } else if (type.is_parameter(i) && value.isTensor()) {
      out.register_parameter(name, value.toTensor(), /*is_buffer=*/false);
    } else if (type.is_buffer(i) && value.isTensor()) {
      // A copy: the program may write into its own while it is recorded.
      out.register_buffer(name, value.toTensor().clone());
    } else {
      out.register_attribute(name, kind, value, type.is_parameter(i), type.is_buffer(i));
    }
  }

  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  std::map<const void*, Module> copied_;
};

/// What a value of the source is while it runs, and which value of the trace stands for it.
struct Pair {
  IValue value;
  Value* traced = nullptr;
  bool hangs = false;  // on the inputs: other ones may give another value
  /// Of a list: as many items as the text says, or control flow that was noted before.
  bool has_own_length = false;
};

/// The tensors and containers that operators wrote what hangs on the inputs into: later reads of
/// them, by whatever name, hang too. Tensors are known by their storage, so that views are.
class Written {
 public:
  void add(const IValue& value) {
    if (can_be(value)) values_.insert(value);
  }

  bool has(const IValue& value) const {
    return !values_.empty() && can_be(value) && values_.contains(value);
  }

  /// VALUE, or something in it.
  bool reaches(const IValue& value) const {
    if (values_.empty()) return false;
    if (has(value)) return true;
    const auto here = [this](const IValue& one) { return reaches(one); };
    if (value.isTuple()) return std::ranges::any_of(value.toTupleRef().elements(), here);
    if (value.isList()) return std::ranges::any_of(value.toListRef(), here);
    if (!value.isGenericDict()) return false;
    const auto dict = value.toGenericDict();
    return std::any_of(dict.begin(), dict.end(),
                       [&](const auto& entry) { return here(entry.value()); });
  }

 private:
  static bool can_be(const IValue& value) {
    if (value.isTensor()) return value.toTensor().defined() && value.toTensor().has_storage();
    return value.isList() || value.isGenericDict();
  }

  IValue::HashAliasedIValues values_;  // owners: no other value can get their address
};

class Recorder {
 public:
  explicit Recorder(const Module& source)
      : source_(source),
        program_(source.get_method("forward").graph()->copy()),
        out_{BareCopy().copy(source), {}},
        trace_(std::make_shared<Graph>()) {
    inline_all(*program_);
    torch::jit::InlineForkWait(program_);
    inline_all(*program_);
  }

  Result<RecordedTrace> run(const std::vector<c10::Argument>& arguments,
                            const std::vector<bool>& given, const std::vector<IValue>& values);

 private:
  Status block(Block& block);
  Status node(Node& node);
  Status branch(Node& node);
  Status loop(Node& node);
  Status attribute(Node& node);
  Status call(Node& node);
  Status construct(Node& node);
  Status unpack(Node& node);
  Status is_instance(Node& node);
  void set(const Value* of, IValue value, Value* traced, bool hangs) {
    pairs_[of] = {std::move(value), traced, hangs, false};
  }
  bool tells_own_length(const Node& node) const {
    if (node.kind() != c10::aten::len) return false;
    const Pair& list = get(node.input(0));
    return list.has_own_length && !resized_.has(list.value);
  }
  bool any_hangs(const Node& node) const {
    return std::ranges::any_of(node.inputs(), [this](const Value* one) {
      return get(one).hangs || written_.has(get(one).value);
    });
  }
  bool consumes_written(const Node& node) const;
  void note_writes(const Node& node);
  void note_decision(const Node& node, int64_t outcome, bool is_loop);
  const Pair& get(const Value* value) const { return pairs_.at(value); }
  Value* constant(const IValue& value);
  /// NODE in the trace, on the values there.
  Node* repeat(Node& node);
  std::vector<IValue> inputs_of(const Node& node) const;
  Status count_step(const Node& node);

  const Module& source_;
  std::shared_ptr<Graph> program_;
  RecordedTrace out_;
  std::shared_ptr<Graph> trace_;
  std::unordered_map<const Value*, Pair> pairs_;
  Written written_;
  Written resized_;  // those of them that may be longer for it by what hangs on the inputs
  std::map<std::pair<const Value*, std::string>, Value*> attributes_;
  size_t steps_ = 0;
};

/// Whether NODE asks for the rank or the type of a tensor, which inputs do not vary, or for None:
/// what decides on that is control flow before it, which is noted by itself.
bool tells_type(const Node& node) {
  switch (node.kind()) {
    case c10::aten::__is__:
    case c10::aten::__isnot__:
    case c10::aten::dim:
    case c10::aten::is_complex:
    case c10::aten::is_floating_point:
    case prim::device:
    case prim::dtype:
    case prim::is_cuda:
    case prim::layout:
      return true;
    default:
      return false;
  }
}

Error cannot_record(const Node& node, const std::string& what) {
  const std::string place = source_place(node);
  return unsupported("a trace cannot hold " + what + (place.empty() ? "" : ": " + place),
                     "--method script keeps the program as it is");
}

Status Recorder::count_step(const Node& node) {
  if (++steps_ <= kMaxSteps) return {};
  return cannot_record(node, "more than " + format_count(kMaxSteps) + " steps");
}

Value* Recorder::constant(const IValue& value) {
  const auto inserted = torch::jit::tryInsertConstant(*trace_, value);
  return inserted ? *inserted : nullptr;
}

Node* Recorder::repeat(Node& node) {
  Node* copy = trace_->createClone(
      &node, [this](Value* value) { return get(value).traced; }, /*copy_blocks=*/false);
  trace_->insertNode(copy);
  return copy;
}

std::vector<IValue> Recorder::inputs_of(const Node& node) const {
  std::vector<IValue> out;
  for (const Value* input : node.inputs()) out.push_back(get(input).value);
  return out;
}

Status Recorder::block(Block& block) {
  for (Node* one : block.nodes()) {
    MLC_CHECK(count_step(*one));
    MLC_CHECK(node(*one));
  }
  return {};
}

void Recorder::note_decision(const Node& node, int64_t outcome, bool is_loop) {
  const TextPlace place = original_place(node);
  out_.decisions.push_back({source_place(node), outcome, is_loop, place.line, place.column});
}

Status Recorder::branch(Node& node) {
  const Pair condition = get(node.input(0));
  const bool holds = condition.value.toBool();
  if (condition.hangs) note_decision(node, holds, false);
  Block* taken = node.blocks()[holds ? 0 : 1];
  MLC_CHECK(block(*taken));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    Pair& output = pairs_[node.output(i)] = get(taken->outputs()[i]);
    output.hangs = output.hangs || condition.hangs;
  }
  return {};
}

// inputs: the most rounds, whether to begin, carried values; the body takes the round and the
// carried values and gives whether to go on and the next ones.
Status Recorder::loop(Node& node) {
  Block* body = node.blocks()[0];
  const int64_t most = get(node.input(0)).value.toInt();
  bool go_on = get(node.input(1)).value.toBool();
  std::vector<Pair> carried;
  for (size_t i = 2; i < node.inputs().size(); ++i) carried.push_back(get(node.input(i)));
  bool hangs = get(node.input(0)).hangs || get(node.input(1)).hangs;
  int64_t round = 0;
  for (; round < most && go_on; ++round) {
    set(body->inputs()[0], round, constant(round), hangs);
    for (size_t i = 0; i < carried.size(); ++i) pairs_[body->inputs()[i + 1]] = carried[i];
    MLC_CHECK(count_step(node));
    MLC_CHECK(block(*body));
    go_on = get(body->outputs()[0]).value.toBool();
    hangs = hangs || get(body->outputs()[0]).hangs;
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = get(body->outputs()[i + 1]);
  }
  if (hangs) note_decision(node, round, true);
  for (size_t i = 0; i < carried.size(); ++i) {
    carried[i].hangs = carried[i].hangs || hangs;
    pairs_[node.output(i)] = carried[i];
  }
  return {};
}

Status Recorder::attribute(Node& node) {
  const Pair owner = get(node.input());
  const std::string& name = node.s(c10::attr::name);
  IValue value = owner.value.toObject()->getAttr(name);
  const bool keeps = value.isTensor() || value.isObject();
  Value* known = keeps ? nullptr : constant(value);
  if (known == nullptr) {
    Value*& read = attributes_[{owner.traced, name}];
    // A straight graph without assignments to attributes: an earlier read serves later ones.
    if (read == nullptr) read = trace_->insertGetAttr(owner.traced, name);
    known = read;
  }
  set(node.output(), std::move(value), known, false);
  return {};
}

Status Recorder::construct(Node& node) {
  std::vector<IValue> items = inputs_of(node);
  const c10::TypePtr type = node.output()->type();
  IValue value;
  if (node.kind() == prim::TupleConstruct) {
    const auto tuple = type->cast<c10::TupleType>();
    value = tuple->schema() != nullptr
                ? IValue(c10::ivalue::Tuple::createNamed(std::move(items), tuple))
                : IValue(c10::ivalue::Tuple::create(std::move(items)));
  } else if (node.kind() == prim::ListConstruct) {
    c10::impl::GenericList list(type->expectRef<c10::ListType>().getElementType());
    for (IValue& item : items) list.push_back(std::move(item));
    value = std::move(list);
  } else {
    const auto& dict_type = type->expectRef<c10::DictType>();
    c10::impl::GenericDict dict(dict_type.getKeyType(), dict_type.getValueType());
    for (size_t i = 0; i + 1 < items.size(); i += 2) dict.insert_or_assign(items[i], items[i + 1]);
    value = std::move(dict);
  }
  set(node.output(), std::move(value), repeat(node)->output(), any_hangs(node));
  pairs_[node.output()].has_own_length = true;
  return {};
}

Status Recorder::unpack(Node& node) {
  const IValue whole = get(node.input()).value;
  const std::vector<IValue> items =
      whole.isTuple() ? whole.toTupleRef().elements().vec() : whole.toListRef().vec();
  if (items.size() != node.outputs().size()) {
    return usage_error("the program takes " + std::to_string(node.outputs().size()) +
                       " values from a list of " + std::to_string(items.size()));
  }
  Node* copy = repeat(node);
  for (size_t i = 0; i < items.size(); ++i)
    set(node.output(i), items[i], copy->output(i), any_hangs(node));
  return {};
}

Status Recorder::is_instance(Node& node) {
  const c10::TypePtr type = get(node.input()).value.type();
  const auto& candidates = node.tys(c10::attr::types);
  const bool is = std::any_of(candidates.begin(), candidates.end(),
                              [&](const c10::TypePtr& one) { return type->isSubtypeOf(*one); });
  set(node.output(), is, constant(is), false);
  return {};
}

Status Recorder::node(Node& node) {
  switch (node.kind()) {
    case prim::Constant: {
      Node* copy = repeat(node);
      set(node.output(), *torch::jit::toIValue(node.output()), copy->output(), false);
      return {};
    }
    case prim::If:
      return branch(node);
    case prim::Loop:
      return loop(node);
    case prim::GetAttr:
      return attribute(node);
    case prim::ListConstruct:
    case prim::TupleConstruct:
    case prim::DictConstruct:
      return construct(node);
    case prim::ListUnpack:
    case prim::TupleUnpack:
      return unpack(node);
    case prim::isinstance:
      return is_instance(node);
    case prim::Uninitialized:
      set(node.output(), IValue(), nullptr, false);
      return {};
    case prim::unchecked_cast:
      set(node.output(), get(node.input()).value, repeat(node)->output(), any_hangs(node));
      pairs_[node.output()].has_own_length = get(node.input()).has_own_length;
      return {};
    case prim::SetAttr:
      return cannot_record(node, "the assignment to " + mlc::quoted(node.s(c10::attr::name)));
    default:
      return call(node);
  }
}

/// Whether NODE computes with what is in a container that holds something written into. Operators
/// for containers of any kind (append, len, a[i]) do not, and going through theirs each time would
/// take the square of a long list's time: what they give out is known by itself.
bool Recorder::consumes_written(const Node& node) const {
  const auto& arguments = node.schema().arguments();
  for (size_t i = 0; i < std::min(arguments.size(), node.inputs().size()); ++i) {
    if (arguments[i].type()->hasFreeVariables()) continue;
    if (written_.reaches(get(node.input(i)).value)) return true;
  }
  return false;
}

void Recorder::note_writes(const Node& node) {
  const auto& arguments = node.schema().arguments();
  for (size_t i = 0; i < std::min(arguments.size(), node.inputs().size()); ++i) {
    const c10::AliasInfo* const alias = arguments[i].alias_info();
    if (alias == nullptr || !alias->isWrite()) continue;
    written_.add(get(node.input(i)).value);
    const bool adds_one = node.kind() == c10::aten::append || node.kind() == c10::aten::insert;
    if (!adds_one) resized_.add(get(node.input(i)).value);
  }
}

Status Recorder::call(Node& node) {
  if (!node.blocks().empty() || node.maybeSchema() == nullptr) {
    return cannot_record(node, std::string("a ") + node.kind().toQualString());
  }
  const bool is_fixed = tells_type(node) || tells_own_length(node);
  const bool hangs = !is_fixed && (any_hangs(node) || consumes_written(node));
  if (hangs) note_writes(node);
  Stack stack = inputs_of(node);
  // Operators that take any number of values find it behind the last one.
  if (node.schema().is_vararg()) stack.emplace_back(static_cast<int64_t>(stack.size()));
  node.getOperation()(stack);
  Node* copy = repeat(node);
  if (stack.size() != node.outputs().size()) {
    return internal_error(std::string(node.kind().toQualString()) + " gave " +
                          std::to_string(stack.size()) + " values");
  }
  for (size_t i = 0; i < stack.size(); ++i) {
    set(node.output(i), std::move(stack[i]), copy->output(i), hangs);
  }
  // x.size(): as many as x has dimensions.
  const bool is_shape = node.kind() == c10::aten::size && node.inputs().size() == 1;
  if (is_shape) pairs_[node.output()].has_own_length = true;
  return {};
}

Result<RecordedTrace> Recorder::run(const std::vector<c10::Argument>& arguments,
                                    const std::vector<bool>& given,
                                    const std::vector<IValue>& values) {
  Value* self = trace_->addInput("self");
  self->setType(out_.module.type());
  set(program_->inputs()[0], source_._ivalue(), self, false);
  for (size_t i = 0; i < arguments.size(); ++i) {
    Value* input = nullptr;
    if (given[i]) {
      input = trace_->addInput(arguments[i].name());
      input->setType(arguments[i].type());
    } else {
      input = constant(values[i]);
    }
    set(program_->inputs()[i + 1], values[i], input, given[i]);
  }
  MLC_CHECK(block(*program_->block()));
  for (const Value* output : program_->outputs()) trace_->registerOutput(get(output).traced);
  torch::jit::EliminateDeadCode(trace_);
  torch::jit::ConstantPooling(trace_);
  const auto unit = out_.module._ivalue()->compilation_unit();
  const c10::QualifiedName name(*out_.module.type()->name(), "forward");
  out_.module.type()->addMethod(unit->create_function(name, trace_));
  return std::move(out_);
}

}  // namespace

Result<RecordedTrace> record_trace(const Module& source,
                                   const std::vector<c10::Argument>& arguments,
                                   const std::vector<bool>& given,
                                   const std::vector<IValue>& values) {
  return Recorder(source).run(arguments, given, values);
}

}  // namespace mlc::torch_module
