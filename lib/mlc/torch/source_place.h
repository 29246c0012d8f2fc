// Where in the source of a model a node of its program comes from.
#pragma once

#include <string>

#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// The line, with file and number where a file has it: "if n > 2: (net.py:22)".
std::string source_place(const torch::jit::Node& node);

}  // namespace mlc::torch_module
