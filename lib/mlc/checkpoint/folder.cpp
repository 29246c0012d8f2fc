#include "mlc/checkpoint/folder.h"

#include "mlc/base/file.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include <dirent.h>
#include <unistd.h>

namespace mlc {
namespace {

/// What a folder's weights are called, in the order in which from_pretrained of transformers,
/// diffusers and peft looks for them: safetensors first, whole files before shards.
constexpr auto kFolderNames = std::to_array<std::string_view>({
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
});

/// Endings of files that hold checkpoints; shells take them after a `*`.
constexpr auto kEndings = std::to_array<std::string_view>(
    {".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pt2", ".npz", ".pth.tar"});

constexpr std::string_view kArray = ".npy";  // tensors, but no checkpoint

constexpr size_t kMostNames = 100'000;  // looked at; a folder may hold a whole data set

/// The names in FOLDER, sorted.
std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
  if (open == nullptr) return names;
  while (const dirent* entry = readdir(open.get())) {
    if (names.size() == kMostNames) break;
    names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Whether NAME is one of kFolderNames with a variant in it, as `variant="fp16"` of from_pretrained
/// finds it: before the last part of a file's name and of an index's. Shards are no variants.
bool is_variant(std::string_view name) {
  const size_t last = name.rfind('.');
  if (last == std::string_view::npos || last == 0) return false;
  const size_t before = name.rfind('.', last - 1);
  if (before == std::string_view::npos) return false;
  const std::string_view variant = name.substr(before + 1, last - before - 1);
  if (variant.empty() || variant.find("-of-") != std::string_view::npos) return false;
  const std::string plain = std::string(name.substr(0, before)) + std::string(name.substr(last));
  return std::find(kFolderNames.begin(), kFolderNames.end(), plain) != kFolderNames.end();
}

/// Whether the header of a safetensors file says that torch.distributed.checkpoint wrote it, one
/// of several with parts of tensors (HuggingFaceStorageWriter with save_distributed).
bool is_part_of_dcp(const std::string& path) {
  constexpr uint64_t kHead = 64 << 10;  // strings come first in the header, or the tensors are few
  const auto file = InputFile::open(path);
  if (!file.ok()) return false;
  const auto head = (*file)->read_string(0, std::min(kHead, (*file)->size()));
  return head.ok() && head->find("DCP_SHARDING_INFO") != std::string::npos;
}

/// The files of a folder with one ending.
struct FileKind {
  std::string_view ending;
  uint64_t count = 0;
  std::string first;
};

/// Most first; in the order of kEndings where there are as many.
std::vector<FileKind> kinds_among(const std::vector<std::string>& names) {
  std::vector<FileKind> kinds;
  for (const std::string_view ending : kEndings) {
    FileKind kind{ending, 0, {}};
    for (const std::string& name : names) {
      if (name.size() <= ending.size() || !name.ends_with(ending)) continue;
      if (kind.count++ == 0) kind.first = name;
    }
    if (kind.count > 0) kinds.push_back(std::move(kind));
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const FileKind& a, const FileKind& b) { return a.count > b.count; });
  return kinds;
}

/// Requires: KINDS, those in FOLDER, is not empty.
Error holds_files(const std::string& folder, const std::vector<FileKind>& kinds) {
  const std::string base = folder.ends_with('/') ? folder : folder + "/";
  uint64_t all = 0;
  std::vector<std::string> counts;
  std::vector<std::string> files;
  for (const FileKind& kind : kinds) {
    all += kind.count;
    counts.push_back(plural(kind.count, std::string(kind.ending.substr(1)) + " file"));
    files.push_back(kind.count == 1 ? shell_word(base + kind.first)
                                    : shell_word(base) + "*" + std::string(kind.ending));
  }
  std::string what = counts[0];
  if (kinds.size() > 1) what = plural(all, "checkpoint") + " (" + join_list(counts) + ")";
  std::string way = files[0];
  for (size_t i = 1; i < files.size(); ++i) way += " " + files[i];
  return not_found("is a folder, not a checkpoint; it holds " + what,
                   "name the file" + std::string(all == 1 ? "" : "s") + ": " + way);
}

/// What to say of FOLDER, where nothing in it has a known name.
Error nothing_found(const std::string& folder, const std::vector<std::string>& names) {
  const auto is_part = [](const std::string& name) { return name.ends_with(".distcp"); };
  if (const auto parts = std::ranges::count_if(names, is_part); parts > 0) {
    return corrupt("is a folder of torch.distributed.checkpoint with " +
                       plural(static_cast<uint64_t>(parts), ".distcp file") +
                       ", but without .metadata, which says what is in them",
                   "either the save did not finish (.metadata is written last), or .metadata was "
                   "not copied: names with a dot in front are left out by `cp *`");
  }
  std::vector<std::string> variants;
  for (const std::string& name : names) {
    if (is_variant(name)) variants.push_back(printable(name));
  }
  if (!variants.empty()) {
    return not_found("is a folder with several checkpoints in it: " + join_list(variants),
                     "name one of the files");
  }
  if (const auto kinds = kinds_among(names); !kinds.empty()) return holds_files(folder, kinds);
  return not_found("is a folder without a checkpoint in it",
                   "expected .metadata (DCP), model.safetensors[.index.json] or "
                   "pytorch_model.bin[.index.json]; or name the file itself");
}

bool holds_tensors(std::string_view name) {
  if (name.starts_with('.')) return false;
  return name.ends_with(kArray) || std::ranges::any_of(kEndings, [&](std::string_view ending) {
           return name.ends_with(ending);
         });
}

}  // namespace

Result<FolderContent> look_into_folder(const std::string& folder) {
  const auto exists = [&folder](std::string_view name) {
    return access((folder + "/" + std::string(name)).c_str(), F_OK) == 0;
  };
  FolderContent out;
  out.is_dcp = exists(".metadata");
  if (out.is_dcp) return out;
  for (const std::string_view name : kFolderNames) {
    if (!exists(name)) continue;
    if (out.file.empty())
      out.file = name;
    else
      out.others.emplace_back(name);
  }
  if (!out.file.empty()) return out;
  const std::vector<std::string> names = names_in(folder);
  if (std::count_if(names.begin(), names.end(), is_variant) == 1) {
    out.file = *std::find_if(names.begin(), names.end(), is_variant);
    return out;
  }
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors") && is_part_of_dcp(folder + "/" + name)) {
      return unsupported(
          "is a folder of torch.distributed.checkpoint (HuggingFaceStorageWriter with "
          "save_distributed), whose files hold parts of tensors; mlc does not join them",
          "consolidate_safetensors_files of torch.distributed.checkpoint does, or "
          "enable_consolidation=True when saving");
    }
    if (name.ends_with(".safetensors")) break;  // one tells of all
  }
  return nothing_found(folder, names);
}

Result<std::vector<std::string>> tensor_files_in(const std::string& folder) {
  std::vector<std::string> names = names_in(folder);
  if (names.size() == kMostNames)
    return unsupported("is a folder with more than " + format_count(kMostNames) + " files",
                       "name files in it, or put many samples into one");
  const std::string base = folder.ends_with('/') ? folder : folder + "/";
  std::erase_if(names, [&](const std::string& name) {
    std::error_code error;
    return !holds_tensors(name) || !std::filesystem::is_regular_file(base + name, error);
  });
  if (names.empty()) {
    std::vector<std::string> endings = {std::string(kArray)};
    endings.insert(endings.end(), kEndings.begin(), kEndings.end());
    return not_found(
        "is a folder without a file of tensors in it",
        "files were looked for, not in folders below it, that end in " + join_list(endings));
  }
  std::ranges::stable_sort(names, natural_less);
  for (std::string& name : names) name.insert(0, base);
  return names;
}

}  // namespace mlc
