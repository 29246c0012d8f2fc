// Complex numbers as pairs of real ones, which lie in a last dimension of 2.
#pragma once

#include "mlc/onnx/op_table.h"

#include <string_view>

namespace mlc::onnx {

/// Real and imaginary parts; a real number has no imaginary ones.
struct Parts {
  Value* re = nullptr;
  Value* im = nullptr;
};

/// The pairs of PARTS, which have both.
Value* paired(Builder& b, const Parts& parts);
Parts parts_of_pairs(Builder& b, Value* pairs);

bool is_complex_argument(const Call& c, std::string_view name);

/// DTYPE: of a number among the operands, which has none of its own.
Parts parts_of(Call& c, std::string_view name, DType dtype);

Value* zeros_like(Builder& b, Value* x);

/// Gives PARTS as the result of C: the sizes of both broadcast, no imaginary ones as zeros.
void give_parts(Call& c, Parts parts);

/// X + Y, or X - Y where NEGATIVE; null stands for zeros. Null if both are.
Value* sum_or(Builder& b, Value* x, Value* y, bool negative);

}  // namespace mlc::onnx
