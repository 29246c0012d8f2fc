// The elements of a float64 tensor as they are: what the errors of its float32 form are measured
// with.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quant_kernels.h"
#include "mlc/compress/raw_rows.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mlc {

/// Rows are those of layout_of(). Holds no bytes of its own; the checkpoint must outlive it.
class DoubleRows {
 public:
  /// Nothing for a tensor of another type. Errors: those of Checkpoint::view(). Requires: at least
  /// one element.
  static Result<std::optional<DoubleRows>> open(const Checkpoint& checkpoint, uint32_t tensor);

  size_t columns() const { return static_cast<size_t>(rows_.columns()); }
  /// Rows [BEGIN, END), one after the other, in BUFFER.
  Status read(int64_t begin, int64_t end, std::vector<double>& buffer) const;

 private:
  explicit DoubleRows(RawRows rows) : rows_(std::move(rows)) {}

  RawRows rows_;
};

/// Adds to SUMS how far the values V are from WEIGHTS, of which there are as many; `wrong` is left
/// alone.
void add_errors(std::span<const double> weights, const float* v, ErrorSums& sums);

}  // namespace mlc
