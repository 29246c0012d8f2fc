// Opening anything that holds PyTorch tensors, by its content and never by its name.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <memory>
#include <string>
#include <string_view>

namespace mlc {

/// Reads the metadata of the checkpoint at PATH: a file, a DCP folder, or a folder with an index.
/// Errors: not_found, read_failed, corrupt; unsupported for what is recognised but cannot be read
/// (GGUF, HTML, Git LFS pointers, gzip, ... each with its own sentence).
Result<std::unique_ptr<Checkpoint>> open_checkpoint(const std::string& path);

/// Whether a file that begins with HEAD is a JSON object. One of safetensors is none, though the
/// length that it begins with may look like one: its eighth byte is zero.
bool looks_like_json_object(std::string_view head);

}  // namespace mlc
