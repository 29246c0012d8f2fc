#include "mlc/passes/functionalize.h"

#include "mlc/ir/block_ops.h"
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

/// Why nobody knows what is in some memory: what may or may not lie there was written.
struct Doubt {
  std::string text;  // empty: it is known
  std::string hint;
  explicit operator bool() const { return !text.empty(); }
};

/// The memory that a tensor owns.
struct Memory {
  Value* value = nullptr;  // the whole of it, now
  uint64_t version = 0;
  Doubt doubt;
  bool may_be_written = false;  // through what a branch or a loop gave
};

using Roots = std::set<Value*>;

struct State {
  std::map<Value*, Alias> aliases;
  std::map<Value*, Memory> memories;
  /// Memories that are one in some runs, as the branches go. What a branch or a loop gives is
  /// looked at as memory of its own, and has its entry here.
  std::map<Value*, Roots> kin;
};

/// What every result of a block looks at when the block ends; absent for what is no tensor.
using Results = std::vector<std::optional<Alias>>;

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

/// Whether VALUE is made within the blocks of NODE.
bool is_inside(const Value* value, const Node* node) {
  const Block* block = value->producer() != nullptr ? value->producer()->owner() : value->block();
  for (; block != nullptr; block = block->owner() == nullptr ? nullptr : block->owner()->owner()) {
    if (block->owner() == node) return true;
  }
  return false;
}

bool is_branch(const Node& node) {
  return node.op().name == "If" || node.op().name == "cond";
}

std::string place_of(const Node& node) {
  std::string out = node.origin().scope;
  if (!node.origin().text.empty()) out += (out.empty() ? "" : ", ") + node.origin().text;
  return to_text(node.op()) + (out.empty() ? "" : " in " + out);
}

bool same_steps(const std::vector<Step>& a, const std::vector<Step>& b) {
  return std::ranges::equal(a, b, [](const Step& one, const Step& other) {
    return one.node == other.node && one.output == other.output;
  });
}

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  Result<Functionalized> run();

 private:
  Status block(Block& block, State& state, Results* results);
  Status node(Node* node, State& state);
  Status nested(Node* node, State& state);
  Status merge_branches(Node* node, State& state, std::vector<State>& ends);
  Status refuse_writes_out(const Node* node, State& state, const State& end);
  Status give_back(Node* node, State& state, const State& end);
  static void merge_doubts(const Node* node, State& state, const std::vector<State>& ends);
  void relate_outputs(Node* node, State& state, const std::vector<State>& ends,
                      const std::vector<Results>& results);
  Roots reach(const Node* node, const Alias& result, const State& end, State& state);
  static void relate(Value* a, Value* b, State& state);
  Status write(Node* node, State& state);
  Status store(Value* self, Value* part, const Node& by, Node* place, State& state);
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
    if (!same_steps(start, {alias.steps.begin(), end})) continue;
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
  target.value = part;
  target.version = memory.version;
  for (Value* kin : Roots(state.kin[target.root])) {
    Memory& other = memory_of(kin, state);
    other.may_be_written = true;
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

void Rewriter::relate(Value* a, Value* b, State& state) {
  if (a == b) return;
  state.kin[a].insert(b);
  state.kin[b].insert(a);
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
  for (Value* root : changed) {
    // A branch took what may be a view for memory of its own: so it is behind the branch too.
    const auto known = state.aliases.find(root);
    if (known != state.aliases.end() && known->second.uncertain) part_ways(root, state);
  }
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

/// What the first block of NODE is given where it runs once, input by input; nothing where it may
/// run more often.
std::vector<Value*> given_once(const Node& node) {
  if (!ir::runs_its_block_once(node.op()) || node.blocks().size() != 1) return {};
  std::vector<Value*> out;
  for (const ir::Argument& argument : node.arguments()) {
    if (auto* const* one = std::get_if<Value*>(&argument.value)) out.push_back(*one);
    if (const auto* list = std::get_if<ir::Values>(&argument.value)) {
      out.insert(out.end(), list->begin(), list->end());
    }
  }
  const size_t count = node.blocks()[0]->inputs().size();
  if (out.size() < count) return {};
  out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(count));
  return out;
}

/// What cannot be given back: a write into what the node gives its block, and, of all but branches,
/// into memory from outside.
Status Rewriter::refuse_writes_out(const Node* node, State& state, const State& end) {
  const std::vector<Value*> given = given_once(*node);
  Roots roots;
  bool apart = !given.empty();  // nothing is given twice
  for (Value* value : given) {
    if (value == nullptr || value->tensor() == nullptr) continue;
    Value* root = alias_of(value, state).root;
    const Roots& kin = state.kin[root];
    apart = apart && roots.insert(root).second &&
            std::ranges::none_of(kin, [&](Value* one) { return roots.contains(one); });
  }
  for (const auto& [root, memory] : end.memories) {
    const auto outside = state.memories.find(root);
    const uint64_t before = outside == state.memories.end() ? 0 : outside->second.version;
    if (memory.version == before) continue;
    if (!apart && root->block() != nullptr && root->block()->owner() == node) {
      return unsupported("it writes into what it is given, %" + root->name(),
                         "write into a copy of it, as .clone() gives");
    }
    if (!is_branch(*node) && !is_inside(root, node)) {
      return unsupported("it writes into %" + root->name() + ", which lies outside of the loop");
    }
  }
  return {};
}

/// The block of NODE runs once, on what it is GIVEN: what it writes there becomes one more output,
/// and is written into what was given.
Status Rewriter::give_back(Node* node, State& state, const State& end) {
  const std::vector<Value*> given = given_once(*node);
  Block& block = *node->blocks()[0];
  auto next = std::ranges::find(node->owner()->nodes(), node);
  Node* behind = ++next == node->owner()->nodes().end() ? node->owner()->results() : *next;
  for (size_t i = 0; i < given.size(); ++i) {
    const auto memory = end.memories.find(block.inputs()[i]);
    if (memory == end.memories.end() || memory->second.version == 0) continue;
    std::vector<ir::Argument> results = block.results()->arguments();
    results.push_back({given[i]->name(), memory->second.value});
    graph_.set_results(block, std::move(results));
    Value* part = graph_.add_output(node, block.inputs()[i]->type());
    MLC_CHECK(store(given[i], part, *node, behind, state));
  }
  return {};
}

/// What the blocks found out about memory from outside.
void Rewriter::merge_doubts(const Node* node, State& state, const std::vector<State>& ends) {
  for (const State& end : ends) {
    for (const auto& [root, memory] : end.memories) {
      if (is_inside(root, node)) continue;
      Memory& outside = memory_of(root, state);
      if (memory.doubt) outside.doubt = memory.doubt;
      outside.may_be_written = outside.may_be_written || memory.may_be_written;
    }
    for (const auto& [root, others] : end.kin) {
      if (is_inside(root, node)) continue;
      for (Value* other : others) {
        if (!is_inside(other, node)) relate(root, other, state);
      }
    }
  }
}

/// All memories that RESULT of a block may look at, those from within the block too.
Roots Rewriter::reach(const Node* node, const Alias& result, const State& end, State& state) {
  Roots out = {result.root};
  if (const auto kin = end.kin.find(result.root); kin != end.kin.end()) {
    out.insert(kin->second.begin(), kin->second.end());
  }
  const bool given = std::ranges::any_of(out, [&](const Value* one) {
    return one->block() != nullptr && one->block()->owner() == node;
  });
  // A loop without rounds gives what it was given.
  if (!given && node->op().name != "Loop") return out;
  const auto add = [&](Value* value) {
    if (value == nullptr || value->tensor() == nullptr) return;
    Value* root = alias_of(value, state).root;
    out.insert(root);
    const Roots& kin = state.kin[root];
    out.insert(kin.begin(), kin.end());
  };
  for (const ir::Argument& argument : node->arguments()) {
    if (auto* const* one = std::get_if<Value*>(&argument.value)) add(*one);
    if (const auto* list = std::get_if<ir::Values>(&argument.value)) {
      std::ranges::for_each(*list, add);
    }
  }
  return out;
}

/// What the outputs of NODE look at: the same in all branches, or memory of their own that may be
/// that of others.
void Rewriter::relate_outputs(Node* node, State& state, const std::vector<State>& ends,
                              const std::vector<Results>& results) {
  const size_t skipped = node->op().name == "Loop" ? 1 : 0;  // whether it goes on
  std::vector<std::pair<Value*, std::vector<Roots>>> known;
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    Value* output = node->output(i);
    const Alias* first = nullptr;
    bool equal = is_branch(*node) || ir::runs_its_block_once(node->op());
    std::vector<Roots> reached;  // block by block
    for (size_t b = 0; b < ends.size(); ++b) {
      reached.emplace_back();
      if (i + skipped >= results[b].size() || !results[b][i + skipped]) continue;
      const Alias& result = *results[b][i + skipped];
      if (first == nullptr) first = &result;
      equal = equal && result.root == first->root && !is_inside(result.root, node) &&
              !result.uncertain && same_steps(result.steps, first->steps);
      reached.back() = reach(node, result, ends[b], state);
    }
    if (first == nullptr) continue;
    if (equal) {
      state.aliases.insert_or_assign(output,
                                     Alias{first->root, first->steps, false, output, ~uint64_t{0}});
      continue;
    }
    for (size_t b = 0; b < reached.size(); ++b) {
      for (Value* root : reached[b]) {
        if (!is_inside(root, node)) relate(output, root, state);
        for (const auto& [other, roots] : known) {
          if (roots[b].contains(root)) relate(output, other, state);
        }
      }
    }
    known.emplace_back(output, std::move(reached));
  }
}

Status Rewriter::nested(Node* node, State& state) {
  MLC_CHECK(refresh_arguments(node, state));
  std::vector<State> ends;
  std::vector<Results> results(node->blocks().size());
  for (const auto& inner : node->blocks()) {
    State copy = state;
    MLC_CHECK(block(*inner, copy, &results[ends.size()]));
    MLC_CHECK(refuse_writes_out(node, state, copy));
    ends.push_back(std::move(copy));
  }
  if (is_branch(*node)) MLC_CHECK(merge_branches(node, state, ends));
  if (ends.size() == 1) MLC_CHECK(give_back(node, state, ends[0]));
  const std::vector<Value*> given = given_once(*node);
  for (size_t i = 0; i < given.size(); ++i) {
    for (auto& result : results[0]) {
      const bool is_input =
          given[i] != nullptr && result && result->root == node->blocks()[0]->inputs()[i];
      if (is_input && result->steps.empty()) result = alias_of(given[i], state);
    }
  }
  merge_doubts(node, state, ends);
  relate_outputs(node, state, ends, results);
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
