#include "mlc/compress/input_factor.h"

#include "mlc/base/parallel.h"
#include "mlc/compress/dot.h"

#include <algorithm>
#include <cmath>

namespace mlc {
namespace {

// Rows that are worked on together, so that what they are multiplied with is read once.
constexpr int64_t kBlock = 16;

/// A square matrix of doubles.
struct Square {
  int64_t size = 0;
  std::vector<double> values;

  explicit Square(int64_t n) : size(n), values(static_cast<size_t>(n * n)) {}
  double* row(int64_t i) { return values.data() + i * size; }
  const double* row(int64_t i) const { return values.data() + i * size; }
};

/// Makes the lower triangle of A that of L with L L^T = A; false where A is not positive definite.
/// Block by block: first what other blocks give, which is parallel, then each block in itself.
bool factorise(Square& a, unsigned threads) {
  for (int64_t begin = 0; begin < a.size; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, a.size);
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = begin; j <= i; ++j) {
        const double rest = a.row(i)[j] - dot(a.row(i), a.row(j), j);
        if (j < i) {
          a.row(i)[j] = rest / a.row(j)[j];
        } else if (rest > 0 && std::isfinite(rest)) {
          a.row(i)[i] = std::sqrt(rest);
        } else {
          return false;
        }
      }
    }
    // The columns of this block in all rows below it.
    const int64_t below = (a.size - end + kBlock - 1) / kBlock;
    const Status done =
        parallel_for(static_cast<size_t>(below), threads, [&](size_t block) -> Status {
          const int64_t first = end + static_cast<int64_t>(block) * kBlock;
          const int64_t last = std::min(first + kBlock, a.size);
          for (int64_t j = begin; j < end; ++j) {
            for (int64_t i = first; i < last; ++i) {
              a.row(i)[j] = (a.row(i)[j] - dot(a.row(i), a.row(j), j)) / a.row(j)[j];
            }
          }
          return {};
        });
    if (!done.ok()) return false;
  }
  return true;
}

/// The inverse of the lower triangle L, transposed: row j is column j of the inverse, from j on.
Square inverted(const Square& l, unsigned threads) {
  Square out(l.size);
  const auto blocks = static_cast<size_t>((l.size + kBlock - 1) / kBlock);
  const Status done = parallel_for(blocks, threads, [&](size_t block) -> Status {
    const int64_t first = static_cast<int64_t>(block) * kBlock;
    const int64_t last = std::min(first + kBlock, l.size);
    for (int64_t i = first; i < l.size; ++i) {
      for (int64_t j = first; j < std::min(last, i + 1); ++j) {
        double* const column = out.row(j);
        const double unit = i == j ? 1 : 0;
        column[i] = (unit - dot(l.row(i) + j, column + j, i - j)) / l.row(i)[i];
      }
    }
    return {};
  });
  static_cast<void>(done.ok());  // nothing in it fails
  return out;
}

}  // namespace

Result<InputFactor> InputFactor::make(std::span<const float> gram, int64_t columns,
                                      unsigned threads) {
  const int64_t n = columns;
  InputFactor out;
  out.columns_ = n;
  double mean = 0;
  for (int64_t j = 0; j < n; ++j) {
    mean += gram[static_cast<size_t>(j * n + j)] / static_cast<double>(n);
  }
  if (mean == 0) mean = 1;
  constexpr double kLeastDamping = 0.01;
  constexpr double kMostDamping = 1;
  for (double damping = kLeastDamping; damping <= kMostDamping; damping *= 10) {
    Square a(n);  // reversed
    for (int64_t i = 0; i < n; ++i) {
      const float* const from = gram.data() + (n - 1 - i) * n;
      for (int64_t j = 0; j <= i; ++j) a.row(i)[j] = from[n - 1 - j];
      a.row(i)[i] += damping * mean;
    }
    if (!factorise(a, threads)) continue;
    // V = reversed L, and U = V^-1: U[i][j] is (L^-1)[n-1-i][n-1-j].
    const Square inverse = inverted(a, threads);
    out.values_.resize(static_cast<size_t>(n * n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i; j < n; ++j) {
        out.values_[static_cast<size_t>(i * n + j)] =
            static_cast<float>(inverse.row(n - 1 - j)[n - 1 - i]);
      }
    }
    return out;
  }
  return conflict("the inputs of the layer are not finite, or all alike to the last digit",
                  "other samples, or another --rounding");
}

}  // namespace mlc
