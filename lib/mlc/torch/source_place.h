// Where in the source of a model a node of its program comes from.
#pragma once

#include "mlc/engine/compile_problem.h"

#include <string>

#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// The line, with file and number where a file has it: "if n > 2: (net.py:22)", and with the column
/// where the file is an architecture: "if n > 2: (net.yaml:22:5)".
std::string source_place(const torch::jit::Node& node);

/// Whether Python's tracer wrote NODE down, as far as its source tells.
bool is_of_trace(const torch::jit::Node& node);

/// In the text that the code of NODE was made from, of architectures the YAML; line 0 where there
/// is none.
TextPlace original_place(const torch::jit::Node& node);

}  // namespace mlc::torch_module
