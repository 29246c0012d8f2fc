#include "cli/writer.h"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace mlc::cli {

void Writer::drain() {
  std::string_view rest = buffer_;
  if (before_output_ && !rest.empty()) before_output_();
  while (!rest.empty() && !broken_ && error_ == 0) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) {
      broken_ = true;
    } else if (n < 0) {
      error_ = errno;
    } else {
      rest.remove_prefix(static_cast<size_t>(n));
    }
  }
  buffer_.clear();
}

Status Writer::flush() {
  if (fd_ < 0) return {};
  drain();
  if (error_ != 0) return write_failed("cannot write to standard output", error_);
  return {};
}

std::string Writer::take() {
  return std::exchange(buffer_, {});
}

}  // namespace mlc::cli
