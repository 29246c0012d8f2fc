// How much a verb may make of tensors that show the bytes of their storages more than once.
//
// An expanded tensor (stride 0) or overlapping views let a few bytes of a hostile file stand for
// terabytes. That is legal and may be listed and kept, but not read or written in full: all tensors
// of one output or one answer together may have 1 GiB, or 64 times what their storages hold.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <unordered_set>
#include <vector>

namespace mlc {

/// Whether the elements that expanded dimensions repeat count: those of a verb that visits each
/// element of the storage once do not.
enum class Repeats : uint8_t { counted, passed_over };

class ExpansionBudget {
 public:
  explicit ExpansionBudget(const Checkpoint& checkpoint, Repeats repeats = Repeats::counted)
      : checkpoint_(checkpoint), repeats_(repeats) {}

  /// Counts the tensor, as often as it is added. Errors: unsupported where it alone is too much.
  Status add(uint32_t tensor);
  /// The same of a tensor of which a view of SIZES is walked.
  Status add(uint32_t tensor, Dims sizes);
  /// Whether all that was added is within the budget. Errors: unsupported.
  Status check() const;

 private:
  const char* hint() const;

  const Checkpoint& checkpoint_;
  Repeats repeats_;
  std::unordered_set<uint32_t> storages_;
  uint64_t tensors_ = 0;
  uint64_t stored_ = 0;  // bytes
  uint64_t made_ = 0;    // bytes; stops at the largest number
};

/// The budget of a verb that reads every one of TENSORS once, tied ones together. Errors:
/// unsupported naming the tensor, or what all of them come to.
Status check_expansion(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                       Repeats repeats = Repeats::counted);

}  // namespace mlc
