// A .pt2 file: a program that torch.export wrote, and its weights.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"
#include "mlc/frontend/exported_program.h"

#include <memory>
#include <string>
#include <vector>

namespace mlc {

class ExportedArtefact {
 public:
  /// Reads the program of CHECKPOINT, which is of the format pt2 and must outlive this. Errors:
  /// those of read_exported_program(); unsupported for archives without a program, or with several.
  static Result<ExportedArtefact> open(Checkpoint& checkpoint, Reporter& reporter);

  /// What the program takes: sizes that may vary have the names of usual_size_names() and the sizes
  /// that it was exported with, and the values are those of the export where the archive has them.
  /// Arguments that the export fixed are none.
  const std::vector<InputSpec>& inputs() const { return inputs_; }
  const ExportedProgram& program() const { return *program_; }
  /// The program and the weights that CHECKPOINT, which must outlive it, has for it.
  ProgramSource source(const Checkpoint& checkpoint) const;
  /// The same with the program cast to DTYPE (passes::cast_floats). Errors: those of reading it.
  Result<ProgramSource> source_in(const Checkpoint& checkpoint, DType dtype) const;
  Result<std::unique_ptr<Model>> load(const Checkpoint& checkpoint, Engine& engine,
                                      const LoadOptions& options, Reporter& reporter) const;

 private:
  ProgramSource source(const Checkpoint& checkpoint,
                       const std::shared_ptr<ExportedProgram>& program) const;

  std::shared_ptr<ExportedProgram> program_;
  std::vector<InputSpec> inputs_;
  std::vector<StateDict> state_dicts_;  // its weights and, beside them, its constants
};

}  // namespace mlc
