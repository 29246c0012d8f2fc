// `mlc prune --method channels` of a checkpoint with its architecture: smaller tensors, and the
// YAML with their sizes.
#pragma once

#include "compress/prune_onnx.h"

#include <string>

namespace mlc::cli {

struct PruneArchitectureOptions {
  std::string architecture;  // of --arch; empty: the one in the metadata
  std::string key;           // of the state_dict
  std::string emit;          // where the new YAML goes; empty: nowhere
};

/// Takes channels away from the checkpoint of TASK, found and chosen as in the ONNX model that
/// export-onnx makes of it. Whatever the YAML cannot state stays, with the reason. Both are
/// compared in LibTorch before they appear. Errors: those of prune_onnx(), of capturing and
/// lowering the model, of resize(); unsupported for files that have a program of their own.
Result<FileReport> prune_architecture(FileTask& task, const PruneArchitectureOptions& own,
                                      const PruneOnnxOptions& options,
                                      const PruneOnnxShared& shared);

}  // namespace mlc::cli
