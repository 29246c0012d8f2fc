// An exported program as a TorchScript module.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/exported_program.h"

#include <functional>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// Parameters and buffers lie where their names say ("layers.0.weight"); sizes that may vary are
/// read from the inputs. What the program only checks is left out. A result of several values is a
/// tuple of them, or a dictionary where all have keys. WEIGHT gives the content of parameters,
/// buffers and constants. Error: unsupported, naming all operators that TorchScript lacks, or what
/// else it cannot hold.
Result<torch::jit::Module> program_to_script(
    const ExportedProgram& program, c10::Device device,
    const std::function<at::Tensor(const ir::Value*)>& weight);

}  // namespace mlc::torch_module
