#include "mlc/onnx_quant/activation_floats.h"

#include "mlc/base/text.h"
#include "mlc/tensor/float_kernels.h"

namespace mlc::onnx {

Result<std::span<const float>> floats_of(const NamedValue& value, std::vector<float>& buffer) {
  const HostTensor& tensor = value.tensor;
  const std::string& bytes = *tensor.bytes;
  if (tensor.dtype == DType::f32) {
    // Strings of the standard library have room for any plain type at their begin.
    return std::span(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
  }
  if (tensor.dtype != DType::f16)
    return unsupported("activation " + mlc::quoted(value.name) + " is of " +
                       std::string(info(tensor.dtype).torch) + ", not float32 or float16");
  buffer.resize(bytes.size() / element_bytes(DType::f16));
  to_f32_kernel(DType::f16)(as_bytes(bytes).data(), reinterpret_cast<std::byte*>(buffer.data()),
                            buffer.size());
  return std::span<const float>(buffer);
}

}  // namespace mlc::onnx
