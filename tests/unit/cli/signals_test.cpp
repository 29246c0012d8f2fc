#include "cli/signals.h"

#include "catch.h"
#include "cli/console.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

struct Ended {
  int code = -1;  // -1: killed by a signal
  std::string error_text;
};

// Runs BODY in a child whose standard error is collected; the child exits with what BODY returns.
Ended in_child(const std::function<int()>& body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    install_signal_handlers();
    _exit(body());
  }
  close(ends[1]);
  Ended ended;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    ended.error_text.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
  return ended;
}

TEST_CASE("Ctrl-C ends a process in which nothing polls") {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const Ended ended = in_child([&] { return raise(number), 99; });
    CHECK(ended.code == 130);
    CHECK(ended.error_text == "mlc: interrupted\n");
  }
}

TEST_CASE("the first Ctrl-C is left to a loop that polls, the second is not") {
  const Ended polite = in_child([] {
    if (interrupt_requested()) return 1;
    raise(SIGINT);
    return interrupt_requested() ? 42 : 2;
  });
  CHECK(polite.code == 42);
  CHECK(polite.error_text.empty());
  const Ended deaf = in_child([] {
    interrupt_requested();
    raise(SIGINT);
    raise(SIGINT);
    return 99;
  });
  CHECK(deaf.code == 130);
}

TEST_CASE("an ignored signal stays ignored, as under nohup") {
  signal(SIGHUP, SIG_IGN);
  const Ended ended = in_child([] { return raise(SIGHUP), 42; });
  signal(SIGHUP, SIG_DFL);
  CHECK(ended.code == 42);
}

TEST_CASE("a mapped file that shrinks is a message, not a crash") {
  const Ended ended = in_child([] {
    char name[] = "/tmp/mlc-shrinkXXXXXX";
    const int fd = mkstemp(name);
    unlink(name);
    if (ftruncate(fd, 8192) != 0) return 1;
    const auto* bytes =
        static_cast<const volatile char*>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 0));
    if (ftruncate(fd, 0) != 0) return 2;
    set_signal_messages(true);
    return 50 + bytes[5000];
  });
  CHECK(ended.code == 3);
  CHECK(ended.error_text.find(R"("kind": "read_failed")") != std::string::npos);
}

TEST_CASE("a broken pipe and a file size limit arrive as errors") {
  const Ended pipe_end = in_child([] {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    close(ends[0]);
    Writer writer(ends[1]);
    writer.line("text");
    if (!writer.flush().ok() || !writer.broken()) return 2;
    return 42;
  });
  CHECK(pipe_end.code == 42);
  const Ended limit = in_child([] {
    char name[] = "/tmp/mlc-limitXXXXXX";
    const int fd = mkstemp(name);
    unlink(name);
    const rlimit small{4, 4};
    if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 1;
    Writer writer(fd);
    writer.write("12345678");
    const Status status = writer.flush();
    return !status.ok() && status.error().kind() == ErrorKind::write_failed ? 42 : 2;
  });
  CHECK(limit.code == 42);
}

TEST_CASE("closed standard descriptors are never given to files") {
  const Ended ended = in_child([] {
    close(0);
    close(1);
    install_signal_handlers();
    const int fd = open("/dev/null", O_RDONLY);
    if (fd < 3) return 1;
    return write(1, "x", 1) == -1 && errno == EBADF ? 42 : 2;
  });
  CHECK(ended.code == 42);
}

// What a TerminalReporter writes to standard error during BODY.
std::string said(const SharedOptions& options, const std::function<void(Reporter&)>& body) {
  const Ended ended = in_child([&] {
    Console console;
    console.configure(options);
    TerminalReporter reporter(console);
    body(reporter);
    return 0;
  });
  CHECK(ended.code == 0);
  return ended.error_text;
}

TEST_CASE("progress waits half a second and clears itself before a message") {
  SharedOptions options;
  options.progress = When::always;
  const auto steps = [](Reporter& reporter) {
    const ProgressScope progress(reporter, "hashing", 100'000'000);
    reporter.advance(1'000'000);
    usleep(600'000);
    for (int i = 0; i < 1000; ++i) reporter.advance(1000);
    reporter.warn("odd");
  };
  const std::string text = said(options, steps);
  CHECK_THAT(text, Catch::StartsWith("\rhashing  1%  1.0 MB of 100.0 MB"));
  CHECK_THAT(text, Catch::EndsWith("\x1b[K\r\x1b[Kmlc: warning: odd\n"));
  CHECK(std::count(text.begin(), text.end(), '%') == 1);  // 1000 steps, one redraw

  options.progress = When::automatic;  // standard error is a pipe here
  CHECK(said(options, steps) == "mlc: warning: odd\n");
  options.progress = When::always;
  options.quiet = true;
  CHECK(said(options, steps).empty());
}

TEST_CASE("quick steps show nothing, and details need -v") {
  SharedOptions options;
  options.progress = When::always;
  const auto steps = [](Reporter& reporter) {
    const ProgressScope progress(reporter, "hashing", 10);
    reporter.advance(10);
    reporter.detail("storage 14");
  };
  CHECK(said(options, steps).empty());
  options.verbose = 1;
  CHECK(said(options, steps) == "storage 14\n");
}

}  // namespace
}  // namespace mlc::cli
