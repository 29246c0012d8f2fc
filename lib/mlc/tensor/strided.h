// Walking a strided view in row-major order and packing what it visits.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/tensor/shape.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

/// Hands out the elements of a view one piece after the other, as the contiguous form has them.
/// Dimensions that lie in memory as one are walked as one, and where the last two of the rest are
/// transposed (also channels_last) the copy goes in square tiles, so that cache lines are used
/// whole. Nothing but the dimensions is owned.
class StridedReader {
 public:
  /// Requires: the extent of the view lies within STORAGE (checked_extent); ELEMENT is 1, 2, 4, 8
  /// or 16 bytes.
  StridedReader(Bytes storage, uint64_t element, Dims sizes, Dims strides, int64_t offset);

  /// Packs the next elements into OUT, whose size is a multiple of ELEMENT. Requires: OUT takes at
  /// most what is left.
  void read(std::span<std::byte> out);

 private:
  struct Dim {
    int64_t size;
    int64_t stride;
  };

  void next_row(int64_t rows);

  const std::byte* storage_;
  size_t element_;
  std::vector<Dim> outer_;         // all but the last two
  std::vector<int64_t> position_;  // in outer_
  Dim rows_{1, 0};
  Dim columns_{1, 0};
  int64_t base_;     // element of row 0, column 0 of the current plane
  int64_t row_ = 0;  // the next element to read
  int64_t column_ = 0;
};

}  // namespace mlc
