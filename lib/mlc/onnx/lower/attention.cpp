// Attention, and the fused layers that traces of PyTorch's fast path hold.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlc::onnx {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// Keys of grouped queries, each repeated for the queries that share it.
Value* repeated_heads(Call& c, Value* x, ir::Expr heads) {
  Builder& b = c.b;
  const ir::Expr own = b.size_of(x, -3);
  if (own == heads) return x;
  const int64_t axis = static_cast<int64_t>(x->type.sizes.size()) - 2;
  Sizes wide = x->type.sizes;
  wide.insert(wide.begin() + axis, c.symbols().floor_divide(heads, own));
  Sizes sizes = x->type.sizes;
  sizes[static_cast<size_t>(axis - 1)] = heads;
  return b.reshape(b.expand(b.unsqueeze(x, {axis}), wide), sizes);
}

/// What is added to scores: 0 where MASK is true, -inf where it is not.
Value* additive(Builder& b, Value* mask, DType dtype) {
  return b.where(mask, b.number(0.0, dtype), b.number(kMinusInfinity, dtype));
}

/// Rows whose every score is -inf give zeros in PyTorch.
Value* safe_softmax(Builder& b, Value* scores) {
  Value* p = b.softmax(scores, -1);
  return b.where(is_nan(b, p), b.number(0.0, p->type.dtype), p);
}

/// softmax(q * k^T * scale + mask) * v; MASK is boolean, additive or null.
struct Attention {
  Value* query = nullptr;
  Value* key = nullptr;
  Value* value = nullptr;
  Value* mask = nullptr;
  bool causal = false;
  double scale = 0;      // with which scores are multiplied
  bool is_root = false;  // it is 1/sqrt of the size of a head
};

/// The weights, of [..., queries, keys], and what has to be multiplied with them or with their
/// product where rows may have no key at all; null where not.
struct Weights {
  Value* value = nullptr;
  Value* seen = nullptr;
};

Weights attention_weights(Builder& b, const Attention& a) {
  const DType dtype = a.query->type.dtype;
  Value* scores = b.matmul(a.query, b.swap_axes(a.key, -1, -2));
  if (a.is_root) {
    scores = b.div(scores, std::sqrt(1 / (a.scale * a.scale)));
  } else if (a.scale != 1) {
    scores = b.mul(scores, a.scale);
  }
  if (a.causal) {
    Value* mask = lower_triangle(b, b.size_of(a.query, -2), b.size_of(a.key, -2));
    return {b.softmax(b.add(scores, additive(b, mask, dtype)), -1)};
  }
  if (a.mask == nullptr) return {b.softmax(scores, -1)};
  if (a.mask->type.dtype == DType::boolean) {
    return {b.softmax(masked_scores(b, scores, a.mask), -1), seen_rows(b, a.mask, dtype)};
  }
  scores = b.add(scores, b.cast(a.mask, dtype));
  return {never_minus_infinity(a.mask) ? b.softmax(scores, -1) : safe_softmax(b, scores)};
}

/// X, the weights or their product with the values, with zeros for rows without keys.
Value* without_unseen(Builder& b, const Weights& weights, Value* x) {
  return weights.seen == nullptr ? x : b.mul(x, weights.seen);
}

void refuse_dropout(Call& c) {
  if (c.has("dropout_p") && c.number("dropout_p") != 0) {
    Call::refuse("it drops values at random, because the model is in training mode: call eval()");
  }
}

double scale_of(Call& c, const Value* query, bool& is_root) {
  is_root = !c.has("scale");
  if (!is_root) return c.number("scale");
  const auto size = c.symbols().constant_value(c.b.size_of(query, -1));
  if (!size || *size == 0) Call::refuse("the size of a head is not known");
  return 1 / std::sqrt(static_cast<double>(*size));
}

Attention read_attention(Call& c) {
  refuse_dropout(c);
  Attention a;
  a.query = c.tensor("query");
  a.key = c.tensor("key");
  a.value = c.tensor("value");
  const std::string_view mask = c.has("attn_bias") ? "attn_bias" : "attn_mask";
  a.mask = c.optional(mask);
  a.causal = c.boolean("is_causal", false);
  a.scale = scale_of(c, a.query, a.is_root);
  if (c.boolean("enable_gqa", false)) {
    a.key = repeated_heads(c, a.key, c.b.size_of(a.query, -3));
    a.value = repeated_heads(c, a.value, c.b.size_of(a.query, -3));
  }
  return a;
}

void lower_attention(Call& c) {
  const Attention a = read_attention(c);
  const Weights weights = attention_weights(c.b, a);
  // The product has fewer elements than the weights as soon as there are more keys than a head has.
  c.give(without_unseen(c.b, weights, c.b.matmul(weights.value, a.value)));
  if (c.op() == "aten::_scaled_dot_product_attention_math") {
    if (c.output_count() > 1) c.give(without_unseen(c.b, weights, weights.value), 1);
    return;
  }
  for (size_t i = 1; i < c.output_count(); ++i) {
    if (c.is_used(i)) Call::refuse("a result other than the attention itself is used");
  }
}

void lower_safe_softmax(Call& c) {
  Value* x = c.tensor("self");
  if (const auto dtype = c.dtype("dtype")) x = c.b.cast(x, *dtype);
  const int64_t axis = c.axis("dim", x->type.sizes.size());
  Value* p = c.b.softmax(x, axis);
  if (never_minus_infinity(x)) return c.give(p);
  c.give(c.b.where(is_nan(c.b, p), c.b.number(0.0, p->type.dtype), p));
}

/// [batch, length, 3 * width] or parts of it to [batch, heads, length, size of a head].
Value* heads_of(Builder& b, Value* x, ir::Expr heads, ir::Expr size) {
  const Sizes sizes = {b.size_of(x, 0), b.size_of(x, 1), heads, size};
  return b.transpose(b.reshape(x, sizes), {0, 2, 1, 3});
}

/// The mask of the fast path, true where a key is hidden, as one that is true where it is seen and
/// broadcasts to [batch, heads, length, length].
Value* seen_of(Call& c, Value* mask, int64_t type) {
  Builder& b = c.b;
  // Of numbers, as 0 and -inf, all but 0 hide.
  Value* seen = b.logical_not(b.cast(mask, DType::boolean));
  if (type == 1) return b.unsqueeze(seen, {1, 2});  // [batch, keys]
  const size_t rank = seen->type.sizes.size();
  if (rank == 3) return b.unsqueeze(seen, {1});
  return seen;  // [queries, keys], or all four
}

struct SelfAttention {
  Value* output = nullptr;
  Value* weights = nullptr;
};

SelfAttention self_attention(Call& c, Value* x, std::string_view heads_name) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  const ir::Expr width = b.expr(c.fixed("embed_dim"));
  const ir::Expr heads = b.expr(c.fixed(heads_name));
  const ir::Expr size = s.floor_divide(width, heads);
  Value* packed = b.matmul(x, b.swap_axes(c.tensor("qkv_weight"), 0, 1));
  packed = b.add(packed, c.tensor("qkv_bias"));
  const auto parts = b.split(packed, 2, {width, width, width});
  Attention a;
  a.query = heads_of(b, parts[0], heads, size);
  a.key = heads_of(b, parts[1], heads, size);
  a.value = heads_of(b, parts[2], heads, size);
  a.scale = 1 / std::sqrt(static_cast<double>(*s.constant_value(size)));
  a.is_root = true;
  if (c.has("mask")) a.mask = seen_of(c, c.tensor("mask"), c.fixed("mask_type", 2));
  SelfAttention out;
  const Weights weights = attention_weights(b, a);
  out.weights = weights.value;
  // NaN for rows without keys, as the fast path gives.
  if (weights.seen != nullptr) out.weights = b.mul(out.weights, b.div(weights.seen, weights.seen));
  Value* mixed = b.transpose(b.matmul(out.weights, a.value), {0, 2, 1, 3});
  mixed = b.reshape(mixed, x->type.sizes);
  mixed = b.matmul(mixed, b.swap_axes(c.tensor("proj_weight"), 0, 1));
  out.output = b.add(mixed, c.tensor("proj_bias"));
  return out;
}

void lower_native_attention(Call& c) {
  Value* query = c.tensor("query");
  if (c.tensor("key") != query || c.tensor("value") != query) {
    Call::refuse("its query, key and value differ");
  }
  const SelfAttention a = self_attention(c, query, "num_head");
  c.give(a.output, 0);
  if (!c.boolean("need_weights", true) || !c.is_used(1)) return;
  const bool average = c.boolean("average_attn_weights", true);
  c.give(average ? c.b.reduce("ReduceMean", a.weights, {1}, false) : a.weights, 1);
}

void lower_encoder_layer(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("src");
  const double eps = c.number("eps");
  const auto norm = [&](Value* y, std::string_view weight, std::string_view bias) {
    return layer_norm(b, y, 1, c.tensor(weight), c.tensor(bias), eps);
  };
  const auto feed = [&](Value* y) {
    y = b.add(b.matmul(y, b.swap_axes(c.tensor("ffn_weight_1"), 0, 1)), c.tensor("ffn_bias_1"));
    y = c.boolean("use_gelu", false) ? gelu(b, y) : b.unary("Relu", y);
    return b.add(b.matmul(y, b.swap_axes(c.tensor("ffn_weight_2"), 0, 1)), c.tensor("ffn_bias_2"));
  };
  if (c.boolean("norm_first", false)) {
    Value* in = norm(x, "norm_weight_1", "norm_bias_1");
    x = b.add(x, self_attention(c, in, "num_heads").output);
    return c.give(b.add(x, feed(norm(x, "norm_weight_2", "norm_bias_2"))));
  }
  x = norm(b.add(x, self_attention(c, x, "num_heads").output), "norm_weight_1", "norm_bias_1");
  c.give(norm(b.add(x, feed(x)), "norm_weight_2", "norm_bias_2"));
}

constexpr Row kRows[] = {
    {"aten::_native_multi_head_attention", lower_native_attention},
    {"aten::_safe_softmax", lower_safe_softmax},
    {"aten::_scaled_dot_product_attention_math", lower_attention},
    {"aten::_scaled_dot_product_efficient_attention", lower_attention},
    {"aten::_scaled_dot_product_flash_attention", lower_attention},
    {"aten::_scaled_dot_product_flash_attention_for_cpu", lower_attention},
    {"aten::_transformer_encoder_layer_fwd", lower_encoder_layer},
    {"aten::scaled_dot_product_attention", lower_attention},
};

}  // namespace

std::span<const Row> attention_rows() {
  return kRows;
}

}  // namespace mlc::onnx
