#include "cli/console.h"

#include "cli/render_error.h"
#include "cli/signals.h"

#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool dumb_terminal() {
  return environment("TERM") == "dumb";
}

bool decide(When when, bool automatic) {
  return when == When::always || (when == When::automatic && automatic);
}

size_t terminal_width(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string_view ansi(Style style) {
  switch (style) {
    case Style::bold:
      return "\x1b[1m";
    case Style::red:
      return "\x1b[31m";
    case Style::green:
      return "\x1b[32m";
    case Style::yellow:
      return "\x1b[33m";
    case Style::dim:
      return "\x1b[2m";
  }
  return "";
}

std::string painted(Style style, std::string_view text) {
  return std::string(ansi(style)) + std::string(text) + "\x1b[0m";
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0) return;  // nobody is left to be told
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

Console::Console() : out_(STDOUT_FILENO) {
  configure({});
}

void Console::configure(const SharedOptions& options) {
  options_ = options;
  const bool out_tty = isatty(STDOUT_FILENO) == 1;
  const bool error_tty = isatty(STDERR_FILENO) == 1;
  // no-color.org: any value but the empty one turns colour off.
  const bool wanted = environment("NO_COLOR").empty() && !dumb_terminal();
  out_color_ = !options.json && decide(options.color, out_tty && wanted);
  error_color_ = !options.json && decide(options.color, error_tty && wanted);
  progress_ = !options.quiet && decide(options.progress, error_tty && !dumb_terminal());
  out_width_ = out_tty ? terminal_width(STDOUT_FILENO) : 0;
  if (out_tty) out_.before_output([this] { set_progress_line({}); });
}

std::string Console::paint(Style style, std::string_view text) const {
  return out_color_ ? painted(style, text) : std::string(text);
}

std::string Console::paint_error(Style style, std::string_view text) const {
  return error_color_ ? painted(style, text) : std::string(text);
}

void Console::note(std::string_view text) {
  if (options_.quiet || options_.json) return;
  static_cast<void>(out_.flush());  // the end of the process looks again
  say(text);
}

void Console::warn(std::string_view text) {
  if (options_.quiet) return;
  if (options_.json) return say(message_json("warning", text));
  say(paint_error(Style::yellow, "mlc: warning:") + " " + std::string(text));
}

void Console::detail(std::string_view text) {
  if (options_.verbose == 0 || options_.quiet) return;
  say(options_.json ? message_json("detail", text) : std::string(text));
}

void Console::error(const Error& error) {
  if (options_.json) return say(error_json(error));
  // As the handlers of signals say it, who may come first.
  if (error.kind() == ErrorKind::interrupted) return say("mlc: interrupted");
  const ErrorText text = error_text(error);
  std::string lines = paint_error(Style::red, "mlc: error:") + " " + text.message;
  if (!text.hint.empty()) lines += "\n" + paint_error(Style::bold, "hint:") + " " + text.hint;
  say(lines);
}

// One write, so that lines of several processes on one terminal do not mix.
void Console::say(std::string_view text) {
  const std::lock_guard lock(mutex_);
  clear_progress_locked();
  write_all(STDERR_FILENO, std::string(text) + "\n");
}

void Console::clear_progress_locked() {
  if (!progress_on_screen_) return;
  write_all(STDERR_FILENO, "\r\x1b[K");
  progress_on_screen_ = false;
  set_progress_visible(false);
}

void Console::set_progress_line(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (line.empty()) return clear_progress_locked();
  set_progress_visible(true);
  write_all(STDERR_FILENO, "\r" + line + "\x1b[K");
  progress_on_screen_ = true;
}

size_t Console::error_width() const {
  static constexpr size_t kUnknown = 80;
  const size_t width = terminal_width(STDERR_FILENO);
  return width > 0 ? width : kUnknown;
}

}  // namespace mlc::cli
