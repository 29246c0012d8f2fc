// Loops that stay loops, because their rounds hang on sizes or on values.
//
// The lanes go through all of their rounds. The first round whose results have the types that the
// next one is given stands in the graph as the body; rounds before it found out which sizes change
// from round to round, rounds after it are for the lanes alone.
#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/source_place.h"

#include <algorithm>
#include <utility>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using ir::Expr;
using torch::jit::Block;
using torch::jit::Node;

constexpr int64_t kMostRounds = 10'000;

/// The tensors and numbers in ITEM, in order; all else has to stay what it is.
void collect(const Item& item, Items& leaves) {
  if (const auto* tuple = item.as<TupleRef>()) {
    for (const Item& one : (*tuple)->items) collect(one, leaves);
    return;
  }
  leaves.push_back(item);
}

/// ITEM with the next of LEAVES in the places of its own.
Item rebuilt(const Item& item, const Items& leaves, size_t& next) {
  if (const auto* tuple = item.as<TupleRef>()) {
    Items items;
    for (const Item& one : (*tuple)->items) items.push_back(rebuilt(one, leaves, next));
    return std::make_shared<TupleItem>(TupleItem{(*tuple)->type, std::move(items)});
  }
  return leaves[next++];
}

Items leaves_of(const Items& items) {
  Items out;
  for (const Item& one : items) collect(one, out);
  return out;
}

void erase_nodes(ir::Graph& graph, ir::Block& block) {
  while (!block.nodes().empty()) graph.erase(block.nodes().back());
}

std::optional<ir::ScalarKind> number_kind(const Item& item) {
  if (item.as<Expr>() != nullptr) return ir::ScalarKind::integer;
  if (item.as<bool>() != nullptr) return ir::ScalarKind::boolean;
  if (item.as<double>() != nullptr) return ir::ScalarKind::number;
  if (const auto* dynamic = item.as<DynamicRef>()) {
    return std::get<ir::ScalarType>((*dynamic)->value->type()).kind;
  }
  return std::nullopt;
}

}  // namespace

class Capturer::KeptLoop {
 public:
  KeptLoop(Capturer& capturer, Node& node, Expr trips, Items carried)
      : capturer_(capturer),
        node_(node),
        trips_(trips),
        carried_(std::move(carried)),
        start_(leaves_of(carried_)),
        outer_(capturer.block_),
        active_(capturer.active_) {}

  Status run(const Item& go_on);
  /// Takes what CALL appends to LIST in this round. False: it stands elsewhere than in the body.
  Result<bool> take(const Call& call, const ListItem& list);

 private:
  /// A list from outside to which each round appends one tensor.
  struct Grown {
    ListRef list;
    TensorRef item;                              // of this round; null: none yet
    std::vector<std::vector<at::Tensor>> lanes;  // what the rounds appended, lane by lane
    std::optional<ir::TensorType> type;          // of each, as the body has it
  };
  /// What a round is given: a value of the body, and what it is in the lanes.
  struct Carried {
    ir::Value* value = nullptr;  // null: it is the same in all rounds
    std::vector<IValue> lanes;
    std::vector<std::optional<Expr>> symbols;  // of sizes that change, by dimension
  };

  ir::Graph& graph() { return capturer_.out_.program.graph; }
  size_t lanes() const { return capturer_.lanes(); }
  Status begin(const Item& go_on);
  Carried carry(const Item& leaf);
  Item given(const Carried& one, const Item& start);
  Status round(int64_t number);
  Status settle(const Items& results, const Item& go_on, bool& settled);
  Result<bool> fits(Carried& one, const Item& start, const Item& result);
  void find_grown();
  Status keep_appended(bool for_lanes);
  void settle_appended(std::vector<ir::Argument>& results);
  std::optional<Expr> row_size(const Grown& one, size_t dim);
  Status give_rows(const Grown& one);
  Status finish();
  Item final_tensor(const Carried& one, const Item& start);
  bool any_looping() const { return std::ranges::find(looping_, true) != looping_.end(); }

  Capturer& capturer_;
  Node& node_;
  Expr trips_;
  Items carried_;
  Items start_;
  ir::Block* outer_;
  std::vector<bool> active_;
  ir::Node* made_ = nullptr;
  ir::Block* body_ = nullptr;
  ir::Node* trial_ = nullptr;  // whose block takes what rounds for the lanes make
  Expr round_;
  std::vector<Carried> all_;
  std::vector<Grown> grown_;
  std::map<size_t, const ir::Value*> outer_symbols_;
  bool has_condition_ = false;  // that may end it before all rounds
  std::vector<bool> looping_;   // lane by lane
  bool settled_ = false;
};

Capturer::KeptLoop::Carried Capturer::KeptLoop::carry(const Item& leaf) {
  Carried out;
  for (size_t i = 0; i < lanes(); ++i) {
    out.lanes.push_back(active_[i] && !leaf.is_missing() ? capturer_.lane(leaf, i) : IValue());
  }
  if (const TensorItem* tensor = leaf.tensor()) {
    out.value = graph().add_block_input(*body_, "", *tensor->value->tensor());
    out.symbols.resize(capturer_.sizes_of(*tensor).size());
  } else if (const auto kind = number_kind(leaf)) {
    ir::ScalarType type{*kind, std::nullopt};
    if (*kind == ir::ScalarKind::integer) {
      type.value = capturer_.fresh_number(ir::LaneNumbers(lanes(), ir::kNoNumber));
    }
    out.value = graph().add_block_input(*body_, "", type);
    if (type.value) capturer_.definers_[capturer_.symbols().symbols_of(*type.value)[0]] = out.value;
  }
  return out;
}

/// Lists that the body, not what is nested in it, appends to.
void Capturer::KeptLoop::find_grown() {
  Block& body = *node_.blocks()[0];
  for (const Node* one : body.nodes()) {
    if (std::string_view(one->kind().toQualString()) != "aten::append") continue;
    const auto known = capturer_.items_.find(one->input(0));
    const bool outside = one->input(0)->node()->owningBlock() != &body;
    if (!outside || known == capturer_.items_.end()) continue;
    const auto* list = known->second.as<ListRef>();
    const bool fits = list != nullptr && (*list)->depth == capturer_.depth_ &&
                      (*list)->rows == nullptr && !(*list)->grows &&
                      (*list)->type->isSubtypeOf(*c10::ListType::ofTensors());
    if (!fits) continue;
    (*list)->grows = true;
    grown_.push_back({*list, nullptr, std::vector<std::vector<at::Tensor>>(lanes()), {}});
  }
}

Result<bool> Capturer::KeptLoop::take(const Call& call, const ListItem& list) {
  const auto found =
      std::ranges::find_if(grown_, [&](const Grown& one) { return one.list.get() == &list; });
  const auto* tensor = call.inputs.size() < 2 ? nullptr : call.inputs[1].as<TensorRef>();
  const bool here = call.node.owningBlock() == node_.blocks()[0];
  if (found == grown_.end() || tensor == nullptr || !here || found->item != nullptr) return false;
  found->item = *tensor;
  capturer_.set(call.node.output(), call.inputs[0]);
  return true;
}

/// Whether all elements of a list look alike is for the lanes to say.
Status Capturer::KeptLoop::keep_appended(bool for_lanes) {
  for (Grown& one : grown_) {
    if (one.item == nullptr) {
      return capturer_.refuse(node_, "a loop that does not append to a list in each round");
    }
    for (size_t i = 0; i < lanes() && for_lanes; ++i) {
      if (!looping_[i]) continue;
      const at::Tensor& tensor = one.item->lanes[i];
      std::vector<at::Tensor>& all = one.lanes[i];
      const bool alike =
          !tensor.is_quantized() && (all.empty() || (all[0].sizes() == tensor.sizes() &&
                                                     all[0].scalar_type() == tensor.scalar_type()));
      if (!alike) {
        return capturer_.refuse(node_, "a loop that appends tensors of several sizes to a list");
      }
      all.push_back(tensor);
      capturer_.kept_.push_back(tensor);
    }
  }
  return {};
}

/// What the body gives besides what it carries.
void Capturer::KeptLoop::settle_appended(std::vector<ir::Argument>& results) {
  for (Grown& one : grown_) {
    one.type = *one.item->value->tensor();
    results.push_back({std::to_string(results.size() - 1), one.item->value});
  }
}

/// The size DIM of what the loop appends to ONE. What the body computes it from, as the end of
/// x[t:t + 1], is not known outside; numbers that are the same in all rounds of all lanes are.
std::optional<Expr> Capturer::KeptLoop::row_size(const Grown& one, size_t dim) {
  const Expr size = (*one.type->sizes)[dim];
  const auto parts = capturer_.symbols().symbols_of(size);
  const bool outside = std::ranges::all_of(parts, [&](size_t symbol) {
    return symbol < capturer_.attempt_.symbols.size() || outer_symbols_.contains(symbol);
  });
  if (outside) return size;
  std::optional<int64_t> found;
  for (const std::vector<at::Tensor>& lane : one.lanes) {
    if (lane.empty()) continue;
    const int64_t number = lane.front().size(static_cast<int64_t>(dim));
    if (found && *found != number) return std::nullopt;
    found = number;
  }
  return found ? std::optional(capturer_.symbols().constant(*found)) : std::nullopt;
}

/// The elements that the loop has appended, as one output of it.
Status Capturer::KeptLoop::give_rows(const Grown& one) {
  auto item = std::make_shared<TensorItem>();
  std::vector<Expr> row;
  for (size_t dim = 0; dim < one.type->sizes->size(); ++dim) {
    const auto size = row_size(one, dim);
    if (!size) {
      return capturer_.refuse(node_, "a loop that appends tensors of several sizes to a list");
    }
    row.push_back(*size);
  }
  ir::LaneNumbers counts;
  for (size_t i = 0; i < lanes(); ++i) {
    counts.push_back(active_[i] ? std::ssize(one.lanes[i]) : ir::kNoNumber);
    if (!active_[i]) {
      item->lanes.emplace_back();
    } else if (!one.lanes[i].empty()) {
      item->lanes.push_back(at::stack(one.lanes[i]));
    } else {
      std::vector<int64_t> sizes = {0};
      for (const Expr size : row) sizes.push_back(capturer_.sizes_.at(size)[i]);
      item->lanes.push_back(at::empty(sizes, real_lane(*one.item).options()));
    }
  }
  const bool all_rounds = !has_condition_ && capturer_.symbols().bounds(trips_).low >= 0;
  row.insert(row.begin(), all_rounds ? trips_ : capturer_.fresh_size(counts));
  item->value = graph().add_output(made_, ir::TensorType{one.type->dtype, std::move(row)});
  capturer_.note_definitions(*item);
  one.list->rows = std::move(item);
  return {};
}

Status Capturer::KeptLoop::begin(const Item& go_on) {
  outer_symbols_ = capturer_.definers_;
  find_grown();
  std::vector<ir::Argument> arguments = {
      {"trips", trips_}, {"condition", *capturer_.attribute(go_on, c10::AnyType::get())}};
  made_ = graph().append(*outer_, {"prim", "Loop", ""}, {}, {}, capturer_.origin(node_));
  body_ = &graph().add_block(made_);
  round_ = capturer_.fresh_number(ir::LaneNumbers(lanes(), 0));
  ir::Value* number =
      graph().add_block_input(*body_, "", ir::ScalarType{ir::ScalarKind::integer, round_});
  capturer_.definers_[capturer_.symbols().symbols_of(round_)[0]] = number;
  size_t count = 0;
  for (const Item& leaf : start_) {
    all_.push_back(carry(leaf));
    if (all_.back().value == nullptr) continue;
    arguments.push_back({std::to_string(count++), *capturer_.attribute(leaf, c10::AnyType::get())});
  }
  graph().set_arguments(made_, std::move(arguments));
  trial_ = graph().append(*outer_, {"prim", "Trial", ""}, {}, {}, {});
  graph().add_block(trial_);
  looping_.assign(lanes(), false);
  for (size_t i = 0; i < lanes(); ++i) {
    looping_[i] =
        active_[i] && capturer_.sizes_.at(trips_)[i] > 0 && capturer_.lane(go_on, i).toBool();
  }
  return {};
}

Item Capturer::KeptLoop::given(const Carried& one, const Item& start) {
  if (one.value == nullptr) return start;
  if (start.tensor() != nullptr) {
    auto item = std::make_shared<TensorItem>();
    item->value = one.value;
    for (size_t i = 0; i < lanes(); ++i) {
      item->lanes.push_back(capturer_.active_[i] ? one.lanes[i].toTensor() : at::Tensor());
    }
    for (size_t dim = 0; dim < one.symbols.size(); ++dim) {
      if (!one.symbols[dim]) continue;
      ir::LaneNumbers numbers;
      for (const at::Tensor& lane : item->lanes) {
        numbers.push_back(lane.defined() ? lane.size(static_cast<int64_t>(dim)) : ir::kNoNumber);
      }
      capturer_.sizes_.define(*one.symbols[dim], numbers);
    }
    return item;
  }
  const auto& type = std::get<ir::ScalarType>(one.value->type());
  if (type.value) {
    ir::LaneNumbers numbers;
    for (size_t i = 0; i < lanes(); ++i) {
      numbers.push_back(capturer_.active_[i] ? one.lanes[i].toInt() : ir::kNoNumber);
    }
    capturer_.sizes_.define(*type.value, numbers);
    return *type.value;
  }
  auto item = std::make_shared<DynamicItem>();
  item->value = one.value;
  for (size_t i = 0; i < lanes(); ++i) {
    item->lanes.push_back(capturer_.active_[i] ? one.lanes[i] : IValue());
  }
  return item;
}

/// Whether the next round, which is given RESULT, is given what this one was. If not, the type of
/// the body's input gets wider.
Result<bool> Capturer::KeptLoop::fits(Carried& one, const Item& start, const Item& result) {
  if (one.value == nullptr) {
    if (!same(start, result)) {
      MLC_CHECK(capturer_.refuse(
          node_,
          "a loop that carries something else than tensors and numbers from round to round"));
    }
    return true;
  }
  const auto* type = one.value->tensor();
  if (type == nullptr) {
    const auto kind = number_kind(result);
    if (kind != number_kind(start)) {
      MLC_CHECK(capturer_.refuse(node_, "a loop that carries numbers of two kinds"));
    }
    return true;
  }
  const auto* next = result.tensor() == nullptr ? nullptr : result.tensor()->value->tensor();
  if (next == nullptr || next->dtype != type->dtype || !next->sizes || !type->sizes ||
      next->sizes->size() != type->sizes->size()) {
    MLC_CHECK(capturer_.refuse(node_,
                               "a loop that carries a tensor of another type, or with other "
                               "dimensions, into its next round"));
    return true;
  }
  if (!have_one_scale(*start.tensor(), *result.tensor())) {
    MLC_CHECK(capturer_.refuse(node_, "a loop that carries quantised tensors of two scales"));
    return true;
  }
  bool fit = true;
  std::vector<Expr> sizes = *type->sizes;
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    if (one.symbols[dim] || sizes[dim] == (*next->sizes)[dim]) continue;
    sizes[dim] = capturer_.fresh_size(ir::LaneNumbers(lanes(), ir::kNoNumber));
    one.symbols[dim] = sizes[dim];
    capturer_.definers_[capturer_.symbols().symbols_of(sizes[dim])[0]] = one.value;
    fit = false;
  }
  const ir::TensorType wider{type->dtype, std::move(sizes)};
  if (!fit) graph().set_type(one.value, wider);
  return fit;
}

Status Capturer::KeptLoop::settle(const Items& results, const Item& go_on, bool& settled) {
  settled = true;
  for (size_t i = 0; i < all_.size(); ++i) {
    MLC_TRY(const bool fit, fits(all_[i], start_[i], results[i]));
    settled = settled && fit;
  }
  if (!settled) return {};
  std::vector<ir::Argument> out = {{"condition", *capturer_.attribute(go_on, c10::AnyType::get())}};
  for (size_t i = 0; i < all_.size(); ++i) {
    if (all_[i].value == nullptr) continue;
    const auto value = capturer_.attribute(results[i], c10::AnyType::get());
    out.push_back({std::to_string(out.size() - 1), value.value_or(ir::None{})});
  }
  settle_appended(out);
  const auto* always = go_on.as<bool>();
  has_condition_ = has_condition_ || always == nullptr || !*always;
  graph().set_results(*body_, std::move(out));
  return {};
}

Status Capturer::KeptLoop::round(int64_t number) {
  Block& block = *node_.blocks()[0];
  // A body that no round has fitted yet runs once more for its own sake.
  const bool for_lanes = any_looping();
  if (for_lanes) capturer_.active_ = looping_;
  const auto definers = capturer_.definers_;
  const ir::KnownSizes::Remembered remembered = capturer_.sizes_.remembered();
  capturer_.trial_ = capturer_.trial_ || settled_;
  capturer_.spare_used_.clear();
  capturer_.sizes_.define(round_, ir::LaneNumbers(lanes(), number));
  Items leaves;
  for (size_t i = 0; i < all_.size(); ++i) leaves.push_back(given(all_[i], start_[i]));
  capturer_.set(block.inputs()[0], round_);
  size_t next = 0;
  for (size_t i = 0; i < carried_.size(); ++i) {
    capturer_.set(block.inputs()[i + 1], rebuilt(carried_[i], leaves, next));
  }
  ir::Block* const here = settled_ ? trial_->blocks()[0].get() : body_;
  capturer_.block_ = here;
  ++capturer_.depth_;
  capturer_.logs_.push_back(nullptr);
  for (Grown& one : grown_) one.item = nullptr;
  KeptLoop* const outer = std::exchange(capturer_.loop_, this);
  MLC_CHECK(capturer_.block(block));
  capturer_.loop_ = outer;
  capturer_.logs_.pop_back();
  --capturer_.depth_;
  Items results;
  for (size_t i = 0; i < carried_.size(); ++i) {
    collect(capturer_.get(block.outputs()[i + 1]), results);
  }
  const Item go_on = capturer_.get(block.outputs()[0]);
  const bool lost = go_on.is_missing() || results.size() != all_.size() ||
                    std::ranges::any_of(results, has_missing);
  if (lost) return capturer_.refuse(node_, "a loop that carries what cannot be carried");
  MLC_CHECK(keep_appended(for_lanes));
  if (!capturer_.problems_.empty()) return {};
  bool settled = settled_;
  if (!settled_) MLC_CHECK(settle(results, go_on, settled));
  for (size_t i = 0; i < lanes() && for_lanes; ++i) {
    if (!looping_[i]) continue;
    for (size_t leaf = 0; leaf < all_.size(); ++leaf) {
      all_[leaf].lanes[i] = capturer_.lane(results[leaf], i);
    }
    looping_[i] = capturer_.lane(go_on, i).toBool() && number + 1 < capturer_.sizes_.at(trips_)[i];
  }
  if (settled_ || !settled) {
    erase_nodes(graph(), *here);
    if (settled_) capturer_.definers_ = definers;
    std::erase_if(capturer_.definers_, [&](const auto& one) {
      return !definers.contains(one.first) && one.second->kind() != ir::ValueKind::block;
    });
  }
  settled_ = settled;
  capturer_.sizes_.restore(remembered);
  return {};
}

Item Capturer::KeptLoop::final_tensor(const Carried& one, const Item& start) {
  auto item = std::make_shared<TensorItem>();
  for (size_t i = 0; i < lanes(); ++i) {
    item->lanes.push_back(active_[i] ? one.lanes[i].toTensor() : at::Tensor());
  }
  std::vector<Expr> candidates = {trips_};
  const std::vector<Expr>& begun = capturer_.sizes_of(*start.tensor());
  candidates.insert(candidates.end(), begun.begin(), begun.end());
  std::vector<Expr> sizes = *one.value->tensor()->sizes;
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    if (!one.symbols[dim]) continue;
    ir::LaneNumbers observed;
    for (const at::Tensor& lane : item->lanes) {
      observed.push_back(lane.defined() ? lane.size(static_cast<int64_t>(dim)) : ir::kNoNumber);
    }
    // Rounds that hang on values give sizes that do.
    const bool counted = !capturer_.symbols().constant_value(trips_);
    const auto known =
        counted ? capturer_.sizes_.find(observed, candidates) : std::optional<Expr>();
    sizes[dim] = known ? *known : capturer_.fresh_size(observed);
  }
  item->value =
      graph().add_output(made_, ir::TensorType{one.value->tensor()->dtype, std::move(sizes)});
  capturer_.note_definitions(*item);
  return item;
}

Status Capturer::KeptLoop::finish() {
  Items leaves;
  for (size_t i = 0; i < all_.size(); ++i) {
    const Carried& one = all_[i];
    if (one.value == nullptr) {
      leaves.push_back(start_[i]);
    } else if (one.value->tensor() != nullptr) {
      leaves.push_back(final_tensor(one, start_[i]));
    } else {
      leaves.push_back(capturer_.number_output(
          made_, std::get<ir::ScalarType>(one.value->type()).kind, one.lanes));
    }
  }
  size_t next = 0;
  for (size_t i = 0; i < carried_.size(); ++i) {
    capturer_.set(node_.output(i), rebuilt(carried_[i], leaves, next));
  }
  for (const Grown& one : grown_) MLC_CHECK(give_rows(one));
  return {};
}

Status Capturer::KeptLoop::run(const Item& go_on) {
  MLC_CHECK(begin(go_on));
  const bool was_trial = capturer_.trial_;
  const bool enters = any_looping();
  const auto* starts = go_on.as<bool>();
  has_condition_ = starts == nullptr || !*starts;
  if (enters) {
    for (int64_t number = 0; any_looping() || !settled_; ++number) {
      if (number > kMostRounds) {
        return unsupported("a loop does not end after " + format_count(kMostRounds) +
                           " rounds: " + source_place(node_));
      }
      MLC_CHECK(round(number));
      if (!capturer_.problems_.empty()) break;
    }
  }
  for (const Grown& one : grown_) one.list->grows = false;
  capturer_.trial_ = was_trial;
  capturer_.active_ = active_;
  capturer_.block_ = outer_;
  graph().erase(trial_);
  if (!enters) return capturer_.refuse(node_, "a loop that no trial run enters");
  if (capturer_.problems_.empty()) {
    MLC_CHECK(finish());
  } else {
    for (const torch::jit::Value* output : node_.outputs()) capturer_.set(output, Missing{});
  }
  return {};
}

Result<bool> Capturer::take_appended(const Call& call, const ListItem& list) {
  const bool appends = std::string_view(call.node.kind().toQualString()) == "aten::append";
  if (!appends || loop_ == nullptr) return false;
  return loop_->take(call, list);
}

Status Capturer::keep_loop(Node& node, Expr trips, const Item& go_on, const Items& carried) {
  if (const auto* known = go_on.as<bool>(); known != nullptr && !*known) {
    for (size_t i = 0; i < carried.size(); ++i) set(node.output(i), carried[i]);
    return {};
  }
  if (go_on.is_missing() || std::ranges::any_of(carried, has_missing)) {
    for (const torch::jit::Value* output : node.outputs()) set(output, Missing{});
    return {};
  }
  keeps_loops_ = true;
  return KeptLoop(*this, node, trips, carried).run(go_on);
}

}  // namespace mlc::torch_module
