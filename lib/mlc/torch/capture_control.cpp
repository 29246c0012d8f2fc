#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/source_place.h"

#include <algorithm>

namespace mlc::torch_module {

using torch::jit::Block;
using torch::jit::Node;

namespace {

/// More rounds than anyone writes as code.
constexpr size_t kMostUnrolled = 10'000;  // nodes of the graph

/// Whether BLOCK does nothing but raise an exception.
bool only_raises(const Block& block) {
  return std::ranges::any_of(block.nodes(), [](const Node* node) {
    return node->kind() == c10::prim::RaiseException;
  });
}

}  // namespace

Status Capturer::take_branch(Node& node, size_t which) {
  Block* taken = node.blocks()[which];
  MLC_CHECK(block(*taken));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    set(node.output(i), get(taken->outputs()[i]));
  }
  return {};
}

Status Capturer::branch(Node& node) {
  const Item condition = get(node.input(0));
  if (const auto* known = condition.as<bool>()) return take_branch(node, *known ? 0 : 1);
  if (const auto* dynamic = condition.as<DynamicRef>()) return fork(node, *dynamic);
  for (const torch::jit::Value* output : node.outputs()) set(output, Missing{});
  return {};
}

Status Capturer::fork(Node& node, const DynamicRef& condition) {
  for (size_t which = 0; which < 2; ++which) {
    if (!only_raises(*node.blocks()[which])) continue;
    for (size_t lane = 0; lane < lanes(); ++lane) {
      if (active_[lane] && condition->lanes[lane].toBool() == (which == 0)) {
        return take_branch(node, which);
      }
    }
    return take_branch(node, 1 - which);
  }
  return refuse(node, "a branch that hangs on values");
}

// inputs: the most rounds, whether to begin, carried values; the body takes the round and the
// carried values and gives whether to go on and the next ones.
Status Capturer::loop(Node& node) {
  Block* body = node.blocks()[0];
  const auto* limit = get(node.input(0)).as<ir::Expr>();
  const auto most = limit == nullptr ? std::nullopt : symbols().constant_value(*limit);
  if (!most) return refuse(node, "a loop of which the rounds hang on sizes");
  Item go_on = get(node.input(1));
  Items carried;
  for (size_t i = 2; i < node.inputs().size(); ++i) carried.push_back(get(node.input(i)));
  const size_t before = appended_;
  for (int64_t round = 0; round < *most; ++round) {
    const auto* known = go_on.as<bool>();
    if (known == nullptr) return refuse(node, "a loop of which the rounds hang on values");
    if (!*known) break;
    set(body->inputs()[0], symbols().constant(round));
    for (size_t i = 0; i < carried.size(); ++i) set(body->inputs()[i + 1], carried[i]);
    MLC_CHECK(block(*body));
    if (appended_ - before > kMostUnrolled) {
      return unsupported("the rounds of a loop are more than " + format_count(kMostUnrolled) +
                         " operations: " + source_place(node));
    }
    go_on = get(body->outputs()[0]);
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = get(body->outputs()[i + 1]);
  }
  for (size_t i = 0; i < carried.size(); ++i) set(node.output(i), carried[i]);
  return {};
}

}  // namespace mlc::torch_module
