#include "mlc/passes/functionalize.h"

#include "mlc/passes/rewriter.h"
#include "mlc/passes/view_ops.h"

#include <algorithm>
#include <utility>

namespace mlc::passes {
namespace {

const Doubt kMaybeView = {"it reads what may or may not be the memory that was written before",
                          "write x.clone() where a copy is meant, or x.view(...) where it is not"};

/// "aten::add" of "aten::add_", "aten::__and__" of "aten::__iand__".
ir::OpName functional_name(ir::OpName op) {
  if (op.name.starts_with("__i")) {
    op.name.erase(2, 1);
  } else {
    op.name.pop_back();
  }
  return op;
}

std::string place_of(const Node& node) {
  std::string out = node.origin().scope;
  if (!node.origin().text.empty()) out += (out.empty() ? "" : ", ") + node.origin().text;
  return to_text(node.op()) + (out.empty() ? "" : " in " + out);
}

}  // namespace

Error Rewriter::located(const Node& node, Error error) {
  return std::move(error).during(place_of(node));
}

Alias& Rewriter::alias_of(Value* value, State& state) {
  const auto [found, is_new] = state.aliases.try_emplace(value);
  if (is_new) {
    // A branch may have written into it before anything looked at it here.
    const Memory& memory = memory_of(value, state);
    found->second = {value, {}, false, memory.value, memory.version};
  }
  return found->second;
}

Memory& Rewriter::memory_of(Value* root, State& state) {
  const auto [found, is_new] = state.memories.try_emplace(root);
  if (is_new) found->second.value = root;
  return found->second;
}

/// VALUE as it is now: its views are made again where what they look at was written since.
Result<Value*> Rewriter::current(Value* value, Node* place, State& state) {
  const auto found = state.aliases.find(value);
  if (found == state.aliases.end()) {
    // Written in a branch only, where it got its alias.
    const auto memory = state.memories.find(value);
    if (memory == state.memories.end()) return value;
    if (const Doubt& doubt = memory->second.doubt) return unsupported(doubt.text, doubt.hint);
    return memory->second.value;
  }
  Alias& alias = found->second;
  const Memory& memory = memory_of(alias.root, state);
  if (memory.doubt) return unsupported(memory.doubt.text, memory.doubt.hint);
  if (alias.version == memory.version) return alias.value;
  if (alias.uncertain) return unsupported(kMaybeView.text, kMaybeView.hint);
  Value* now = memory.value;
  for (const Step& step : alias.steps) {
    std::vector<ir::Argument> arguments = step.node->arguments();
    for (ir::Argument& argument : arguments) {
      auto* of = std::get_if<Value*>(&argument.value);
      if (of != nullptr && *of == viewed(*step.node)) {
        *of = now;
        break;
      }
    }
    std::vector<ir::Output> outputs;
    for (const Value* output : step.node->outputs()) outputs.emplace_back(output->type());
    Node* again = graph_.insert_before(place, step.node->op(), std::move(arguments),
                                       std::move(outputs), step.node->origin());
    now = again->output(step.output);
  }
  alias.value = now;
  alias.version = memory.version;
  return now;
}

Status Rewriter::refresh_arguments(Node* node, State& state) {
  for (size_t i = 0; i < node->arguments().size(); ++i) {
    const Attribute& attribute = node->arguments()[i].value;
    if (const auto* value = std::get_if<Value*>(&attribute)) {
      MLC_TRY(Value * now, current(*value, node, state));
      if (now != *value) graph_.set_argument(node, i, now);
    } else if (const auto* list = std::get_if<ir::Values>(&attribute)) {
      ir::Values values = *list;
      for (Value*& one : values) {
        if (one == nullptr) continue;
        MLC_TRY(one, current(one, node, state));
      }
      if (values != *list) graph_.set_argument(node, i, std::move(values));
    }
  }
  return {};
}

/// Remembers what the results of a view of SELF look at.
void Rewriter::note_views(Node* node, Value* self, State& state) {
  const ViewKind kind = view_kind(node->op());
  if (kind == ViewKind::none || self == nullptr || self->tensor() == nullptr) return;
  if (kind == ViewKind::maybe && always_copies(*node, graph_.symbols())) return;
  const Alias from = alias_of(self, state);
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    Alias alias = from;
    alias.steps.push_back({node, i});
    alias.uncertain = alias.uncertain || kind == ViewKind::maybe;
    alias.value = node->output(i);
    state.aliases.insert_or_assign(node->output(i), std::move(alias));
  }
}

Status Rewriter::write_shape(Node* node, State& state) {
  Value* self = viewed(*node);
  if (self == nullptr) return unsupported("it has no tensor to write into");
  ir::OpName op = functional_name(node->op());
  MLC_TRY(Value * now, current(self, node, state));
  std::vector<ir::Argument> arguments = node->arguments();
  for (ir::Argument& argument : arguments) {
    auto* of = std::get_if<Value*>(&argument.value);
    if (of != nullptr && *of == self) *of = now;
  }
  Node* made = graph_.insert_before(node, op, std::move(arguments),
                                    {ir::Output(node->output(0)->type())}, node->origin());
  Alias alias = alias_of(self, state);
  alias.steps.push_back({made, 0});
  alias.value = made->output(0);
  state.aliases.insert_or_assign(self, alias);
  graph_.replace_all_uses(node->output(0), self);
  graph_.erase(node);
  return {};
}

/// Nobody knows whether the last step of SELF that may have copied did. That makes no difference as
/// long as nothing else that looks at the memory before it is read from here on, which current()
/// watches: what the step gave is memory of its own then.
void Rewriter::part_ways(Value* self, State& state) {
  const Alias old = alias_of(self, state);
  size_t count = old.steps.size();
  while (view_kind(old.steps[count - 1].node->op()) != ViewKind::maybe) --count;
  const Step& last = old.steps[count - 1];
  Value* root = last.node->output(last.output);
  const auto known = state.aliases.find(root);
  Value* value = known == state.aliases.end() ? root : known->second.value;
  memory_of(old.root, state).doubt = kMaybeView;
  state.memories.insert_or_assign(root, Memory{value, 0, {}, false});
  for (Value* kin : Roots(state.kin[old.root])) relate(root, kin, state);
  const std::vector<Step> start(old.steps.begin(),
                                old.steps.begin() + static_cast<ptrdiff_t>(count));
  for (auto& [of, alias] : state.aliases) {
    if (alias.root != old.root || alias.steps.size() < count) continue;
    const auto end = alias.steps.begin() + static_cast<ptrdiff_t>(count);
    if (!std::equal(start.begin(), start.end(), alias.steps.begin(), end)) continue;
    alias.root = root;
    alias.steps.erase(alias.steps.begin(), end);
    alias.uncertain = std::ranges::any_of(alias.steps, [](const Step& step) {
      return view_kind(step.node->op()) == ViewKind::maybe;
    });
    alias.version = 0;
  }
}

/// Lets PART be what is in SELF, which BY wrote. New nodes go before PLACE.
Status Rewriter::store(Value* self, Value* part, const Node& by, Node* place, State& state) {
  if (alias_of(self, state).uncertain) part_ways(self, state);
  Alias target = alias_of(self, state);
  // What every step looks at, from the memory on.
  std::vector<Value*> before = {memory_of(target.root, state).value};
  for (size_t i = 0; i + 1 < target.steps.size(); ++i) {
    Alias upto{target.root,
               {target.steps.begin(), target.steps.begin() + static_cast<ptrdiff_t>(i) + 1},
               false,
               nullptr,
               ~uint64_t{0}};
    State one;
    one.memories = state.memories;
    Value* key = target.steps[i].node->output(target.steps[i].output);
    one.aliases.emplace(key, upto);
    MLC_TRY(Value * seen, current(key, place, one));
    before.push_back(seen);
  }
  Value* whole = part;
  for (size_t i = target.steps.size(); i > 0; --i) {
    const Step& step = target.steps[i - 1];
    MLC_TRY(whole, put_back(graph_, place, *step.node, step.output, before[i - 1], whole));
  }
  Memory& memory = memory_of(target.root, state);
  memory.value = whole;
  ++memory.version;
  const auto note = [&](Value* root) {
    first_.try_emplace(root, Write{root, by.op(), by.origin()});
  };
  note(target.root);
  target.value = part;
  target.version = memory.version;
  for (Value* kin : Roots(state.kin[target.root])) {
    Memory& other = memory_of(kin, state);
    other.may_be_written = true;
    note(kin);
    other.doubt = {"it reads memory that " + place_of(by) +
                       " may or may not have written, as the branches before it go",
                   "give what the branches give memory of its own, as by .clone(), before it or "
                   "what it came from is written into"};
  }
  state.aliases.insert_or_assign(self, target);
  return {};
}

Status Rewriter::write(Node* node, State& state) {
  Value* self = viewed(*node);
  if (self == nullptr || self->tensor() == nullptr) {
    return unsupported("it has no tensor to write into");
  }
  MLC_CHECK(refresh_arguments(node, state));
  // Its argument may just have been exchanged for the current value of the same tensor.
  Value* written = viewed(*node);
  Node* made = graph_.insert_before(node, functional_name(node->op()), node->arguments(),
                                    {ir::Output(written->type())}, node->origin());
  MLC_CHECK(store(self, made->output(0), *node, node, state));
  // The result is the tensor itself; what reads it later reads the tensor.
  if (!node->outputs().empty()) graph_.replace_all_uses(node->output(0), self);
  graph_.erase(node);
  ++facts_.writes;
  return {};
}

Status Rewriter::node(Node* node, State& state) {
  if (!node->blocks().empty()) return nested(node, state);
  const std::string& overload = node->op().overload;
  if (node->op().domain == "aten" && (overload == "out" || overload.ends_with("_out"))) {
    return unsupported("it writes into what it is given", "write y.copy_(...) in place of out=y");
  }
  if (is_shape_write(node->op())) return write_shape(node, state);
  if (is_write(node->op())) return write(node, state);
  Value* self = viewed(*node);
  MLC_CHECK(refresh_arguments(node, state));
  note_views(node, self, state);
  return {};
}

Status Rewriter::block(Block& block, State& state, Results* results) {
  const std::vector<Node*> nodes(block.nodes().begin(), block.nodes().end());
  for (Node* one : nodes) {
    Status status = node(one, state);
    if (!status.ok()) return located(*one, std::move(status).error());
  }
  for (const ir::Argument& argument : block.results()->arguments()) {
    auto* const* value = std::get_if<Value*>(&argument.value);
    const bool tensor = value != nullptr && (*value)->tensor() != nullptr;
    if (results != nullptr) {
      results->push_back(tensor ? std::optional(alias_of(*value, state)) : std::nullopt);
    }
  }
  Status refreshed = refresh_arguments(block.results(), state);
  if (!refreshed.ok()) return std::move(refreshed).error().during("the results");
  return {};
}

Result<Functionalized> Rewriter::run() {
  State state;
  MLC_CHECK(block(graph_.body(), state, nullptr));
  for (const auto& [root, memory] : state.memories) {
    const bool written = memory.version > 0 || memory.may_be_written;
    if (written && root->kind() != ir::ValueKind::output) {
      facts_.written.push_back(first_[root]);
    }
  }
  std::ranges::sort(facts_.written, {}, [](const Write& one) { return one.into->name(); });
  return std::move(facts_);
}

bool is_write(const ir::OpName& op) {
  if (op.domain != "aten" || op.name.size() < 2 || op.name == "requires_grad_") return false;
  if (op.name.starts_with("__i") && op.name.ends_with("__")) return op.name.size() > 5;
  return op.name.ends_with('_') && !op.name.ends_with("__");
}

Result<Functionalized> functionalize(ir::Graph& graph) {
  return Rewriter(graph).run();
}

}  // namespace mlc::passes
