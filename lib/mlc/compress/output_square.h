// What a change of weights does to the outputs of their layer.
#pragma once

#include <cstddef>
#include <span>

namespace mlc {

/// D^T (X^T X) D: the sum over all inputs of the squares of their products with D. GRAM is X^T X.
inline double output_square(std::span<const double> d, std::span<const float> gram) {
  const size_t n = d.size();
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    const float* const row = gram.data() + i * n;
    double product = 0;
    for (size_t j = 0; j < n; ++j) product += row[j] * d[j];
    sum += d[i] * product;
  }
  return sum;
}

}  // namespace mlc
