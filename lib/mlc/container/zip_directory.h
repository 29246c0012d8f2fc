// The central directory of a zip archive, which lists its records. A step of ZipReader::open().
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"
#include "mlc/container/zip_end.h"
#include "mlc/container/zip_format.h"

#include <memory>
#include <vector>

namespace mlc {

struct ZipDirectory {
  std::vector<ZipEntry> entries;  // header offsets absolute in the file
  std::unique_ptr<char[]> names;  // what their names point into
};

/// Reads the central directory in pieces (so that its fixed fields take no memory) and checks every
/// entry by itself: name, method, flags, sizes, range before the central directory.
Result<ZipDirectory> read_zip_directory(const InputFile& file, ByteWindow window,
                                        const ZipEnd& end);

}  // namespace mlc
