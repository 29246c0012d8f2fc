// Whether an input is an ONNX model, for verbs that take checkpoints too.
#pragma once

#include <string>

namespace mlc::cli {

/// Whether PATH is a file that begins as an ONNX model does.
bool is_onnx_model(const std::string& path);

}  // namespace mlc::cli
