// An architecture as a torch::jit::Module: one class for each module of the tree, bottom up.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"

#include <optional>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// In evaluation mode, with `forward`, on DEVICE, floating tensors cast to FLOATING where it is
/// given. Where a text does not compile, all that was built goes with the error: a class that a
/// failed definition left behind is of no use.
Result<torch::jit::Module> build_module(const ArchitectureSource& source, c10::Device device,
                                        std::optional<c10::ScalarType> floating);

}  // namespace mlc::torch_module
