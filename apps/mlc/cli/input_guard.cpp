#include "cli/input_guard.h"

#include "mlc/base/file.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/folder.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/write_sharded.h"
#include "mlc/engine/sample_files.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/stat.h>

namespace mlc::cli {
namespace {

using Identity = std::pair<uint64_t, uint64_t>;  // device, inode

std::optional<Identity> identity_of(const std::string& path) {
  struct stat st {};
  if (path.empty() || stat(path.c_str(), &st) != 0) return std::nullopt;
  return Identity{st.st_dev, st.st_ino};
}

bool is_folder(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

/// A folder, or JSON that may be the index of shards.
bool names_other_files(const std::string& path) {
  if (is_folder(path)) return true;
  const auto file = InputFile::open(path);
  if (!file.ok()) return false;
  const auto head = (*file)->read_string(0, std::min<uint64_t>((*file)->size(), 64));
  return head.ok() && looks_like_json_object(*head);
}

/// The files that are read where USE is named, itself first. What cannot be opened is for the
/// command to complain about; but a folder that an option names may be one of samples.
std::vector<std::string> files_read(const FileUse& use) {
  std::vector<std::string> files = {use.path};
  if (!names_other_files(use.path)) return files;
  const auto checkpoint = open_checkpoint(use.path);
  if (!checkpoint.ok()) {
    if (use.option.empty()) return files;
    auto samples = sample_paths(use.path);
    if (samples.ok()) std::ranges::move(*samples, std::back_inserter(files));
    return files;
  }
  for (const auto& file : (*checkpoint)->files) {
    files.push_back(std::filesystem::path(file->path()).lexically_normal().string());
  }
  return files;
}

bool is_shard_file(std::string_view name, const std::optional<OutputFormat>& format) {
  if (format) return belongs_to_shards(name, *format);
  return belongs_to_shards(name, OutputFormat::safetensors) ||
         belongs_to_shards(name, OutputFormat::torch_zip);
}

/// What exists and would be replaced or removed where PATH is written.
std::vector<std::string> files_replaced(const std::string& path,
                                        const std::optional<OutputFormat>& shards) {
  std::vector<std::string> files;
  if (identity_of(path)) files.push_back(path);
  if (!is_folder(path)) return files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (is_shard_file(name, shards)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct Reading {
  const FileUse* use;
  std::string part;  // the file itself
};

/// The input and what is made of it have one name.
bool is_same_use(const FileUse& written, const FileUse& read) {
  return read.option.empty() && written.option.empty() && read.path == written.path;
}

/// "the output is the input "q/model.safetensors.index.json", of which it would replace "q/..."".
Error conflict(const FileUse& written, const Reading& read) {
  const FileUse& use = *read.use;
  std::string text = written.option.empty() ? "the output" : "the file of " + written.option;
  text += use.option.empty() ? " is the input " + mlc::quoted(use.path)
                             : " is the file " + mlc::quoted(use.path) + " of " + use.option;
  if (read.part != use.path) text += ", of which it would replace " + mlc::quoted(read.part);
  const bool simple = written.option.empty() && use.option.empty() && read.part == use.path &&
                      !is_folder(written.path);
  return usage_error(text, simple ? "--in-place replaces an input on purpose"
                                  : "give the output a place of its own")
      .in_file(written.path);
}

/// Also of paths that do not exist yet.
std::string full_path(const std::string& path) {
  std::error_code error;
  const auto full = std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  return error ? path : full.string();
}

/// A file that an option names, where the command puts something else.
Status refuse_one_file_for_two(const FilePlan& plan) {
  for (const FileUse& named : plan.writes) {
    if (named.option.empty() || named.path.empty()) continue;
    const std::filesystem::path place = full_path(named.path);
    for (const FileUse& other : plan.writes) {
      if (&other == &named || other.path.empty()) continue;
      const auto id = identity_of(named.path);
      const std::string there = full_path(other.path);
      const bool shard =
          place.parent_path() == there && is_shard_file(place.filename().string(), plan.shards);
      if (place != there && !shard && !(id && id == identity_of(other.path))) continue;
      const std::string both = other.option.empty()
                                   ? "the output and the file of " + named.option
                                   : "the files of " + other.option + " and " + named.option;
      return usage_error(both + " are one", "give each a name of its own").in_file(named.path);
    }
  }
  return {};
}

/// A DCP folder has no shards that a folder of Hugging Face's could have.
bool is_dcp(const std::string& path) {
  if (!is_folder(path)) return false;
  const auto content = look_into_folder(path);
  return content.ok() && content->is_dcp;
}

std::string hint_of(Elsewhere elsewhere) {
  switch (elsewhere) {
    case Elsewhere::file:
      break;
    case Elsewhere::folder:
      return "write shards into another folder with -o, or one file with -o x.safetensors";
    case Elsewhere::shards:
      return "write one file with -o x.safetensors, or shards with --max-shard-size 5GB -o DIR";
    case Elsewhere::sidecar:
      return "--sidecar writes the metadata beside it; `mlc save` with --set or --meta puts it "
             "into one file";
  }
  return "write one file with -o x.safetensors";
}

}  // namespace

std::optional<std::string> file_of_folder(const std::string& path, bool no_other) {
  if (!is_folder(path)) return std::nullopt;
  const auto content = look_into_folder(path);
  if (!content.ok() || content->is_dcp || content->file.ends_with(".json")) return std::nullopt;
  if (no_other && !content->others.empty()) return std::nullopt;
  return (path.ends_with('/') ? path : path + "/") + content->file;
}

Error no_edit_of_several_files(const std::string& path, Elsewhere elsewhere) {
  if (const auto file = file_of_folder(path)) {
    return usage_error("the folder holds more than one checkpoint, of which one could be edited",
                       "name the file: " + shell_word(*file))
        .in_file(path);
  }
  return unsupported(
             "a checkpoint of several files cannot be edited in place",
             hint_of(elsewhere == Elsewhere::folder && is_dcp(path) ? Elsewhere::file : elsewhere))
      .in_file(path);
}

Status refuse_replaced_inputs(const FilePlan& plan) {
  MLC_CHECK(refuse_one_file_for_two(plan));
  std::vector<std::pair<const FileUse*, std::string>> replaced;
  for (const FileUse& use : plan.writes) {
    for (std::string& file : files_replaced(use.path, plan.shards)) {
      replaced.emplace_back(&use, std::move(file));
    }
  }
  if (replaced.empty()) return {};  // then the files of shards need not be looked up
  std::multimap<Identity, Reading> readings;
  for (const FileUse& use : plan.reads) {
    for (std::string& file : files_read(use)) {
      if (const auto id = identity_of(file)) readings.emplace(*id, Reading{&use, std::move(file)});
    }
  }
  for (const auto& [written, file] : replaced) {
    const auto id = identity_of(file);
    if (!id) continue;
    const auto [begin, end] = readings.equal_range(*id);
    for (auto it = begin; it != end; ++it) {
      const Reading& read = it->second;
      const bool itself = is_same_use(*written, *read.use) && read.part == written->path;
      if (plan.in_place && itself) continue;
      if (plan.in_place && is_same_use(*written, *read.use)) {
        return no_edit_of_several_files(written->path, plan.elsewhere);
      }
      return conflict(*written, read);
    }
  }
  return {};
}

}  // namespace mlc::cli
