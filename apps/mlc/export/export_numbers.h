// Arguments of a model that are numbers: which of them the ONNX model takes, and which are part of
// it.
#pragma once

#include "export/export_view.h"
#include "mlc/engine/input_spec.h"
#include "mlc/engine/verify.h"
#include "mlc/frontend/exported_program.h"

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// Inputs of PROGRAM that are numbers.
std::vector<std::string> kept_numbers(const ExportedProgram& program);
/// What PROGRAM has in place of arguments that are numbers.
std::vector<FrozenNumber> frozen_numbers(const ExportedProgram& program);

/// SPECS, where FROZEN have the one value that they have in the model.
void fix_values(std::span<InputSpec> specs, std::span<const FrozenNumber> frozen);

/// A case with another value for each input of NUMBERS that SPECS give one value, from SEED.
std::vector<VerifyCase> number_cases(std::span<const InputSpec> specs,
                                     std::span<const std::string> numbers, uint64_t seed);

}  // namespace mlc::cli
