// What format metadata/1 allows. Included by the sources of this folder only.
#pragma once

#include "mlc/metadata/meta_value.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

using MetaPath = std::vector<std::string>;

/// Something that the format forbids, and where.
struct MetaProblem {
  MetaPath path;
  std::string message;
  std::string hint;
  bool at_key = false;  // the key, not the value, is at fault
  ErrorKind kind = ErrorKind::usage;
};

/// Whether the format wants text at PATH, so that 2.10 there is not a number.
bool is_text_path(std::span<const std::string> path);
/// Puts ROOT into the normal form: empty entries dropped, one requirement made a list, the keys of
/// the format in its order. Requires: a mapping.
void normalize_metadata(MetaValue& root);
/// The first thing that the format forbids in ROOT, which is in normal form.
std::optional<MetaProblem> check_metadata(const MetaValue& root);
/// "training.metrics.top1", dots within keys escaped.
std::string join_path(std::span<const std::string> path);

}  // namespace mlc
