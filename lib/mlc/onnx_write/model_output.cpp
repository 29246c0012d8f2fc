#include "mlc/onnx_write/model_output.h"

#include <cerrno>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace mlc::onnx {
namespace {

constexpr int kPassingNames = 16;

/// FOLDER/.model.onnx.mlc-N.data
std::string passing_name(const std::string& path, int n) {
  const size_t begin = path.rfind('/') + 1;
  return path.substr(0, begin) + "." + path.substr(begin) + ".mlc-" + std::to_string(n) + ".data";
}

bool exists(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0;
}

bool is_link(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
}

/// Whether the open file FD is the one at PATH.
bool is_at(int fd, const std::string& path) {
  struct stat a {};
  struct stat b {};
  return fstat(fd, &a) == 0 && stat(path.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

Result<std::string> free_passing_name(const std::string& path) {
  for (int n = 0; n < kPassingNames; ++n) {
    std::string name = passing_name(path, n);
    if (!exists(name)) return name;
  }
  return write_failed("has too many files of runs that ended early beside it", EEXIST)
      .in_file(path);
}

/// Removes what runs that were killed left beside a model, which has its own sidecar by now.
void remove_passing(const std::string& path) {
  for (int n = 0; n < kPassingNames; ++n) ::unlink(passing_name(path, n).c_str());
}

/// A second name for the file at FROM, or, without hard links, a copy of it.
Status link_or_copy(const std::string& from, const std::string& to, OutputOptions options) {
  if (!is_link(to) && link_over(from, to).ok()) return {};
  MLC_TRY(const auto input, InputFile::open(from));
  MLC_TRY(OutputFile out, OutputFile::create(to, options));
  MLC_CHECK(out.copy_from(*input, 0, input->size()));
  return out.publish();
}

}  // namespace

std::string sidecar_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1) + ".data";
}

Result<ModelOutput> ModelOutput::create(ModelFile file, const std::string& path,
                                        const OutputOptions& options) {
  MLC_TRY(OutputFile model, OutputFile::create(path, options));
  ModelOutput out(std::move(file), path, options, std::move(model));
  if (out.file_.has_sidecar()) {
    const std::string own = path + ".data";
    MLC_TRY(OutputFile made, OutputFile::create(own, options));
    out.sidecar_.emplace(std::move(made));
    struct stat st {};
    if (exists(path) && stat(own.c_str(), &st) == 0) {
      out.sidecar_.reset();
      OutputOptions passing = options;
      passing.sync = true;
      passing.mode = st.st_mode & 07777U;
      MLC_TRY(out.passing_, free_passing_name(path));
      MLC_TRY(OutputFile other, OutputFile::create(out.passing_, passing));
      out.sidecar_.emplace(std::move(other));
    }
  }
  MLC_CHECK(out.file_.write(out.model_, out.sidecar_ ? &*out.sidecar_ : nullptr));
  MLC_CHECK(out.model_.flush());
  if (out.sidecar_) MLC_CHECK(out.sidecar_->flush());
  return out;
}

Status ModelOutput::publish_passing(std::span<const std::shared_ptr<const InputFile>> sources) {
  MLC_TRY(OutputFile passing, OutputFile::create(path_, options_));
  const std::string name = passing_.substr(passing_.rfind('/') + 1);
  MLC_CHECK(file_.beside(name).write_without_sidecar(passing));
  Status done = sidecar_->publish(sources);
  if (done.ok()) done = passing.publish(sources);
  // Syncing the folder, which comes last, may fail with the new model in place already.
  if (!done.ok() && !is_at(passing.fd(), path_)) ::unlink(passing_.c_str());
  return done;
}

Status ModelOutput::publish_pair(std::span<const std::shared_ptr<const InputFile>> sources) {
  MLC_CHECK(publish_passing(sources));
  MLC_CHECK(link_or_copy(passing_, path_ + ".data", options_));
  return model_.publish();
}

Status ModelOutput::publish(std::span<const std::shared_ptr<const InputFile>> sources) {
  if (!passing_.empty()) {
    MLC_CHECK(publish_pair(sources));
  } else {
    if (sidecar_) MLC_CHECK(sidecar_->publish(sources));
    MLC_CHECK(model_.publish(sources));
  }
  remove_passing(path_);
  return {};
}

}  // namespace mlc::onnx
