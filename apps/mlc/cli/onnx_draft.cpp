#include "cli/onnx_draft.h"

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string OnnxDraft::sidecar_name(const std::string& path) {
  return base_name(path) + ".data";
}

Result<OnnxDraft> OnnxDraft::write(const onnx::ModelFile& file, const std::string& path,
                                   const OutputOptions& options) {
  MLC_TRY(OutputFile out, OutputFile::create(path, options));
  OnnxDraft draft(std::move(out));
  if (file.has_sidecar()) {
    MLC_TRY(OutputFile made, OutputFile::create(path + ".data", options));
    draft.sidecar_.emplace(std::move(made));
  }
  MLC_CHECK(file.write(draft.out_, draft.sidecar_ ? &*draft.sidecar_ : nullptr));
  MLC_CHECK(draft.out_.flush());
  draft.path_ = fmt::format("/proc/self/fd/{}", draft.out_.fd());
  if (!draft.sidecar_) return draft;
  MLC_CHECK(draft.sidecar_->flush());
  MLC_TRY(LinkedFolder folder, LinkedFolder::create_beside(path));
  MLC_CHECK(folder.add(draft.out_.fd(), base_name(path)));
  MLC_CHECK(folder.add(draft.sidecar_->fd(), sidecar_name(path)));
  draft.path_ = folder.path_of(base_name(path));
  draft.folder_.emplace(std::move(folder));
  return draft;
}

Status OnnxDraft::publish(std::span<const std::shared_ptr<const InputFile>> sources) {
  if (sidecar_) MLC_CHECK(sidecar_->publish(sources));
  return out_.publish(sources);
}

}  // namespace mlc::cli
