// How many operations in a row feed nothing but the next one.
#pragma once

#include "mlc/base/result.h"

#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// Takes all functions and methods that GRAPH calls into it.
void inline_all(torch::jit::Graph& graph);

/// LibTorch makes instructions of such a chain by calling itself once for each link (some 400 bytes
/// of stack; 8 MiB were used up by 24,000), after it has inlined what `forward` calls and taken out
/// what is dead. Error: unsupported, with HINT, where `forward` of MODULE has a chain of over
/// 10,000 then. Takes a pass over the graphs as they are, and more only for programs that are very
/// deep.
Status check_chains(const torch::jit::Module& module, const std::string& hint = {});

}  // namespace mlc::torch_module
