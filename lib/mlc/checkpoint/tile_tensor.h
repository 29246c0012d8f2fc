// Putting a tensor together from rectangular parts, as sharded training leaves them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <vector>

namespace mlc {

/// One part: a tensor of the checkpoint of these sizes, at OFFSETS in the whole.
struct Tile {
  std::vector<int64_t> offsets;
  std::vector<int64_t> sizes;
  uint32_t tensor = kNoIndex;
};

/// Whether the tiles cover a tensor of SIZES exactly once. Errors: corrupt for tiles of another
/// rank, outside, overlapping, or leaving a hole.
Status check_tiling(Dims sizes, const std::vector<Tile>& tiles);

/// Makes the row-major bytes of the whole, about 1 MiB (at least one row) at a time. Requires:
/// check_tiling(); CHECKPOINT outlives the producer. Errors: as Checkpoint::view(); corrupt for a
/// tile whose CRC differs.
BlockProducer tile_producer(const Checkpoint& checkpoint, std::vector<int64_t> sizes,
                            uint64_t element, std::vector<Tile> tiles);

}  // namespace mlc
