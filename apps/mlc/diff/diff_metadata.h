// Where the metadata of two checkpoints differs.
#pragma once

#include "mlc/metadata/meta_value.h"

#include <string>
#include <vector>

namespace mlc::cli {

/// A place in the metadata where the sides differ; a null pointer where one has nothing.
struct MetadataDifference {
  std::string path;
  const MetaValue* a = nullptr;
  const MetaValue* b = nullptr;
};

/// Compares two trees of metadata, the provenance left out; null for none. Paths are dotted, dots
/// of keys escaped. The answer points into A and B.
std::vector<MetadataDifference> diff_metadata(const MetaValue* a, const MetaValue* b);

/// A value on one line, cut where it is long, harmless on a terminal.
std::string brief_value(const MetaValue& value);

}  // namespace mlc::cli
