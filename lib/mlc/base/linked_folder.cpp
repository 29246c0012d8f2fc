#include "mlc/base/linked_folder.h"

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {

namespace {

constexpr std::string_view kPrefix = ".mlc-check-";

int open_folder(int parent, const char* name) {
  return ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> out;
  const int copy = ::fcntl(folder, F_DUPFD_CLOEXEC, 0);
  DIR* list = copy < 0 ? nullptr : ::fdopendir(copy);
  if (list == nullptr) {
    if (copy >= 0) ::close(copy);
    return out;
  }
  while (const dirent* entry = ::readdir(list)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") out.push_back(name);
  }
  ::closedir(list);
  return out;
}

/// Takes away the folders in FOLDER that nobody has locked. What cannot go, stays.
void remove_abandoned(const std::string& folder) {
  const int parent = open_folder(AT_FDCWD, folder.c_str());
  if (parent < 0) return;
  for (const std::string& name : names_in(parent)) {
    if (!name.starts_with(kPrefix)) continue;
    const int inner = open_folder(parent, name.c_str());
    if (inner < 0) continue;
    if (::flock(inner, LOCK_EX | LOCK_NB) == 0) {
      for (const std::string& file : names_in(inner)) ::unlinkat(inner, file.c_str(), 0);
      ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
    }
    ::close(inner);
  }
  ::close(parent);
}

/// Whether NAME is still the folder that is open as FD: before the lock, another process may have
/// taken it for abandoned.
bool is_still(const std::string& name, int fd) {
  struct stat named = {}, open = {};
  return ::stat(name.c_str(), &named) == 0 && ::fstat(fd, &open) == 0 &&
         named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

}  // namespace

Result<LinkedFolder> LinkedFolder::create_beside(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  remove_abandoned(folder);
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    std::string name = folder + "/" + std::string(kPrefix) + "XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return write_failed("a folder in " + folder, errno);
    const int lock = open_folder(AT_FDCWD, name.c_str());
    // A file system without locks has no abandoned ones taken away either.
    if (lock >= 0) ::flock(lock, LOCK_EX);
    if (lock < 0 || is_still(name, lock)) return LinkedFolder(std::move(name), lock);
    ::close(lock);
  }
  return write_failed("a folder in " + folder, EBUSY);
}

LinkedFolder::LinkedFolder(LinkedFolder&& other) noexcept
    : folder_(std::exchange(other.folder_, {})),
      lock_(std::exchange(other.lock_, -1)),
      names_(std::exchange(other.names_, {})) {}

LinkedFolder::~LinkedFolder() {
  if (folder_.empty()) return;
  for (const std::string& name : names_) ::unlink(path_of(name).c_str());
  ::rmdir(folder_.c_str());
  if (lock_ >= 0) ::close(lock_);
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
