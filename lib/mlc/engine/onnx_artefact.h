// An .onnx file: a graph with its weights in it, or beside it.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"
#include "mlc/onnx_file/onnx_file.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

class OnnxArtefact {
 public:
  /// Nothing where PATH is no ONNX model. Reads everything but the weights, of which it only
  /// compares sizes. Errors: corrupt, also for weights in other files that are not whole or not
  /// beside the model, not_found for those that are missing; unsupported for operators of a domain
  /// that ONNX Runtime does not have (all at once), and for inputs and outputs that are no tensors.
  static Result<std::optional<OnnxArtefact>> open(const std::string& path);

  const OnnxFile& file() const { return file_; }
  /// Of the model and of the files beside it.
  uint64_t bytes() const { return bytes_; }
  /// Those with a known rank. Sizes that vary have the name in the file, or "x_0" where they have
  /// none there, and the size 1; "a + b" is the sum of both.
  const std::vector<InputSpec>& inputs() const { return inputs_; }
  /// Errors: those of Engine::load; unsupported for a --dtype, which no file allows.
  Result<std::unique_ptr<Model>> load(const std::string& path, Engine& engine,
                                      const LoadOptions& options, Reporter& reporter) const;

 private:
  OnnxFile file_;
  uint64_t bytes_ = 0;
  std::vector<InputSpec> inputs_;
};

/// The inputs of FILE as OnnxArtefact::inputs() gives them. Error: unsupported for what is no
/// tensor, or of a type that mlc does not have.
Result<std::vector<InputSpec>> onnx_inputs(const OnnxFile& file);

}  // namespace mlc
