#include "mlc/base/text_input.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {
namespace {

constexpr uint64_t kMostBytes = uint64_t{256} << 20;

struct Descriptor {
  int number = -1;
  explicit Descriptor(int fd) : number(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

Error system_error(const std::string& what, int code) {
  return Error(ErrorKind::read_failed, what + ": " + std::strerror(code));
}

Status write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot keep", errno);
    data += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

/// A file in memory with all that comes out of STREAM: the readers want offsets and a size.
Result<std::shared_ptr<InputFile>> drain(int stream) {
  const Descriptor memory(memfd_create("mlc-text", MFD_CLOEXEC));
  if (memory.number < 0) return system_error("cannot keep", errno);
  std::array<char, 64 * 1024> block;
  uint64_t total = 0;
  while (true) {
    const ssize_t n = ::read(stream, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read", errno);
    if (n == 0) break;
    total += static_cast<uint64_t>(n);
    if (total > kMostBytes) return unsupported("a stream above 256 MB", "save it to a file first");
    MLC_CHECK(write_all(memory.number, block.data(), static_cast<size_t>(n)));
  }
  return InputFile::open("/proc/self/fd/" + std::to_string(memory.number));
}

Result<std::shared_ptr<InputFile>> open_stream(const std::string& path) {
  const bool standard = path == kStandardInput;
  const Descriptor stream(standard ? dup(STDIN_FILENO)
                                   : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (stream.number < 0) return system_error("cannot open", errno);
  if (standard && isatty(stream.number) != 0) {
    return usage_error("standard input is a terminal", "pipe or redirect the text into it");
  }
  return drain(stream.number);
}

}  // namespace

bool is_stream(const std::string& path) {
  struct stat st {};
  if (path == kStandardInput) return true;
  return stat(path.c_str(), &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
}

Result<std::shared_ptr<InputFile>> open_text_input(const std::string& path) {
  if (!is_stream(path)) return InputFile::open(path);
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<InputFile>> read;
  const std::lock_guard lock(mutex);
  if (const auto known = read.find(path); known != read.end()) return known->second;
  auto file = open_stream(path);
  if (!file.ok()) return std::move(file).error().in_file(path);
  read.emplace(path, *file);
  return file;
}

}  // namespace mlc
