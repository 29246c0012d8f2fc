// Reading zip archives: PyTorch's (zip64, unusual local headers, one root folder) and others'.
//
// open() reads the end of the archive and its central directory through pread and touches nothing
// else; local headers are read and validated when a record's data are asked for. It accepts what
// torch.load accepts (miniz) minus everything that two zip readers could understand differently:
// duplicate names, overlapping records, entries outside the root, disagreeing end records.
// The reader keeps the file open and owns the entries and their names. Const methods are
// thread-safe. Errors are `corrupt` unless said otherwise, and name the record and the offset.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/container/zip_directory.h"
#include "mlc/container/zip_format.h"
#include "mlc/container/zip_name_index.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class ZipDialect {
  torch,  // at least one entry, all under one root folder, names distinct whatever their case
  any,    // .npz, .pt2 of PyTorch up to 2.6: no root
};

class ZipReader {
 public:
  /// The archive in WINDOW of FILE. Errors: corrupt, unsupported (several disks, encryption,
  /// methods other than stored and deflated), read_failed.
  static Result<ZipReader> open(std::shared_ptr<const InputFile> file, ByteWindow window,
                                ZipDialect dialect, const ZipLimits& limits = {});
  /// The archive that is the whole of FILE.
  static Result<ZipReader> open(std::shared_ptr<const InputFile> file, ZipDialect dialect,
                                const ZipLimits& limits = {});

  const InputFile& file() const { return *file_; }
  const std::shared_ptr<const InputFile>& shared_file() const { return file_; }
  ByteWindow window() const { return window_; }
  ZipDialect dialect() const { return dialect_; }

  /// In the order of the central directory; offsets absolute in the file.
  std::span<const ZipEntry> entries() const { return entries_; }
  /// The entry with this NAME, or null. In the torch dialect the case of ASCII letters does not
  /// count, as in PyTorch's reader. O(1).
  const ZipEntry* find(std::string_view name) const;
  /// The folder that holds everything ("archive", without slash); empty for ZipDialect::any.
  std::string_view root() const { return root_; }
  /// The entry "ROOT/RELATIVE", or "RELATIVE" where there is no root; null if absent. O(1).
  const ZipEntry* record(std::string_view relative) const;
  /// The name of ENTRY below the root: what record() takes.
  std::string_view relative_name(const ZipEntry& entry) const;

  /// Absolute offset of the data of ENTRY (of this reader). Reads the local header and checks it:
  /// signature, name and method as in the central directory, no encryption, data before the next
  /// record and the central directory.
  Result<uint64_t> data_offset(const ZipEntry& entry) const;

  /// The content, inflated if need be, its CRC checked where one is recorded. Errors: corrupt if it
  /// has more than CAP bytes.
  Result<std::string> read(const ZipEntry& entry, uint64_t cap) const;

  /// The content of a stored record in the mapping of the file, without reading it and without CRC
  /// check. Lives as long as file(). Errors: unsupported for deflated records.
  Result<Bytes> view(const ZipEntry& entry) const;

  /// Reads the whole record and compares size and CRC (if recorded). Stored records are streamed,
  /// deflated ones inflated in memory. Calls REPORTER.advance() with the bytes of the file done.
  /// Errors: corrupt naming record, offset and both CRCs; interrupted.
  Status check(const ZipEntry& entry, Reporter& reporter) const;

  /// Absolute offset and size of the central directory.
  uint64_t central_directory_offset() const { return directory_offset_; }
  uint64_t central_directory_size() const { return directory_size_; }
  /// Absolute offset of the first byte after the end record and its comment.
  uint64_t end_offset() const { return end_offset_; }

  /// Oddities that do not stop reading: several possible end records, bytes after the end.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  ZipReader() = default;

  Status set_root();
  Status index_names();
  Status order_by_offset();
  /// Where the data of ENTRY must have ended: the next local header or the central directory.
  uint64_t next_boundary(const ZipEntry& entry) const;
  Result<std::string> read_compressed(const ZipEntry& entry) const;
  Result<uint32_t> stream_crc(const ZipEntry& entry, Reporter& reporter) const;

  std::shared_ptr<const InputFile> file_;
  ByteWindow window_;
  ZipDialect dialect_ = ZipDialect::any;
  std::string_view root_;
  std::vector<ZipEntry> entries_;
  std::unique_ptr<char[]> names_;  // what the names in entries_ point into
  ZipNameIndex index_;
  std::vector<uint32_t> by_offset_;  // empty where entries_ is in this order already
  uint64_t directory_offset_ = 0;
  uint64_t directory_size_ = 0;
  uint64_t end_offset_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace mlc
