// Sizes that are computed in floating point (ir/real_size.h), as TorchScript computes them.
#pragma once

#include "mlc/ir/real_size.h"

#include <vector>

#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// Adds to GRAPH, where it inserts, the integer that STEPS give of integers.
torch::jit::Value* rounded_number(torch::jit::Graph& graph, const ir::RealSteps& steps,
                                  const std::vector<torch::jit::Value*>& operands);

}  // namespace mlc::torch_module
