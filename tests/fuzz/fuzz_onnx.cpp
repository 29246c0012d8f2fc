// Any bytes as an ONNX file: read_onnx() tells what it holds or where it is broken, keeps little of
// it, and what it calls inputs has a text that --input takes.
#include "mlc/engine/onnx_artefact.h"
#include "mlc/onnx_file/onnx_file.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const mlc::Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const bool looks = mlc::looks_like_onnx(bytes);
  const auto file = mlc::read_onnx(bytes);
  if (!file.ok()) {
    if (file.error().kind() != mlc::ErrorKind::corrupt) __builtin_trap();
    return 0;
  }
  // Every name is made of bytes of the file.
  size_t text = file->producer.size();
  for (const auto& one : file->operators) text += one.domain.size() + one.type.size();
  for (const auto& one : file->external) text += one.tensor.size() + one.location.size();
  if (text > size + 1 || (looks && file->ir_version <= 0)) __builtin_trap();
  const auto inputs = mlc::onnx_inputs(*file);
  if (!inputs.ok()) return 0;
  for (const mlc::InputSpec& spec : *inputs) {
    const std::string type = mlc::to_text(spec).substr(spec.name.size());
    if (!mlc::parse_input_spec("x" + type).ok() && mlc::element_count(spec.sizes()))
      __builtin_trap();
  }
  return 0;
}
