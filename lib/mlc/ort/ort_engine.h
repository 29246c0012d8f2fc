// ONNX Runtime as mlc::Engine.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>

namespace mlc::ort_module {

/// Errors: unsupported where no ONNX Runtime is found, or only one that is too old.
Result<std::unique_ptr<Engine>> make_ort_engine();

}  // namespace mlc::ort_module
