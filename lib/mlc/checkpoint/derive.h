// New tensors made from those of a checkpoint: parts, joins, permutations, other types. They are
// computed while they are written; making one costs nothing.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

/// Hands out the contiguous row-major bytes of a tensor; a derived one is computed as it goes.
Status stream_tensor(const Checkpoint& checkpoint, uint32_t tensor, const BlockSink& sink);

/// Elements [BEGIN, BEGIN + LENGTH) of dimension DIM, contiguous. Errors: unsupported for tensors
/// without plain elements. Requires: the range lies within the dimension.
Result<uint32_t> derive_slice(Checkpoint& checkpoint, uint32_t tensor, int64_t dim, int64_t begin,
                              int64_t length);

/// SOURCES joined along DIM, contiguous. Errors: usage if the other dimensions or the dtypes
/// differ; unsupported as above. Requires: at least one source.
Result<uint32_t> derive_concat(Checkpoint& checkpoint, std::span<const uint32_t> sources,
                               int64_t dim);

/// Output dimension i is source dimension PERMUTATION[i], contiguous.
Result<uint32_t> derive_permuted(Checkpoint& checkpoint, uint32_t tensor,
                                 std::span<const int64_t> permutation);

/// The same elements in a storage of their own, contiguous but for expanded dimensions, which stay
/// expanded: nothing of the rest of the storage that a view points into is kept.
Result<uint32_t> derive_compact(Checkpoint& checkpoint, uint32_t tensor);
/// Bytes of the storage that derive_compact() makes for it.
uint64_t compact_size(const Checkpoint& checkpoint, const Tensor& tensor);

/// What a cast did to the values of a tensor.
struct CastCounts {
  uint64_t elements = 0;                 // of the tensor
  std::atomic<uint64_t> overflowed{0};   // finite values that became infinite
  std::atomic<uint64_t> underflowed{0};  // values that became zero
};

/// The elements converted to DTYPE as PyTorch's .to() does, rounding to nearest even. COUNTS must
/// live until the output is written.
Result<uint32_t> derive_cast(Checkpoint& checkpoint, uint32_t tensor, DType dtype,
                             CastCounts& counts);

/// Another tensor that shows the same elements of the same storage.
uint32_t derive_twin(Checkpoint& checkpoint, uint32_t tensor);

/// TENSOR as what LIKE is in Python: a Parameter, a subclass, with its attributes and
/// requires_grad. Returns the tensor with that form, TENSOR itself where LIKE is a plain one. What
/// LIKE is stays as it is. Requires: TENSOR is a derived one, of the type of LIKE.
uint32_t derive_like(Checkpoint& checkpoint, uint32_t like, uint32_t tensor);

/// What a tensor is in Python.
enum class PythonForm : uint8_t {
  plain,      // torch.Tensor
  parameter,  // a Parameter, without attributes
  special,    // a subclass, or one with attributes of its own
};
PythonForm python_form(const Checkpoint& checkpoint, uint32_t tensor);

/// Puts tensor REPLACEMENT where tensor OLD is in the tree, for every reference to it; a Parameter
/// stays one.
void replace_tensor(Checkpoint& checkpoint, uint32_t old, uint32_t replacement);

}  // namespace mlc
