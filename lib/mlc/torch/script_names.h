// What operators of exported programs are called in TorchScript.
#pragma once

#include "mlc/ir/op_name.h"

namespace mlc::torch_module {

/// The name of an operator on sizes, or of one that has another name there; null for others.
const char* script_name(const ir::OpName& op);

}  // namespace mlc::torch_module
