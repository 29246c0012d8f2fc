// Operators that have blocks.
#pragma once

#include "mlc/ir/op_name.h"

namespace mlc::ir {

/// Whether the operator does nothing but run its one block, once, on the tensors among its
/// arguments (the last ones, where there are more than the block takes): what only says how the
/// block is to be run, as torch.export writes `with torch.no_grad():`.
bool runs_its_block_once(const OpName& op);

}  // namespace mlc::ir
