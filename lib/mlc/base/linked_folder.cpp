#include "mlc/base/linked_folder.h"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace mlc {

Result<LinkedFolder> LinkedFolder::create_beside(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string name = folder + "/.mlc-check-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return write_failed("a folder in " + folder, errno);
  return LinkedFolder(std::move(name));
}

LinkedFolder::LinkedFolder(LinkedFolder&& other) noexcept
    : folder_(std::exchange(other.folder_, {})), names_(std::exchange(other.names_, {})) {}

LinkedFolder::~LinkedFolder() {
  if (folder_.empty()) return;
  for (const std::string& name : names_) ::unlink(path_of(name).c_str());
  ::rmdir(folder_.c_str());
}

Status LinkedFolder::add(int fd, const std::string& name) {
  const std::string open = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, open.c_str(), AT_FDCWD, path_of(name).c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return write_failed(path_of(name), errno);
  }
  names_.push_back(name);
  return {};
}

}  // namespace mlc
