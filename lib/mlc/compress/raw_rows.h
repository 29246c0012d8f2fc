// The elements of a tensor as they are stored, some rows at a time, from any thread.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/quant_scheme.h"

#include <cstdint>
#include <vector>

namespace mlc {

/// Rows are those of layout_of(). Holds no bytes of its own; the checkpoint must outlive it.
class RawRows {
 public:
  /// Errors: those of Checkpoint::view(). Requires: at least one element.
  static Result<RawRows> open(const Checkpoint& checkpoint, uint32_t tensor);

  DType dtype() const { return view_.dtype; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  uint64_t row_bytes() const {
    return static_cast<uint64_t>(columns_) * element_bytes(view_.dtype);
  }
  /// Rows that are worth a turn of a thread, about 256 KiB, a multiple of STEP; at least STEP.
  int64_t rows_a_piece(int64_t step = 1) const;

  /// Rows [BEGIN, END), one after the other: where they lie, or in BUFFER.
  Result<Bytes> read(int64_t begin, int64_t end, std::vector<std::byte>& buffer) const;

 private:
  TensorView view_;
  size_t dimension_ = 0;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

}  // namespace mlc
