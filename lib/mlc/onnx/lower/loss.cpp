// Losses: each element by itself, then a sum or a mean.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <numbers>

namespace mlc::onnx {
namespace {

constexpr int64_t kNone = 0;
constexpr int64_t kMean = 1;

/// The loss of each element as its reduction wants it.
void give_reduced(Call& c, Value* loss) {
  const int64_t reduction = c.fixed("reduction", kMean);
  if (reduction == kNone || loss->type.sizes.empty()) return c.give(loss);
  c.give(c.b.reduce(reduction == kMean ? "ReduceMean" : "ReduceSum", loss, {}, false));
}

Value* positive_part(Builder& b, Value* x) {
  return b.unary("Relu", x);
}

void lower_mse(Call& c) {
  const auto v = c.promoted({"self", "target"});
  Value* difference = c.b.sub(v[0], v[1]);
  give_reduced(c, c.b.mul(difference, difference));
}
void lower_l1(Call& c) {
  const auto v = c.promoted({"self", "target"});
  give_reduced(c, c.b.unary("Abs", c.b.sub(v[0], v[1])));
}

/// smooth_l1_loss and huber_loss: squares up to a width, then lines.
template <bool kHuber>
void lower_huber(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  const double width = kHuber ? c.number("delta", 1) : c.number("beta", 1);
  Value* size = b.unary("Abs", b.sub(v[0], v[1]));
  if (width == 0) return give_reduced(c, size);
  Value* half_square = b.mul(b.mul(size, size), 0.5);
  Value* square = kHuber ? half_square : b.div(half_square, width);
  Value* line = b.sub(size, 0.5 * width);
  if (kHuber) line = b.mul(line, width);
  Value* limit = b.number(width, size->type.dtype);
  give_reduced(c, b.where(b.compare("Less", size, limit), square, line));
}

void lower_bce(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  const DType dtype = v[0]->type.dtype;
  // PyTorch lets no logarithm fall below -100.
  Value* least = b.number(-100.0, dtype);
  Value* one = b.number(1.0, dtype);
  Value* yes = b.binary("Max", b.unary("Log", v[0]), least);
  Value* no = b.binary("Max", b.unary("Log", b.sub(one, v[0])), least);
  Value* loss = b.sub(b.mul(b.sub(v[1], 1.0), no), b.mul(v[1], yes));
  if (c.has("weight")) loss = b.mul(loss, b.cast(c.tensor("weight"), dtype));
  give_reduced(c, loss);
}

/// log(1 + exp(-|x|)).
Value* log_sum(Builder& b, Value* x) {
  return b.unary("Log", b.add(b.unary("Exp", b.unary("Neg", b.unary("Abs", x))), 1.0));
}

void lower_bce_with_logits(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  Value* x = v[0];
  const DType dtype = x->type.dtype;
  Value* one = b.number(1.0, dtype);
  Value* tail = b.add(log_sum(b, x), positive_part(b, b.unary("Neg", x)));
  if (c.has("pos_weight")) {
    Value* weight = b.cast(c.tensor("pos_weight"), dtype);
    tail = b.mul(tail, b.add(b.mul(b.sub(weight, 1.0), v[1]), 1.0));
  }
  Value* loss = b.add(b.mul(b.sub(one, v[1]), x), tail);
  if (c.has("weight")) loss = b.mul(loss, b.cast(c.tensor("weight"), dtype));
  give_reduced(c, loss);
}

void lower_kl_div(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  Value* target = v[1];
  if (c.boolean("log_target", false)) {
    return give_reduced(c, b.mul(b.unary("Exp", target), b.sub(target, v[0])));
  }
  // 0 * log(0) is 0.
  Value* zero = b.number(0.0, target->type.dtype);
  Value* entropy = b.mul(target, b.unary("Log", target));
  entropy = b.where(b.compare("Equal", target, zero), zero, entropy);
  give_reduced(c, b.sub(entropy, b.mul(target, v[0])));
}

void lower_soft_margin(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  Value* x = b.unary("Neg", b.mul(v[0], v[1]));
  give_reduced(c, b.add(log_sum(b, x), positive_part(b, x)));
}

void lower_margin_ranking(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"input1", "input2", "target"});
  Value* x = b.mul(b.unary("Neg", v[2]), b.sub(v[0], v[1]));
  give_reduced(c, positive_part(b, b.add(x, c.number("margin", 0))));
}

void lower_hinge_embedding(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "target"});
  const DType dtype = v[0]->type.dtype;
  Value* margin = b.number(c.number("margin", 1), dtype);
  Value* zero = b.number(0.0, dtype);
  Value* apart = positive_part(b, b.sub(margin, v[0]));
  Value* near = b.where(b.compare("Equal", v[1], b.number(-1.0, dtype)), zero, v[0]);
  Value* far = b.where(b.compare("Equal", v[1], b.number(1.0, dtype)), zero, apart);
  give_reduced(c, b.add(near, far));
}

void lower_cosine_embedding(Call& c) {
  Builder& b = c.b;
  const auto v = c.floating({"input1", "input2"});
  const DType dtype = v[0]->type.dtype;
  const auto sum = [&](Value* x) { return b.reduce("ReduceSum", x, {-1}, false); };
  Value* squares =
      b.mul(b.add(sum(b.mul(v[0], v[0])), 1e-12), b.add(sum(b.mul(v[1], v[1])), 1e-12));
  Value* cosine = b.div(sum(b.mul(v[0], v[1])), b.unary("Sqrt", squares));
  Value* zero = b.number(0.0, dtype);
  Value* target = b.cast(c.tensor("target"), dtype);
  Value* equal = b.sub(b.number(1.0, dtype), cosine);
  Value* other = positive_part(b, b.sub(cosine, c.number("margin", 0)));
  Value* loss = b.add(b.where(b.compare("Equal", target, b.number(1.0, dtype)), equal, zero),
                      b.where(b.compare("Equal", target, b.number(-1.0, dtype)), other, zero));
  give_reduced(c, loss);
}

void lower_triplet_margin(Call& c) {
  Builder& b = c.b;
  const auto v = c.floating({"anchor", "positive", "negative"});
  const double p = c.number("p", 2);
  const double eps = c.number("eps", 1e-6);
  const auto distance = [&](Value* x, Value* y) {
    return vector_norm(b, b.add(c.floating(b.sub(x, y)), eps), p, {-1}, false);
  };
  Value* far = distance(v[0], v[2]);
  if (c.boolean("swap", false)) far = b.binary("Min", far, distance(v[1], v[2]));
  Value* x = b.sub(b.add(distance(v[0], v[1]), c.number("margin", 1)), far);
  give_reduced(c, positive_part(b, x));
}

void lower_poisson(Call& c) {
  Builder& b = c.b;
  const auto v = c.floating({"input", "target"});
  Value* target = v[1];
  const bool is_log = c.boolean("log_input", true);
  Value* loss =
      is_log ? b.sub(b.unary("Exp", v[0]), b.mul(target, v[0]))
             : b.sub(v[0], b.mul(target, b.unary("Log", b.add(v[0], c.number("eps", 1e-8)))));
  if (c.boolean("full", false)) {
    Value* stirling = b.sub(b.mul(target, b.unary("Log", target)), target);
    stirling = b.add(stirling, b.mul(b.unary("Log", b.mul(target, 2 * std::numbers::pi)), 0.5));
    Value* zero = b.number(0.0, target->type.dtype);
    Value* one = b.number(1.0, target->type.dtype);
    loss = b.add(loss, b.where(b.compare("LessOrEqual", target, one), zero, stirling));
  }
  give_reduced(c, loss);
}

// Classes by their numbers.

/// The classes of the targets with all that weighs them; classes are dimension AXIS of scores.
struct Targets {
  int64_t axis = 0;
  Value* classes = nullptr;  // with a dimension of size 1 at the axis; 0 where ignored
  Value* ignored = nullptr;  // the same shape
  Value* weight = nullptr;   // of the class of each target; null: all weigh 1
};

Targets targets_of(Call& c, const Value* scores) {
  Builder& b = c.b;
  Targets out;
  out.axis = scores->type.sizes.size() <= 1 ? 0 : 1;
  Value* target = b.cast(c.tensor("target"), DType::i64);
  if (target->type.sizes.size() + 1 != scores->type.sizes.size()) {
    Call::refuse("its target has another number of dimensions");
  }
  target = b.unsqueeze(target, {out.axis});
  Value* ignore = b.number(c.fixed("ignore_index", -100), DType::i64);
  out.ignored = b.compare("Equal", target, ignore);
  out.classes = b.where(out.ignored, b.number(int64_t{0}, DType::i64), target);
  if (c.has("weight")) {
    Value* weight = b.cast(c.tensor("weight"), scores->type.dtype);
    out.weight = b.gather(weight, out.classes, 0);
  }
  return out;
}

/// X, 0 where the target is ignored.
Value* counted(Builder& b, const Targets& t, Value* x) {
  return b.where(t.ignored, b.number(0.0, x->type.dtype), x);
}

Value* sum_of(Builder& b, Value* x) {
  return b.reduce("ReduceSum", x, {}, false);
}

/// What the losses of all targets are divided by for their mean.
Value* total_weight(Builder& b, const Targets& t, DType dtype) {
  Value* one = t.weight != nullptr ? t.weight : b.number(1.0, dtype);
  return sum_of(b, counted(b, t, one));
}

/// The negative scores of the targets' classes, weighed.
Value* picked(Builder& b, const Targets& t, Value* scores) {
  Value* own = b.node("GatherElements", {scores, t.classes}, {{"axis", t.axis}},
                      {scores->type.dtype, t.classes->type.sizes});
  Value* loss = b.unary("Neg", own);
  if (t.weight != nullptr) loss = b.mul(loss, t.weight);
  return counted(b, t, loss);
}

/// LOSS reduced; its mean is over the WEIGHT of the targets.
Value* over_targets(Call& c, const Targets& t, Value* loss) {
  const int64_t reduction = c.fixed("reduction", kMean);
  if (reduction == kNone) return c.b.squeeze(loss, {t.axis});
  Value* sum = sum_of(c.b, loss);
  return reduction == kMean ? c.b.div(sum, total_weight(c.b, t, loss->type.dtype)) : sum;
}

void lower_nll(Call& c) {
  Value* scores = c.tensor("self");
  const Targets t = targets_of(c, scores);
  c.give(over_targets(c, t, picked(c.b, t, scores)), 0);
  if (c.output_count() < 2 || !c.is_used(1)) return;
  if (c.fixed("reduction", kMean) == kNone) {
    return c.give(c.b.number(0.0, scores->type.dtype), 1);
  }
  c.give(total_weight(c.b, t, scores->type.dtype), 1);
}

/// WEIGHT of classes so that it broadcasts to the scores.
Value* class_weight(Call& c, const Value* scores, int64_t axis) {
  Builder& b = c.b;
  Sizes sizes(scores->type.sizes.size(), b.expr(1));
  sizes[static_cast<size_t>(axis)] = b.size_of(scores, axis);
  return b.reshape(b.cast(c.tensor("weight"), scores->type.dtype), sizes);
}

/// Targets that are probabilities of all classes.
Value* soft_cross_entropy(Call& c, Value* scores, int64_t axis, double smoothing) {
  Builder& b = c.b;
  Value* target = b.cast(c.tensor("target"), scores->type.dtype);
  if (smoothing != 0) {
    Value* classes = b.cast(b.integer(b.size_of(scores, axis)), scores->type.dtype);
    Value* part = b.div(b.number(smoothing, scores->type.dtype), classes);
    target = b.add(b.mul(target, 1 - smoothing), part);
  }
  Value* products = b.mul(scores, target);
  if (c.has("weight")) products = b.mul(products, class_weight(c, scores, axis));
  Value* loss = b.unary("Neg", b.reduce("ReduceSum", products, {axis}, false));
  const int64_t reduction = c.fixed("reduction", kMean);
  if (reduction == kNone || loss->type.sizes.empty()) return loss;
  return b.reduce(reduction == kMean ? "ReduceMean" : "ReduceSum", loss, {}, false);
}

void lower_cross_entropy(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const int64_t axis = x->type.sizes.size() <= 1 ? 0 : 1;
  Value* scores = b.softmax(x, axis, "LogSoftmax");
  const double smoothing = c.number("label_smoothing", 0);
  if (info(c.tensor("target")->type.dtype).kind == DTypeClass::floating) {
    return c.give(soft_cross_entropy(c, scores, axis, smoothing));
  }
  const Targets t = targets_of(c, scores);
  Value* loss = over_targets(c, t, picked(b, t, scores));
  if (smoothing == 0) return c.give(loss);
  Value* weighed = c.has("weight") ? b.mul(scores, class_weight(c, scores, axis)) : scores;
  Value* all = b.unary("Neg", b.reduce("ReduceSum", weighed, {axis}, true));
  Value* smooth = over_targets(c, t, counted(b, t, all));
  Value* classes = b.cast(b.integer(b.size_of(x, axis)), x->type.dtype);
  Value* part = b.div(b.number(smoothing, x->type.dtype), classes);
  c.give(b.add(b.mul(loss, 1 - smoothing), b.mul(smooth, part)));
}

constexpr Row kRows[] = {
    {"aten::binary_cross_entropy", lower_bce},
    {"aten::binary_cross_entropy_with_logits", lower_bce_with_logits},
    {"aten::cosine_embedding_loss", lower_cosine_embedding},
    {"aten::cross_entropy_loss", lower_cross_entropy},
    {"aten::hinge_embedding_loss", lower_hinge_embedding},
    {"aten::huber_loss", lower_huber<true>},
    {"aten::kl_div", lower_kl_div},
    {"aten::l1_loss", lower_l1},
    {"aten::margin_ranking_loss", lower_margin_ranking},
    {"aten::mse_loss", lower_mse},
    {"aten::nll_loss", lower_nll},
    {"aten::nll_loss2d", lower_nll},
    {"aten::nll_loss2d_forward", lower_nll},
    {"aten::nll_loss_forward", lower_nll},
    {"aten::nll_loss_nd", lower_nll},
    {"aten::poisson_nll_loss", lower_poisson},
    {"aten::smooth_l1_loss", lower_huber<false>},
    {"aten::soft_margin_loss", lower_soft_margin},
    {"aten::triplet_margin_loss", lower_triplet_margin},
};

}  // namespace

std::span<const Row> loss_rows() {
  return kRows;
}

}  // namespace mlc::onnx
