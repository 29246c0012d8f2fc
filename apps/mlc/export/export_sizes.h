// The sizes of an exported model that vary: their names, their bounds, and what to say of them.
#pragma once

#include "export/export_view.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/input_spec.h"
#include "mlc/engine/verify.h"
#include "mlc/frontend/exported_program.h"
#include "mlc/onnx/model.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// Of --dim OLD=NEW, by OLD. Errors: usage.
Result<std::map<std::string, std::string>> dim_names(std::span<const std::string> options);

/// Adds to NAMES the sizes of PROGRAM that are called by default as others are to be: both become
/// one. What to warn of, once it is known that all of these sizes are there: sizes that become one.
std::vector<std::string> join_usual_names(const ExportedProgram& program,
                                          std::map<std::string, std::string>& names);

/// Below which sizes MODEL does not hold, by their texts: what the program says itself, and what
/// operators need that would give other ranks.
std::map<std::string, int64_t> least_sizes(const onnx::Model& model);
/// Of those that only operators need.
void warn_of_least_sizes(const onnx::Model& model, Reporter& reporter);

/// Where RESULT is of a size below the example in SPECS, because the model takes no larger one.
void warn_of_largest_size(const CaseResult& result, std::span<const InputSpec> specs,
                          Reporter& reporter);

/// The sizes of inputs that vary, with their bounds; LEAST is least_sizes().
std::vector<ExportedSize> varying_sizes(const onnx::Model& model,
                                        const std::map<std::string, int64_t>& least);

/// Inputs that were given as plain numbers or files fix all sizes, which few people mean: says so;
/// empty where a size has a name.
std::string fixed_sizes_note(std::span<const InputSpec> specs);

}  // namespace mlc::cli
