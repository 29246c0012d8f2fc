// LibTorch as mlc::Engine.
#pragma once

#include "mlc/engine/engine.h"

#include <memory>

namespace mlc::torch_module {

Result<std::unique_ptr<Engine>> make_torch_engine();

}  // namespace mlc::torch_module
