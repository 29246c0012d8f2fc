// Opening the modules that hold LibTorch and ONNX Runtime, which mlc itself does not link.
//
// A module is looked for in its environment variable, beside the mlc binary and in ../lib. It is
// opened with RTLD_NOW | RTLD_LOCAL and stays open until the process ends, which leaves by _exit:
// LibTorch takes 0.1 s to take itself apart.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <string>
#include <string_view>

namespace mlc {

enum class EngineKind : uint8_t { torch, onnxruntime };

/// "LibTorch", "ONNX Runtime".
std::string_view to_string(EngineKind kind);

/// The path of the module, whether it can be opened or not. Errors: unsupported, saying where it
/// was looked for and how to get it.
Result<std::string> find_module(EngineKind kind);

/// The engine in the module at PATH. Errors: unsupported for what cannot be opened, is no module,
/// or belongs to another build of mlc (both are named).
Result<std::unique_ptr<Engine>> open_module(EngineKind kind, const std::string& path);

/// Both.
Result<std::unique_ptr<Engine>> open_engine(EngineKind kind);

}  // namespace mlc
