// The arithmetic on sizes that exported programs do in Python: _operator.mul, math.ceil,
// torch.sym_max.
#pragma once

#include "mlc/ir/op_name.h"

#include <optional>
#include <span>

#include <ATen/core/ivalue.h>

namespace mlc::torch_module {

/// Takes integers, numbers and booleans, in the order of the call. Throws c10::Error for a division
/// by zero and for integers beyond 64 bits.
using SymbolicOperator = c10::IValue (*)(std::span<const c10::IValue>);

/// Nothing for another operator. The domain is "_operator", "math" or "torch".
std::optional<SymbolicOperator> symbolic_operator(const ir::OpName& op);

}  // namespace mlc::torch_module
