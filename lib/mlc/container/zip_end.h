// The end record of a zip archive (with its zip64 forms), which says where the central directory
// is. The first step of ZipReader::open().
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc {

/// A part of a file: an archive may lie inside another file (torch.distributed shards, old .pt2).
struct ByteWindow {
  uint64_t offset = 0;
  uint64_t length = 0;
};

/// What an archive may ask of this process at most.
struct ZipLimits {
  uint64_t entries = uint64_t{1} << 22;            // larger values count as this one
  uint64_t central_directory = uint64_t{1} << 30;  // bytes
};

/// What the end record says, checked against itself and the window. Offsets count from the window.
struct ZipEnd {
  uint64_t entries = 0;
  uint64_t directory_offset = 0;
  uint64_t directory_size = 0;
  uint64_t end_offset = 0;  // behind the end record and its comment
  std::vector<std::string> warnings;
};

/// Finds the last end record within 64 KiB of the window's end, as miniz in PyTorch does. Errors:
/// corrupt, unsupported for archives on several disks. Requires: WINDOW within FILE.
Result<ZipEnd> find_zip_end(const InputFile& file, ByteWindow window, const ZipLimits& limits);

}  // namespace mlc
