#include "mlc/base/text.h"
#include "mlc/ir/graph.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  Status run();

 private:
  Status define(const Value& value);
  Status types(const Value& value) const;
  Status block(const Block& block);
  Status node(const Node& node);
  Status arguments(const Node& node);
  Status read(const Node& node, const Value* value);
  Status uses() const;
  Status blocks_of(const Node& node) const;
  Error problem(const Node& node, std::string message) const {
    return internal_error(fmt::format("graph {}: {}: {}", quoted(graph_.name(), 60),
                                      to_text(node.op()), std::move(message)));
  }

  const Graph& graph_;
  std::set<const Value*> visible_;
  std::vector<const Value*> order_;  // of visible_
  std::map<const Value*, size_t> reads_;
};

// The value that USE says its node reads there, or null.
const Value* value_at(const Use& use) {
  if (use.argument >= use.node->arguments().size()) return nullptr;
  const Attribute& attribute = use.node->arguments()[use.argument].value;
  if (auto* const* one = std::get_if<Value*>(&attribute)) return use.item == 0 ? *one : nullptr;
  const auto* list = std::get_if<Values>(&attribute);
  return list != nullptr && use.item < list->size() ? (*list)[use.item] : nullptr;
}

std::string shown(const Value& value) {
  return "%" + printable(value.name());
}

Status Verifier::types(const Value& value) const {
  const TensorType* tensor = value.tensor();
  if (tensor == nullptr || !tensor->sizes) return {};
  for (const Expr size : *tensor->sizes) {
    if (graph_.symbols().bounds(size).high < 0) {
      return internal_error(fmt::format("{} has the size {}, which is negative", shown(value),
                                        graph_.symbols().text(size)));
    }
  }
  return {};
}

Status Verifier::define(const Value& value) {
  if (graph_.find(value.name()) != &value) {
    return internal_error(shown(value) + " is not found under its name");
  }
  if (!visible_.insert(&value).second) return internal_error(shown(value) + " is defined twice");
  order_.push_back(&value);
  return types(value);
}

Status Verifier::read(const Node& node, const Value* value) {
  if (!visible_.contains(value)) {
    return problem(node, shown(*value) + " is read before or beyond where it is defined");
  }
  ++reads_[value];
  return {};
}

// Each use is a read, and there are as many: together they are the same.
Status Verifier::uses() const {
  for (const auto& entry : reads_) {
    const Value* value = entry.first;
    const bool agree = std::all_of(value->uses().begin(), value->uses().end(),
                                   [&](const Use& use) { return value_at(use) == value; });
    if (!agree || value->uses().size() != entry.second) {
      return internal_error("the uses of " + shown(*value) + " are not its readers");
    }
  }
  return {};
}

Status Verifier::arguments(const Node& node) {
  std::set<std::string_view> names;
  for (const Argument& argument : node.arguments()) {
    if (!names.insert(argument.name).second) {
      return problem(node, "it has two arguments " + quoted(argument.name, 60));
    }
    if (const auto* one = std::get_if<Value*>(&argument.value)) {
      if (*one == nullptr) return problem(node, "a null value outside of a list");
      MLC_CHECK(read(node, *one));
    }
    const auto* list = std::get_if<Values>(&argument.value);
    if (list == nullptr) continue;
    for (const Value* item : *list) {
      if (item != nullptr) MLC_CHECK(read(node, item));
    }
  }
  return {};
}

// prim::If(condition) { } { } gives what its blocks return. prim::Loop(trips, condition, carried)
// { given trip, carried } returns the next condition, the next carried values and tensors of which
// the loop gives those of all rounds, stacked along a new first dimension.
Status Verifier::blocks_of(const Node& node) const {
  const bool is_if = node.op() == OpName{"prim", "If", ""};
  const bool is_loop = node.op() == OpName{"prim", "Loop", ""};
  const size_t wanted = is_if ? 2 : is_loop ? 1 : 0;
  if ((is_if || is_loop) && node.blocks().size() != wanted) {
    return problem(node,
                   fmt::format("it has {}, not {}", plural(node.blocks().size(), "block"), wanted));
  }
  const size_t results = node.outputs().size() + (is_loop ? 1 : 0);
  for (const auto& block : node.blocks()) {
    if ((is_if || is_loop) && block->results()->arguments().size() != results) {
      return problem(node,
                     fmt::format("a block returns {}, not {}",
                                 plural(block->results()->arguments().size(), "value"), results));
    }
    const size_t inputs = is_loop ? block->inputs().size() : 0;
    const size_t carried = inputs == 0 ? 0 : inputs - 1;
    const bool misfit = is_loop && (inputs == 0 || carried > node.outputs().size() ||
                                    node.arguments().size() != carried + 2);
    if (misfit || (is_if && !block->inputs().empty())) {
      return problem(node, fmt::format("a block is given {}, not {}",
                                       plural(block->inputs().size(), "value"), inputs));
    }
  }
  return {};
}

Status Verifier::node(const Node& node) {
  MLC_CHECK(arguments(node));
  MLC_CHECK(blocks_of(node));
  for (const auto& inner : node.blocks()) {
    if (inner->owner() != &node) return problem(node, "a block belongs to another node");
    const size_t outside = order_.size();
    MLC_CHECK(block(*inner));
    for (; order_.size() > outside; order_.pop_back()) visible_.erase(order_.back());
  }
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    const Value& output = *node.outputs()[i];
    if (output.producer() != &node || output.index() != i) {
      return problem(node, shown(output) + " is not its output");
    }
    MLC_CHECK(define(output));
  }
  return {};
}

Status Verifier::block(const Block& block) {
  for (const Value* input : block.inputs()) MLC_CHECK(define(*input));
  for (const Node* one : block.nodes()) {
    if (one->owner() != &block) return problem(*one, "it stands in another block");
    MLC_CHECK(node(*one));
  }
  return arguments(*block.results());
}

Status Verifier::run() {
  for (const Value* weight : graph_.weights()) MLC_CHECK(define(*weight));
  MLC_CHECK(block(graph_.body()));
  return uses();
}

}  // namespace

Status verify(const Graph& graph) {
  return Verifier(graph).run();
}

}  // namespace mlc::ir
