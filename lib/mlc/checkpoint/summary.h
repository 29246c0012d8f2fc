// What a set of tensors amounts to: counts, bytes, types, sharing and waste.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

struct Summary {
  uint64_t tensors = 0;
  uint64_t parameters = 0;  // stored_elements(); a tensor under several names counts once
  uint64_t bytes = 0;       // stored_bytes(), likewise once
  std::vector<std::pair<DType, uint64_t>> dtypes;         // with the number of tensors, most first
  std::vector<std::pair<std::string, uint64_t>> devices;  // storage locations, likewise
  std::vector<std::vector<std::string>> shared;           // groups of names that use one storage
  uint64_t storage_bytes = 0;                             // of the storages these tensors use
  uint64_t wasted_bytes = 0;     // of them, bytes that none of these tensors shows
  uint64_t droppable_bytes = 0;  // of them, what copies of the tensors alone would save
};

Summary summarize(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors);

}  // namespace mlc
