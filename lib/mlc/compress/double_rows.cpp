#include "mlc/compress/double_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace mlc {

Result<std::optional<DoubleRows>> DoubleRows::open(const Checkpoint& checkpoint, uint32_t tensor) {
  if (checkpoint.tensors[tensor].dtype != DType::f64) return std::optional<DoubleRows>();
  MLC_TRY(RawRows rows, RawRows::open(checkpoint, tensor));
  return std::optional(DoubleRows(std::move(rows)));
}

Status DoubleRows::read(int64_t begin, int64_t end, std::vector<double>& buffer) const {
  thread_local std::vector<std::byte> bytes;
  MLC_TRY(const Bytes found, rows_.read(begin, end, bytes));
  buffer.resize(found.size() / sizeof(double));
  std::memcpy(buffer.data(), found.data(), found.size());
  return {};
}

void add_errors(std::span<const double> weights, const float* v, ErrorSums& sums) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const double error = weights[i] - static_cast<double>(v[i]);
    sums.signal += weights[i] * weights[i];
    sums.noise += error * error;
    sums.largest = std::max(sums.largest, std::abs(error));
  }
}

}  // namespace mlc
