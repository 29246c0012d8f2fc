// Runs an exported program operator by operator through LibTorch's dispatcher: nothing is compiled,
// so a program runs as soon as its operators are found.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <string>

namespace mlc::torch_module {

/// Errors: as Engine::interpret().
Result<std::unique_ptr<Model>> interpret_program(const ProgramSource& source,
                                                 const std::string& device,
                                                 const LoadOptions& options);

}  // namespace mlc::torch_module
