// Shapes, strides and the element ranges they span, with every product checked.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

using Dims = std::span<const int64_t>;  // sizes or strides, outermost first, in elements

inline constexpr size_t kMaxRank = 64;

/// Product of the sizes; nothing if one is negative or if it does not fit int64 (also where another
/// size is 0, as PyTorch does not allow such shapes either).
std::optional<int64_t> element_count(Dims sizes);

/// Row-major strides of a contiguous tensor: last one 1. As in PyTorch, sizes of 0 count as 1.
std::vector<int64_t> contiguous_strides(Dims sizes);

/// Whether walking sizes row-major with these strides visits consecutive elements. Dimensions of
/// size 1 may have any stride; tensors without elements are contiguous.
bool is_contiguous(Dims sizes, Dims strides);

/// The elements [first, last) of a storage that a tensor touches, 0-based from OFFSET's storage.
struct ElementRange {
  int64_t first = 0;
  int64_t last = 0;
};

/// Checks a view as read from a file: equal ranks up to kMaxRank, nothing negative, the extent
/// OFFSET + sum((size - 1) * stride) + 1 within STORAGE_ELEMENTS (128-bit arithmetic). A tensor
/// without elements may have any offset. Errors: corrupt, naming the numbers.
Result<ElementRange> checked_extent(Dims sizes, Dims strides, int64_t offset,
                                    int64_t storage_elements);

/// "[64, 3, 7, 7]", "[]" for a scalar.
std::string format_shape(Dims sizes);

}  // namespace mlc
