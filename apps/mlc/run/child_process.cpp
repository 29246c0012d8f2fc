#include "run/child_process.h"

#include "cli/exit_code.h"
#include "cli/signals.h"
#include "mlc/base/bytes.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

// An answer is a byte 1 and the text, an Error a byte 0, its kind and four texts with their
// lengths.
constexpr char kAnswer = 1;
constexpr char kError = 0;

void append_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<uint64_t>(text.size()));
  out += text;
}

std::string encoded(const Result<std::string>& result) {
  if (result.ok()) return kAnswer + *result;
  const Error& error = result.error();
  std::string out(1, kError);
  out += static_cast<char>(error.kind());
  append_text(out, error.text());
  append_text(out, error.hint());
  append_text(out, error.file());
  return out;
}

std::optional<std::string> read_text(ByteReader& reader) {
  const auto length = reader.read<uint64_t>();
  const auto bytes = length ? reader.take(*length) : std::nullopt;
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

std::optional<Error> decoded_error(std::string_view bytes) {
  ByteReader reader(as_bytes(bytes));
  const auto kind = reader.read<uint8_t>();
  const auto message = read_text(reader);
  const auto hint = read_text(reader);
  const auto file = read_text(reader);
  if (!kind || !file) return std::nullopt;
  Error error(static_cast<ErrorKind>(*kind), *message, *hint);
  if (file->empty()) return error;
  return std::move(error).in_file(*file);
}

[[noreturn]] void run_child(int out, const std::function<Result<std::string>()>& work) {
  leave_faults_alone();
  const auto guarded = [&]() -> Result<std::string> {
    try {
      return work();
    } catch (...) {
      return error_of_exception();
    }
  };
  const std::string bytes = encoded(guarded());
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(out, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  ::_exit(0);
}

std::string read_all(int in) {
  std::string bytes;
  char block[4096];
  for (;;) {
    const ssize_t n = ::read(in, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return bytes;
    bytes.append(block, static_cast<size_t>(n));
  }
}

Error without_answer(int status) {
  if (!WIFSIGNALED(status)) return internal_error("a process ended without an answer");
  const int signal = WTERMSIG(status);
  if (signal == SIGFPE) return unsupported(std::string(kDividesIntegers));
  if (signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGILL ||
      signal == SIGFPE) {
    return internal_error("the library that runs the model crashed: signal " +
                          std::to_string(signal) + " (" + ::strsignal(signal) + ")");
  }
  return Error(ErrorKind::read_failed,
               "the process that ran it was ended by signal " + std::to_string(signal) + " (" +
                   ::strsignal(signal) + ")",
               signal == 9 ? "memory may not suffice: smaller inputs need less" : "");
}

}  // namespace

Result<std::string> in_child_process(const std::function<Result<std::string>()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) return read_failed("cannot make a pipe", errno);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return read_failed("cannot start a process", errno);
  if (child == 0) {
    // Whoever ends this process, and it alone, does not want the work to go on. The child has
    // nothing to clean up, and a model in a long call would not hear a gentler signal.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    ::close(ends[0]);
    run_child(ends[1], work);
  }
  ::close(ends[1]);
  std::string bytes = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (bytes.empty()) return without_answer(status);
  if (bytes[0] == kAnswer) return bytes.substr(1);
  if (auto error = decoded_error(std::string_view(bytes).substr(1))) return std::move(*error);
  return internal_error("a process ended with half an answer");
}

}  // namespace mlc::cli
