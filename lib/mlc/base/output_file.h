// Writing files so that what existed is never at risk.
//
// An OutputFile has no name until publish(): it is an unnamed O_TMPFILE in the target's folder, so
// neither an error nor kill -9 leaves anything behind. Replacing an existing file: data and folder
// are synced, and the name moves by rename, so a reader sees the old or the new content whole. A
// path that did not exist is not synced unless asked for.
//
// Two cases need a sibling ".NAME.mlc-N.tmp": a file system without O_TMPFILE, for the whole time,
// and a replacement, between naming the file and renaming it, because Linux has no call that does
// both. The destructor and remove_pending_outputs() remove it. kill -9 leaves it there; the next
// OutputFile for the same path takes it away. Its owner holds a lock (flock) on it, so that a
// living one keeps it.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace mlc {

struct OutputOptions {
  bool replace = false;  // --force: an existing file may be replaced
  bool sync = false;     // --sync: fsync also where nothing is replaced
  unsigned mode = 0;     // permission bits; 0: those of the replaced file, else 0666 less umask
};

class OutputFile {
 public:
  /// Errors: exists (without replace), write_failed. PATH must not be a directory. A symbolic link
  /// at PATH is followed, so that the link stays and its target is replaced.
  static Result<OutputFile> create(const std::string& path, const OutputOptions& options);
  /// What create() would say, as far as that can be told without writing: for dry runs.
  static Status check(const std::string& path, const OutputOptions& options);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  const std::string& path() const { return path_; }
  /// Bytes written so far by the sequential calls, which collect small pieces into one write; also
  /// where the next one writes.
  uint64_t position() const { return position_; }

  Status write(Bytes bytes);
  Status write(std::string_view text) { return write(as_bytes(text)); }
  /// Zeros up to COUNT.
  Status write_zeros(uint64_t count);
  /// The range of INPUT, moved by the kernel where it can (copy_file_range, reflink), so that no
  /// byte of it enters this process.
  Status copy_from(const InputFile& input, uint64_t offset, uint64_t length);
  /// Positional write, which does not move position(). Thread-safe.
  Status write_at(uint64_t offset, Bytes bytes);
  /// Moves position() forward over a range that write_at() fills.
  Status skip(uint64_t count);

  int fd() const { return fd_; }

  /// Hands collected pieces to the kernel. Needed before anyone reads through fd().
  Status flush();
  /// Gives the file its name. Nothing is visible at path() before. After an error nothing changed,
  /// unless syncing the folder failed, which comes last: then the new file is there, but a crash of
  /// the machine may bring the old one back.
  Status publish();
  /// The same for an output that was made of SOURCES, provided that none of them has changed. One
  /// of them may be the file that this one replaces: then nobody who edits files through mlc can
  /// change it between the comparison and the rename. Errors also: read_failed, write_failed.
  Status publish(std::span<const std::shared_ptr<const InputFile>> sources);

 private:
  OutputFile() = default;
  /// Resolves PATH and looks at what lies there.
  static Result<OutputFile> aim(const std::string& path, const OutputOptions& options);
  Status create_named();
  Status give_temp_name();
  void reserve(uint64_t count) const;

  std::string path_;
  std::string temp_path_;  // empty while the file has no name
  int fd_ = -1;
  bool replaces_ = false;
  FileId replaced_;
  OutputOptions options_;
  unsigned mode_ = 0;
  uint64_t position_ = 0;
  std::string pending_;  // the last bytes before position_, not written yet
};

/// Gives the file at FROM the name TO as well, in place of what lies there, and syncs the folder: a
/// reader of TO sees the old or the new content whole. Both must be in one folder, whose file
/// system must have hard links. Error: write_failed.
Status link_over(const std::string& from, const std::string& to);

/// Unlinks every named temporary of this process. Async-signal-safe, for handlers that end it.
void remove_pending_outputs();

/// fsync of the folder that holds PATH, so that a rename in it survives a crash.
Status sync_parent_folder(const std::string& path);

}  // namespace mlc
