// When two names are one tensor.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <tuple>
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

}  // namespace mlc
