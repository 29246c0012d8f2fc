// Reading uncompressed tar archives (POSIX ustar, pax and GNU long names), the container of PyTorch
// up to 0.1.9. Members are located, never extracted.
//
// The reader keeps the file open and owns the names. Refused, because no checkpoint has them and
// two readers could disagree: links, devices, sparse files, duplicate names, absolute names, "..".
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct TarMember {
  std::string name;
  uint64_t offset = 0;  // of the data, absolute in the file
  uint64_t size = 0;
};

class TarReader {
 public:
  /// Whether the first block of a file (512 bytes or more) is a tar header with a right checksum.
  static bool looks_like_tar(Bytes start);

  /// Walks all headers. Errors: corrupt naming the offset, unsupported for member types other than
  /// files and folders.
  static Result<TarReader> open(std::shared_ptr<const InputFile> file);

  const InputFile& file() const { return *file_; }
  /// The regular files, in the order of the archive.
  std::span<const TarMember> members() const { return members_; }
  /// The member called NAME (a leading "./" does not count), or null.
  const TarMember* find(std::string_view name) const;
  /// The bytes of MEMBER in the mapping of the file; alive as long as file().
  Result<Bytes> view(const TarMember& member) const;

 private:
  TarReader() = default;

  std::shared_ptr<const InputFile> file_;
  std::vector<TarMember> members_;
};

}  // namespace mlc
