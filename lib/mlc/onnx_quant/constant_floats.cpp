#include "mlc/onnx_quant/constant_floats.h"

#include "mlc/tensor/float_kernels.h"

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace mlc::onnx {
namespace {

using Change = std::function<void(std::vector<float>&)>;

Buffer owned(std::vector<float> values, DType dtype) {
  if (dtype == DType::f32) {
    const auto owner = std::make_shared<const std::vector<float>>(std::move(values));
    return {std::as_bytes(std::span(*owner)), owner};
  }
  const auto owner = std::make_shared<std::vector<uint16_t>>(values.size());
  from_f32_kernel(dtype)(reinterpret_cast<const std::byte*>(values.data()),
                         reinterpret_cast<std::byte*>(owner->data()), values.size());
  return {std::as_bytes(std::span(*owner)), owner};
}

/// SOURCE as DTYPE, after CHANGE.
DataRef changed(const DataRef& source, DType dtype, Change change) {
  auto out = std::make_shared<TensorData>(*source);
  out->identity.clear();
  out->dtype = dtype;
  out->produce = [source, dtype, change = std::move(change)]() -> Result<Buffer> {
    MLC_TRY(std::vector<float> values, read_floats(*source));
    change(values);
    return owned(std::move(values), dtype);
  };
  return out;
}

}  // namespace

bool is_single_or_half(const DocTensor* tensor) {
  return tensor != nullptr && tensor->data &&
         (tensor->dtype() == DType::f32 || tensor->dtype() == DType::f16);
}

Result<std::vector<float>> read_floats(const TensorData& data) {
  MLC_TRY(const Buffer from, data.produce());
  std::vector<float> out(from.bytes.size() / element_bytes(data.dtype));
  if (out.empty()) return out;
  if (data.dtype == DType::f32) {
    std::memcpy(out.data(), from.bytes.data(), from.bytes.size());
  } else {
    to_f32_kernel(data.dtype)(from.bytes.data(), reinterpret_cast<std::byte*>(out.data()),
                              out.size());
  }
  return out;
}

DataRef tensor_of(std::vector<float> values, std::vector<int64_t> sizes, DType dtype) {
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->sizes = std::move(sizes);
  out->produce = [buffer = owned(std::move(values), dtype)]() -> Result<Buffer> { return buffer; };
  return out;
}

DataRef widened(const DataRef& source) {
  return changed(source, DType::f32, [](std::vector<float>& /*values*/) {});
}

DataRef scaled(const DataRef& source, float factor) {
  return changed(source, source->dtype, [factor](std::vector<float>& values) {
    for (float& value : values) value *= factor;
  });
}

DataRef scaled_along(const DataRef& source, size_t dimension, std::vector<float> factors) {
  size_t inner = 1;
  for (size_t i = dimension + 1; i < source->sizes.size(); ++i)
    inner *= static_cast<size_t>(source->sizes[i]);
  return changed(source, source->dtype,
                 [inner, factors = std::move(factors)](std::vector<float>& values) {
                   float* at = values.data();
                   for (size_t slice = 0; slice * inner < values.size(); ++slice) {
                     const float factor = factors[slice % factors.size()];
                     for (size_t i = 0; i < inner; ++i) *at++ *= factor;
                   }
                 });
}

}  // namespace mlc::onnx
