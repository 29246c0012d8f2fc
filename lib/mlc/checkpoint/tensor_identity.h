// When two names are one tensor.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <tuple>
#include <utility>
#include <vector>

namespace mlc {

/// Storage, offset, dtype, conjugated, negated, sizes and strides: tensors with equal identities
/// show the same bytes in the same way, so they are tied.
using TensorIdentity =
    std::tuple<uint32_t, int64_t, DType, bool, bool, std::vector<int64_t>, std::vector<int64_t>>;

inline TensorIdentity identity_of(const Checkpoint& checkpoint, const Tensor& tensor) {
  const Dims sizes = checkpoint.sizes(tensor);
  const Dims strides = checkpoint.strides(tensor);
  return {tensor.storage,
          tensor.offset,
          tensor.dtype,
          tensor.conjugated,
          tensor.negated,
          {sizes.begin(), sizes.end()},
          {strides.begin(), strides.end()}};
}

/// The bytes of its storage from the first to the last element of TENSOR, gaps between strided
/// elements included: begin and end. Both 0 for a tensor without elements. Requires: a storage.
inline std::pair<uint64_t, uint64_t> byte_span(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (checkpoint.element_count(tensor) == 0) return {0, 0};
  const Dims sizes = checkpoint.sizes(tensor);
  const Dims strides = checkpoint.strides(tensor);
  int64_t last = tensor.offset;
  for (size_t d = 0; d < sizes.size(); ++d) last += (sizes[d] - 1) * strides[d];
  const uint64_t width = element_bytes(tensor.dtype);
  return {static_cast<uint64_t>(tensor.offset) * width, (static_cast<uint64_t>(last) + 1) * width};
}

}  // namespace mlc
