#include "models/onnx_draft.h"

#include "files/metadata_sources.h"
#include "mlc/base/version.h"
#include "mlc/engine/module_loader.h"
#include "mlc/onnx_write/check.h"

#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<ReadableModel> ReadableModel::of(const onnx::ModelOutput& out, const std::string& path) {
  ReadableModel readable;
  readable.path_ = fmt::format("/proc/self/fd/{}", out.model().fd());
  if (out.sidecar() == nullptr) return readable;
  MLC_TRY(LinkedFolder folder, LinkedFolder::create_beside(path));
  MLC_CHECK(folder.add(out.model().fd(), base_name(path)));
  MLC_CHECK(folder.add(out.sidecar()->fd(), onnx::sidecar_name(path)));
  readable.path_ = folder.path_of(base_name(path));
  readable.folder_.emplace(std::move(folder));
  return readable;
}

Result<OnnxDraft> OnnxDraft::write(onnx::ModelFile file, const std::string& path,
                                   const OutputOptions& options) {
  MLC_TRY(onnx::ModelOutput out, onnx::ModelOutput::create(std::move(file), path, options));
  MLC_TRY(ReadableModel readable, ReadableModel::of(out, path));
  return OnnxDraft(std::move(out), std::move(readable));
}

Result<OnnxDraft> OnnxDraft::write(const onnx::Document& document, const std::string& path) {
  const onnx::WriteOptions how{.sidecar = onnx::sidecar_name(path)};
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(document.skeleton(), how));
  return write(std::move(file), path, {});
}

Result<std::unique_ptr<Model>> load_with_values(onnx::Document document,
                                                const std::vector<std::string>& values,
                                                const std::string& path,
                                                std::unique_ptr<Engine>& engine, unsigned threads) {
  const auto& outputs = document.output_names();
  std::set<std::string> added(outputs.begin(), outputs.end());
  for (const std::string& value : values) {
    if (added.insert(value).second) document.add_output(value);
  }
  MLC_TRY(const OnnxDraft draft, OnnxDraft::write(document, path + ".calibration"));
  if (!engine) {
    MLC_TRY(engine, open_engine(EngineKind::onnxruntime));
  }
  LoadOptions load;
  load.threads = threads;
  load.purpose = Purpose::repeated;
  return engine->load(draft.path(), load, null_reporter());
}

Status check_beside_source(const onnx::Skeleton& skeleton, const std::string& source) {
  Status checked = onnx::check_skeleton(skeleton);
  if (checked.ok() || checked.error().kind() == ErrorKind::unsupported) return {};
  MLC_TRY(const onnx::Document before, onnx::Document::open(source));
  return onnx::check_skeleton(before.skeleton()).ok() ? std::move(checked) : Status();
}

Status sign_document(onnx::Document& document, const std::string& source, std::string_view verb,
                     const ProvenanceOptions& given) {
  document.set_producer("mlc", mlc_version());
  std::optional<Metadata> metadata;
  if (const auto yaml = document.metadata(kMetadataKey)) {
    auto parsed = Metadata::parse(*yaml, source);
    if (!parsed.ok()) return std::move(parsed).error().during("metadata of the model");
    metadata.emplace(std::move(*parsed));
  }
  const auto yaml = with_provenance(std::move(metadata), std::string(verb), given);
  if (yaml) document.set_metadata(kMetadataKey, *yaml);
  return {};
}

}  // namespace mlc::cli
