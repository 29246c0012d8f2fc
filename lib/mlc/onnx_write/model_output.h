// A model on its way to its name, with the file beside it in which its weights may lie.
//
// A model and its sidecar have two names, and no call moves both. So that a process that dies at
// any instant leaves a pair that loads, the old one or the new one, a pair is replaced in steps:
// the new weights appear under a name that nobody has, then a new model that names them, then the
// weights also under their own name, then the model that names that; what is left over goes.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/output_file.h"
#include "mlc/base/result.h"
#include "mlc/onnx_write/write.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace mlc::onnx {

class ModelOutput {
 public:
  /// Writes FILE, of whose sidecar the name must be sidecar_name(PATH); neither of both has a name
  /// until publish(). Errors: those of OutputFile::create() and ModelFile::write().
  static Result<ModelOutput> create(ModelFile file, const std::string& path,
                                    const OutputOptions& options);

  OutputFile& model() { return model_; }
  const OutputFile& model() const { return model_; }
  /// Null where there is none.
  const OutputFile* sidecar() const { return sidecar_ ? &*sidecar_ : nullptr; }

  /// Gives both their names, where they were made of SOURCES. Errors: as OutputFile::publish();
  /// whichever step it was, a pair that loads has the name of the model.
  Status publish(std::span<const std::shared_ptr<const InputFile>> sources);

 private:
  ModelOutput(ModelFile file, std::string path, OutputOptions options, OutputFile model)
      : file_(std::move(file)),
        path_(std::move(path)),
        options_(options),
        model_(std::move(model)) {}
  Status publish_passing(std::span<const std::shared_ptr<const InputFile>> sources);
  Status publish_pair(std::span<const std::shared_ptr<const InputFile>> sources);

  ModelFile file_;
  std::string path_;
  OutputOptions options_;
  OutputFile model_;
  std::optional<OutputFile> sidecar_;
  std::string passing_;  // the name of the sidecar on its way; empty where it needs none
};

/// "model.onnx.data" for a PATH of any/folder/model.onnx.
std::string sidecar_name(const std::string& path);

}  // namespace mlc::onnx
