// pwrite() until everything is written.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"

#include <cerrno>
#include <cstdint>
#include <string>

#include <unistd.h>

namespace mlc {

/// Writes BYTES at OFFSET of the open file FD, whatever pieces the kernel takes them in. PATH is
/// for messages. Thread-safe. Error: write_failed.
inline Status write_all_at(int fd, uint64_t offset, Bytes bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return write_failed("cannot write", n < 0 ? errno : EIO).in_file(path);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace mlc
