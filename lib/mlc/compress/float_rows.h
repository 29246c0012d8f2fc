// The elements of a tensor as float32, some rows at a time, from any thread.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/quant_scheme.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

/// Whether a tensor has plain elements of a floating-point type that float32 can stand for (float64
/// is rounded to it).
bool has_float_elements(const Tensor& tensor);

/// Rows are those of layout_of(). Holds no bytes of its own; the checkpoint must outlive it.
class FloatRows {
 public:
  /// Errors: those of Checkpoint::view(). Requires: has_float_elements(), at least one element.
  static Result<FloatRows> open(const Checkpoint& checkpoint, uint32_t tensor);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  /// Rows that are worth a turn of a thread, about 256 KiB of float32; at least one.
  int64_t rows_a_piece() const;

  /// Rows [BEGIN, END), one after the other. They lie in the file, where it has them as float32, or
  /// in BUFFER, and end with the next call that gets it.
  Result<std::span<const float>> read(int64_t begin, int64_t end, std::vector<float>& buffer) const;

 private:
  TensorView view_;
  size_t dimension_ = 0;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

}  // namespace mlc
