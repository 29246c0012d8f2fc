// Reading files: opened once, size and identity fixed at opening, mapped on demand.
//
// A mapped file that another process truncates would end this process with SIGBUS; apps/mlc turns
// that into an error message. Metadata should be read through pread (read_at) where it is small.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <memory>
#include <string>

namespace mlc {

/// Which file this is, whatever it is called. Two paths with equal ids are one file.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileId&) const = default;
};

/// A regular file open for reading. Not copyable; share it through shared_ptr.
class InputFile {
 public:
  /// Opens PATH. Errors: not_found, read_failed; the latter also for directories, pipes and
  /// devices.
  static Result<std::shared_ptr<InputFile>> open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  FileId id() const { return id_; }
  /// Permission bits, for giving them to a file that replaces this one.
  unsigned mode() const { return mode_; }
  /// Names of this file in the file system (hard links).
  uint64_t link_count() const { return links_; }
  int fd() const { return fd_; }

  /// Reads exactly [offset, offset + out.size()). Errors: corrupt if the range is beyond size(),
  /// read_failed otherwise.
  Status read_at(uint64_t offset, std::span<std::byte> out) const;
  /// The same into a new string. LENGTH is checked against size() before anything is allocated.
  Result<std::string> read_string(uint64_t offset, uint64_t length) const;

  /// The whole file, mapped read-only on first use and until destruction. Thread-safe.
  Result<Bytes> map() const;
  /// Tells the kernel that mapped pages in the range are not needed again soon, which keeps the
  /// resident size small while streaming. The range may be anything.
  void forget(uint64_t offset, uint64_t length) const;

  /// Whether size and modification time are still those of opening.
  bool unchanged() const;

 private:
  struct Mapping;
  InputFile() = default;

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  FileId id_;
  unsigned mode_ = 0;
  uint64_t links_ = 1;
  int64_t mtime_ns_ = 0;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace mlc
