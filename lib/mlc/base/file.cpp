#include "mlc/base/file.h"

#include <algorithm>
#include <cerrno>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {

struct InputFile::Mapping {
  std::once_flag once;
  void* address = nullptr;
  int error = 0;
};

namespace {
int64_t nanoseconds(const timespec& t) {
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

Result<std::shared_ptr<InputFile>> InputFile::open(const std::string& path) {
  std::shared_ptr<InputFile> file(new InputFile);
  file->path_ = path;
  file->mapping_ = std::make_unique<Mapping>();
  // O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files.
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd_ < 0) return read_failed("cannot open", errno).in_file(path);
  struct stat st {};
  if (fstat(file->fd_, &st) != 0) return read_failed("cannot stat", errno).in_file(path);
  if (S_ISDIR(st.st_mode)) {
    return Error(ErrorKind::read_failed, "is a folder, not a file").in_file(path);
  }
  if (!S_ISREG(st.st_mode)) {
    return Error(ErrorKind::read_failed, "is not a regular file", "save it to a file first")
        .in_file(path);
  }
  file->size_ = static_cast<uint64_t>(st.st_size);
  file->id_ = {st.st_dev, st.st_ino};
  file->mode_ = st.st_mode & 07777U;
  file->links_ = st.st_nlink;
  file->mtime_ns_ = nanoseconds(st.st_mtim);
  return file;
}

InputFile::~InputFile() {
  if (mapping_ && mapping_->address != nullptr) munmap(mapping_->address, size_);
  if (fd_ >= 0) ::close(fd_);
}

Status InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return read_failed("cannot read", errno).in_file(path_);
    if (n == 0)
      return corrupt("the file ends before offset " + std::to_string(offset + out.size()))
          .in_file(path_);
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<std::string> InputFile::read_string(uint64_t offset, uint64_t length) const {
  if (offset > size_ || length > size_ - offset) {
    return corrupt("bytes " + std::to_string(offset) + " to " + std::to_string(offset + length) +
                   " lie beyond the end of the file (" + std::to_string(size_) + " bytes)")
        .in_file(path_);
  }
  std::string out(static_cast<size_t>(length), '\0');
  MLC_CHECK(read_at(offset, std::as_writable_bytes(std::span(out))));
  return out;
}

Result<Bytes> InputFile::map() const {
  if (size_ == 0) return Bytes();
  std::call_once(mapping_->once, [this] {
    void* p = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
    if (p == MAP_FAILED) {
      mapping_->error = errno;
    } else {
      mapping_->address = p;
    }
  });
  if (mapping_->address == nullptr) {
    return read_failed("cannot map the file into memory", mapping_->error).in_file(path_);
  }
  return Bytes(static_cast<const std::byte*>(mapping_->address), size_);
}

void InputFile::forget(uint64_t offset, uint64_t length) const {
  if (mapping_->address == nullptr || offset >= size_) return;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset - offset % page;
  const uint64_t end = std::min(size_, offset + length);
  madvise(static_cast<std::byte*>(mapping_->address) + begin, end - begin, MADV_DONTNEED);
}

bool InputFile::unchanged() const {
  struct stat st {};
  return fstat(fd_, &st) == 0 && static_cast<uint64_t>(st.st_size) == size_ &&
         nanoseconds(st.st_mtim) == mtime_ns_;
}

}  // namespace mlc
