#include "mlc/checkpoint/tile_tensor.h"

#include "mlc/base/checked_math.h"
#include "mlc/checkpoint/copy_tensors.h"

#include <algorithm>
#include <cstring>

namespace mlc {
namespace {

constexpr uint64_t kBlockBytes = 1U << 20U;
constexpr uint64_t kMaxRowBytes = uint64_t{4} << 30U;

bool inside(Dims sizes, const Tile& tile) {
  for (size_t d = 0; d < sizes.size(); ++d) {
    const auto end = checked_add(tile.offsets[d], tile.sizes[d]);
    if (tile.offsets[d] < 0 || tile.sizes[d] < 0 || !end || *end > sizes[d]) return false;
  }
  return true;
}

bool overlap(const Tile& a, const Tile& b) {
  for (size_t d = 0; d < a.sizes.size(); ++d) {
    const bool apart =
        a.offsets[d] + a.sizes[d] <= b.offsets[d] || b.offsets[d] + b.sizes[d] <= a.offsets[d];
    if (apart) return false;
  }
  return true;
}

int64_t product(Dims sizes) {
  int64_t out = 1;
  for (const int64_t size : sizes) out *= size;
  return out;
}

/// Copies contiguous SOURCE of SIZES into contiguous TARGET of WHOLE sizes at OFFSETS.
void place_tile(const std::byte* source, Dims sizes, std::byte* target, Dims whole, Dims offsets,
                uint64_t element) {
  // The innermost dimensions that are whole lie in memory as one run.
  size_t outer = sizes.size();
  uint64_t run = element;
  while (outer > 0) {
    --outer;
    run *= static_cast<uint64_t>(sizes[outer]);
    if (sizes[outer] != whole[outer]) break;
  }
  std::vector<int64_t> at(outer, 0);
  const int64_t runs = product(sizes.first(outer));
  for (int64_t i = 0; i < runs; ++i) {
    int64_t position = 0;
    for (size_t d = 0; d < sizes.size(); ++d) {
      position = position * whole[d] + offsets[d] + (d < outer ? at[d] : 0);
    }
    std::memcpy(target + static_cast<uint64_t>(position) * element, source, run);
    source += run;
    for (size_t d = outer; d-- > 0 && ++at[d] == sizes[d];) at[d] = 0;
  }
}

/// The part of TILE that lies in rows [first, last) of the whole, into BLOCK, which holds these
/// rows.
Status fill_rows(const Checkpoint& checkpoint, const Tile& tile, Dims sizes, int64_t first,
                 int64_t last, uint64_t element, std::string& block) {
  const int64_t begin = std::max(first, tile.offsets[0]);
  const int64_t end = std::min(last, tile.offsets[0] + tile.sizes[0]);
  if (begin >= end) return {};
  MLC_TRY(TensorView view, checkpoint.view(tile.tensor));
  std::vector<int64_t> rows(view.sizes.begin(), view.sizes.end());
  rows[0] = end - begin;
  view.offset += (begin - tile.offsets[0]) * view.strides[0];
  view.sizes = rows;
  MLC_TRY(const std::string part, contiguous_bytes(view, block.size()));
  std::vector<int64_t> whole(sizes.begin(), sizes.end());
  whole[0] = last - first;
  std::vector<int64_t> offsets = tile.offsets;
  offsets[0] = begin - first;
  place_tile(reinterpret_cast<const std::byte*>(part.data()), rows,
             reinterpret_cast<std::byte*>(block.data()), whole, offsets, element);
  return {};
}

}  // namespace

Status check_tiling(Dims sizes, const std::vector<Tile>& tiles) {
  const auto total = element_count(sizes);
  if (!total) return corrupt("shape " + format_shape(sizes) + " is impossible");
  int64_t covered = 0;  // cannot overflow: tiles lie inside and do not overlap
  for (size_t i = 0; i < tiles.size(); ++i) {
    const Tile& tile = tiles[i];
    const std::string where =
        "its chunk " + format_shape(tile.sizes) + " at " + format_shape(tile.offsets);
    if (tile.sizes.size() != sizes.size() || tile.offsets.size() != sizes.size()) {
      return corrupt(where + " has another rank than " + format_shape(sizes));
    }
    if (!inside(sizes, tile)) return corrupt(where + " reaches out of " + format_shape(sizes));
    const int64_t count = element_count(tile.sizes).value_or(0);
    if (count == 0) continue;
    for (size_t j = 0; j < i; ++j) {
      if (element_count(tiles[j].sizes) != 0 && overlap(tiles[j], tile)) {
        return corrupt(where + " overlaps the one at " + format_shape(tiles[j].offsets));
      }
    }
    covered += count;
  }
  if (covered == *total) return {};
  return corrupt("its chunks cover " + std::to_string(covered) + " of " + std::to_string(*total) +
                 " elements");
}

BlockProducer tile_producer(const Checkpoint& checkpoint, std::vector<int64_t> sizes,
                            uint64_t element, std::vector<Tile> tiles) {
  return [&checkpoint, sizes = std::move(sizes), element,
          tiles = std::move(tiles)](const BlockSink& sink) -> Status {
    if (sizes.empty() || product(sizes) == 0) return {};
    // The whole has no CRC of its own: a damaged part would get a new, valid one.
    for (const Tile& tile : tiles) {
      MLC_CHECK(check_storage(checkpoint, checkpoint.tensors[tile.tensor].storage));
    }
    const uint64_t row = static_cast<uint64_t>(product(Dims(sizes).subspan(1))) * element;
    if (row > kMaxRowBytes) {
      return unsupported("a sharded tensor whose rows have more than 4 GiB cannot be put together");
    }
    const auto step = static_cast<int64_t>(std::max<uint64_t>(1, kBlockBytes / row));
    for (int64_t first = 0; first < sizes[0]; first += step) {
      const int64_t last = std::min(sizes[0], first + step);
      std::string block(static_cast<size_t>(static_cast<uint64_t>(last - first) * row), '\0');
      for (const Tile& tile : tiles) {
        MLC_CHECK(fill_rows(checkpoint, tile, sizes, first, last, element, block));
      }
      MLC_CHECK(sink(as_bytes(block)));
    }
    return {};
  };
}

}  // namespace mlc
