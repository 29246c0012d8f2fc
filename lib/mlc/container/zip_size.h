// How large an archive of ZipWriter would be, found without a byte of its records.
#pragma once

#include "mlc/container/zip_format.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace mlc {

/// Takes the records in the order in which ZipWriter would get them. Names are relative to the
/// root, and may be.
class ZipSize {
 public:
  explicit ZipSize(std::string root) : root_(std::move(root)) {}

  /// A stored record of SIZE bytes.
  void add(std::string_view name, uint64_t size) {
    add(name, {.name = {}, .compressed_size = size, .size = size});
  }
  /// A record with the sizes and the method of ENTRY.
  void add(std::string_view name, const ZipEntry& entry);
  /// Bytes of the archive with all records so far.
  uint64_t total() const { return position_ + central_.size() + kZipTailSize; }

 private:
  std::string root_;
  uint64_t position_ = 0;
  std::string central_;
};

}  // namespace mlc
