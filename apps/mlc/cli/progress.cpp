#include "cli/console.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "mlc/base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr auto kFirstDraw = std::chrono::milliseconds(500);
constexpr auto kRedraw = std::chrono::milliseconds(170);
// A rate measured over less says nothing about the time left.
constexpr double kSteadySeconds = 0.4;

std::string amount(uint64_t count, std::string_view unit) {
  return unit.empty() ? format_bytes(count) : format_count(count) + " " + std::string(unit);
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<uint64_t>(std::min(seconds + 0.5, 359999.0));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

std::string progress_text(std::string_view what, std::string_view unit, uint64_t done,
                          uint64_t total, double seconds) {
  done = total > 0 ? std::min(done, total) : done;
  std::string out = printable(what);
  if (total > 0) {
    const auto percent =
        static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total));
    out += fmt::format("  {}%  {} of {}", percent, amount(done, unit), amount(total, unit));
  } else {
    out += "  " + amount(done, unit);
  }
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  if (seconds < kSteadySeconds || rate < 1) return out;
  out += "  " + amount(static_cast<uint64_t>(rate), unit) + "/s";
  if (total > 0) out += "  " + clock_text(static_cast<double>(total - done) / rate) + " left";
  return out;
}

void TerminalReporter::begin(std::string_view what, uint64_t total) {
  if (depth_++ > 0) return;
  unit_.clear();
  if (what.ends_with(')')) {
    const size_t open = what.rfind(" (");
    if (open != std::string_view::npos) {
      unit_ = what.substr(open + 2, what.size() - open - 3);
      what = what.substr(0, open);
    }
  }
  what_ = what;
  total_ = total;
  done_ = 0;
  started_ = Clock::now();
  next_draw_ns_ = (started_ + kFirstDraw).time_since_epoch() / std::chrono::nanoseconds(1);
}

void TerminalReporter::advance(uint64_t amount) {
  if (depth_ != 1) return;
  done_.fetch_add(amount, std::memory_order_relaxed);
  if (!console_.shows_progress()) return;
  const auto now = Clock::now();
  int64_t due = next_draw_ns_.load(std::memory_order_relaxed);
  if (now.time_since_epoch() / std::chrono::nanoseconds(1) < due) return;
  const int64_t next = (now + kRedraw).time_since_epoch() / std::chrono::nanoseconds(1);
  // The thread that moves the time draws.
  if (next_draw_ns_.compare_exchange_strong(due, next)) draw(now);
}

void TerminalReporter::draw(Clock::time_point now) {
  const std::chrono::duration<double> seconds = now - started_;
  const std::string line = progress_text(what_, unit_, done_, total_, seconds.count());
  console_.set_progress_line(shortened(line, console_.error_width() - 1));
}

void TerminalReporter::end() {
  if (--depth_ == 0) console_.set_progress_line({});
}

bool TerminalReporter::interrupted() const {
  return interrupt_requested();
}

}  // namespace mlc::cli
