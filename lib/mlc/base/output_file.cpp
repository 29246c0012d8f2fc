#include "mlc/base/output_file.h"

#include "mlc/base/in_place_file.h"
#include "mlc/base/missing_folder.h"
#include "mlc/base/write_all.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {
namespace {

// Names that a signal handler must unlink. Fixed slots, so that the handler needs no lock: a slot
// is taken by setting `used`, and its text is complete before `live` is set.
struct PendingName {
  std::atomic<bool> used{false};
  std::atomic<bool> live{false};
  std::array<char, PATH_MAX> path{};
};
std::array<PendingName, 64> pending_names;

void remember_pending(const std::string& path) {
  if (path.size() >= PATH_MAX) return;
  for (PendingName& slot : pending_names) {
    if (slot.used.exchange(true)) continue;
    std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
    slot.live = true;
    return;
  }
}

void forget_pending(const std::string& path) {
  for (PendingName& slot : pending_names) {
    if (!slot.live || path != slot.path.data()) continue;
    slot.live = false;
    slot.used = false;
    return;
  }
}

constexpr size_t kCollect = size_t{1} << 20U;      // small writes are collected up to this
constexpr uint64_t kReserve = uint64_t{1} << 20U;  // longer ranges get their blocks at once,
constexpr uint64_t kReserveAtMost = uint64_t{512}
                                    << 20U;  // up to this: a skipped range may stay a hole

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

constexpr int kTempNames = 16;  // so many processes may write one path at the same time

/// FOLDER/.NAME.mlc-N.tmp
std::string temp_name(const std::string& path, int n) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return folder + "." + name.substr(0, 180) + ".mlc-" + std::to_string(n) + ".tmp";
}

/// Unlinks a temporary whose owner is dead: one that nobody holds a lock on. Whatever else has that
/// name stays.
void remove_stale(const std::string& temp) {
  struct stat st {};
  if (lstat(temp.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) return;
  int fd = ::open(temp.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fd = ::open(temp.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  struct stat locked {};
  // Looked up again: its owner may have renamed it and gone before the lock.
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 &&
      lstat(temp.c_str(), &st) == 0 && st.st_ino == locked.st_ino && st.st_dev == locked.st_dev) {
    ::unlink(temp.c_str());
  }
  ::close(fd);
}

Result<std::string> resolve_link(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0 || !S_ISLNK(st.st_mode)) return path;
  std::array<char, PATH_MAX> real{};
  if (realpath(path.c_str(), real.data()) != nullptr) return std::string(real.data());
  if (stat(path.c_str(), &st) == 0) return path;  // a pipe behind /dev/stdout, which has no name
  return write_failed("is a symbolic link that leads nowhere", errno).in_file(path);
}

Error exists_already(const std::string& path) {
  return Error(ErrorKind::exists, "exists already", "--force replaces it").in_file(path);
}

/// REPLACES: the file at PATH is there and may be written, its folder only takes no other.
Error cannot_create(int errno_value, const std::string& path, bool replaces) {
  Error error =
      hint_at_missing_folder(write_failed("cannot create a file in its folder", errno_value),
                             errno_value, path)
          .in_file(path);
  if (!replaces) return error;
  return std::move(error).with_hint(
      "the new content goes into a file beside the old one, which stays whole until that takes its "
      "name; -o names a file in another folder");
}

bool is_regular(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

/// Gives the file behind FD, which may be called TEMP, the name PATH, which must be free: 0, or -1
/// with errno.
int give_new_name(int fd, const std::string& temp, const std::string& path) {
  if (temp.empty()) {
    const std::string source = "/proc/self/fd/" + std::to_string(fd);
    return linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  }
  int rc = renameat2(AT_FDCWD, temp.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
  if (rc != 0 && errno == EINVAL) {
    rc = link(temp.c_str(), path.c_str());  // no RENAME_NOREPLACE here
    if (rc == 0) ::unlink(temp.c_str());
  }
  return rc;
}

unsigned default_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666U & ~mask;
}

}  // namespace

void remove_pending_outputs() {
  for (PendingName& slot : pending_names) {
    if (slot.live.exchange(false)) ::unlink(slot.path.data());
  }
}

Status sync_parent_folder(const std::string& path) {
  const int fd = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return write_failed("cannot open the folder of the output", errno).in_file(path);
  const int rc = fsync(fd);
  const int error = errno;
  ::close(fd);
  // Some network file systems cannot sync a folder; they order renames themselves.
  if (rc != 0 && error != EINVAL)
    return write_failed("cannot sync the folder", error).in_file(path);
  return {};
}

Status link_over(const std::string& from, const std::string& to) {
  for (int n = 0; n < kTempNames; ++n) {
    const std::string temp = temp_name(to, n);
    remove_stale(temp);
    if (link(from.c_str(), temp.c_str()) != 0) {
      if (errno == EEXIST) continue;
      return write_failed("cannot give it a second name", errno).in_file(from);
    }
    if (rename(temp.c_str(), to.c_str()) == 0) return sync_parent_folder(to);
    const int error = errno;
    ::unlink(temp.c_str());
    return write_failed("cannot give the output its name", error).in_file(to);
  }
  return write_failed("cannot create a temporary file beside it", EEXIST).in_file(to);
}

Result<OutputFile> OutputFile::aim(const std::string& path, const OutputOptions& options) {
  OutputFile out;
  MLC_TRY(out.path_, resolve_link(path));
  out.options_ = options;
  out.mode_ = options.mode != 0 ? options.mode : default_mode();
  struct stat st {};
  if (stat(out.path_.c_str(), &st) != 0) {
    // Known now, and not after everything is written.
    if (errno == ENAMETOOLONG) return cannot_create(errno, path, out.replaces_);
    return out;
  }
  if (S_ISDIR(st.st_mode)) {
    return Error(ErrorKind::usage, "is a folder; the output must be a file").in_file(path);
  }
  if (!S_ISREG(st.st_mode)) {
    return Error(ErrorKind::usage, "is not a regular file; mlc writes regular files only")
        .in_file(path);
  }
  if (!options.replace) return exists_already(path);
  out.replaces_ = true;
  out.replaced_ = {st.st_dev, st.st_ino};
  if (options.mode == 0) out.mode_ = st.st_mode & 07777U;
  if (access(out.path_.c_str(), W_OK) != 0) {
    return write_failed("cannot replace it", errno).in_file(path);
  }
  return out;
}

Status OutputFile::check(const std::string& path, const OutputOptions& options) {
  MLC_TRY(const OutputFile out, aim(path, options));
  const std::string folder = folder_of(out.path_);
  struct stat st {};
  errno = 0;
  const bool is_folder = stat(folder.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  if (is_folder && access(folder.c_str(), W_OK | X_OK) == 0) return {};
  return cannot_create(errno != 0 ? errno : ENOTDIR, path, out.replaces_);
}

Result<OutputFile> OutputFile::create(const std::string& path, const OutputOptions& options) {
  MLC_TRY(OutputFile out, aim(path, options));
  remove_stale(temp_name(out.path_, 0));
  const std::string folder = folder_of(out.path_);
  // An unnamed file gets its name through /proc.
  const bool can_name = access("/proc/self/fd", X_OK) == 0;
  errno = EOPNOTSUPP;
  if (can_name) out.fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (out.fd_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT) &&
      access(folder.c_str(), F_OK) == 0) {
    MLC_CHECK(out.create_named());
  } else if (out.fd_ < 0) {
    return cannot_create(errno, path, out.replaces_);
  } else {
    flock(out.fd_, LOCK_EX | LOCK_NB);  // for the moment in which it has a temporary name
  }
  if (fchmod(out.fd_, out.mode_) != 0) {
    return write_failed("cannot set its mode", errno).in_file(path);
  }
  return out;
}

Status OutputFile::create_named() {
  for (int n = 0; n < kTempNames; ++n) {
    const std::string temp = temp_name(path_, n);
    remove_stale(temp);
    fd_ = ::open(temp.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) return cannot_create(errno, path_, replaces_);
    flock(fd_, LOCK_EX);
    // Another process may have taken it for a stale one before the lock.
    struct stat st {};
    if (fstat(fd_, &st) == 0 && st.st_nlink > 0) {
      temp_path_ = temp;
      remember_pending(temp_path_);
      return {};
    }
    ::close(fd_);
    fd_ = -1;
  }
  return write_failed("cannot create a temporary file beside it", EEXIST).in_file(path_);
}

Status OutputFile::give_temp_name() {
  const std::string source = "/proc/self/fd/" + std::to_string(fd_);
  for (int n = 0; n < kTempNames; ++n) {
    temp_path_ = temp_name(path_, n);
    remove_stale(temp_path_);
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, temp_path_.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      remember_pending(temp_path_);
      return {};
    }
    if (errno != EEXIST) break;
  }
  const int error = errno;
  temp_path_.clear();
  return write_failed("cannot name the output", error).in_file(path_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temp_path_(std::exchange(other.temp_path_, {})),
      fd_(std::exchange(other.fd_, -1)),
      replaces_(other.replaces_),
      replaced_(other.replaced_),
      options_(other.options_),
      mode_(other.mode_),
      position_(other.position_),
      pending_(std::move(other.pending_)) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temp_path_.empty()) {
    ::unlink(temp_path_.c_str());
    forget_pending(temp_path_);
  }
}

Status OutputFile::write_at(uint64_t offset, Bytes bytes) {
  return write_all_at(fd_, offset, bytes, path_);
}

Status OutputFile::flush() {
  if (pending_.empty()) return {};
  MLC_CHECK(write_at(position_ - pending_.size(), mlc::as_bytes(pending_)));
  pending_.clear();
  return {};
}

Status OutputFile::write(Bytes bytes) {
  if (pending_.size() + bytes.size() > kCollect) MLC_CHECK(flush());
  if (bytes.size() < kCollect / 8) {
    pending_.append(as_text(bytes));
  } else {
    MLC_CHECK(flush());
    MLC_CHECK(write_at(position_, bytes));
  }
  position_ += bytes.size();
  return {};
}

/// Asks for the blocks of the next COUNT bytes, 512 MiB at most, in one go, where that is possible:
/// writing 438 MB into them takes a quarter less time than when each page asks for its own. Failing
/// is no error here; a write that finds no room says so.
void OutputFile::reserve(uint64_t count) const {
  if (count < kReserve) return;
  fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(position_),
            static_cast<off_t>(std::min(count, kReserveAtMost)));
}

Status OutputFile::skip(uint64_t count) {
  MLC_CHECK(flush());
  reserve(count);
  position_ += count;
  return {};
}

Status OutputFile::write_zeros(uint64_t count) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (count > 0) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(count, kZeros.size()));
    MLC_CHECK(write(Bytes(kZeros).first(n)));
    count -= n;
  }
  return {};
}

Status OutputFile::copy_from(const InputFile& input, uint64_t offset, uint64_t length) {
  MLC_CHECK(flush());
  reserve(length);
  auto in = static_cast<off_t>(offset);
  auto out = static_cast<off_t>(position_);
  uint64_t left = length;
  while (left > 0) {
    // 1 GiB a call keeps Ctrl-C responsive and stays below the kernel's limit.
    const auto ask = static_cast<size_t>(std::min<uint64_t>(left, uint64_t{1} << 30));
    const ssize_t n = copy_file_range(input.fd(), &in, fd_, &out, ask, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EXDEV || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL))
      break;
    if (n < 0) return write_failed("cannot copy data into it", errno).in_file(path_);
    if (n == 0) return corrupt("the file shrank while it was read").in_file(input.path());
    left -= static_cast<uint64_t>(n);
  }
  // Different file systems: through memory.
  std::string buffer(static_cast<size_t>(std::min<uint64_t>(left, uint64_t{1} << 20)), '\0');
  while (left > 0) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    const auto block = std::span(buffer).first(n);
    MLC_CHECK(input.read_at(static_cast<uint64_t>(in), std::as_writable_bytes(block)));
    MLC_CHECK(write_at(static_cast<uint64_t>(out), std::as_bytes(block)));
    in += static_cast<off_t>(n);
    out += static_cast<off_t>(n);
    left -= n;
  }
  position_ += length;
  return {};
}

Status OutputFile::publish() {
  MLC_CHECK(flush());
  const bool durable = replaces_ || options_.sync;
  if (durable && fsync(fd_) != 0)
    return write_failed("cannot sync it to disk", errno).in_file(path_);

  // Network file systems report a full disk only when a descriptor is closed.
  const int copy = dup(fd_);
  if (copy < 0 || ::close(copy) != 0) return write_failed("cannot write", errno).in_file(path_);

  int rc = replaces_ ? 0 : give_new_name(fd_, temp_path_, path_);
  // Another program may have been faster.
  const bool came = rc != 0 && errno == EEXIST && options_.replace && is_regular(path_);
  if (replaces_ || came) {
    // linkat cannot replace, so the file gets a sibling name for the moment before the rename.
    if (temp_path_.empty()) MLC_CHECK(give_temp_name());
    rc = rename(temp_path_.c_str(), path_.c_str());
  }
  if (rc == 0 && !temp_path_.empty()) {
    forget_pending(temp_path_);
    temp_path_.clear();
  }
  if (rc != 0 && errno == EEXIST) return exists_already(path_);
  if (rc != 0) return write_failed("cannot give the output its name", errno).in_file(path_);
  if (durable) MLC_CHECK(sync_parent_folder(path_));
  return {};
}

Status OutputFile::publish(std::span<const std::shared_ptr<const InputFile>> sources) {
  std::optional<InPlaceFile> lock;
  for (const auto& source : sources) {
    if (!source->unchanged()) {
      return Error(ErrorKind::read_failed, "was changed by another program while it was read",
                   "run the command again")
          .in_file(source->path());
    }
    if (replaces_ && source->id() == replaced_ && !lock) {
      MLC_TRY(InPlaceFile held, InPlaceFile::open(*source, true));
      lock.emplace(std::move(held));
    }
  }
  return publish();
}

}  // namespace mlc
