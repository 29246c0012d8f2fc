// Looking at values of a graph while it runs.
#pragma once

#include "mlc/base/result.h"

#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/stack.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// As long as it lives, running GRAPH gives VALUES to a function. Values may lie within branches
/// and loops. Only one of them lives at a time.
class ValueWatch {
 public:
  using Function = std::function<Status(size_t, const at::Tensor&)>;

  /// FUNCTION gets the position of a value in VALUES, and what it is.
  ValueWatch(std::shared_ptr<torch::jit::Graph> graph,
             const std::vector<torch::jit::Value*>& values, Function function);
  ~ValueWatch();
  ValueWatch(const ValueWatch&) = delete;
  ValueWatch& operator=(const ValueWatch&) = delete;

  /// Runs the graph on STACK: the module, then the arguments. Errors: those of the function. Throws
  /// what the graph throws.
  Status run(torch::jit::Stack stack);

 private:
  std::shared_ptr<torch::jit::Graph> graph_;
  std::vector<torch::jit::Node*> nodes_;
  Function function_;
};

}  // namespace mlc::torch_module
