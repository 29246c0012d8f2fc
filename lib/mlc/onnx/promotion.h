// The dtype in which PyTorch computes with operands of several dtypes.
#pragma once

#include "mlc/tensor/dtype.h"

#include <span>

namespace mlc::onnx {

/// Numbers written in Python count least, then tensors without dimensions, then all others.
enum class Rank : uint8_t { scalar, zero_dim, tensor };

struct Operand {
  DType dtype = DType::f32;
  Rank rank = Rank::tensor;
};

/// torch.result_type. A Python float counts as float32 (the default dtype), an int as int64.
/// Source: aten/src/ATen/native/TypeProperties.cpp and c10/core/ScalarType.cpp of PyTorch.
DType promote(std::span<const Operand> operands);
DType promote(DType a, DType b);

}  // namespace mlc::onnx
