// Whether the last part of a file was ever written: a download that reserves its space and is
// broken off leaves zeros there, which no format without checksums can tell from weights.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <vector>

namespace mlc {

/// Zeros up to the end of a file of a checkpoint, in which whole storages lie.
struct ZeroTail {
  uint32_t file = kNoIndex;  // in Checkpoint::files
  uint64_t bytes = 0;
  uint64_t storages = 0;      // that lie in them
  uint32_t first = kNoIndex;  // of these, in Checkpoint::storages
  bool begins_within_other =
      false;  // in the middle of the storage before, which speaks against chance
};

/// Of each file whose storages have no CRC, where the zeros are several pages and no single bias.
/// Reads from the end until there is a byte that is not zero. Errors: read_failed, interrupted.
Result<std::vector<ZeroTail>> find_zero_tails(const Checkpoint& checkpoint, Reporter& reporter);

}  // namespace mlc
