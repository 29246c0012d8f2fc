#include "mlc/checkpoint/sibling_files.h"

#include "mlc/base/text.h"

#include <cstdlib>

#include <sys/stat.h>

namespace mlc {
namespace {

std::string real_path(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return {};
  std::string out(resolved);
  std::free(resolved);
  return out;
}

bool link_stays_home(const std::string& folder, const std::string& file) {
  constexpr std::string_view kSnapshots = "/snapshots";
  const std::string home = real_path(folder);
  const std::string target = real_path(file);
  if (home.empty() || target.starts_with(home + "/")) return !home.empty();
  const size_t revision = home.rfind('/');
  const std::string_view above = std::string_view(home).substr(0, revision);
  if (!above.ends_with(kSnapshots)) return false;
  const std::string_view repository = above.substr(0, above.size() - kSnapshots.size());
  return target.starts_with(std::string(repository) + "/blobs/");
}

}  // namespace

bool is_bare_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

Result<std::shared_ptr<InputFile>> open_sibling(const std::string& folder, std::string_view name) {
  if (!is_bare_file_name(name)) {
    return corrupt(quoted(name) + " is not the name of a file in the folder");
  }
  const std::string path = folder + "/" + std::string(name);
  struct stat st {};
  const bool link = lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
  if (link && stat(path.c_str(), &st) == 0 && !link_stays_home(folder, path)) {
    return corrupt(quoted(name) + " is a link to a file outside the folder",
                   "copy the file itself into the folder");
  }
  return InputFile::open(path);
}

}  // namespace mlc
