// What python_calls.h names, as LibTorch's compiler takes it.
#pragma once

#include <memory>
#include <string>

#include <torch/csrc/jit/frontend/sugared_value.h>

namespace mlc::torch_module {

/// The value of NAME in a text; null pointer where it is none of python_calls.h.
std::shared_ptr<torch::jit::SugaredValue> python_operator(const std::string& name);

}  // namespace mlc::torch_module
