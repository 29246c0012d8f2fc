// A TorchScript module, loaded or built, as mlc::Model. Free of LibTorch's headers.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <string>

namespace mlc::torch_module {

/// DEVICE is one that resolve_device() gave. Errors: as Engine::load.
Result<std::unique_ptr<Model>> load_torchscript(const std::string& path, const std::string& device,
                                                const LoadOptions& options, Reporter& reporter);

/// DEVICE as above. Errors: as Engine::build.
Result<std::unique_ptr<Model>> build_torchscript(const ArchitectureSource& source,
                                                 const std::string& device,
                                                 const LoadOptions& options, Reporter& reporter);

}  // namespace mlc::torch_module
