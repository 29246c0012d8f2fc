// Sums, means and maxima of rows of a table, bag by bag.
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <limits>

namespace mlc::onnx {
namespace {

enum class Mode : uint8_t { sum, mean, max };

struct Bags {
  Mode mode = Mode::sum;
  Value* rows = nullptr;     // [indices, width]
  Value* weights = nullptr;  // [indices, 1]: of samples, 0 for padding; null: all are 1
  Value* counted = nullptr;  // [indices, 1]: 0 for padding; null: all are 1
  Value* offsets = nullptr;  // [bags], or one more: where the last of them ends
  bool has_end = false;
  ir::Expr count;  // of bags
};

/// The rows of every bag, where all bags are known to have as many.
std::optional<ir::Expr> equal_bags(Builder& b, const Bags& bags) {
  const ir::Expr all = b.size_of(bags.rows, 0);
  std::optional<ir::Expr> each;
  if (auto known = b.known_integers(bags.offsets); known && !known->empty()) {
    const auto total = b.symbols().constant_value(all);
    if (bags.has_end && total != known->back()) return std::nullopt;
    if (bags.has_end) known->pop_back();
    const auto count = std::ssize(*known);
    if (!total || count == 0 || *total % count != 0) return std::nullopt;
    for (int64_t i = 0; i < count; ++i) {
      if ((*known)[static_cast<size_t>(i)] != i * (*total / count)) return std::nullopt;
    }
    each = b.expr(*total / count);
  } else if (is_made_by(bags.offsets, "Range")) {
    const Inputs& range = bags.offsets->producer->inputs;
    const auto start = b.known_integers(range[0]);
    const auto step = b.known_integers(range[2]);
    if (!start || start->at(0) != 0) return std::nullopt;
    const ir::Expr share = b.symbols().floor_divide(all, bags.count);
    if (step) {
      each = b.expr(step->at(0));
    } else if (b.integer(share) == range[2]) {
      each = share;
    }
  }
  if (!each || b.symbols().constant_value(*each) == 0) return std::nullopt;
  if (b.symbols().multiply(bags.count, *each) != all) return std::nullopt;
  return each;
}

Value* over_equal_bags(Builder& b, const Bags& bags, ir::Expr each) {
  const auto in_bags = [&](Value* x) { return b.reshape(x, {bags.count, each, b.size_of(x, 1)}); };
  Value* rows = bags.rows;
  if (bags.mode == Mode::max) return b.reduce("ReduceMax", in_bags(rows), {1}, false);
  if (bags.weights != nullptr) rows = b.mul(rows, bags.weights);
  if (bags.mode == Mode::sum) return b.reduce("ReduceSum", in_bags(rows), {1}, false);
  if (bags.counted == nullptr) return b.reduce("ReduceMean", in_bags(rows), {1}, false);
  Value* n = b.reduce("ReduceSum", in_bags(bags.counted), {1}, false);
  return b.div(b.reduce("ReduceSum", in_bags(rows), {1}, false),
               b.binary("Max", n, b.number(1.0, n->type.dtype)));
}

/// UPDATES added to, or the largest with, [bags, width] of START at the bags of the rows.
Value* scattered(Builder& b, const Bags& bags, Value* bag, Value* updates, double start,
                 const std::string& reduction) {
  // Rows behind the end are a bag of their own.
  const ir::Expr count = b.symbols().add(bags.count, b.expr(bags.has_end ? 1 : 0));
  const Sizes sizes = {count, b.size_of(updates, 1)};
  Value* base = b.expand(b.number(start, updates->type.dtype), sizes);
  Builder::Needs needs;
  needs.opset = reduction == "add" ? 16 : 18;
  if (!b.can_use(needs.opset)) {
    throw Unlowerable("it needs opset " + std::to_string(needs.opset));
  }
  Value* all = b.nodes("ScatterND", {base, b.unsqueeze(bag, {1}), updates},
                       {{"reduction", reduction}}, {base->type}, needs)
                   .front();
  return bags.has_end ? b.slice(all, 0, b.expr(0), bags.count) : all;
}

Value* over_any_bags(Builder& b, const Bags& bags) {
  const DType dtype = bags.rows->type.dtype;
  const ir::Expr all = b.size_of(bags.rows, 0);
  // The bag of a row is the last that begins at it or before.
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* one = b.number(int64_t{1}, DType::i64);
  Value* place = b.unsqueeze(b.range(zero, one, all), {1});
  Value* begun = b.compare("LessOrEqual", b.unsqueeze(bags.offsets, {0}), place);
  Value* bag = b.sub(b.reduce("ReduceSum", b.cast(begun, DType::i64), {1}, false), one);
  Value* counted = bags.counted;
  if (counted == nullptr) counted = b.expand(b.number(1.0, dtype), {all, b.expr(1)});
  Value* rows = bags.rows;
  // PyTorch stops adding up at the end; the largest, and the number that a mean divides by, are
  // those of all rows from the last bag on.
  Bags endless = bags;
  endless.has_end = false;
  Value* const last = b.sub(b.integer(bags.count), one);
  Value* const open = bags.has_end ? b.binary("Min", bag, last) : bag;
  if (bags.mode == Mode::max) {
    const double least = -std::numeric_limits<double>::infinity();
    Value* most = scattered(b, endless, open, rows, least, "max");
    Value* n = scattered(b, endless, open, counted, 0, "add");
    return b.where(b.cast(n, DType::boolean), most, b.number(0.0, dtype));
  }
  if (bags.weights != nullptr) rows = b.mul(rows, bags.weights);
  Value* sum = scattered(b, bags, bag, rows, 0, "add");
  if (bags.mode == Mode::sum) return sum;
  Value* n = scattered(b, endless, open, counted, 0, "add");
  return b.div(sum, b.binary("Max", n, b.number(1.0, dtype)));
}

void lower_embedding_bag(Call& c) {
  Builder& b = c.b;
  const int64_t mode = c.fixed("mode", 0);
  if (mode < 0 || mode > 2) Call::refuse("its mode is not known");
  Bags bags;
  bags.mode = static_cast<Mode>(mode);
  Value* table = c.tensor("weight");
  const DType dtype = table->type.dtype;
  // ONNX Runtime has no reductions of float16 while it scatters.
  const DType computed = dtype == DType::f64 ? DType::f64 : DType::f32;
  Value* indices = b.cast(c.tensor("indices"), DType::i64);
  bags.rows = b.cast(b.gather(table, indices, 0), computed);
  bags.offsets = b.cast(c.tensor("offsets"), DType::i64);
  bags.count = c.output_sizes(0).at(0);
  // LibTorch itself crashes without a bag, and nothing can be scattered into none.
  b.need_at_least(bags.count, 1);
  if (c.has("per_sample_weights")) {
    bags.weights = b.unsqueeze(b.cast(c.tensor("per_sample_weights"), computed), {1});
  }
  int64_t padding = c.fixed("padding_idx", -1);
  // Counted from the end, where it is not only left out.
  if (padding < 0 && c.has("padding_idx") && c.op() == "aten::embedding_bag") {
    padding += c.symbols().constant_value(b.size_of(table, 0)).value_or(0);
  }
  // PyTorch stops at the last offset on its fast path alone; else it goes on to the last index.
  const bool has_last = c.boolean("include_last_offset", false);
  bags.has_end = has_last && padding < 0 && dtype != DType::f64;
  if (has_last && !bags.has_end) {
    bags.offsets = b.slice(bags.offsets, 0, b.expr(0), bags.count);
  }
  if (padding >= 0) {
    if (bags.mode == Mode::max) Call::refuse("the largest of bags that hold padding");
    Value* real = b.logical_not(b.compare("Equal", indices, b.number(padding, DType::i64)));
    bags.counted = b.unsqueeze(b.cast(real, computed), {1});
    bags.weights = bags.weights == nullptr ? bags.counted : b.mul(bags.weights, bags.counted);
  }
  const auto each = equal_bags(b, bags);
  Value* y = each ? over_equal_bags(b, bags, *each) : over_any_bags(b, bags);
  c.give(b.cast(y, dtype), 0);
  for (size_t i = 1; i < c.output_count(); ++i) {
    if (c.is_used(i)) Call::refuse("a result other than the bags is used");
  }
}

constexpr Row kRows[] = {
    {"aten::_embedding_bag", lower_embedding_bag},
    {"aten::_embedding_bag_forward_only", lower_embedding_bag},
    {"aten::embedding_bag", lower_embedding_bag},
};

}  // namespace

std::span<const Row> embedding_bag_rows() {
  return kRows;
}

}  // namespace mlc::onnx
