#include "mlc/engine/artefact.h"

#include "mlc/base/file.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/integrity.h"
#include "mlc/engine/stored_inputs.h"
#include "mlc/engine/usual_gates.h"

namespace mlc {
namespace {

constexpr const char* kSaveProgram =
    "save it from Python with torch.jit.trace(model, inputs).save(FILE) or torch.jit.script";

Error nothing_to_run() {
  return unsupported("it holds tensors without a program, so there is nothing to run",
                     "--arch FILE.yaml gives it an architecture; or " + std::string(kSaveProgram));
}

/// An architecture where its weights belong.
Error explained(Error error, const std::string& path) {
  const bool yaml = path.ends_with(".yaml") || path.ends_with(".yml");
  if (!yaml || error.kind() != ErrorKind::unsupported) return error;
  return unsupported("is a YAML file, which has no weights",
                     "if it is an architecture: WEIGHTS --arch " + shell_word(path))
      .in_file(path);
}

}  // namespace

Result<Artefact> Artefact::open(const std::string& path, const ArtefactOptions& options,
                                Reporter& reporter) {
  Artefact out(path);
  auto onnx = OnnxArtefact::open(path);
  if (!onnx.ok()) return std::move(onnx).error().in_file(path);
  if (*onnx) {
    out.onnx_ = std::move(*onnx);
    return out;
  }
  auto opened = open_checkpoint(path);
  if (!opened.ok()) return explained(std::move(opened).error(), path);
  out.checkpoint_ = std::move(*opened);
  if (out.checkpoint_->format == Format::torchscript) {
    MLC_TRY(out.stored_inputs_, read_stored_inputs(*out.checkpoint_));
    return out;
  }
  if (out.checkpoint_->format == Format::pt2) {
    auto exported = ExportedArtefact::open(*out.checkpoint_, reporter);
    if (!exported.ok()) return std::move(exported).error().in_file(path);
    out.exported_ = std::move(*exported);
    return out;
  }
  MLC_TRY(auto architecture, find_architecture(*out.checkpoint_, options.architecture));
  if (!architecture) return nothing_to_run().in_file(path);
  for (const std::string& warning : out.checkpoint_->warnings) {
    reporter.warn(printable(path) + ": " + warning);
  }
  MLC_TRY(out.model_, ArchitectureModel::open(std::move(out.checkpoint_), std::move(*architecture),
                                              options.key));
  return out;
}

const std::vector<InputSpec>& Artefact::inputs() const {
  if (onnx_) return onnx_->inputs();
  if (exported_) return exported_->inputs();
  return model_ ? model_->inputs() : stored_inputs_;
}

const std::vector<InputSpec>& Artefact::declared() const {
  static const std::vector<InputSpec> kNone;
  return model_ ? model_->inputs() : kNone;
}

std::optional<DType> Artefact::weights_type() const {
  if (onnx_) return half_weights(onnx_->file());
  return model_ ? model_->weights_type() : std::nullopt;
}

Result<bool> Artefact::rounds_to_bytes() const {
  if (onnx_) return mlc::rounds_to_bytes(onnx_->file());
  if (exported_) return mlc::rounds_to_bytes(exported_->program().graph);
  if (model_) return false;
  auto rounds = mlc::rounds_to_bytes(checkpoint_->archives[0]);
  if (!rounds.ok()) return std::move(rounds).error().in_file(path_);
  return rounds;
}

Result<uint64_t> Artefact::file_bytes() const {
  if (onnx_) return onnx_->bytes();
  MLC_TRY(const auto file, InputFile::open(path_));
  return file->size();
}

Status Artefact::check_whole(unsigned threads, Reporter& reporter) const {
  if (onnx_) return {};
  auto report = check_integrity(checkpoint(), threads, reporter);
  // What was read for the comparison must not count twice beside the engine's own mapping.
  for (const auto& file : checkpoint().files) file->forget(0, file->size());
  if (!report.ok()) return std::move(report).error().in_file(path_);
  if (report->damaged.empty()) return {};
  const DamagedRecord& first = report->damaged.front();
  return corrupt("record " + quoted(first.record) + ": " + first.problem +
                     (report->damaged.size() > 1
                          ? ", and " + plural(report->damaged.size() - 1, "more damaged record")
                          : std::string()),
                 "fetch the file again; `mlc load FILE --check crc` lists all damage")
      .in_file(path_);
}

Result<std::unique_ptr<Model>> Artefact::load(Engine& engine, const LoadOptions& options,
                                              Reporter& reporter) const {
  auto model = onnx_       ? onnx_->load(path_, engine, options, reporter)
               : model_    ? model_->build(engine, options, reporter)
               : exported_ ? exported_->load(*checkpoint_, engine, options, reporter)
                           : engine.load(path_, options, reporter);
  if (!model.ok()) return std::move(model).error().in_file(path_);
  return model;
}

}  // namespace mlc
