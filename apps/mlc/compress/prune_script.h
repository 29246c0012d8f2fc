// `mlc prune --method channels` of TorchScript: smaller tensors, and a program that states their
// sizes.
#pragma once

#include "compress/prune_onnx.h"

#include <string>

namespace mlc::cli {

/// Whether the file at PATH is what torch.jit.save writes.
bool is_torchscript(const std::string& path);

/// Takes channels away from the program and the weights of TASK, found and chosen as in the ONNX
/// model that export-onnx makes of it. Whatever the program cannot be made to state stays, with the
/// reason. Both are compared in LibTorch before the new one appears. Errors: those of prune_onnx(),
/// of capturing and lowering the model; conflict for one that is quantised or frozen, and where the
/// new program is not what it has to be.
Result<FileReport> prune_script(FileTask& task, const PruneOnnxOptions& options,
                                const PruneOnnxShared& shared);

}  // namespace mlc::cli
