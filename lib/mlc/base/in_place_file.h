// Editing an existing file by appending, for the few edits that are safe at every instant.
//
// The caller orders its writes and syncs so that the file is valid after each of them; this class
// guards against other writers, and truncate() undoes what was appended.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <string>

namespace mlc {

class InPlaceFile {
 public:
  /// Opens the file that EXPECTED has open, for writing, and takes an advisory lock on it. Errors:
  /// write_failed, also if it is another file by now, has changed, is locked, or has several names
  /// (hard links: an edit would show under each; ALLOW_LINKS accepts that).
  static Result<InPlaceFile> open(const InputFile& expected, bool allow_links);
  ~InPlaceFile();
  InPlaceFile(InPlaceFile&& other) noexcept;
  InPlaceFile& operator=(InPlaceFile&&) = delete;

  Status write_at(uint64_t offset, Bytes bytes);
  /// Data and size reach the disk before this returns.
  Status sync();
  Status truncate(uint64_t size);

 private:
  InPlaceFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_ = -1;
};

}  // namespace mlc
