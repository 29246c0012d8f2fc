// Constants of new nodes.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace mlc::onnx {

/// VALUES, of DTYPE, as a tensor of SIZES. Requires: T is what DTYPE stores, as many as SIZES say.
template <class T>
DataRef numbers(DType dtype, std::vector<T> values, std::vector<int64_t> sizes) {
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->sizes = std::move(sizes);
  out->produce = [owner]() -> Result<Buffer> {
    return Buffer{std::as_bytes(std::span(*owner)), owner};
  };
  return out;
}

}  // namespace mlc::onnx
