// Whether the bytes of a checkpoint are still those that were written, by the CRC-32 that zip
// records.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

struct DamagedRecord {
  std::string file;
  std::string record;
  uint64_t header_offset = 0;      // in the file
  std::optional<uint64_t> offset;  // of its data; none where not even the header is sound
  std::string problem;
  uint32_t archive = kNoIndex;  // in Checkpoint::archives
  uint32_t entry = kNoIndex;    // of that archive
};

struct IntegrityReport {
  uint64_t records = 0;  // compared
  uint64_t bytes = 0;
  uint64_t without_crc = 0;   // records whose writer recorded none
  bool has_checksums = true;  // false for formats that know none (safetensors, legacy files)
  std::vector<DamagedRecord> damaged;  // file by file, in the order in which they lie there
};

/// Reads every record of every archive of the checkpoint on THREADS threads; finds all damage, not
/// only the first. Errors: read_failed, interrupted.
Result<IntegrityReport> check_integrity(const Checkpoint& checkpoint, unsigned threads,
                                        Reporter& reporter);

/// Bytes between the records of the checkpoint's zips that nothing refers to: what edits in place
/// left behind. Padding does not count; nor do records that cannot be read. Reads a local header
/// only where there is room for such bytes.
uint64_t dead_bytes(const Checkpoint& checkpoint);

/// Whether all that is stored of TENSOR lies in records with a CRC.
bool has_checksum(const Checkpoint& checkpoint, const Tensor& tensor);

/// The names among TENSORS of those that have bytes in the record.
std::vector<std::string> tensors_in(const Checkpoint& checkpoint, const DamagedRecord& record,
                                    const std::vector<NamedTensor>& tensors);

}  // namespace mlc
