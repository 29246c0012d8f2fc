// Whether what tensors are made of is equal in two checkpoints: quantizers, indices and values of
// sparse tensors, calls that rebuild what mlc cannot read.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/tensor/compare.h"

namespace mlc {

/// Whether TENSOR has elements of its own that Checkpoint::view() gives.
inline bool has_elements(const Tensor& tensor) {
  return tensor.storage != kNoIndex &&
         (tensor.kind == TensorKind::dense || tensor.kind == TensorKind::quantized);
}

/// Compares parts of tensors of A with those of B, both borrowed. Errors: of Checkpoint::view().
class PartsOfTwo {
 public:
  PartsOfTwo(const Checkpoint& a, const Checkpoint& b, const Tolerance& tolerance)
      : a_(a), b_(b), tolerance_(tolerance) {}

  /// Scales and zero points of two quantized tensors.
  Result<bool> same_quantizer(const Tensor& a, const Tensor& b) const;
  /// Two sparse tensors of one type: what is stored of them as it is, or once it is coalesced.
  Result<bool> same_parts(NodeId a, NodeId b) const { return same_parts(a, b, 0); }
  Result<bool> same_entries(const Tensor& a, const Tensor& b) const;
  /// Two tensors that mlc cannot read, or two values: rebuilt in the same way from equal parts.
  Result<bool> same_build(NodeId a, NodeId b) const;
  /// Whether the local parts of two DTensors are the same part of the whole. False where a file
  /// does not tell.
  Result<bool> same_place(const Tensor& a, const Tensor& b) const;

 private:
  Result<bool> same_parts(NodeId a, NodeId b, int depth) const;
  Result<bool> same_bytes(uint32_t a, uint32_t b) const;
  Result<bool> same_elements(uint32_t a, uint32_t b) const;
  bool same_literals(NodeId a, NodeId b, size_t& most) const;

  const Checkpoint& a_;
  const Checkpoint& b_;
  const Tolerance& tolerance_;
};

}  // namespace mlc
