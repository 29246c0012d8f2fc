// What a TorchScript archive tells before it is loaded. Free of LibTorch's headers.
#pragma once

#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::torch_module {

struct TracedInput {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
};

/// The arguments with which torch.jit.trace recorded `forward`; empty for scripted files, and where
/// one of them is no tensor.
Result<std::vector<TracedInput>> traced_inputs(const std::string& path);

/// Error: unsupported, naming all operators and classes that the code uses and this LibTorch lacks.
Status check_operators(const std::string& path);

}  // namespace mlc::torch_module
