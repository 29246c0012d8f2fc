// For which dtypes the CPU of ONNX Runtime has kernels.
#pragma once

#include "mlc/tensor/dtype.h"

#include <string_view>

namespace mlc::onnx {

/// The dtype in which OP has to be computed where its operands are of DTYPE: DTYPE itself where
/// there is a kernel for it or OP is not in the table. Wider integers for narrow ones, int32 for
/// bool (0 and 1), float32 for bfloat16; float32 for float64 where nothing else is left.
///
/// Tried on ONNX Runtime 1.31: a model of one node for each pair.
DType kernel_dtype(std::string_view op, DType dtype);

/// The least opset that has ONNX's OP, with REDUCTION (of ScatterND and ScatterElements; mostly
/// empty); 0 for those that every opset from 13 on has.
/// Source: the operators' changelog of ONNX 1.19.
int least_opset(std::string_view op, std::string_view reduction);
/// The same of values of DTYPE.
int least_opset(DType dtype);

}  // namespace mlc::onnx
