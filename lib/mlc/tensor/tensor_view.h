// A strided look at tensor bytes that someone else owns.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/shape.h"
#include "mlc/tensor/strided.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// STORAGE holds whole elements of DTYPE, little-endian; SIZES, STRIDES and OFFSET count elements
/// (packs for packed types) and have passed checked_extent(). Nothing is owned.
struct TensorView {
  DType dtype = DType::f32;
  Dims sizes;
  Dims strides;
  int64_t offset = 0;
  Bytes storage;
  bool conjugated = false;  // the values are the complex conjugates of the bytes
  bool negated = false;     // the values are the negatives of the bytes

  uint64_t count() const;      // elements
  uint64_t byte_size() const;  // of the contiguous form; 2^64 - 1 where that is not enough
  /// The bytes as they lie, where the view is contiguous and neither conjugated nor negated.
  bool is_plain() const;
  Bytes plain_bytes() const;  // Requires: is_plain()
};

/// SIZES of what is left of a view where each element is visited once: 1 for the dimensions that
/// STRIDES expand. Expanded dimensions repeat all that the others show.
std::vector<int64_t> sizes_without_repeats(Dims sizes, Dims strides);

/// Hands out the row-major contiguous form of a view piece by piece, for walking several views side
/// by side. Plain views are not copied. What the view looks at must outlive the reader.
class ViewReader {
 public:
  /// Errors: unsupported for the negative bit on a type whose sign mlc does not know.
  static Result<ViewReader> open(const TensorView& view);

  /// The next COUNT elements, or what is left; nothing at the end. Valid until the next call.
  Bytes next(uint64_t count);

 private:
  explicit ViewReader(const TensorView& view);

  TensorView view_;
  uint64_t left_;                         // bytes
  Bytes plain_;                           // of plain views
  std::optional<StridedReader> strided_;  // of the others
  std::vector<std::byte> buffer_;
};

/// Calls SINK with consecutive pieces of the row-major contiguous form, at most 1 MiB each and
/// whole elements. Plain views are passed without a copy; others go through a buffer. Stops at
/// SINK's first error.
Status for_each_block(const TensorView& view, const std::function<Status(Bytes)>& sink);

/// The contiguous row-major bytes. BUDGET caps the size (expanded tensors can claim anything).
Result<std::string> contiguous_bytes(const TensorView& view, uint64_t budget);

}  // namespace mlc
