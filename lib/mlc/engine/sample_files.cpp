#include "mlc/engine/sample_files.h"

#include "mlc/base/alike_texts.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/folder.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/state_dict.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <system_error>

namespace mlc {
namespace {

namespace fs = std::filesystem;

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// A file has one such name whatever it is called.
std::string full_path(const std::string& path) {
  std::error_code error;
  const fs::path full = fs::canonical(path, error);
  return error ? path : full.string();
}

Status refuse_repeated(std::span<const std::string> paths) {
  std::map<std::string, const std::string*> seen;
  for (const std::string& path : paths) {
    const auto [at, is_new] = seen.emplace(full_path(path), &path);
    if (is_new) continue;
    const std::string same =
        *at->second == path ? ""
                            : ", as " + mlc::quoted(*at->second) + " and as " + mlc::quoted(path);
    return usage_error("the file of samples is given twice" + same,
                       "its samples would count double; name it once")
        .in_file(path);
  }
  return {};
}

SampleTensor sample_tensor(const Checkpoint& checkpoint, size_t file, uint32_t index) {
  const Tensor& tensor = checkpoint.tensors[index];
  const Dims sizes = checkpoint.sizes(tensor);
  return {file, index, "", tensor.dtype, {sizes.begin(), sizes.end()}};
}

}  // namespace

Result<std::vector<std::string>> sample_paths(const std::string& path) {
  if (!is_folder(path)) return std::vector<std::string>{path};
  auto content = look_into_folder(path);
  if (content.ok()) return std::vector<std::string>{path};
  if (content.error().kind() != ErrorKind::not_found)
    return std::move(content).error().in_file(path);
  auto files = tensor_files_in(path);
  if (!files.ok()) return std::move(files).error().in_file(path);
  return files;
}

Result<std::unique_ptr<SampleFiles>> SampleFiles::list(std::span<const std::string> given,
                                                       size_t most_open) {
  std::unique_ptr<SampleFiles> out(new SampleFiles());
  out->most_open_ = std::max<size_t>(most_open, 1);
  for (const std::string& path : given) {
    MLC_TRY(std::vector<std::string> paths, sample_paths(path));
    std::ranges::move(paths, std::back_inserter(out->paths_));
  }
  MLC_CHECK(refuse_repeated(out->paths_));
  return out;
}

std::string SampleFiles::place(size_t i) const {
  return printable(paths_[i]);
}

Result<SampleFiles::Opened> SampleFiles::open(size_t i) const {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(open_, i, [](const auto& one) { return one.first; });
  if (at != open_.end()) {
    std::rotate(open_.begin(), at, at + 1);
    return open_.front().second;
  }
  if (open_.size() == most_open_) open_.pop_back();
  MLC_TRY(Opened opened, open_checkpoint(paths_[i]));
  return open_.emplace_front(i, std::move(opened)).second;
}

Result<std::vector<std::vector<SampleTensor>>> SampleFiles::find(std::span<const OnnxValue> inputs,
                                                                 Reporter& reporter) const {
  std::vector<std::vector<SampleTensor>> out(inputs.size());
  std::vector<SampleTensor> alone;
  AlikeTexts warnings;
  for (size_t i = 0; i < size(); ++i) {
    MLC_TRY(const Opened file, open(i));
    for (const std::string& warning : file->warnings)
      warnings.add(place(i), place(i) + ": " + warning);
    const auto all = all_tensors(*file, file->root);
    for (size_t input = 0; input < inputs.size(); ++input) {
      const auto named = std::ranges::find(all, inputs[input].name, &NamedTensor::path);
      if (named != all.end()) out[input].push_back(sample_tensor(*file, i, named->tensor));
    }
    if (all.size() != 1) continue;
    alone.push_back(sample_tensor(*file, i, all.front().tensor));
    alone.back().other = all.front().path;
  }
  for (const std::string& warning : warnings.take()) reporter.warn(warning);
  if (inputs.size() == 1 && out[0].empty()) out[0] = std::move(alone);
  return out;
}

Status SampleFiles::check(const SampleTensor& where) const {
  MLC_TRY(const Opened file, open(where.file));
  const uint32_t storage = file->tensors[where.tensor].storage;
  if (storage != kNoIndex) MLC_CHECK(check_storage(*file, storage));
  MLC_TRY_CTX(const TensorView view, file->view(where.tensor), place(where.file));
  static_cast<void>(view);  // inflating has compared the CRC
  return {};
}

Result<std::string> SampleFiles::rows(const SampleTensor& where, int64_t begin,
                                      int64_t count) const {
  MLC_TRY(const Opened file, open(where.file));
  const bool there = where.tensor < file->tensors.size();
  const SampleTensor now = there ? sample_tensor(*file, where.file, where.tensor) : SampleTensor();
  if (now.dtype != where.dtype || now.sizes != where.sizes)
    return conflict("the file changed while its samples were read").in_file(paths_[where.file]);
  MLC_TRY_CTX(TensorView view, file->view(where.tensor), place(where.file));
  std::vector<int64_t> sizes = where.sizes;
  sizes[0] = count;
  view.sizes = sizes;
  view.offset += begin * view.strides[0];
  MLC_TRY_CTX(std::string bytes, contiguous_bytes(view, view.byte_size()), place(where.file));
  return bytes;
}

}  // namespace mlc
