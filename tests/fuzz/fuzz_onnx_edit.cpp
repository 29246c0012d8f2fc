// Any bytes as an ONNX file that is edited: what a Document takes, it writes so that it can be read
// again, and the same bytes come out the second time.
#include "mlc/base/file.h"
#include "mlc/base/output_file.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_write/write.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

using mlc::onnx::Document;

/// The file that DOCUMENT becomes; empty where that cannot be written.
std::string written(const Document& document) {
  const auto file = mlc::onnx::ModelFile::plan(document.skeleton(), {});
  auto out = mlc::OutputFile::create("/tmp/fuzz_onnx_edit.onnx", {});
  if (!file.ok() || !out.ok() || !file->write(*out, nullptr).ok() || !out->flush().ok()) return {};
  std::string bytes(static_cast<size_t>(out->position()), '\0');
  const auto back = mlc::InputFile::open("/proc/self/fd/" + std::to_string(out->fd()));
  if (!back.ok() || !(*back)->read_at(0, std::as_writable_bytes(std::span(bytes))).ok()) return {};
  return bytes;
}

mlc::Result<Document> parsed(mlc::Bytes bytes) {
  return Document::parse(bytes, nullptr, "/nonexistent");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto first = parsed({reinterpret_cast<const std::byte*>(data), size});
  if (!first.ok()) return 0;
  for (const auto& node : first->nodes) {
    for (const auto& attribute : node.attributes) {
      (void)attribute.integer();
      (void)attribute.real();
      (void)attribute.text();
      (void)attribute.integers();
      (void)attribute.tensor();
    }
  }
  const std::string bytes = written(*first);
  if (bytes.empty()) __builtin_trap();
  const auto second = parsed(mlc::as_bytes(bytes));
  if (!second.ok() || written(*second) != bytes) __builtin_trap();
  first->fix_overridable();
  first->drop_unused_tensors();
  first->drop_unused_value_info();
  const auto edited = written(*first);
  if (!parsed(mlc::as_bytes(edited)).ok()) __builtin_trap();
  return 0;
}
