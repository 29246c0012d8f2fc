// An ONNX model that is written and has no name yet, for engines to look at.
#pragma once

#include "mlc/base/linked_folder.h"
#include "mlc/base/output_file.h"
#include "mlc/onnx_write/write.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace mlc::cli {

class OnnxDraft {
 public:
  /// Writes FILE for PATH, with a file of weights beside it where it needs one; FILE was planned
  /// with sidecar_name(PATH). Errors: those of OutputFile and of the weights.
  static Result<OnnxDraft> write(const onnx::ModelFile& file, const std::string& path,
                                 const OutputOptions& options);
  static std::string sidecar_name(const std::string& path);

  /// Where it can be read as long as this lives.
  const std::string& path() const { return path_; }
  /// Gives it its names. Errors: those of OutputFile::publish().
  Status publish(std::span<const std::shared_ptr<const InputFile>> sources);

 private:
  explicit OnnxDraft(OutputFile out) : out_(std::move(out)) {}

  OutputFile out_;
  std::optional<OutputFile> sidecar_;
  std::optional<LinkedFolder> folder_;
  std::string path_;
};

}  // namespace mlc::cli
