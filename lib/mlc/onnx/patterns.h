// Shorter ways to say the same, looked for while nodes are made. Each returns null where it knows
// none.
#pragma once

#include "mlc/onnx/builder.h"

#include <string_view>

namespace mlc::onnx {

/// Whether NODE makes VALUE as its first output and is ONNX's OP.
bool is_made_by(const Value* value, std::string_view op);

/// VALUE before it was only made larger, where the result of an operator that broadcasts has the
/// sizes SIZES all the same; OTHERS are its other operands.
Value* unexpanded(Builder& b, Value* value, std::initializer_list<const Value*> others,
                  const Sizes& sizes);

/// x + 0, x * 1, x and true, ...
Value* without_neutral(Builder& b, std::string_view op, Value* x, Value* y);

/// Whether VALUE is 0, 1, 2, ... up to SIZE along one of its dimensions, which is returned; the
/// others are 1.
std::optional<size_t> counted_axis(Builder& b, const Value* value, ir::Expr size);

/// What torch.export makes of attention: products of three dimensions between reshapes of four.
Value* batched_product(Builder& b, Value* product, const Sizes& sizes);

/// What torch.export makes of attention: dimensions that are joined, exchanged with others, and
/// parted again. SIZES part those of TRANSPOSED, which was reshaped before: it can be there
/// already.
Value* parted_before(Builder& b, Value* transposed, const Sizes& sizes);

/// A linear layer between two reshapes that join and part its leading dimensions: one of as many
/// dimensions as SIZES, without the second reshape.
Value* linear_of_reshaped(Builder& b, Value* gemm, const Sizes& sizes);

/// Part INDEX of VIEWED along AXIS, where views that move only dimensions of size 1 lead back to
/// one that parts a last dimension, as the packed projections of attention: a piece of a Split that
/// all parts share.
Value* projected_part(Builder& b, Value* viewed, size_t axis, int64_t index);

/// The product of A and B where a Transpose moves the first axis of one, of float16, behind all
/// others but the last, or behind that too; null elsewhere. ONNX Runtime 1.31 fuses such a
/// Transpose with the product, has no kernel for float16, and dies.
Value* product_of_moved(Builder& builder, Value* a, Value* b);

/// The scales of both factors of a product as one.
Value* scaled_product(Builder& b, Value* x, Value* y);

/// Whether no element of VALUE can be -inf, as far as its making shows. DEPTH bounds the search.
bool never_minus_infinity(const Value* value, int depth = 0);

/// SCORES with what they lose where MASK is false: so much that their softmax is 0 there, except in
/// rows where it is true nowhere. All layers that have a mask share one tensor of it.
Value* masked_scores(Builder& b, Value* scores, Value* mask);

/// 1 for rows in which MASK is true somewhere, 0 for others: [..., 1]. What a softmax of
/// masked_scores() gives, or a product with that, times this is right in every row.
Value* seen_rows(Builder& b, Value* mask, DType dtype);

/// The softmax of SCORES where MASK is true, and 0 elsewhere: also in rows where it is nowhere.
Value* masked_softmax(Builder& b, Value* scores, Value* mask);

/// The guard that torch.export writes around a softmax whose rows may be all -inf, in two nodes.
Value* guarded_softmax(Builder& b, Value* condition, Value* x, Value* y);

}  // namespace mlc::onnx
