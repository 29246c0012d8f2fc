// From a module in memory to the bytes of a TorchScript file.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <string>
#include <vector>

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// Devices that the program of MODULE names and that are not WANTED, with how often. Where REWRITE,
/// they become WANTED. Requires: no method of MODULE has run yet.
std::vector<NamedDevice> named_devices(const torch::jit::Module& module, c10::Device wanted,
                                       bool rewrite);

/// Parameters and attributes become constants of the code; OPTIMIZE also folds batch norms into
/// convolutions and takes out dropout. Error: unsupported where the module changes itself.
Result<torch::jit::Module> freeze_for_file(const torch::jit::Module& module, bool optimize);

/// Gives SINK the whole archive, in order. The same module and extra files give the same bytes.
Status write_archive(const torch::jit::Module& module, const ExtraFiles& extra,
                     const ByteSink& sink);

}  // namespace mlc::torch_module
