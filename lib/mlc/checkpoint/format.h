// Opening anything that holds PyTorch tensors, by its content and never by its name.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <memory>
#include <string>

namespace mlc {

/// Reads the metadata of the checkpoint at PATH: a file, a DCP folder, or a folder with an index.
/// Errors: not_found, read_failed, corrupt; unsupported for what is recognised but cannot be read
/// (GGUF, HTML, Git LFS pointers, gzip, ... each with its own sentence).
Result<std::unique_ptr<Checkpoint>> open_checkpoint(const std::string& path);

}  // namespace mlc
