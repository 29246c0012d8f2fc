#include "cli/onnx_draft.h"

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<OnnxDraft> OnnxDraft::write(onnx::ModelFile file, const std::string& path,
                                   const OutputOptions& options) {
  MLC_TRY(onnx::ModelOutput out, onnx::ModelOutput::create(std::move(file), path, options));
  OnnxDraft draft(std::move(out));
  draft.path_ = fmt::format("/proc/self/fd/{}", draft.out_.model().fd());
  if (draft.out_.sidecar() == nullptr) return draft;
  MLC_TRY(LinkedFolder folder, LinkedFolder::create_beside(path));
  MLC_CHECK(folder.add(draft.out_.model().fd(), base_name(path)));
  MLC_CHECK(folder.add(draft.out_.sidecar()->fd(), onnx::sidecar_name(path)));
  draft.path_ = folder.path_of(base_name(path));
  draft.folder_.emplace(std::move(folder));
  return draft;
}

Status OnnxDraft::publish(std::span<const std::shared_ptr<const InputFile>> sources) {
  return out_.publish(sources);
}

}  // namespace mlc::cli
