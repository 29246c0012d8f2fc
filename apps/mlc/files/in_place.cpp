#include "files/in_place.h"

#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

/// None: an edit in place is not possible.
std::optional<OutputFormat> own_format(Format format) {
  switch (format) {
    case Format::safetensors:
      return OutputFormat::safetensors;
    case Format::torch_zip:
    case Format::torch_legacy:
    case Format::torch_tar:
    case Format::plain_pickle:
      return OutputFormat::torch_zip;
    default:
      return std::nullopt;
  }
}

/// Whether PATH is a link to a file of the cache of Hugging Face, .../blobs/HASH.
bool leads_into_cache(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0 || !S_ISLNK(st.st_mode)) return false;
  std::array<char, PATH_MAX> real{};
  if (realpath(path.c_str(), real.data()) == nullptr) return false;
  return std::string_view(real.data()).find("/blobs/") != std::string_view::npos;
}

}  // namespace

Result<OutputFormat> format_in_place(const Checkpoint& checkpoint, std::string_view format,
                                     Elsewhere elsewhere) {
  const std::optional<OutputFormat> own = own_format(checkpoint.format);
  const std::string name(format_name(checkpoint.format));
  if (checkpoint.format == Format::sharded || checkpoint.format == Format::dcp) {
    return no_edit_of_several_files(checkpoint.path, elsewhere);
  }
  if (!own) {
    return unsupported("a " + name + " checkpoint cannot be edited in place",
                       "write a new file with -o")
        .in_file(checkpoint.path);
  }
  if (!format.empty()) return output_format_of(checkpoint.path, format);
  const auto named = output_format_of(checkpoint.path, "");
  if (named.ok() && *named != *own) {
    return usage_error("is a " + name + " file under the name of another format",
                       "rename it, or write a new file with -o, which converts")
        .in_file(checkpoint.path);
  }
  return *own;
}

Status check_no_modules(const Input& input) {
  const auto is_module = [](const StateDict& one) { return one.module != kNoNode; };
  const auto found = std::ranges::find_if(input.state_dicts, is_module);
  if (found == input.state_dicts.end()) return {};
  return unsupported("holds a pickled module" +
                         (found->path.empty() ? "" : " at " + mlc::quoted(found->path)) +
                         ", which cannot be edited in place: its class would be lost",
                     "write its state_dict to a new file with -o")
      .in_file(input.checkpoint->path);
}

Status check_replaceable(const Checkpoint& checkpoint, const std::string& output,
                         const WritingOptions& options) {
  const uint64_t names = checkpoint.files[0]->link_count();
  if (names > 1 && !options.force) {
    return Error(ErrorKind::write_failed,
                 "has " + std::to_string(names) +
                     " names (hard links); an edit in place would change it under each or part it "
                     "from the others",
                 "--force edits it anyway, -o writes a new file")
        .in_file(checkpoint.path);
  }
  if (leads_into_cache(checkpoint.path) && !options.force) {
    return Error(ErrorKind::write_failed,
                 "is a link into a cache whose files are named after their content; an edit in "
                 "place would change it for everyone who has it",
                 "--force edits it anyway, -o writes a new file")
        .in_file(checkpoint.path);
  }
  // What is appended to the file itself needs nothing of its folder; where a new file is needed
  // after all, that says so.
  if (checkpoint.format != Format::torch_zip) {
    return OutputFile::check(output, options.output_options());
  }
  if (access(output.c_str(), W_OK) == 0) return {};
  return write_failed("cannot write into it", errno).in_file(output);
}

Result<OutputFormat> format_of_output(const Input& input, const std::string& output,
                                      const WritingOptions& options) {
  if (options.in_place) {
    const Checkpoint& checkpoint = *input.checkpoint;
    MLC_TRY(const OutputFormat format, format_in_place(checkpoint, {}, Elsewhere::file));
    MLC_CHECK(check_no_modules(input));
    MLC_CHECK(check_replaceable(checkpoint, output, options));
    return format;
  }
  if (output.empty()) return OutputFormat::torch_zip;
  auto named = output_format_of(output, "");
  if (named.ok()) return named;
  if (output.ends_with(".npz") || output.ends_with(".npy")) return std::move(named).error();
  return usage_error("cannot tell the format of " + mlc::quoted(output) + " from its name",
                     "name it .pt or .safetensors");
}

std::string place_to_check(const std::string& output, const WritingOptions& options) {
  struct stat st {};
  const bool to_be_made = !options.out_dir.empty() && stat(options.out_dir.c_str(), &st) != 0;
  return to_be_made ? std::string() : output;
}

}  // namespace mlc::cli
