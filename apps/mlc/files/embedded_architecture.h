// Architectures in the metadata of checkpoints, for the verbs that write both.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/metadata/metadata.h"

#include <string>

namespace mlc::cli {

/// Puts the YAML at PATH into METADATA. It has to fit STATE_DICT, and its forward has to compile,
/// which REPORTER is told where no LibTorch is here to try it. Errors: those of reading it, of
/// check_fit() and of the compiler.
Status embed_architecture(const std::string& path, const Checkpoint& checkpoint,
                          const StateDict& state_dict, Metadata& metadata, Reporter& reporter);

/// Whether what METADATA holds as its architecture fits STATE_DICT: renamed and left out keys make
/// it useless. REPORTER is warned where not, or, if STRICT, that is an error: conflict.
Status check_embedded(const Metadata& metadata, const Checkpoint& checkpoint,
                      const StateDict& state_dict, bool strict, Reporter& reporter);

}  // namespace mlc::cli
