// What casts did to values, tensor by tensor.
#pragma once

#include "mlc/checkpoint/derive.h"

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace mlc::cli {

/// Filled while an output is written, for which it must live.
class CastLog {
 public:
  /// The counts of the tensor NAME, at an address that stays.
  CastCounts& of(std::string name) {
    Row& row = rows_.emplace_back();
    row.name = std::move(name);
    return row.counts;
  }

  /// Tensors with values that did not fit, with how many, in the order of the casts.
  std::vector<std::pair<std::string, uint64_t>> overflowed() const {
    std::vector<std::pair<std::string, uint64_t>> out;
    for (const Row& row : rows_) {
      const uint64_t count = row.counts.overflowed;
      if (count > 0) out.emplace_back(row.name, count);
    }
    return out;
  }

 private:
  struct Row {
    std::string name;
    CastCounts counts;
  };
  std::deque<Row> rows_;
};

}  // namespace mlc::cli
