#include "mlc/engine/host_tensor.h"

#include "mlc/base/checked_math.h"

namespace mlc {

Result<HostTensor> make_host_tensor(DType dtype, std::vector<int64_t> sizes, std::string bytes) {
  const auto count = element_count(sizes);
  const auto want =
      count ? checked_mul(static_cast<uint64_t>(*count), element_bytes(dtype)) : std::nullopt;
  if (!want || *want != bytes.size()) {
    return internal_error("a tensor of " + describe(dtype, sizes) + " with " +
                          std::to_string(bytes.size()) + " bytes");
  }
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.strides = contiguous_strides(sizes);
  tensor.sizes = std::move(sizes);
  tensor.bytes = std::make_shared<const std::string>(std::move(bytes));
  return tensor;
}

std::string describe(DType dtype, Dims sizes) {
  return std::string(info(dtype).brief) + format_shape(sizes);
}

std::string spelled(DType dtype, Dims sizes) {
  std::string out = std::string(info(dtype).brief) + "[";
  for (size_t i = 0; i < sizes.size(); ++i) {
    out += (i == 0 ? "" : ",") + std::to_string(sizes[i]);
  }
  return out + "]";
}

}  // namespace mlc
