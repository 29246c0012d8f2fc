// A model that an engine runs operator by operator: an exported program and the tensors that its
// archive has for it. Plain data, because it crosses into the module.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/frontend/exported_program.h"

#include <functional>
#include <memory>

namespace mlc {

struct ProgramSource {
  std::shared_ptr<ExportedProgram> program;
  /// The value of a parameter, buffer or constant, contiguous, of the type and shape that the
  /// program has.
  std::function<Result<Weight>(const ProgramWeight&)> weight;
};

}  // namespace mlc
