// Loops: memory from outside that their rounds write into is carried from one to the next.
#include "mlc/passes/rewriter.h"
#include "mlc/passes/view_ops.h"

#include <algorithm>
#include <utility>

namespace mlc::passes {
namespace {

constexpr size_t kOwnArguments = 2;  // how many rounds at most, and whether there is a first

template <class Look>
void for_each_node(const Block& block, const Look& look) {
  for (const Node* node : block.nodes()) {
    look(*node);
    for (const auto& inner : node->blocks()) for_each_node(*inner, look);
  }
}

/// What VALUE looks at, as far as the nodes within LOOP tell: a value from outside, or what the
/// loop gives its block. Null where it has memory of its own there.
Value* looked_at(Value* value, const Node& loop) {
  while (value != nullptr && is_inside(value, &loop) && value->producer() != nullptr) {
    const Node& made = *value->producer();
    const bool shares = is_write(made.op()) || view_kind(made.op()) != ViewKind::none;
    value = shares ? viewed(made) : nullptr;
  }
  return value;
}

}  // namespace

/// What the rounds of LOOP write into: memory from outside, and what they are given. Requires: its
/// arguments are as the program has them, before any is exchanged for what is in it now.
LoopWrites Rewriter::find_loop_writes(const Node& loop, State& state) {
  LoopWrites out;
  const Block& body = *loop.blocks()[0];
  const auto& inputs = body.inputs();
  out.initials.assign(inputs.size(), nullptr);
  for (size_t i = 1; i < inputs.size(); ++i) {  // the first one counts rounds
    const size_t at = i - 1 + kOwnArguments;
    if (at >= loop.arguments().size()) break;
    auto* const* value = std::get_if<Value*>(&loop.arguments()[at].value);
    const bool is_tensor = value != nullptr && *value != nullptr && (*value)->tensor() != nullptr;
    if (is_tensor) out.initials[i] = *value;
  }
  // Behind what is carried there may be what all rounds give, which has no place for more.
  if (loop.outputs().size() + 1 != inputs.size()) return out;
  Roots seen;
  for_each_node(body, [&](const Node& node) {
    Value* const written = is_write(node.op()) ? looked_at(viewed(node), loop) : nullptr;
    if (written == nullptr || written->tensor() == nullptr) return;
    const auto given = std::ranges::find(inputs, written);
    if (given != inputs.end()) {
      out.given.insert(static_cast<size_t>(given - inputs.begin()));
    } else if (!is_inside(written, &loop)) {
      Value* const root = alias_of(written, state).root;
      if (seen.insert(root).second) out.outside.push_back(root);
    }
  });
  // Only what nothing else in the loop may be.
  std::erase_if(out.given, [&](size_t input) {
    Value* const own = out.initials[input];
    if (own == nullptr || alias_of(own, state).uncertain) return true;
    Value* const root = alias_of(own, state).root;
    if (seen.contains(root) || !state.kin[root].empty()) return true;
    for (size_t i = 1; i < inputs.size(); ++i) {
      Value* const other = i == input ? nullptr : out.initials[i];
      if (other != nullptr && alias_of(other, state).root == root) return true;
    }
    return false;
  });
  return out;
}

/// Gives the block of LOOP what WRITES says, INNER being what is known at its beginning.
void Rewriter::carry_in(Node* loop, const LoopWrites& writes, State& state, State& inner) {
  Block& body = *loop->blocks()[0];
  std::vector<ir::Argument> arguments = loop->arguments();
  for (size_t i = 1; i < writes.initials.size(); ++i) {
    Value* const own = writes.initials[i];
    Value* const root = own == nullptr ? nullptr : alias_of(own, state).root;
    const bool is_written = std::ranges::find(writes.outside, root) != writes.outside.end();
    if (root != nullptr && is_written) relate(body.inputs()[i], root, inner);
  }
  for (Value* const root : writes.outside) {
    const Memory& memory = memory_of(root, state);
    Value* const input = graph_.add_block_input(body, root->name(), root->type());
    arguments.push_back({root->name(), memory.value});
    Memory& carried = memory_of(root, inner);
    carried.value = input;
    carried.version = memory.version + 1;
    // In a later round it was written, whatever stands first.
    for (Value* const kin : Roots(inner.kin[root])) {
      if (!is_inside(kin, loop)) memory_of(kin, inner).doubt = kLoopWrites;
    }
  }
  graph_.set_arguments(loop, std::move(arguments));
  for (const size_t input : writes.given)
    memory_of(alias_of(writes.initials[input], state).root, inner).doubt = kLoopWrites;
}

/// Takes out of LOOP what its rounds wrote; END and RESULTS are those of its block.
Status Rewriter::carry_out(Node* loop, const LoopWrites& writes, State& state, State& end,
                           const Results& results) {
  Block& body = *loop->blocks()[0];
  std::vector<ir::Argument> gives = body.results()->arguments();
  for (Value* const root : writes.outside) {
    const Roots& kin = end.kin[root];
    for (const auto& result : results) {
      if (result && (result->root == root || kin.contains(result->root)))
        return unsupported("a round gives the next one what it writes into, %" + root->name(),
                           "give it a copy, as .clone() makes");
    }
    gives.push_back({root->name(), memory_of(root, end).value});
  }
  graph_.set_results(body, std::move(gives));
  for (Value* const root : writes.outside) {
    Memory& memory = memory_of(root, state);
    memory.value = graph_.add_output(loop, root->type());
    ++memory.version;
  }
  auto next = std::ranges::find(loop->owner()->nodes(), loop);
  Node* behind = ++next == loop->owner()->nodes().end() ? loop->owner()->results() : *next;
  for (const size_t input : writes.given) {
    Value* const own = body.inputs()[input];
    const auto same = [&](const auto& one) { return one && one->root == own; };
    const auto& result = results[input];
    const bool carried = same(result) && result->steps.empty() && !result->uncertain &&
                         std::ranges::count_if(results, same) == 1;
    if (!carried) {
      return unsupported("it writes into what it is given, %" + own->name(),
                         "write into a copy of it, as .clone() gives");
    }
    Value* const outside = writes.initials[input];
    memory_of(alias_of(outside, state).root, end).doubt = {};
    MLC_CHECK(store(outside, loop->output(input - 1), *loop, behind, state));
  }
  return {};
}

/// What LOOP carries and writes into looks behind it at the memory that it was given.
void Rewriter::name_carried(const Node& loop, const LoopWrites& writes, State& state) {
  for (const size_t input : writes.given)
    state.aliases.insert_or_assign(loop.output(input - 1), alias_of(writes.initials[input], state));
}

}  // namespace mlc::passes
