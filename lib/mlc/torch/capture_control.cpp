#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/grown_list.h"
#include "mlc/torch/source_place.h"

#include <algorithm>

#include <ATen/Functions.h>
#include <torch/csrc/jit/api/function_impl.h>

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

bool writes_in(const Block& block);

/// The function that NODE calls, or null.
torch::jit::GraphFunction* called(const Node& node) {
  torch::jit::Function* function = nullptr;
  if (node.kind() == c10::prim::CallMethod) {
    const auto type = node.input(0)->type()->cast<c10::ClassType>();
    if (type) function = type->findMethod(node.s(c10::attr::name));
  } else if (node.kind() == c10::prim::CallFunction) {
    function = node.input(0)->type()->expectRef<c10::FunctionType>().function();
  }
  return function == nullptr ? nullptr : torch::jit::tryToGraphFunction(*function);
}

/// Whether an operator writes into a tensor that it is given; lists and attributes can be put back.
bool writes(const Node& node) {
  if (auto* const function = called(node)) return writes_in(*function->graph()->block());
  if (const auto* schema = node.maybeSchema()) {
    for (const c10::Argument& argument : schema->arguments()) {
      const auto* alias = argument.alias_info();
      const bool tensor = argument.type()->isSubtypeOf(*c10::TensorType::get());
      if (tensor && alias != nullptr && alias->isWrite()) return true;
    }
  }
  return std::ranges::any_of(node.blocks(), [](const Block* inner) { return writes_in(*inner); });
}

bool writes_in(const Block& block) {
  return std::ranges::any_of(block.nodes(), [](const Node* node) { return writes(*node); });
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

size_t depth_of(const Item& container) {
  if (const auto* list = container.as<ListRef>()) return (*list)->depth;
  if (const auto* dict = container.as<DictRef>()) return (*dict)->depth;
  return (*container.as<ObjectRef>())->depth;
}

bool is_same_container(const Item& a, const Item& b) {
  const auto* x = a.as<ListRef>();
  const auto* y = b.as<ListRef>();
  if (x != nullptr || y != nullptr) return x != nullptr && y != nullptr && *x == *y;
  return same(a, b);
}

/// Another container with the same elements.
Item copy_of(const Item& container) {
  if (const auto* list = container.as<ListRef>()) return std::make_shared<ListItem>(**list);
  if (const auto* dict = container.as<DictRef>()) return std::make_shared<DictItem>(**dict);
  return std::make_shared<ObjectItem>(**container.as<ObjectRef>());
}

/// Gives CONTAINER the elements of FROM.
void assign(const Item& container, const Item& from) {
  if (const auto* list = container.as<ListRef>()) (*list)->items = (*from.as<ListRef>())->items;
  if (const auto* dict = container.as<DictRef>()) (*dict)->entries = (*from.as<DictRef>())->entries;
  if (const auto* object = container.as<ObjectRef>()) {
    (*object)->attributes = (*from.as<ObjectRef>())->attributes;
  }
}

/// Gives all containers of LOG what they had before, and returns what they had until now.
Items put_back(const std::vector<std::pair<Item, Item>>& log) {
  Items now;
  for (const auto& [container, before] : log) {
    now.push_back(copy_of(container));
    assign(container, before);
  }
  return now;
}

/// The elements of CONTAINER in an order that containers with the same keys share.
Items parts_of(const Item& container) {
  if (const auto* list = container.as<ListRef>()) return (*list)->items;
  Items out;
  if (const auto* dict = container.as<DictRef>()) {
    for (const auto& entry : (*dict)->entries) out.push_back(entry.second);
  }
  if (const auto* object = container.as<ObjectRef>()) {
    for (const auto& entry : (*object)->attributes) out.push_back(entry.second);
  }
  return out;
}

void put_parts(const Item& container, const Items& parts) {
  size_t next = 0;
  if (const auto* list = container.as<ListRef>()) (*list)->items = parts;
  if (const auto* dict = container.as<DictRef>()) {
    for (auto& entry : (*dict)->entries) entry.second = parts[next++];
  }
  if (const auto* object = container.as<ObjectRef>()) {
    for (auto& entry : (*object)->attributes) entry.second = parts[next++];
  }
}

/// Attributes that only one of two states of an object has read are in both.
void share_attributes(const Item& a, const Item& b) {
  const auto* x = a.as<ObjectRef>();
  const auto* y = b.as<ObjectRef>();
  if (x == nullptr || y == nullptr) return;
  (*x)->attributes.insert((*y)->attributes.begin(), (*y)->attributes.end());
  (*y)->attributes.insert((*x)->attributes.begin(), (*x)->attributes.end());
}

bool same_keys(const Item& a, const Item& b) {
  if (const auto* x = a.as<DictRef>()) {
    return std::ranges::equal(
        (*x)->entries, (*b.as<DictRef>())->entries,
        [](const auto& one, const auto& other) { return same(one.first, other.first); });
  }
  return true;
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
  std::vector<ChangeLog> logs(2);
  std::vector<Items> after(2);  // what became of what the logs hold
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
    logs_.push_back(&logs[which]);
    Status done = block(inner);
    logs_.pop_back();
    --depth_;
    after[which] = put_back(logs[which]);
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
  Merge both{node, made, condition, holds, {}, {}};
  MLC_CHECK(merge_changes(both, logs, after));
  return merge(both, results);
}

bool Capturer::may_change(const Item& container, Node& node) {
  const size_t depth = depth_of(container);
  if (depth >= depth_) return true;
  const bool within_loop = std::find(logs_.begin() + static_cast<std::ptrdiff_t>(depth),
                                     logs_.end(), nullptr) != logs_.end();
  if (within_loop) {
    static_cast<void>(refuse(
        node, "a list or an attribute that changes within a loop that hangs on sizes or values"));
    return false;
  }
  ChangeLog& log = *logs_.back();
  const bool noted = std::ranges::any_of(
      log, [&](const auto& one) { return is_same_container(one.first, container); });
  if (!noted) log.emplace_back(container, copy_of(container));
  return true;
}

/// Both branches of what they change together: elements that differ become outputs of the If.
Status Capturer::merge_changes(Merge& merge, std::vector<ChangeLog>& logs,
                               const std::vector<Items>& after) {
  ChangeLog all = logs[0];
  for (const auto& one : logs[1]) {
    const bool noted = std::ranges::any_of(
        all, [&](const auto& known) { return is_same_container(known.first, one.first); });
    if (!noted) all.push_back(one);
  }
  for (const auto& [container, before] : all) {
    const auto state = [&, &wanted = container, &unchanged = before](size_t which) -> Item {
      for (size_t i = 0; i < logs[which].size(); ++i) {
        if (is_same_container(logs[which][i].first, wanted)) return after[which][i];
      }
      return unchanged;
    };
    const Item a = copy_of(state(0));
    const Item b = copy_of(state(1));
    share_attributes(a, b);
    const auto x = parts_of(a);
    const auto y = parts_of(b);
    const bool pairs = x.size() == y.size() && same_keys(a, b);
    if (!pairs) {
      MLC_CHECK(refuse(merge.node,
                       "a branch that hangs on values and changes how many elements a "
                       "list or dictionary has"));
      continue;
    }
    if (!may_change(container, merge.node)) continue;
    Items merged_parts;
    for (size_t i = 0; i < x.size(); ++i) {
      MLC_TRY(Item one, merged(merge, x[i], y[i]));
      merged_parts.push_back(std::move(one));
    }
    put_parts(a, merged_parts);
    assign(container, a);
  }
  return {};
}

Status Capturer::merge(Merge& merge, const std::vector<Items>& results) {
  Node& node = merge.node;
  ir::Node* const made = merge.made;
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
  if (has_rows(a) || has_rows(b)) {
    MLC_CHECK(
        refuse(merge.node, "a branch that hangs on values and gives a list that a loop fills"));
    return Item(Missing{});
  }
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
    const at::Tensor& real = real_lane(like);
    made.push_back(real.is_quantized() ? at::zeros(numbers, at::kFloat)
                                       : at::zeros(numbers, real.options()));
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
  if (!have_one_scale(*x, *y)) {
    MLC_CHECK(refuse(merge.node,
                     "a branch that hangs on values and gives quantised tensors of two scales"));
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
