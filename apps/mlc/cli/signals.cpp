#include "cli/signals.h"

#include "cli/exit_code.h"
#include "mlc/base/output_file.h"

#include <atomic>
#include <cstdint>
#include <string_view>

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

std::atomic<int> interrupts{0};
std::atomic<int> bus_errors{0};
std::atomic<int> faults{0};
std::atomic<bool> interrupt_heard{false};
std::atomic<int64_t> last_poll_ms{INT64_MIN / 2};
std::atomic<bool> json_messages{false};
std::atomic<bool> progress_visible{false};
static_assert(std::atomic<int64_t>::is_always_lock_free, "used in signal handlers");

constexpr int64_t kPollWithinMs = 500;
constexpr std::string_view kClearLine = "\r\x1b[K";
constexpr std::string_view kInterruptedText = "mlc: interrupted\n";
constexpr std::string_view kInterruptedJson =
    R"({"schema": "mlc.error/1", "kind": "interrupted", "message": "interrupted", "context": []})"
    "\n";
constexpr std::string_view kShrankText =
    "mlc: error: an input shrank or its device failed while it was read\n"
    "hint: run the command again when no other process writes to the file\n";
constexpr std::string_view kShrankJson =
    R"({"schema": "mlc.error/1", "kind": "read_failed", )"
    R"("message": "an input shrank or its device failed while it was read", "context": [], )"
    R"("hint": "run the command again when no other process writes to the file"})"
    "\n";

// The sanitizers have handlers of their own, which say more.
#if defined(MLC_SANITIZED)
constexpr bool kHandlesFaults = false;
#else
constexpr bool kHandlesFaults = true;
#endif

/// What ends a process that runs native code of others, as people would call it.
struct Fault {
  int number;
  std::string_view text;
  std::string_view kind;
  ExitCode code;
};

constexpr std::string_view kCrashed =
    "mlc, or a library that it runs models with, crashed: signal SIGSEGV (an address that is not "
    "there)";
constexpr std::string_view kAborted =
    "mlc, or a library that it runs models with, crashed: signal SIGABRT (it gave up)";
constexpr std::string_view kIllegal =
    "mlc, or a library that it runs models with, crashed: signal SIGILL (an instruction that this "
    "CPU does not have)";
constexpr Fault kFaults[] = {
    {SIGSEGV, kCrashed, "internal", ExitCode::internal},
    {SIGABRT, kAborted, "internal", ExitCode::internal},
    {SIGILL, kIllegal, "internal", ExitCode::internal},
    {SIGFPE, kDividesIntegers, "unsupported", ExitCode::unsupported},
};

// Async-signal-safe, as everything the handlers call.
void say(std::string_view text) {
  [[maybe_unused]] auto n = ::write(2, text.data(), text.size());
}

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// Before a last message.
void clear_up() {
  remove_pending_outputs();
  if (progress_visible) say(kClearLine);
}

[[noreturn]] void leave(std::string_view text, std::string_view json, ExitCode code) {
  clear_up();
  say(json_messages ? json : text);
  _exit(static_cast<int>(code));
}

/// SIGALRM after kPollWithinMs: setitimer is a plain system call.
void set_alarm() {
  itimerval timer{};
  timer.it_value.tv_usec = kPollWithinMs * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void on_interrupt(int) {
  const int before = interrupts.fetch_add(1);
  if (before == 0 && now_ms() - last_poll_ms < kPollWithinMs) return set_alarm();
  leave(kInterruptedText, kInterruptedJson, ExitCode::interrupted);
}

// The loop that polled may have been at its end: a library that computes asks nobody.
void on_alarm(int) {
  if (interrupts > 0 && !interrupt_heard) {
    leave(kInterruptedText, kInterruptedJson, ExitCode::interrupted);
  }
}

// Every thread that reads the file meets its end: the first one says so, for all.
void on_bus_error(int) {
  if (bus_errors.fetch_add(1) > 0) {
    for (;;) pause();
  }
  leave(kShrankText, kShrankJson, ExitCode::input);
}

/// A fault in the handler, or in another thread meanwhile, ends the process, too.
void on_fault(int number) {
  if (faults.fetch_add(1) > 0) {
    timespec moment{0, 100'000'000};  // for the thread that says so
    nanosleep(&moment, nullptr);
    _exit(static_cast<int>(ExitCode::internal));
  }
  clear_up();
  for (const Fault& one : kFaults) {
    if (one.number != number) continue;
    say(json_messages ? R"({"schema": "mlc.error/1", "kind": ")" : "mlc: error: ");
    if (json_messages) {
      say(one.kind);
      say(R"(", "message": ")");
    }
    say(one.text);
    say(json_messages ? "\", \"context\": []}\n" : "\n");
    _exit(static_cast<int>(one.code));
  }
}

void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

void handle_faults() {
  if (!kHandlesFaults) return;
  // A stack that is full has no room for a handler.
  static char stack[1 << 16];
  stack_t own{};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  sigaltstack(&own, nullptr);
  for (const Fault& one : kFaults) handle(one.number, on_fault, SA_ONSTACK | SA_NODEFER);
}

}  // namespace

void leave_faults_alone() {
  if (!kHandlesFaults) return;
  for (const Fault& one : kFaults) handle(one.number, SIG_DFL, 0);
}

void install_signal_handlers() {
  for (const int fd : {0, 1, 2}) {
    // For reading only, so that writing to a closed stdout still fails. open takes the lowest
    // number.
    if (fcntl(fd, F_GETFD) == -1) [[maybe_unused]]
      const int opened = open("/dev/null", O_RDONLY);
  }
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    // nohup and background jobs of a script start with some of them ignored, and mean it.
    struct sigaction current {};
    if (sigaction(number, nullptr, &current) == 0 && current.sa_handler == SIG_IGN) continue;
    handle(number, on_interrupt, SA_RESTART);
  }
  handle(SIGALRM, on_alarm, SA_RESTART);
  handle(SIGBUS, on_bus_error, 0);
  handle_faults();
  handle(SIGPIPE, SIG_IGN, 0);
  handle(SIGXFSZ, SIG_IGN, 0);
}

void set_signal_messages(bool json) {
  json_messages = json;
}
void set_progress_visible(bool visible) {
  progress_visible = visible;
}

bool interrupt_requested() {
  last_poll_ms.store(now_ms(), std::memory_order_relaxed);
  if (interrupts == 0) return false;
  interrupt_heard = true;
  return true;
}

}  // namespace mlc::cli
