// The functions of torch.nn.functional that are no operators, or operators with other arguments:
// F.embedding takes the numbers first, F.relu has `inplace`. They are TorchScript texts; all other
// names of F are the operators of aten.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/compilation_unit.h>

namespace mlc::torch_module {

inline constexpr const char* kFunctionalPrefix = "__torch__.mlc.functional";

const std::vector<std::string>& functional_names();

/// Adds to UNIT the functions that SOURCE, the text of a module, may call and that are not there
/// yet.
void define_functions(torch::jit::CompilationUnit& unit, const std::string& source);

/// What to do instead of calling F.NAME, where an operator of that name means something else or
/// nothing does it; empty for all others.
std::string advice_against(const std::string& name);

}  // namespace mlc::torch_module
