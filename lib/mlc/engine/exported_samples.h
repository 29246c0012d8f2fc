// The values that a .pt2 keeps of the inputs it was exported with.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/engine/input_spec.h"
#include "mlc/frontend/exported_program.h"

#include <vector>

namespace mlc {

/// Gives SPECS, the inputs of PROGRAM, the values that the archive CHECKPOINT has for them (hold()
/// in held_inputs.h). All or none: where the archive holds none, or some that do not fit the
/// program, which REPORTER is warned of, SPECS stay as they are.
void hold_samples(const Checkpoint& checkpoint, const ExportedProgram& program,
                  std::vector<InputSpec>& specs, Reporter& reporter);

}  // namespace mlc
