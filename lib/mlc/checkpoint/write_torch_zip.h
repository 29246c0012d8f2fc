// Writing a checkpoint as torch.save of today would: a zip that PyTorch 1.6 to the newest reads
// with weights_only=True and mmap=True.
//
// Layout: data.pkl, .format_version, .storage_alignment, byteorder, data/0 .. data/N in the order
// in which the pickle meets them, version, mlc/writer (so that nobody takes the layout for that of
// a PyTorch), the records of other programs, and mlc/metadata.yaml and mlc/safetensors.json if
// there is metadata of mlc or of safetensors. For a plain state_dict data.pkl has the bytes
// torch.save writes (torch/serialization.py, _save).
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <optional>
#include <string>
#include <vector>

namespace mlc {

struct TorchZipOptions {
  std::string root_folder = "archive";
  std::optional<std::string> metadata_yaml;
  unsigned threads = 1;
  bool extra_records = true;  // those of the checkpoint are copied
  /// Storages whose records are deflated, where that makes them smaller: torch.load and
  /// torch.jit.load inflate them, but can map none. They come behind all others; each is held
  /// whole, one a thread.
  std::vector<uint32_t> deflated = {};
};

/// The folder that torch.save puts into an archive called PATH: its stem, or "archive" where the
/// stem is empty or not ASCII.
std::string root_folder_for(const std::string& path);

struct WriteSummary {
  uint64_t storages = 0;
  uint64_t bytes = 0;     // of tensor data
  uint64_t deflated = 0;  // records
};

/// Writes what is reachable from CHECKPOINT.root to OUT (not published). Tensor nodes of the graph
/// become PyTorch's rebuild calls and storages are renumbered, so the graph changes; locations
/// become "cpu" only where the graph says so. Errors: corrupt for damaged input, unsupported,
/// write_failed, interrupted.
Result<WriteSummary> write_torch_zip(Checkpoint& checkpoint, OutputFile& out,
                                     const TorchZipOptions& options, Reporter& reporter);

}  // namespace mlc
