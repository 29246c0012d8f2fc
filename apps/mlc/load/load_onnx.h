// `mlc load` for an ONNX model: what it takes and gives, what it needs from a runtime, its weights.
#pragma once

#include "files/batch.h"
#include "load/load_view.h"

namespace mlc::cli {

/// Errors: those of onnx::Document::open(); unsupported for what only checkpoints can be asked.
Result<FileReport> load_onnx(FileTask& task, const LoadOptions& options);

}  // namespace mlc::cli
