#include "models/is_onnx_model.h"

#include "mlc/base/file.h"
#include "mlc/onnx_file/onnx_file.h"

namespace mlc::cli {

bool is_onnx_model(const std::string& path) {
  const auto file = InputFile::open(path);
  if (!file.ok()) return false;
  const auto bytes = (*file)->map();
  return bytes.ok() && looks_like_onnx(*bytes);
}

}  // namespace mlc::cli
