// What an engine can run: a TorchScript file, an exported program (.pt2), a checkpoint with an
// architecture, or an ONNX model.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/architecture_model.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/exported_artefact.h"
#include "mlc/engine/input_spec.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnx_artefact.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

struct ArtefactOptions {
  std::string architecture;  // a YAML file for artefacts that are checkpoints; may be empty
  std::string key;           // of the state_dict in them; empty: the only one
};

class Artefact {
 public:
  /// Opens PATH as `mlc load` does, without an engine, so that damage is told in the same words and
  /// before LibTorch costs time. Errors: those of open_checkpoint(), find_architecture(),
  /// ArchitectureModel::open() and OnnxArtefact::open(); unsupported for what has no program and no
  /// architecture.
  static Result<Artefact> open(const std::string& path, const ArtefactOptions& options,
                               Reporter& reporter);

  const std::string& path() const { return path_; }
  bool has_architecture() const { return model_.has_value(); }
  /// Of checkpoints that run with one; null for all others.
  const arch::Architecture* architecture() const {
    return model_ ? &model_->architecture() : nullptr;
  }
  /// Which engine runs it.
  EngineKind engine() const { return onnx_ ? EngineKind::onnxruntime : EngineKind::torch; }
  /// Bytes on the disk: of the file, and of those beside it in which weights of ONNX lie.
  Result<uint64_t> file_bytes() const;
  /// What the architecture declares or the program takes, or the inputs that a TorchScript file was
  /// made with; empty where none of it is known.
  const std::vector<InputSpec>& inputs() const;
  /// What an architecture declares, which inputs have to fit; empty for all others: they check
  /// their inputs themselves, or take any.
  const std::vector<InputSpec>& declared() const;
  /// Of all floating weights of a checkpoint that runs with an architecture, as they lie in the
  /// file, where they have one type; of ONNX half precision, where most have it; nothing for all
  /// others, whose models tell it themselves.
  std::optional<DType> weights_type() const;
  /// Whether its program rounds numbers to bytes with steps that are fixed in it. Error: corrupt.
  Result<bool> rounds_to_bytes() const;
  /// Requires: engine() is LibTorch.
  const Checkpoint& checkpoint() const { return model_ ? model_->checkpoint() : *checkpoint_; }

  /// Of .pt2; null for all others.
  const ExportedArtefact* exported() const { return exported_ ? &*exported_ : nullptr; }

  /// Compares the CRC of every record, which engines do not; ONNX has none. Error: corrupt.
  Status check_whole(unsigned threads, Reporter& reporter) const;
  /// Errors carry the file.
  Result<std::unique_ptr<Model>> load(Engine& engine, const LoadOptions& options,
                                      Reporter& reporter) const;

 private:
  explicit Artefact(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::unique_ptr<Checkpoint> checkpoint_;    // of TorchScript and .pt2
  std::vector<InputSpec> stored_inputs_;      // of TorchScript
  std::optional<ExportedArtefact> exported_;  // of .pt2
  std::optional<OnnxArtefact> onnx_;
  std::optional<ArchitectureModel> model_;  // of all others
};

}  // namespace mlc
