#include "mlc/torch/chain_length.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <unordered_map>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

constexpr size_t kMostLinks = 10'000;

/// What NODE calls; null where it calls nothing, or what only a run can tell (an interface).
Function* callee_of(const Node& node) {
  if (node.kind() == prim::CallFunction) {
    const auto type = node.input(0)->type()->cast<c10::FunctionType>();
    return type ? type->function() : nullptr;
  }
  if (node.kind() != prim::CallMethod) return nullptr;
  const auto type = node.input(0)->type()->cast<c10::ClassType>();
  return type ? type->findMethod(node.s(c10::attr::name)) : nullptr;
}

/// The longest path from operation to operation, however many each one feeds.
class PathWalk {
 public:
  size_t longest(Function& function) {
    const auto known = functions_.find(&function);
    if (known != functions_.end()) return known->second;
    auto* const code = torch::jit::tryToGraphFunction(function);
    const size_t out = code == nullptr ? 0 : longest(*code->graph()->block());
    functions_.emplace(&function, out);
    return out;
  }

 private:
  size_t longest(Block& block) {
    size_t out = 0;
    for (Node* node : block.nodes()) {
      size_t length = 0;
      for (const Value* input : node->inputs()) {
        const auto before = nodes_.find(input->node());
        if (before != nodes_.end()) length = std::max(length, before->second);
      }
      for (Block* inner : node->blocks()) length += longest(*inner);
      if (Function* const callee = callee_of(*node)) length += longest(*callee);
      length = std::min(length + 1, kMostLinks + 1);  // of functions in functions: no overflow
      nodes_[node] = length;
      out = std::max(out, length);
    }
    return out;
  }

  std::unordered_map<const Function*, size_t> functions_;
  std::unordered_map<const Node*, size_t> nodes_;
};

/// The longest chain in a graph without calls.
class ChainWalk {
 public:
  size_t longest(Block& block) {
    size_t out = 0;
    for (Node* node : block.nodes()) {
      size_t length = before(*node);
      for (Block* inner : node->blocks()) length = std::max(length, longest(*inner));
      lengths_[node] = ++length;
      out = std::max(out, length);
    }
    return out;
  }

 private:
  size_t before(Node& node) const {
    size_t out = 0;
    for (const Value* input : node.inputs()) {
      const Node* const from = input->node();
      if (input->uses().size() != 1 || from->outputs().size() != 1) continue;
      const auto known = lengths_.find(from);
      if (known != lengths_.end()) out = std::max(out, known->second);
    }
    return out;
  }

  std::unordered_map<const Node*, size_t> lengths_;
};

bool has_calls(Block* block) {
  for (Node* node : block->nodes()) {
    if (node->kind() == prim::CallMethod || node->kind() == prim::CallFunction) return true;
    for (Block* inner : node->blocks()) {
      if (has_calls(inner)) return true;
    }
  }
  return false;
}

}  // namespace

// Inline() takes in functions as they are kept for running, of which those that ran without
// optimisation still call others.
void inline_all(Graph& graph) {
  constexpr int kMostNested = 100;
  for (int i = 0; i < kMostNested && has_calls(graph.block()); ++i) torch::jit::Inline(graph);
}

Status check_chains(const torch::jit::Module& module, const std::string& hint) {
  Function& forward = module.get_method("forward").function();
  if (PathWalk().longest(forward) <= kMostLinks) return {};
  auto graph = torch::jit::toGraphFunction(forward).graph()->copy();
  inline_all(*graph);
  torch::jit::EliminateDeadCode(graph);
  const size_t longest = ChainWalk().longest(*graph->block());
  if (longest <= kMostLinks) return {};
  return unsupported("the program has " + format_count(longest) +
                         " operations in a row that feed only the next one, and no more than " +
                         format_count(kMostLinks) + " can be run",
                     hint.empty() ? "a loop, which torch.jit.script keeps, is shorter" : hint);
}

}  // namespace mlc::torch_module
