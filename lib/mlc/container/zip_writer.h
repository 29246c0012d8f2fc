// Writing zip archives byte for byte as PyTorch's own writer does (see zip_format.h), so that every
// reader of checkpoints, including memory mapping and computed offsets, finds what it expects.
//
//   ZipWriter zip(out, "archive");
//   MLC_CHECK(zip.add("data.pkl", pickle));
//   MLC_CHECK(zip.copy_record("data/0", source, entry));   // by the kernel, no byte read
//   MLC_CHECK(zip.add("version", as_bytes("3\n")));
//   MLC_CHECK(zip.finish());                               // then out.publish()
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/output_file.h"
#include "mlc/base/result.h"
#include "mlc/container/zip_format.h"
#include "mlc/container/zip_reader.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace mlc {

struct ZipWriterOptions {
  // Of record data, 1 to 32,768; torch.utils.serialization.config.save.storage_alignment.
  uint64_t alignment = 64;
  // Where the archive begins in the output; its offsets count from there.
  uint64_t start_offset = 0;
};

/// Appends records at the output's position(). Names are relative to the root; an empty root means
/// none. add*, copy*, reserve, pad, keep and finish belong to one thread; complete() to any.
/// Errors: write_failed, usage for a name that may not be. The caller makes names distinct.
class ZipWriter {
 public:
  /// OUT must outlive the writer.
  ZipWriter(OutputFile& out, std::string root, ZipWriterOptions options = {});
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;

  /// A stored record; computes its CRC.
  Status add(std::string_view name, Bytes data);
  /// A stored record from a range of INPUT, moved by the kernel. KNOWN_CRC is written as it is; 0
  /// says that none is recorded.
  Status add_copy(std::string_view name, const InputFile& input, uint64_t offset, uint64_t length,
                  uint32_t known_crc);
  /// The record ENTRY of SOURCE under a new name, compressed or not as it is, CRC included.
  Status copy_record(std::string_view name, const ZipReader& source, const ZipEntry& entry);
  /// A deflated record, which torch.load reads too (but cannot map); stored if that is no larger.
  /// LEVEL: 1 to 12.
  Status add_deflated(std::string_view name, Bytes data, int level);
  /// A record that deflate() made elsewhere, of SIZE bytes with CRC before.
  Status add_compressed(std::string_view name, Bytes compressed, uint64_t size, uint32_t crc);

  /// A stored record whose SIZE bytes the caller puts at data_offset (absolute in the output) with
  /// OutputFile::write_at, from any thread, and then completes.
  struct Slot {
    uint64_t data_offset = 0;
    uint64_t size = 0;
    uint64_t header_offset = 0;
    uint64_t central_position = 0;
  };
  Result<Slot> reserve(std::string_view name, uint64_t size);
  /// Records the CRC of a reserved record. Once per slot, before finish(). Thread-safe.
  Status complete(const Slot& slot, uint32_t crc);

  /// Zeros up to the next position that is RESIDUE modulo MODULUS: readers ignore gaps between
  /// records, and the kernel can share the blocks of a copy that keeps its position modulo 4096.
  Status pad(uint64_t residue, uint64_t modulus);
  /// Lists an entry whose header and data the caller has put into the output as they were, DELTA
  /// bytes from where ENTRY.header_offset says, counted from the start of the archive. Writes
  /// nothing but its line of the directory.
  Status keep(const ZipEntry& entry, int64_t delta = 0);

  /// Writes the central directory and the tail. The archive ends at the output's position().
  Status finish();

 private:
  Result<std::string> full_name(std::string_view name) const;
  /// Writes the local header of ENTRY at the current position.
  Status begin(ZipEntry& entry);
  /// Writes what follows the data and adds ENTRY to the central directory.
  Status end(const ZipEntry& entry);
  void list(const ZipEntry& entry);

  OutputFile& out_;
  std::string root_;
  ZipWriterOptions options_;
  std::mutex mutex_;     // guards central_ and open_slots_
  std::string central_;  // the central directory so far
  uint64_t entries_ = 0;
  uint64_t open_slots_ = 0;
};

}  // namespace mlc
