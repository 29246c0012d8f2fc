// `mlc load` for one file: what was asked for, computed, checked and shown as text or JSON.
#pragma once

#include "files/batch.h"

#include <string>
#include <vector>

namespace mlc::cli {

enum class LoadCheck { none, crc, sha256 };

struct LoadOptions {
  std::string key;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool tree = false;
  bool globals = false;
  bool stats = false;
  bool summary_only = false;
  std::vector<std::string> map_location;
  LoadCheck check = LoadCheck::none;
  std::string expect;
  std::string expect_key;
  bool strict = false;
  bool no_strict = false;
  std::vector<std::string> ignore_missing;
  std::vector<std::string> ignore_unexpected;
  bool ignore_shapes = false;
  bool require_safe = false;
  bool require_finite = false;  // with stats
};

Result<FileReport> load_one(FileTask& task, const LoadOptions& options);

}  // namespace mlc::cli
