// Parts of `mlc load` that stand on their own: the tree, hashes, the expectation, sizes.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/expect.h"
#include "mlc/checkpoint/state_dict.h"

#include <string>
#include <vector>

namespace mlc::cli {

/// The values of the checkpoint, a line each, indented by depth; long collections are cut.
std::string render_tree(const Checkpoint& checkpoint);

/// SHA-256 of the contiguous bytes of each tensor into OUT, on several threads; empty for tensors
/// without plain elements.
Status parallel_hash(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                     unsigned threads, std::vector<std::string>& out);

/// The tensors that the manifest, architecture or checkpoint at PATH describes; of a checkpoint
/// those of the state_dict KEY, or, without, of that at OWN_KEY or the only one. USE is what a
/// manifest is for.
Result<std::vector<ExpectedTensor>> read_expected(const std::string& path,
                                                  const std::string& own_key, ManifestFor use,
                                                  const std::string& key, Reporter& reporter);

/// Warns of tensors that are tied in the architecture at PATH and have several values in
/// CHECKPOINT, which fits it. Says nothing of other files, and of streams, which are read once.
void warn_of_ties(const std::string& path, const Checkpoint& checkpoint,
                  const StateDict& state_dict, Reporter& reporter);

/// Bytes of all files of the checkpoint.
uint64_t total_size(const Checkpoint& checkpoint);

}  // namespace mlc::cli
