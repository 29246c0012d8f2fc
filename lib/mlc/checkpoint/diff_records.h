// What sets two checkpoints apart in records that PyTorch does not know.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/diff_values.h"

#include <vector>

namespace mlc {

/// Compares the records that other programs put into the zips. Their path is "record NAME", their
/// value the size. Errors: corrupt, read_failed.
Result<std::vector<ValueDifference>> diff_records(const Checkpoint& a, const Checkpoint& b);

}  // namespace mlc
