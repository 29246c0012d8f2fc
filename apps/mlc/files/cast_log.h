// What casts did to values, tensor by tensor.
#pragma once

#include "mlc/checkpoint/derive.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace mlc::cli {

/// A tensor of which a cast could not keep some values.
struct CastLoss {
  std::string name;
  uint64_t values = 0;    // that are lost ...
  uint64_t elements = 0;  // ... of so many
};
inline uint64_t count_values(const std::vector<CastLoss>& losses) {
  uint64_t sum = 0;
  for (const CastLoss& loss : losses) sum += loss.values;
  return sum;
}

/// Filled while an output is written, for which it must live.
class CastLog {
 public:
  /// The counts of the tensor NAME, at an address that stays.
  CastCounts& of(std::string name) {
    Row& row = rows_.emplace_back();
    row.name = std::move(name);
    return row.counts;
  }

  /// Tensors with values that were too large, or that became zero, in the order of the casts.
  std::vector<CastLoss> overflowed() const { return losses(&CastCounts::overflowed); }
  std::vector<CastLoss> underflowed() const { return losses(&CastCounts::underflowed); }

 private:
  struct Row {
    std::string name;
    CastCounts counts;
  };
  std::vector<CastLoss> losses(std::atomic<uint64_t> CastCounts::*count) const {
    std::vector<CastLoss> out;
    for (const Row& row : rows_) {
      const uint64_t values = row.counts.*count;
      if (values > 0) out.push_back({row.name, values, row.counts.elements});
    }
    return out;
  }

  std::deque<Row> rows_;
};

}  // namespace mlc::cli
