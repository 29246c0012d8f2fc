// Files whose name says that they are one shard of several: "model-00003-of-00007.safetensors"; and
// what is said of shards that were written.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/checkpoint/save.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// A shard whose index lies beside it.
struct ShardPlace {
  std::string number;                // "3 of 7"
  std::string index;                 // path of the index
  std::vector<std::string> missing;  // paths of the shards that do not lie there, too
};

/// Nothing for other names, and where there is no index.
std::optional<ShardPlace> find_shard_place(const std::string& path);

/// What has to be said where the shard at PATH is opened alone.
std::string describe_shard(const std::string& path, const ShardPlace& place);

/// One text for each set of shards of which PATHS has some and not all: "1 of 3 shards is not among
/// the inputs: model-00002-of-00003.safetensors".
std::vector<std::string> describe_missing_shards(const std::vector<std::string>& paths);

/// The tensors of REPORT that are larger than a shard may be.
std::vector<std::string> oversized_names(const SaveReport& report);

/// Warns of them: their shards exceed LIMIT bytes.
void warn_of_oversized(const SaveReport& report, uint64_t limit, Reporter& reporter);

}  // namespace mlc::cli
