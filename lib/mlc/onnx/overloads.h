// The overloads of operators that lowerings may be asked for.
#pragma once

#include "mlc/ir/op_name.h"

namespace mlc::onnx {

/// Whether OP, of a row of the table of operators, has its overload in PyTorch, as an operator that
/// writes into nothing: "aten::add.Tensor", not "aten::add.out" or "aten::add.nonsense". True for
/// all that is not of the domain aten.
bool is_overload(const ir::OpName& op);

}  // namespace mlc::onnx
