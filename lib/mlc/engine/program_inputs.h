// What an exported program takes, in the grammar of inputs.
#pragma once

#include "mlc/engine/input_spec.h"
#include "mlc/frontend/exported_program.h"

#include <vector>

namespace mlc {

/// One for each input of PROGRAM that the export did not fix, at the sizes that it was exported
/// with, without values. Sizes that may vary have the names of usual_size_names(); those that are
/// computed from others have none: the grammar knows no expressions.
std::vector<InputSpec> program_inputs(const ExportedProgram& program);

}  // namespace mlc
