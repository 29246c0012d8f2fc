// Operators run for what their results look like, on tensors that have no elements.
#pragma once

#include <ATen/core/stack.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// Whether NODE takes long to compute and its results' sizes hang on no element: a convolution, a
/// product of matrices, attention.
bool is_costly(const torch::jit::Node& node);

/// Whether a tensor in STACK, or in a list in it, has no elements: one that run_without_elements()
/// gave.
bool lacks_elements(const torch::jit::Stack& stack);

/// Runs NODE on the arguments in STACK and leaves its results there: tensors of the type, sizes and
/// strides that NODE gives, on the device "meta" where an element of them is not known. A tensor
/// that NODE gives back as it is, or a view of, is that tensor or a view of it.
/// Throws c10::Error where that cannot be told without elements, or where NODE throws.
void run_without_elements(const torch::jit::Node& node, torch::jit::Stack& stack);

}  // namespace mlc::torch_module
