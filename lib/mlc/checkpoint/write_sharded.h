// Writing a state_dict as shards with an index, under the names and rules of Hugging Face
// (huggingface_hub/serialization/_base.py): shards are filled in key order, no tensor is divided
// (one that is larger than a shard may be has one of its own), total_size counts every storage
// once. In .bin files tensors that share a storage stay together; in safetensors, where views are
// tensors of their own, only tied ones do.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc {

struct ShardOptions {
  OutputFormat format = OutputFormat::safetensors;
  uint64_t max_shard_bytes = 5'000'000'000;
  std::optional<std::string> metadata_yaml;  // goes into every shard
  SharedPolicy shared = SharedPolicy::dedupe;
  unsigned threads = 1;
  OutputOptions output;
};

struct ShardSummary {
  uint64_t tensors = 0;
  uint64_t bytes = 0;                                        // total_size of the index
  uint64_t file_bytes = 0;                                   // of all files, the index included
  std::vector<std::string> files;                            // names in the folder, the index last
  std::vector<std::pair<std::string, std::string>> aliases;  // as in SaveReport
  std::vector<std::vector<std::string>> overlaps;            // likewise
  std::vector<OversizedTensor> oversized;                    // likewise
};

/// Warns of what CHECKPOINT's index says beside the weight map (Checkpoint::index_metadata and
/// index_entries), for outputs without an index. Silent on total_parameters, which can be counted.
void warn_of_index_metadata(const Checkpoint& checkpoint, Reporter& reporter);

/// Whether write_sharded might write, replace or remove NAME in its folder.
bool belongs_to_shards(std::string_view name, OutputFormat format);

/// Writes model-00001-of-00003.safetensors ... with model.safetensors.index.json, or
/// pytorch_model-... .bin with theirs, into FOLDER, which is made. What fits one shard becomes one
/// file without an index. What an index that CHECKPOINT was read from says beside its weight map
/// goes into the new one; its total_parameters only where the tensors have as many elements as
/// before. No name appears before all shards are written; the index comes last, and after an error
/// no new name stays. A whole file beside a new index, or the reverse, is an error, or removed
/// where files may be replaced; then shards that the index before named go too. That no file of the
/// input lies in the way is for the caller to see. Errors: exists, unsupported, corrupt,
/// write_failed, interrupted.
Result<ShardSummary> write_sharded(Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                   const std::string& folder, const ShardOptions& options,
                                   Reporter& reporter);

/// What write_sharded would write to FOLDER (none: to any), found without reading a tensor and
/// without writing: for dry runs. Errors: unsupported, conflict, write_failed.
Result<SaveReport> plan_sharded(Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                const std::string& folder, const ShardOptions& options);

}  // namespace mlc
