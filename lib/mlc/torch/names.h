// The names that `forward` texts may use: torch, nn, F, torch.nn.functional, torch.ops, math, and
// those of torch.nn.utils.rnn.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/frontend/resolver.h>

namespace mlc::torch_module {

/// Thrown at a name that is wrong: by the resolver behind one of its own. Not one of
/// LibTorch's exceptions, so that nothing in its compiler takes it for its own.
struct UnknownName : std::exception {
  size_t line = 0;  // in the text that is compiled, from 1
  size_t column = 0;
  std::string message;
  std::string hint;
  const char* what() const noexcept override { return message.c_str(); }
};

/// FUNCTIONS holds those of functional.h.
std::shared_ptr<torch::jit::Resolver> make_resolver(
    std::shared_ptr<torch::jit::CompilationUnit> functions);

/// What may stand behind a tensor and a dot, for suggestions.
std::vector<std::string> tensor_members();

}  // namespace mlc::torch_module
