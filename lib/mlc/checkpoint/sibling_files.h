// Opening the files that an index names, without leaving the checkpoint's folder.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <memory>
#include <string>
#include <string_view>

namespace mlc {

/// Whether NAME is one path component that names a file: no separators, not "." or "..".
bool is_bare_file_name(std::string_view name);

/// Opens NAME in FOLDER. A link is followed only to a file within FOLDER or, in the cache of
/// huggingface_hub, from REPO/snapshots/REVISION/ to REPO/blobs/. Errors: corrupt for names that
/// are not bare and links that lead elsewhere; as InputFile::open().
Result<std::shared_ptr<InputFile>> open_sibling(const std::string& folder, std::string_view name);

}  // namespace mlc
