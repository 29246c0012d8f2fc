#include "mlc/base/in_place_file.h"

#include "mlc/base/write_all.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {
namespace {

Error refused(std::string message, std::string hint) {
  return Error(ErrorKind::write_failed, std::move(message), std::move(hint));
}

}  // namespace

Result<InPlaceFile> InPlaceFile::open(const InputFile& expected, bool allow_links) {
  const std::string& path = expected.path();
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return write_failed("cannot open it for writing", errno).in_file(path);
  InPlaceFile file(path, fd);
  // The lock comes before the comparison, so that nobody who asks for it can change the file after.
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) {
    return refused("another program has locked it", "wait until it is done").in_file(path);
  }
  struct stat st {};
  if (fstat(fd, &st) != 0) return write_failed("cannot stat", errno).in_file(path);
  // Its name is looked up again: the last owner of the lock may have put another file there.
  struct stat named {};
  const bool is_named = stat(path.c_str(), &named) == 0 && named.st_ino == st.st_ino;
  if (!is_named || FileId{st.st_dev, st.st_ino} != expected.id() || !expected.unchanged()) {
    return refused("another program changed it meanwhile", "run the command again").in_file(path);
  }
  if (st.st_nlink > 1 && !allow_links) {
    return refused("has " + std::to_string(st.st_nlink) +
                       " names (hard links); an edit in place would change it under each",
                   "--force edits it anyway, -o writes a new file")
        .in_file(path);
  }
  return file;
}

InPlaceFile::InPlaceFile(InPlaceFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

InPlaceFile::~InPlaceFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status InPlaceFile::write_at(uint64_t offset, Bytes bytes) {
  return write_all_at(fd_, offset, bytes, path_);
}

Status InPlaceFile::sync() {
  if (fdatasync(fd_) != 0) return write_failed("cannot sync it to disk", errno).in_file(path_);
  return {};
}

Status InPlaceFile::truncate(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    return write_failed("cannot undo what was appended", errno).in_file(path_);
  }
  return {};
}

}  // namespace mlc
