// Moving tensor bytes from input files into an output file, checked on the way, on several threads.
//
// Bytes that lie plain in a file go from its mapping to the output in pieces, and the CRC-32 of the
// pieces is combined and compared with the one the container recorded: damage stops the copy. What
// must be computed (casts, strided views, inflated records) is streamed.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <functional>
#include <vector>

namespace mlc {

/// The bytes of a whole storage, or the contiguous row-major form of a tensor, to DESTINATION.
struct CopyJob {
  uint64_t destination = 0;
  uint32_t storage = kNoIndex;
  uint32_t tensor = kNoIndex;  // used where storage is kNoIndex
  /// Called once with the CRC-32 of what was written, from any thread. May be empty.
  std::function<Status(uint32_t crc)> done;
};

/// Runs all jobs and reports progress in bytes (begin() and end() are the caller's). Errors:
/// corrupt naming the storage whose CRC differs, write_failed, interrupted.
Status copy_tensors(const Checkpoint& checkpoint, OutputFile& out, std::vector<CopyJob> jobs,
                    unsigned threads, Reporter& reporter);

/// Reads the storage and compares its CRC with the recorded one, where there is one. Errors:
/// corrupt.
Status check_storage(const Checkpoint& checkpoint, uint32_t storage);

/// The same for every storage that TENSORS use, each once, on THREADS threads: what a verb does
/// before it believes the values it reads. The error names the tensors.
Status check_storages(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                      unsigned threads);

/// The same, and runs what makes tensors, as writing them would, for their errors and counts.
Status rehearse_storages(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                         unsigned threads);

/// Whether the tensor is plain, contiguous and covers its whole storage.
bool covers_storage(const Checkpoint& checkpoint, const Tensor& tensor);

}  // namespace mlc
