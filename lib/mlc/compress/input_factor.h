// What the inputs of a layer say of its weights: the factor that GPTQ and SparseGPT compensate
// with.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

/// U, an upper triangle, with (X^T X + d I)^-1 = U^T U, d being 1 % of the mean of the diagonal
/// (Frantar et al., "GPTQ", 2022, section 3.3). Found as the inverse of the V in V V^T = X^T X + d
/// I, which is the Cholesky factor of the matrix with both orders reversed: no matrix is inverted
/// twice.
class InputFactor {
 public:
  /// GRAM is X^T X as [COLUMNS, COLUMNS]. More damping is tried where rounding has left the matrix
  /// not positive definite. Errors: conflict where that does not help: values that are not finite.
  static Result<InputFactor> make(std::span<const float> gram, int64_t columns, unsigned threads);

  int64_t columns() const { return columns_; }
  /// U[j][j], U[j][j + 1], ... to the last column.
  std::span<const float> row(int64_t j) const {
    return {values_.data() + j * columns_ + j, static_cast<size_t>(columns_ - j)};
  }

 private:
  int64_t columns_ = 0;
  std::vector<float> values_;  // [columns, columns]
};

}  // namespace mlc
