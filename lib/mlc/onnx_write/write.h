// Writing ONNX models.
//
//   MLC_TRY(ModelFile file, ModelFile::plan(model, {.sidecar = "net.onnx.data"}));
//   MLC_CHECK(check_skeleton(file.skeleton()));                    // check.h
//   MLC_TRY(OutputFile out, OutputFile::create("net.onnx", {}));   // and one for the sidecar,
//   MLC_TRY(WriteSummary did, file.write(out, nullptr));           // where file.has_sidecar()
//
// Weights never enter protobuf: they are asked for one after the other and go from where they lie
// into the file. The same model gives the same bytes.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/result.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_write/skeleton.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::onnx {

/// Whether weights lie in the model's file or in one beside it.
enum class ExternalData { automatic, always, never };

struct WriteOptions {
  /// automatic: beside it where the file would otherwise have more than 1.8 GB. Protobuf's readers
  /// end at 2 GiB.
  ExternalData external = ExternalData::automatic;
  /// Name of the file beside it, in the folder of the model: "net.onnx.data".
  std::string sidecar;
};

struct WriteSummary {
  uint64_t file_bytes = 0;
  uint64_t sidecar_bytes = 0;  // 0: there is none
  size_t nodes = 0;            // those of inner graphs too
  size_t initializers = 0;
  uint64_t initializer_bytes = 0;  // wherever they lie
};

class ModelFile {
 public:
  /// Converts MODEL and decides where its weights go: those below 1 KiB stay in the file, the
  /// others begin at multiples of 4096 in the sidecar, where there is one. No weight is read.
  /// Errors: those of make_skeleton(), usage for a sidecar that is needed and has no name,
  /// unsupported where the file would exceed what protobuf can read.
  static Result<ModelFile> plan(const Model& model, const WriteOptions& options);
  /// The same of a model that was converted already, or came from a file (onnx_edit).
  static Result<ModelFile> plan(Skeleton skeleton, const WriteOptions& options);

  const Skeleton& skeleton() const { return skeleton_; }
  bool has_sidecar() const { return summary_.sidecar_bytes != 0; }
  /// What write() will have written.
  const WriteSummary& summary() const { return summary_; }

  /// The same model with its weights in a file of another name. Requires: has_sidecar().
  ModelFile beside(const std::string& sidecar) const;

  /// Writes the whole model. SIDECAR must be null or has_sidecar(). Neither is published. Errors:
  /// those of the weights, of writing, internal_error for a weight of another size than it said.
  Status write(OutputFile& out, OutputFile* sidecar) const;
  /// Writes it without what belongs into the sidecar, which another call has written. Errors: as
  /// write().
  Status write_without_sidecar(OutputFile& out) const { return write_parts(out, nullptr); }

 private:
  struct Entry {
    std::string head;         // the fields before the bytes
    uint64_t offset = 0;      // in the sidecar
    bool is_outside = false;  // the bytes are in the sidecar
  };

  ModelFile() = default;
  void lay_out(const std::string* sidecar);
  Status write_parts(OutputFile& out, OutputFile* sidecar) const;
  Status write_bytes(const Initializer& initializer, OutputFile& out) const;

  Skeleton skeleton_;
  std::vector<Entry> entries_;  // of the initializers, in their order
  uint64_t graph_bytes_ = 0;
  WriteSummary summary_;
};

}  // namespace mlc::onnx
