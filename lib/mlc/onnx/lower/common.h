// What several families of operators are made of.
#pragma once

#include "mlc/onnx/builder.h"
#include "mlc/onnx/constants.h"

namespace mlc::onnx {

/// Over the last DIMENSIONS of X; WEIGHT and BIAS may be null. LayerNormalization from opset 17 on,
/// its parts before.
Value* layer_norm(Builder& b, Value* x, size_t dimensions, Value* weight, Value* bias, double eps);

/// x * Phi(x), in the form that ONNX Runtime's optimiser knows.
Value* gelu(Builder& b, Value* x);

Value* is_nan(Builder& b, Value* x);
/// Requires: NEGATIVE or POSITIVE.
Value* is_infinite(Builder& b, Value* x, bool negative = true, bool positive = true);
bool is_floating(const Value* x);
/// bool or integer.
bool is_integral(DType dtype);

/// Rounded down. Requires: both of one integer dtype, Y nowhere -1.
Value* integer_floor_divide(Builder& b, Value* x, Value* y);
/// Where integers are -1, null where that is nowhere or does no harm: the least integer by it has
/// no quotient, and the processor ends ONNX Runtime that divides the two.
Value* where_minus_one(Builder& b, Value* y);

/// The p-norm of a floating X along AXES: any P, also 0 and the infinities.
Value* vector_norm(Builder& b, Value* x, double p, const std::vector<int64_t>& axes, bool keep);

/// 0, 1, ...: COUNT of them, int64.
Value* counting(Builder& b, ir::Expr count);

/// bool of [ROWS, COLUMNS], true where column <= row.
Value* lower_triangle(Builder& b, ir::Expr rows, ir::Expr columns);

}  // namespace mlc::onnx
