// What is stored of a tensor that has no plain elements: sparse and nested tensors, subclasses.
// They are rebuilt from plain tensors: indices and values, a buffer and its offsets, shards; packed
// quantised ones from a storage.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// The arguments that the tensor is rebuilt from, behind its Parameter; none where the front end
/// made it without any.
std::span<const NodeId> rebuild_args(const Checkpoint& checkpoint, const Tensor& tensor);

struct StoredParts {
  std::vector<uint32_t> tensors;   // with elements
  std::vector<uint32_t> storages;  // that lie under none of these
};
/// What has bytes among what TENSOR is rebuilt from, in the order of the pickle, each once. Nothing
/// for those with elements of their own.
StoredParts stored_parts(const Checkpoint& checkpoint, const Tensor& tensor);

/// Bytes of the contiguous form; of sparse tensors, nested ones and subclasses those of their
/// parts, of a DTensor those of its local part (the mesh of devices is none of the tensor).
uint64_t stored_bytes(const Checkpoint& checkpoint, const Tensor& tensor);

/// Elements, of packed types each value; of sparse tensors those of their values, of tensors
/// without a shape those of their first part, the buffer.
uint64_t stored_elements(const Checkpoint& checkpoint, const Tensor& tensor);

/// How many values (or blocks of values) a sparse tensor has; nothing for others.
std::optional<uint64_t> stored_values(const Checkpoint& checkpoint, const Tensor& tensor);

/// Whether TENSOR has one shape: nested tensors and unknown subclasses do not.
bool has_shape(const Checkpoint& checkpoint, const Tensor& tensor);

/// "[3, 4]", "[3, 4] nnz 2" of sparse tensors, "-" without a shape.
std::string shape_text(const Checkpoint& checkpoint, const Tensor& tensor);

}  // namespace mlc
