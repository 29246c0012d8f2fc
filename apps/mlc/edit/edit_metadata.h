// Changing the metadata of one file: in the order typed, checked as a whole, written into the file,
// into a copy of it or beside it. Tensor bytes are never read.
#pragma once

#include "cli/shared_options.h"
#include "files/batch.h"
#include "files/metadata_sources.h"

#include <string>
#include <vector>

namespace mlc::cli {

/// One --set, --remove or --from, understood but not applied.
struct MetadataChange {
  enum class Kind { set, remove, merge };
  Kind kind = Kind::set;
  std::string path;   // of the value; for merge, of the YAML file
  std::string value;  // for set: YAML
  Metadata other;     // for merge
};

/// Reads the files that --from names. Errors: usage for a --set without "=", and those of
/// Metadata::parse_file().
Result<std::vector<MetadataChange>> read_metadata_changes(const std::vector<OrderedValue>& options);

struct MetadataEdit {
  const std::vector<MetadataChange>& changes;
  const WritingOptions& writing;
  bool clear = false;    // begin with nothing instead of what the file has
  bool sidecar = false;  // write beside the file
};

/// Errors: unsupported where the format has no place for metadata, those of Metadata and of
/// writing.
Result<FileReport> edit_metadata(FileTask& task, const MetadataEdit& edit);

}  // namespace mlc::cli
