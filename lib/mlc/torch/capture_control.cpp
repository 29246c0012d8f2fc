#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/source_place.h"

#include <algorithm>

#include <ATen/Functions.h>

namespace mlc::torch_module {

using c10::IValue;
using ir::Expr;
using torch::jit::Block;
using torch::jit::Node;

namespace {

constexpr size_t kMostUnrolled = 10'000;  // nodes of the graph

/// Whether BLOCK does nothing but raise an exception.
bool only_raises(const Block& block) {
  return std::ranges::any_of(
      block.nodes(), [](const Node* node) { return node->kind() == c10::prim::RaiseException; });
}

/// Whether an operator in BLOCK writes into what it is given.
bool writes_in(const Block& block) {
  return std::ranges::any_of(block.nodes(), [](const Node* node) {
    if (node->kind() == c10::prim::SetAttr || node->kind() == c10::prim::CallMethod) return true;
    const auto* schema = node->maybeSchema();
    if (schema != nullptr && schema->is_mutable()) return true;
    return std::ranges::any_of(node->blocks(),
                               [](const Block* inner) { return writes_in(*inner); });
  });
}

std::vector<ir::Argument> numbered(std::vector<ir::Attribute> values) {
  std::vector<ir::Argument> out;
  for (ir::Attribute& one : values) out.push_back({std::to_string(out.size()), std::move(one)});
  return out;
}

bool is_number(const Item& item) {
  return item.as<Expr>() != nullptr || item.as<bool>() != nullptr || item.as<double>() != nullptr ||
         item.as<DynamicRef>() != nullptr;
}

ir::ScalarKind kind_of(const Item& item) {
  if (item.as<Expr>() != nullptr) return ir::ScalarKind::integer;
  if (item.as<bool>() != nullptr) return ir::ScalarKind::boolean;
  if (const auto* dynamic = item.as<DynamicRef>()) {
    return std::get<ir::ScalarType>((*dynamic)->value->type()).kind;
  }
  return ir::ScalarKind::number;
}

}  // namespace

Status Capturer::take_branch(Node& node, size_t which) {
  Block* taken = node.blocks()[which];
  MLC_CHECK(block(*taken));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    set(node.output(i), Item(get(taken->outputs()[i])));
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

/// Both branches become blocks of an If. Each runs in the lanes that take it; one that no lane
/// takes in all of them, as long as it writes nowhere.
Status Capturer::fork(Node& node, const DynamicRef& condition) {
  std::vector<bool> holds(lanes());
  for (size_t i = 0; i < lanes(); ++i) holds[i] = active_[i] && condition->lanes[i].toBool();
  for (size_t which = 0; which < 2; ++which) {
    if (!only_raises(*node.blocks()[which])) continue;
    for (size_t i = 0; i < lanes(); ++i) {
      if (active_[i] && holds[i] == (which == 0)) return take_branch(node, which);
    }
    return take_branch(node, 1 - which);
  }
  ir::Graph& graph = out_.program.graph;
  ir::Node* made = graph.append(*block_, {"prim", "If", ""}, {{"condition", condition->value}}, {},
                                origin(node));
  ir::Block* const outer = block_;
  const std::vector<bool> active = active_;
  std::vector<Items> results(2);
  for (size_t which = 0; which < 2; ++which) {
    Block& inner = *node.blocks()[which];
    std::vector<bool> taking = active;
    for (size_t i = 0; i < lanes(); ++i) taking[i] = active[i] && holds[i] == (which == 0);
    const bool taken = std::ranges::find(taking, true) != taking.end();
    if (!taken && writes_in(inner)) {
      block_ = outer;
      return refuse(node,
                    "a branch that hangs on values, writes, and was not taken in a trial run");
    }
    active_ = taken ? taking : active;
    block_ = &graph.add_block(made);
    const ir::KnownSizes::Remembered remembered = sizes_.remembered();
    ++depth_;
    Status done = block(inner);
    --depth_;
    sizes_.restore(remembered);
    active_ = active;
    if (!done.ok() && !taken && stop_ == CaptureStop::lane_failed) {
      stop_ = CaptureStop::none;
      block_ = outer;
      return refuse(node,
                    "a branch that hangs on values, was not taken in a trial run, and fails "
                    "there: " +
                        done.error().message());
    }
    MLC_CHECK(std::move(done));
    for (const torch::jit::Value* output : inner.outputs()) results[which].push_back(get(output));
  }
  block_ = outer;
  return merge(node, made, condition, holds, results);
}

Status Capturer::merge(Node& node, ir::Node* made, const DynamicRef& condition,
                       const std::vector<bool>& holds, const std::vector<Items>& results) {
  Merge merge{node, made, condition, holds, {}, {}};
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    if (node.output(i)->uses().empty()) {
      set(node.output(i), Missing{});
      continue;
    }
    MLC_TRY(Item one, merged(merge, results[0][i], results[1][i]));
    set(node.output(i), std::move(one));
  }
  ir::Graph& graph = out_.program.graph;
  graph.set_results(*made->blocks()[0], numbered(std::move(merge.then_results)));
  graph.set_results(*made->blocks()[1], numbered(std::move(merge.else_results)));
  return {};
}

Result<Item> Capturer::merged(Merge& merge, const Item& a, const Item& b) {
  if (same(a, b)) return a;
  if (a.is_missing() && b.is_missing()) return Item(Missing{});
  const Item& known = a.is_missing() ? b : a;
  if (known.tensor() != nullptr && (a.is_missing() || b.is_missing() || b.tensor() != nullptr)) {
    return merged_tensor(merge, a, b);
  }
  if (is_number(known) && (a.is_missing() || b.is_missing() || is_number(b))) {
    return merged_number(merge, a, b);
  }
  const Items* x = a.items();
  const Items* y = b.items();
  const bool pairs = (x != nullptr || a.is_missing()) && (y != nullptr || b.is_missing()) &&
                     (x == nullptr || y == nullptr || x->size() == y->size());
  if (pairs) {
    Items items;
    const size_t count = (x != nullptr ? x : y)->size();
    for (size_t i = 0; i < count; ++i) {
      MLC_TRY(Item one, merged(merge, x != nullptr ? (*x)[i] : Item(Missing{}),
                               y != nullptr ? (*y)[i] : Item(Missing{})));
      items.push_back(std::move(one));
    }
    if (const auto* tuple = known.as<TupleRef>()) {
      return Item(std::make_shared<TupleItem>(TupleItem{(*tuple)->type, std::move(items)}));
    }
    return Item(std::make_shared<ListItem>(
        ListItem{(*known.as<ListRef>())->type, std::move(items), depth_}));
  }
  MLC_CHECK(refuse(merge.node, "a branch that hangs on values and gives things of two kinds"));
  return Item(Missing{});
}

/// What a branch gives in place of a tensor that it never made, and that nobody reads.
TensorRef Capturer::placeholder(const TensorItem& like, ir::Block& block, const Node& node) {
  std::vector<Expr> sizes = sizes_of(like);
  for (Expr& size : sizes) {
    const auto parts = symbols().symbols_of(size);
    const bool inner =
        std::ranges::any_of(parts, [this](size_t one) { return one >= attempt_.symbols.size(); });
    if (inner) size = symbols().constant(0);
  }
  std::vector<at::Tensor> made;
  for (size_t i = 0; i < lanes(); ++i) {
    std::vector<int64_t> numbers;
    for (const Expr size : sizes) numbers.push_back(sizes_.at(size)[i]);
    made.push_back(at::zeros(numbers, real_lane(like).options()));
  }
  ir::Block* const outer = std::exchange(block_, &block);
  auto out = append_tensor({"aten", "zeros", ""},
                           {{"size", sizes}, {"dtype", *like.value->tensor()->dtype}},
                           std::move(made), sizes, node);
  block_ = outer;
  return out.ok() ? *out : nullptr;
}

Result<Item> Capturer::merged_tensor(Merge& merge, const Item& a, const Item& b) {
  TensorRef x = a.is_missing() ? nullptr : *a.as<TensorRef>();
  TensorRef y = b.is_missing() ? nullptr : *b.as<TensorRef>();
  if (x == nullptr) x = placeholder(*y, *merge.made->blocks()[0], merge.node);
  if (y == nullptr) y = placeholder(*x, *merge.made->blocks()[1], merge.node);
  const ir::TensorType& left = *x->value->tensor();
  const ir::TensorType& right = *y->value->tensor();
  if (left.dtype != right.dtype || !left.sizes || !right.sizes ||
      left.sizes->size() != right.sizes->size()) {
    MLC_CHECK(refuse(merge.node,
                     "a branch that hangs on values and gives tensors of two types, or "
                     "with different numbers of dimensions"));
    return Item(Missing{});
  }
  auto out = std::make_shared<TensorItem>();
  for (size_t i = 0; i < lanes(); ++i) {
    out->lanes.push_back(!active_[i] ? at::Tensor() : merge.holds[i] ? x->lanes[i] : y->lanes[i]);
  }
  std::vector<Expr> sizes = *left.sizes;
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    Expr& size = sizes[dim];
    if (size == (*right.sizes)[dim]) continue;
    if (lanes() == 1) {
      return give_up(CaptureStop::more_lanes, internal_error("a size hangs on values"));
    }
    ir::LaneNumbers observed;
    for (const at::Tensor& one : out->lanes) {
      observed.push_back(one.defined() ? one.size(static_cast<int64_t>(dim)) : ir::kNoNumber);
    }
    size = fresh_size(observed);
  }
  out->value =
      out_.program.graph.add_output(merge.made, ir::TensorType{left.dtype, std::move(sizes)});
  note_definitions(*out);
  merge.then_results.emplace_back(x->value);
  merge.else_results.emplace_back(y->value);
  return Item(std::move(out));
}

Result<Item> Capturer::merged_number(Merge& merge, const Item& a, const Item& b) {
  const auto* x = a.as<bool>();
  const auto* y = b.as<bool>();
  if (x != nullptr && y != nullptr && *x) return Item(merge.condition);
  const auto usual = [&](const Item& other) -> Item {
    switch (kind_of(other)) {
      case ir::ScalarKind::integer:
        return symbols().constant(0);
      case ir::ScalarKind::boolean:
        return false;
      default:
        return 0.0;
    }
  };
  const Item left = a.is_missing() ? usual(b) : a;
  const Item right = b.is_missing() ? usual(a) : b;
  const ir::ScalarKind kind = kind_of(left);
  if (kind != kind_of(right)) {
    MLC_CHECK(refuse(merge.node, "a branch that hangs on values and gives numbers of two kinds"));
    return Item(Missing{});
  }
  std::vector<IValue> values;
  ir::LaneNumbers numbers;
  for (size_t i = 0; i < lanes(); ++i) {
    values.push_back(active_[i] ? lane(merge.holds[i] ? left : right, i) : IValue());
    numbers.push_back(values.back().isInt() ? values.back().toInt() : ir::kNoNumber);
  }
  merge.then_results.push_back(*attribute(left, c10::AnyType::get()));
  merge.else_results.push_back(*attribute(right, c10::AnyType::get()));
  return number_output(merge.made, kind, std::move(values));
}

/// An output of NODE that is a number.
Item Capturer::number_output(ir::Node* node, ir::ScalarKind kind, std::vector<IValue> lanes) {
  ir::Graph& graph = out_.program.graph;
  if (kind == ir::ScalarKind::integer) {
    ir::LaneNumbers numbers;
    for (const IValue& one : lanes) numbers.push_back(one.isInt() ? one.toInt() : ir::kNoNumber);
    const Expr symbol = fresh_number(numbers);
    definers_[symbols().symbols_of(symbol)[0]] =
        graph.add_output(node, ir::ScalarType{kind, symbol});
    return symbol;
  }
  auto out = std::make_shared<DynamicItem>();
  out->value = graph.add_output(node, ir::ScalarType{kind, std::nullopt});
  out->lanes = std::move(lanes);
  return out;
}

// inputs: the most rounds, whether to begin, carried values; the body takes the round and the
// carried values and gives whether to go on and the next ones.
Status Capturer::loop(Node& node) {
  Block* body = node.blocks()[0];
  const Item limit = get(node.input(0));
  const auto* trips = limit.as<Expr>();
  if (trips == nullptr) {
    for (const torch::jit::Value* output : node.outputs()) set(output, Missing{});
    return {};
  }
  const auto most = symbols().constant_value(*trips);
  Item go_on = get(node.input(1));
  Items carried;
  for (size_t i = 2; i < node.inputs().size(); ++i) carried.push_back(get(node.input(i)));
  if (!most) return keep_loop(node, *trips, go_on, carried);
  const size_t before = appended_;
  for (int64_t round = 0; round < *most; ++round) {
    const auto* known = go_on.as<bool>();
    // The rounds so far stand before the loop: their conditions were known.
    if (known == nullptr) {
      return keep_loop(node, symbols().constant(*most - round), go_on, carried);
    }
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
