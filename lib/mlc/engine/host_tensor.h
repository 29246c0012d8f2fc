// A tensor in plain memory: what goes into an engine and what comes out of it.
#pragma once

#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/tensor_view.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mlc {

/// Contiguous, row-major, little-endian. Copies share the bytes, which nobody changes.
struct HostTensor {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  // of the contiguous form, for view()
  std::shared_ptr<const std::string> bytes;

  TensorView view() const { return {dtype, sizes, strides, 0, as_bytes(*bytes)}; }
};

/// BYTES must be exactly what DTYPE and SIZES take. Errors: internal where they are not.
Result<HostTensor> make_host_tensor(DType dtype, std::vector<int64_t> sizes, std::string bytes);

/// An input or output of a model.
struct NamedValue {
  std::string name;
  HostTensor tensor;
};

/// "f32[2, 3]".
std::string describe(DType dtype, Dims sizes);
/// "f32[2,3]", as the input grammar writes it.
std::string spelled(DType dtype, Dims sizes);

}  // namespace mlc
