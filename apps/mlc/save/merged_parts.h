// What `mlc save --merge` says of files that ranks saved, each with its part of the same tensors.
#pragma once

#include "mlc/base/error.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// The keys of MERGED, tensors of OTHER, under which STATE_DICT of CHECKPOINT has a tensor of the
/// same shape, both of them DTensors of which their file holds a part only, and not the same one.
/// Errors: of Checkpoint::view().
Result<std::vector<std::string>> keys_of_parts(const Checkpoint& checkpoint,
                                               const StateDict& state_dict, const Checkpoint& other,
                                               std::span<const StateDictEntry> merged);

/// A conflict in OTHER, for which no choice between the two is a way out.
Error parts_error(const Checkpoint& other, const std::vector<std::string>& keys);

/// Says that those of KEYS are not whole in the output, which has the parts of FILE.
void warn_of_lost_parts(const std::string& file, const std::vector<std::string>& keys,
                        Reporter& reporter);

}  // namespace mlc::cli
