// An ONNX model that is written and has no name yet, for engines to look at.
#pragma once

#include "mlc/base/linked_folder.h"
#include "mlc/base/output_file.h"
#include "mlc/onnx_write/model_output.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace mlc::cli {

class OnnxDraft {
 public:
  /// Writes FILE for PATH, with a file of weights beside it where it needs one; FILE was planned
  /// with onnx::sidecar_name(PATH). Errors: those of onnx::ModelOutput.
  static Result<OnnxDraft> write(onnx::ModelFile file, const std::string& path,
                                 const OutputOptions& options);

  /// Where it can be read as long as this lives.
  const std::string& path() const { return path_; }
  /// Gives it its names. Errors: those of onnx::ModelOutput::publish().
  Status publish(std::span<const std::shared_ptr<const InputFile>> sources);

 private:
  explicit OnnxDraft(onnx::ModelOutput out) : out_(std::move(out)) {}

  onnx::ModelOutput out_;
  std::optional<LinkedFolder> folder_;
  std::string path_;
};

}  // namespace mlc::cli
