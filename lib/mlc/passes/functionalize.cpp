#include "mlc/passes/functionalize.h"

#include "mlc/passes/view_ops.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

namespace mlc::passes {
namespace {

using ir::Attribute;
using ir::Block;
using ir::Graph;
using ir::Node;
using ir::Value;

/// One look at memory: result OUTPUT of NODE.
struct Step {
  const Node* node = nullptr;
  size_t output = 0;
};

/// What a tensor of the program looks at.
struct Alias {
  Value* root = nullptr;    // the tensor that owns the memory
  std::vector<Step> steps;  // from it to this one
  bool uncertain = false;   // some of the steps may have copied
  Value* value = nullptr;   // what it is now
  uint64_t version = 0;     // of the memory when VALUE was right
};

/// The memory that a tensor owns.
struct Memory {
  Value* value = nullptr;  // the whole of it, now
  uint64_t version = 0;
  bool unknown = false;  // what may be a view of it was written
};

struct State {
  std::map<Value*, Alias> aliases;
  std::map<Value*, Memory> memories;
};

/// "aten::add" of "aten::add_", "aten::__and__" of "aten::__iand__".
ir::OpName functional_name(ir::OpName op) {
  if (op.name.starts_with("__i")) {
    op.name.erase(2, 1);
  } else {
    op.name.pop_back();
  }
  return op;
}

/// Whether VALUE is made within the blocks of NODE.
bool is_inside(const Value* value, const Node* node) {
  const Block* block = value->producer() != nullptr ? value->producer()->owner() : value->block();
  for (; block != nullptr; block = block->owner() == nullptr ? nullptr : block->owner()->owner()) {
    if (block->owner() == node) return true;
  }
  return false;
}

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  Result<Functionalized> run();

 private:
  Status block(Block& block, State& state);
  Status node(Node* node, State& state);
  Status nested(Node* node, State& state);
  Status merge_branches(Node* node, State& state, std::vector<State>& ends);
  Status write(Node* node, State& state);
  Status write_shape(Node* node, State& state);
  void part_ways(Value* self, State& state);
  void note_views(Node* node, Value* self, State& state);
  Status refresh_arguments(Node* node, State& state);
  Result<Value*> current(Value* value, Node* place, State& state);
  Alias& alias_of(Value* value, State& state);
  static Memory& memory_of(Value* root, State& state);
  static Error located(const Node& node, Error error);

  Graph& graph_;
  Functionalized facts_;
};

Error Rewriter::located(const Node& node, Error error) {
  std::string where = node.origin().scope;
  if (!node.origin().text.empty()) where += (where.empty() ? "" : ", ") + node.origin().text;
  return std::move(error).during(to_text(node.op()) + (where.empty() ? "" : " in " + where));
}

Alias& Rewriter::alias_of(Value* value, State& state) {
  const auto [found, is_new] = state.aliases.try_emplace(value);
  if (is_new) found->second = {value, {}, false, value, memory_of(value, state).version};
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
    return memory == state.memories.end() ? value : memory->second.value;
  }
  Alias& alias = found->second;
  const Memory& memory = memory_of(alias.root, state);
  if (alias.version == memory.version && !memory.unknown) return alias.value;
  if (alias.uncertain || memory.unknown) {
    return unsupported("it reads what may or may not be the memory that was written before",
                       "write x.clone() where a copy is meant, or x.view(...) where it is not");
  }
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
  memory_of(old.root, state).unknown = true;
  state.memories.insert_or_assign(root, Memory{value, 0, false});
  const auto same = [](const Step& a, const Step& b) {
    return a.node == b.node && a.output == b.output;
  };
  for (auto& [of, alias] : state.aliases) {
    if (alias.root != old.root || alias.steps.size() < count) continue;
    const auto end = old.steps.begin() + static_cast<ptrdiff_t>(count);
    if (!std::equal(old.steps.begin(), end, alias.steps.begin(), same)) continue;
    alias.root = root;
    alias.steps.erase(alias.steps.begin(), alias.steps.begin() + static_cast<ptrdiff_t>(count));
    alias.uncertain = std::ranges::any_of(alias.steps, [](const Step& step) {
      return view_kind(step.node->op()) == ViewKind::maybe;
    });
    alias.version = 0;
  }
}

Status Rewriter::write(Node* node, State& state) {
  Value* self = viewed(*node);
  if (self == nullptr || self->tensor() == nullptr) {
    return unsupported("it has no tensor to write into");
  }
  MLC_CHECK(refresh_arguments(node, state));
  // Its argument may just have been exchanged for the current value of the same tensor.
  Value* written = viewed(*node);
  if (alias_of(self, state).uncertain) part_ways(self, state);
  Alias target = alias_of(self, state);
  Node* made = graph_.insert_before(node, functional_name(node->op()), node->arguments(),
                                    {ir::Output(written->type())}, node->origin());
  Value* part = made->output(0);
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
    MLC_TRY(Value * seen, current(key, node, one));
    before.push_back(seen);
  }
  Value* whole = part;
  for (size_t i = target.steps.size(); i > 0; --i) {
    const Step& step = target.steps[i - 1];
    MLC_TRY(whole, put_back(graph_, node, *step.node, step.output, before[i - 1], whole));
  }
  Memory& memory = memory_of(target.root, state);
  memory.value = whole;
  ++memory.version;
  target.value = part;
  target.version = memory.version;
  state.aliases.insert_or_assign(self, target);
  // The result is the tensor itself; what reads it later reads the tensor.
  if (!node->outputs().empty()) graph_.replace_all_uses(node->output(0), self);
  graph_.erase(node);
  ++facts_.writes;
  return {};
}

/// Memory from outside that was written in some branch is a further result of the node.
Status Rewriter::merge_branches(Node* node, State& state, std::vector<State>& ends) {
  std::set<std::string> seen;
  std::vector<Value*> changed;
  for (const State& end : ends) {
    for (const auto& [root, memory] : end.memories) {
      const auto outside = state.memories.find(root);
      const uint64_t before = outside == state.memories.end() ? 0 : outside->second.version;
      if (memory.version != before && !is_inside(root, node) && seen.insert(root->name()).second) {
        changed.push_back(root);
      }
    }
  }
  if (changed.empty()) return {};
  std::ranges::sort(changed, {}, [](const Value* value) { return value->name(); });
  for (size_t i = 0; i < node->blocks().size(); ++i) {
    Block& block = *node->blocks()[i];
    std::vector<ir::Argument> results = block.results()->arguments();
    for (Value* root : changed) {
      const auto inside = ends[i].memories.find(root);
      Value* value =
          inside == ends[i].memories.end() ? memory_of(root, state).value : inside->second.value;
      results.push_back({root->name(), value});
    }
    graph_.set_results(block, std::move(results));
  }
  for (Value* root : changed) {
    Memory& memory = memory_of(root, state);
    memory.value = graph_.add_output(node, root->type());
    ++memory.version;
  }
  return {};
}

Status Rewriter::nested(Node* node, State& state) {
  MLC_CHECK(refresh_arguments(node, state));
  std::vector<State> ends;
  for (const auto& inner : node->blocks()) {
    State copy = state;
    MLC_CHECK(block(*inner, copy));
    ends.push_back(std::move(copy));
  }
  if (node->op().name == "If" || node->op().name == "cond") {
    return merge_branches(node, state, ends);
  }
  for (const auto& [root, memory] : ends.front().memories) {
    const auto outside = state.memories.find(root);
    if (outside != state.memories.end() && outside->second.version != memory.version) {
      return unsupported("it writes into %" + root->name() + ", which lies outside of the loop");
    }
  }
  return {};
}

Status Rewriter::node(Node* node, State& state) {
  if (!node->blocks().empty()) return nested(node, state);
  if (is_shape_write(node->op())) return write_shape(node, state);
  if (is_write(node->op())) return write(node, state);
  Value* self = viewed(*node);
  MLC_CHECK(refresh_arguments(node, state));
  note_views(node, self, state);
  return {};
}

Status Rewriter::block(Block& block, State& state) {
  const std::vector<Node*> nodes(block.nodes().begin(), block.nodes().end());
  for (Node* one : nodes) {
    Status status = node(one, state);
    if (!status.ok()) return located(*one, std::move(status).error());
  }
  Status results = refresh_arguments(block.results(), state);
  if (!results.ok()) return std::move(results).error().during("the results");
  return {};
}

Result<Functionalized> Rewriter::run() {
  State state;
  MLC_CHECK(block(graph_.body(), state));
  for (const auto& [root, memory] : state.memories) {
    if (memory.version > 0 && root->kind() != ir::ValueKind::output) {
      facts_.written.push_back(root);
    }
  }
  std::ranges::sort(facts_.written, {}, [](const Value* value) { return value->name(); });
  return std::move(facts_);
}

}  // namespace

bool is_write(const ir::OpName& op) {
  if (op.domain != "aten" || op.name.size() < 2 || op.name == "requires_grad_") return false;
  if (op.name.starts_with("__i") && op.name.ends_with("__")) return op.name.size() > 5;
  return op.name.ends_with('_') && !op.name.ends_with("__");
}

Result<Functionalized> functionalize(ir::Graph& graph) {
  return Rewriter(graph).run();
}

}  // namespace mlc::passes
