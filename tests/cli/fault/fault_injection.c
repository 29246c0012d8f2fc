// An LD_PRELOAD library that makes one system call of a program fail, stall or end the program.
//
//   MLC_FAULT=KIND:N:ACTION   the N-th call (from 1) of KIND gets ACTION
//   MLC_FAULT_LOG=FILE        is created when that happens, so that a test knows
//   MLC_NO_TMPFILE=1          O_TMPFILE is refused throughout, as some file systems do
//
// KIND: write (write and pwrite), copy (copy_file_range), sync (fsync and fdatasync), link, rename,
// truncate, create (open with O_CREAT or O_TMPFILE). Only calls on regular files count, so that pipes and
// terminals do not. ACTION: a number is the errno to fail with; "kill" ends the process before the
// call; "tear" does the call up to a page boundary in the middle and then ends it; "stall" waits until
// FILE is removed or a signal comes and then does the call; "short" does half of it; "zero" does nothing
// and returns 0.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kStallSeconds = 20 };

static atomic_long calls;

static void leave_mark(void) {
  const char* log = getenv("MLC_FAULT_LOG");
  if (log == NULL) return;
  const long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT, 0600);
  if (fd >= 0) syscall(SYS_close, fd);
}

static int is_regular(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

// The action for this call of KIND, or NULL.
static const char* action_for(const char* kind) {
  const char* fault = getenv("MLC_FAULT");
  const size_t length = strlen(kind);
  if (fault == NULL || strncmp(fault, kind, length) != 0 || fault[length] != ':') return NULL;
  char* action = NULL;
  const long wanted = strtol(fault + length + 1, &action, 10);
  if (atomic_fetch_add(&calls, 1) + 1 != wanted) return NULL;
  leave_mark();
  return action + 1;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void stall(void) {
  const char* log = getenv("MLC_FAULT_LOG");
  const struct timespec time = {0, 10 * 1000 * 1000};
  for (int i = 0; i < kStallSeconds * 100; ++i) {
    if (log == NULL || access(log, F_OK) != 0 || nanosleep(&time, NULL) != 0) return;
  }
}

// Whether the call must not happen: then errno is set. Ends the process for "kill".
static int refused(const char* action) {
  if (action == NULL) return 0;
  if (strcmp(action, "kill") == 0) die();
  if (strcmp(action, "stall") == 0) {
    stall();
    return 0;
  }
  const int error = atoi(action);
  if (error > 0) errno = error;
  return error > 0;
}

// Where "tear" and "short" cut a write of LENGTH bytes at OFFSET. A kill never tears within a page.
static size_t cut(const char* action, size_t length, off_t offset) {
  if (strcmp(action, "tear") != 0) return length > 1 ? length / 2 : length;
  const size_t end = ((size_t)offset + length / 2) / kPage * kPage;
  return end > (size_t)offset ? end - (size_t)offset : 0;
}

static int is_partial(const char* action) {
  return action != NULL && (strcmp(action, "tear") == 0 || strcmp(action, "short") == 0);
}

ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  const char* action = is_regular(fd) ? action_for("write") : NULL;
  if (refused(action)) return -1;
  if (action != NULL && strcmp(action, "zero") == 0) return 0;
  if (!is_partial(action)) return syscall(SYS_pwrite64, fd, data, length, offset);
  const ssize_t done = syscall(SYS_pwrite64, fd, data, cut(action, length, offset), offset);
  if (strcmp(action, "tear") == 0) die();
  return done;
}

ssize_t pwrite64(int fd, const void* data, size_t length, off_t offset) {
  return pwrite(fd, data, length, offset);
}

ssize_t write(int fd, const void* data, size_t length) {
  const char* action = is_regular(fd) ? action_for("write") : NULL;
  if (refused(action)) return -1;
  if (action != NULL && strcmp(action, "zero") == 0) return 0;
  if (!is_partial(action)) return syscall(SYS_write, fd, data, length);
  const ssize_t done = syscall(SYS_write, fd, data, cut(action, length, lseek(fd, 0, SEEK_CUR)));
  if (strcmp(action, "tear") == 0) die();
  return done;
}

ssize_t copy_file_range(int in, off64_t* from, int out, off64_t* to, size_t length, unsigned flags) {
  const char* action = action_for("copy");
  if (refused(action)) return -1;
  if (is_partial(action)) length = cut(action, length, to == NULL ? 0 : *to);
  const ssize_t done = syscall(SYS_copy_file_range, in, from, out, to, length, flags);
  if (action != NULL && strcmp(action, "tear") == 0) die();
  return done;
}

int fsync(int fd) {
  return refused(action_for("sync")) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
  return refused(action_for("sync")) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int link(const char* from, const char* to) {
  return refused(action_for("link")) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) {
  return refused(action_for("link")) ? -1 : (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int rename(const char* from, const char* to) {
  return refused(action_for("rename")) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  if (refused(action_for("rename"))) return -1;
  return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int ftruncate(int fd, off_t size) {
  return refused(action_for("truncate")) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size) {
  return ftruncate(fd, size);
}

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  const int unnamed = (flags & O_TMPFILE) == O_TMPFILE;
  if ((flags & O_CREAT) != 0 || unnamed) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (unnamed && getenv("MLC_NO_TMPFILE") != NULL) {
      errno = EOPNOTSUPP;
      return -1;
    }
    if (refused(action_for("create"))) return -1;
  }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open(path, flags, mode);
}
