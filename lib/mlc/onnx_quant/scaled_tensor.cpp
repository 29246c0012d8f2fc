#include "mlc/onnx_quant/scaled_tensor.h"

#include <cstring>
#include <memory>
#include <span>

namespace mlc::onnx {

DataRef scaled_along(const DataRef& source, size_t dimension, std::vector<float> factors) {
  auto out = std::make_shared<TensorData>(*source);
  out->identity.clear();
  size_t inner = 1;
  for (size_t i = dimension + 1; i < source->sizes.size(); ++i)
    inner *= static_cast<size_t>(source->sizes[i]);
  out->produce = [source, inner, factors = std::move(factors)]() -> Result<Buffer> {
    MLC_TRY(const Buffer from, source->produce());
    const auto made = std::make_shared<std::vector<float>>(from.bytes.size() / sizeof(float));
    if (!made->empty()) std::memcpy(made->data(), from.bytes.data(), from.bytes.size());
    float* at = made->data();
    for (size_t slice = 0; slice * inner < made->size(); ++slice) {
      const float factor = factors[slice % factors.size()];
      for (size_t i = 0; i < inner; ++i) *at++ *= factor;
    }
    return Buffer{std::as_bytes(std::span(*made)), made};
  };
  return out;
}

}  // namespace mlc::onnx
