// What stands for check.cpp and skeleton.cpp in a build without ONNX.
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/skeleton.h"

namespace mlc::onnx {
namespace {

Error absent() {
  return unsupported("this mlc is built without ONNX, which writes and checks models",
                     "`scripts/quickstart` builds ONNX, then mlc with it");
}

}  // namespace

Result<Skeleton> make_skeleton(const Model& /*model*/) {
  return absent();
}

Status check_skeleton(const Skeleton& /*skeleton*/) {
  return absent();
}

Result<InferredSizes> infer_sizes(const Skeleton& /*skeleton*/) {
  return absent();
}

std::vector<std::string> operator_names() {
  return {};
}

Result<std::string> checker_version() {
  return absent();
}

}  // namespace mlc::onnx
