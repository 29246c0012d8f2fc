// The entries of a sparse tensor in coordinate form, in the one order that equal tensors share.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc {

/// Distinct coordinates, ascending, and what is stored there. A stored zero is an entry.
struct SparseEntries {
  std::vector<int64_t> coordinates;  // of each entry, one after the other
  std::string values;                // of each entry all of its dense part, row-major
};

/// Whether entries of DTYPE can be summed up: plain numbers, bool and complex ones.
bool can_coalesce(DType dtype);

/// The entries of TENSOR, of layout sparse_coo, as Tensor.coalesce() gives them on the CPU: those
/// of equal coordinates are summed up in their order, rounded to their type each time; integers
/// wrap, bools are joined by "or". PyTorch does not promise an order: where several are summed up,
/// its result may be rounded otherwise. Errors: those of Checkpoint::view(); unsupported for
/// another layout, for indices that are no int64, and for parts that are expanded beyond measure.
/// Requires: can_coalesce() of its type.
Result<SparseEntries> coalesced_entries(const Checkpoint& checkpoint, const Tensor& tensor);

}  // namespace mlc
