// ONNX models that are written and have no names yet, for engines to look at.
#pragma once

#include "files/provenance_options.h"
#include "mlc/base/linked_folder.h"
#include "mlc/base/output_file.h"
#include "mlc/engine/engine.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_write/model_output.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// The entry of metadata_props that has the YAML.
inline constexpr std::string_view kMetadataKey = "mlc.metadata";

/// Where a model without a name can be read as long as this lives: by its descriptor, or, where its
/// weights lie beside it, in a folder that has both under the names they will get. It has to live
/// until they have their names: Linux gives a file that lost its last name no other one.
class ReadableModel {
 public:
  /// OUT was made for PATH.
  static Result<ReadableModel> of(const onnx::ModelOutput& out, const std::string& path);
  const std::string& path() const { return path_; }

 private:
  std::optional<LinkedFolder> folder_;
  std::string path_;
};

class OnnxDraft {
 public:
  /// Writes FILE for PATH, with a file of weights beside it where it needs one; FILE was planned
  /// with onnx::sidecar_name(PATH). Errors: those of onnx::ModelOutput.
  static Result<OnnxDraft> write(onnx::ModelFile file, const std::string& path,
                                 const OutputOptions& options);
  /// The same of a DOCUMENT that is looked at only.
  static Result<OnnxDraft> write(const onnx::Document& document, const std::string& path);

  const std::string& path() const { return readable_.path(); }
  /// Gives it its names. Errors: those of onnx::ModelOutput::publish().
  Status publish(std::span<const std::shared_ptr<const InputFile>> sources) {
    return out_.publish(sources);
  }

 private:
  OnnxDraft(onnx::ModelOutput out, ReadableModel readable)
      : out_(std::move(out)), readable_(std::move(readable)) {}

  onnx::ModelOutput out_;
  ReadableModel readable_;
};

/// Loads DOCUMENT, of which VALUES become outputs too where they are none, from a file that never
/// has a name; PATH is what it would be beside. ENGINE is opened where it is null.
Result<std::unique_ptr<Model>> load_with_values(onnx::Document document,
                                                const std::vector<std::string>& values,
                                                const std::string& path,
                                                std::unique_ptr<Engine>& engine, unsigned threads);

/// Asks ONNX itself, where this mlc is built with it. What it does not like of the model at SOURCE
/// already is no fault of the new one.
Status check_beside_source(const onnx::Skeleton& skeleton, const std::string& source);

/// Says in DOCUMENT, which was read from SOURCE, what mlc VERB made of it, GIVEN these options;
/// metadata of mlc in it are carried on. Errors: those of Metadata::parse().
Status sign_document(onnx::Document& document, const std::string& source, std::string_view verb,
                     const ProvenanceOptions& given);

}  // namespace mlc::cli
