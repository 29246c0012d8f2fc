// Nodes with blocks: what branches, loops and blocks that run once write into and give.
#include "mlc/ir/block_ops.h"
#include "mlc/passes/rewriter.h"

#include <algorithm>
#include <utility>

namespace mlc::passes {
namespace {

bool is_branch(const Node& node) {
  return node.op().name == "If" || node.op().name == "cond";
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

}  // namespace

bool is_inside(const Value* value, const Node* node) {
  const Block* block = value->producer() != nullptr ? value->producer()->owner() : value->block();
  for (; block != nullptr; block = block->owner() == nullptr ? nullptr : block->owner()->owner()) {
    if (block->owner() == node) return true;
  }
  return false;
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

/// What cannot be given back: a write into what the node gives its block, and, of all but branches,
/// into memory from outside; but for what is CARRIED.
Status Rewriter::refuse_writes_out(const Node* node, const std::vector<Value*>& given, State& state,
                                   const State& end, const LoopWrites& carried) {
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
    const auto& inputs = node->blocks()[0]->inputs();
    const auto input = static_cast<size_t>(std::ranges::find(inputs, root) - inputs.begin());
    const bool is_carried = std::ranges::find(carried.outside, root) != carried.outside.end();
    if (memory.version == before || is_carried || carried.given.contains(input)) continue;
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
Status Rewriter::give_back(Node* node, const std::vector<Value*>& given, State& state,
                           const State& end) {
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
              !result.uncertain && result.steps == first->steps;
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
  // Before they are exchanged for what is in them now: what looks at their memory is known of them.
  const std::vector<Value*> given = given_once(*node);
  LoopWrites carried;
  const bool is_loop = node->op().name == "Loop" && node->blocks().size() == 1;
  if (is_loop) carried = find_loop_writes(*node, state);
  MLC_CHECK(refresh_arguments(node, state));
  std::vector<State> ends;
  std::vector<Results> results(node->blocks().size());
  for (const auto& inner : node->blocks()) {
    State copy = state;
    if (is_loop) carry_in(node, carried, state, copy);
    MLC_CHECK(block(*inner, copy, &results[ends.size()]));
    MLC_CHECK(refuse_writes_out(node, given, state, copy, carried));
    ends.push_back(std::move(copy));
  }
  if (is_loop) MLC_CHECK(carry_out(node, carried, state, ends[0], results[0]));
  if (is_branch(*node)) MLC_CHECK(merge_branches(node, state, ends));
  if (ends.size() == 1) MLC_CHECK(give_back(node, given, state, ends[0]));
  for (size_t i = 0; i < given.size(); ++i) {
    for (auto& result : results[0]) {
      const bool is_input =
          given[i] != nullptr && result && result->root == node->blocks()[0]->inputs()[i];
      if (is_input && result->steps.empty()) result = alias_of(given[i], state);
    }
  }
  merge_doubts(node, state, ends);
  relate_outputs(node, state, ends, results);
  name_carried(*node, carried, state);
  return {};
}

}  // namespace mlc::passes
