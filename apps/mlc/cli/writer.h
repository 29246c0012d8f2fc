// Text on its way to a file descriptor or into memory: one buffer, few system calls.
#pragma once

#include "mlc/base/result.h"

#include <functional>
#include <string>
#include <string_view>

namespace mlc::cli {

/// Where answers are written to. Failures are kept rather than returned, so that rendering code
/// stays plain: a broken pipe silences the writer, anything else is reported by flush(). Used from
/// one thread at a time.
class Writer {
 public:
  /// Writes to FD, which it does not own.
  explicit Writer(int fd) : fd_(fd) {}
  /// Collects in memory, for take().
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(std::string_view text) {
    buffer_.append(text);
    settle();
  }
  void line(std::string_view text) {
    buffer_.append(text);
    write("\n");
  }

  /// For code that appends piece by piece: the text that waits, and what has to be called now and
  /// then after appending to it.
  std::string& pending() { return buffer_; }
  void settle() {
    if (fd_ >= 0 && buffer_.size() >= kFlushAt) drain();
  }

  /// Passes everything on. Errors: write_failed, once and for all later calls; a reader that went
  /// away is not an error.
  Status flush();
  /// Whether the reader went away: further output is pointless.
  bool broken() const { return broken_; }
  /// Drops what has not reached the descriptor yet.
  void discard() { buffer_.clear(); }
  /// What was written to a memory writer, which is empty afterwards.
  std::string take();

  /// Called before bytes reach the descriptor, to clear a progress line from the terminal.
  void before_output(std::function<void()> action) { before_output_ = std::move(action); }

 private:
  static constexpr size_t kFlushAt = size_t{1} << 16U;
  void drain();

  int fd_ = -1;
  int error_ = 0;
  bool broken_ = false;
  std::string buffer_;
  std::function<void()> before_output_;
};

}  // namespace mlc::cli
