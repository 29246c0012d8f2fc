// What `export-onnx` lowers: a program of any artefact with its weights, its varying sizes under
// names that people gave.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/input_spec.h"
#include "mlc/engine/program_source.h"
#include "mlc/onnx/lower_program.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// The program of SOURCE, which it shares; the weights stay where they lie until the model is
/// written. Outputs that are None are left out. Errors: those of the weights; unsupported, naming
/// all outputs that are texts, dtypes or devices, and where nothing is left.
Result<onnx::Program> onnx_program(const ProgramSource& source);

/// Weights and inputs that the program writes into, as its signature says: ONNX leaves them alone.
std::vector<std::string> written_by(const ExportedProgram& program);

/// Gives the varying sizes of PROGRAM names: those of NAMES (from the program's name), then those
/// that SPECS have at the same place of the same input, then "batch", "seq", "height" and "width"
/// by place, and narrows bounds to those of SPECS. Errors: usage for names that no size has, and
/// where SPECS do not fit: an input that is missing, another rank or dtype, a size that the program
/// fixed, bounds that it does not allow.
Status name_sizes(ExportedProgram& program, const std::map<std::string, std::string>& names,
                  std::span<const InputSpec> specs);

}  // namespace mlc
