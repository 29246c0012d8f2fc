// The terminal, as verbs see it: the answer goes to out(), everything else to standard error.
//
// Owns the decisions that depend on streams: colour, width, progress. Messages may come from
// several threads; out() belongs to one at a time.
#pragma once

#include "cli/shared_options.h"
#include "cli/writer.h"
#include "mlc/base/error.h"
#include "mlc/base/reporter.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace mlc::cli {

enum class Style { bold, red, green, yellow, dim };

class Console {
 public:
  Console();

  /// Applies --json, --quiet, --verbose, --color, --progress and the environment.
  void configure(const SharedOptions& options);

  /// Standard output, buffered until the end of the process.
  Writer& out() { return out_; }
  bool json() const { return options_.json; }
  int verbosity() const { return options_.verbose; }
  /// Columns of the terminal on standard output; 0 where it is none, so that nothing is cut.
  size_t out_width() const { return out_width_; }
  bool out_has_color() const { return out_color_; }
  /// TEXT in STYLE where standard output has colour.
  std::string paint(Style style, std::string_view text) const;

  /// A line on standard error behind the answer, unless --quiet or --json, whose answer tells it:
  /// what was done, "wrote x.pt: 291 tensors, 412 MB". Belongs to the thread that out() belongs to.
  void note(std::string_view text);
  /// "mlc: warning: TEXT", unless --quiet; an mlc.message/1 object with --json.
  void warn(std::string_view text);
  /// A line with -v; an mlc.message/1 object with --json.
  void detail(std::string_view text);
  /// The error as text, or as an mlc.error/1 object with --json. Always shown.
  void error(const Error& error);

  bool shows_progress() const { return progress_; }
  /// Replaces the progress line; empty removes it. For TerminalReporter.
  void set_progress_line(const std::string& line);
  /// Columns of standard error, 80 where unknown.
  size_t error_width() const;

 private:
  void say(std::string_view text);
  void clear_progress_locked();
  std::string paint_error(Style style, std::string_view text) const;

  SharedOptions options_;
  Writer out_;
  size_t out_width_ = 0;
  bool out_color_ = false;
  bool error_color_ = false;
  bool progress_ = false;
  bool progress_on_screen_ = false;  // under mutex_
  std::mutex mutex_;
};

/// The Reporter of the process: messages to the console, progress drawn on standard error after
/// half a second and at most six times a second, with amount, rate and time left. Units are bytes
/// unless WHAT of begin() ends in a word in parentheses: "checking (tensors)". advance() is safe
/// from several threads.
class TerminalReporter : public Reporter {
 public:
  explicit TerminalReporter(Console& console) : console_(console) {}

  void begin(std::string_view what, uint64_t total) override;
  void advance(uint64_t amount) override;
  void end() override;
  void warn(std::string message) override { console_.warn(message); }
  void detail(std::string message) override { console_.detail(message); }
  bool interrupted() const override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(Clock::time_point now);

  Console& console_;
  std::string what_;
  std::string unit_;  // empty: bytes
  int depth_ = 0;     // steps within a step count for the outer one only
  uint64_t total_ = 0;
  Clock::time_point started_;
  std::atomic<uint64_t> done_{0};
  std::atomic<int64_t> next_draw_ns_{0};
};

/// "encoding  45%  197.0 MB of 438.0 MB  812.0 MB/s  0:03 left"; UNIT empty: bytes; TOTAL 0:
/// unknown.
std::string progress_text(std::string_view what, std::string_view unit, uint64_t done,
                          uint64_t total, double seconds);

}  // namespace mlc::cli
