// Replacing mlc's metadata in a safetensors file while everything else stays as it is.
//
// The header's other entries are kept letter by letter and the kernel copies the data as one run.
// It begins at the same position within a 4096-byte block as before, by means of spaces at the end
// of the header, so that file systems with reflinks share it.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <optional>
#include <string>
#include <string_view>

namespace mlc {

/// HEADER (the JSON of a safetensors file) with METADATA_YAML as __metadata__["mlc"], or without
/// that entry. A new __metadata__ gets "format": "pt", which transformers asks for. Not padded.
/// Errors: corrupt; usage for text that is not UTF-8.
Result<std::string> with_mlc_metadata(std::string_view header,
                                      const std::optional<std::string>& metadata_yaml);

/// Writes CHECKPOINT's file with the new metadata, or none, to OUT, not published. Requires: a
/// checkpoint of Format::safetensors. Errors: unsupported if the header would grow beyond what
/// readers accept; read_failed, write_failed.
Status rewrite_safetensors(const Checkpoint& checkpoint,
                           const std::optional<std::string>& metadata_yaml, OutputFile& out);

}  // namespace mlc
