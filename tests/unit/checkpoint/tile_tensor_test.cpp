#include "mlc/checkpoint/tile_tensor.h"

#include "catch.h"

#include <numeric>

namespace mlc {
namespace {

/// SIZES of consecutive int32, cut along every dimension at the given places, put together again.
std::string reassembled(const std::vector<int64_t>& sizes,
                        const std::vector<std::vector<int64_t>>& cuts) {
  Checkpoint checkpoint;
  std::vector<Tile> tiles(1);
  tiles[0] = {std::vector<int64_t>(sizes.size(), 0), sizes, kNoIndex};
  for (size_t d = 0; d < sizes.size(); ++d) {
    std::vector<Tile> finer;
    for (const Tile& tile : tiles) {
      int64_t begin = 0;
      std::vector<int64_t> ends = cuts[d];
      ends.push_back(sizes[d]);
      for (const int64_t end : ends) {
        Tile part = tile;
        part.offsets[d] = begin;
        part.sizes[d] = end - begin;
        finer.push_back(part);
        begin = end;
      }
    }
    tiles = finer;
  }
  const std::vector<int64_t> strides = contiguous_strides(sizes);
  for (Tile& tile : tiles) {
    // Each part is a strided view of a storage that has the whole, so that strides are seen too.
    const int64_t count = *element_count(sizes);
    std::vector<int32_t> numbers(static_cast<size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    Storage storage;
    storage.dtype = DType::i32;
    storage.elements = count;
    storage.own = held_bytes(std::string(as_text(std::as_bytes(std::span(numbers)))));
    checkpoint.storages.push_back(storage);
    Tensor tensor;
    tensor.dtype = DType::i32;
    tensor.storage = static_cast<uint32_t>(checkpoint.storages.size() - 1);
    for (size_t d = 0; d < sizes.size(); ++d) tensor.offset += tile.offsets[d] * strides[d];
    tile.tensor = checkpoint.add_tensor(tensor, tile.sizes, strides);
  }
  REQUIRE(check_tiling(sizes, tiles).ok());
  std::reverse(tiles.begin(), tiles.end());
  std::string out;
  const BlockProducer producer = tile_producer(checkpoint, sizes, 4, tiles);
  REQUIRE(producer([&out](Bytes block) {
            out.append(as_text(block));
            return Status();
          }).ok());
  return out;
}

std::string consecutive(int64_t count) {
  std::vector<int32_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return std::string(as_text(std::as_bytes(std::span(numbers))));
}

TEST_CASE("tiles of every cut make the whole") {
  CHECK(reassembled({7}, {{3}}) == consecutive(7));
  CHECK(reassembled({5, 7}, {{3}, {4}}) == consecutive(35));
  CHECK(reassembled({5, 7}, {{1, 2}, {}}) == consecutive(35));
  CHECK(reassembled({3, 4, 5}, {{1}, {2}, {1, 4}}) == consecutive(60));
  CHECK(reassembled({3, 4, 5}, {{}, {}, {2}}) == consecutive(60));
  CHECK(reassembled({2, 1, 3, 2}, {{1}, {}, {1}, {}}) == consecutive(12));
}

TEST_CASE("tensors of several blocks are put together row by row") {
  CHECK(reassembled({700'000}, {{1, 300'000, 650'001}}) == consecutive(700'000));
  CHECK(reassembled({1000, 700}, {{333}, {699}}) == consecutive(700'000));
}

TEST_CASE("tiles that do not tile are named") {
  const std::vector<int64_t> sizes = {4, 4};
  const auto error = [&](std::vector<Tile> tiles) {
    const Status status = check_tiling(sizes, tiles);
    return status.ok() ? std::string() : status.error().text();
  };
  const Tile left{{0, 0}, {4, 2}, kNoIndex};
  const Tile right{{0, 2}, {4, 2}, kNoIndex};
  CHECK(error({left, right}).empty());
  CHECK(error({left, right, {{2, 2}, {0, 2}, kNoIndex}}).empty());
  CHECK(error({left}) == "its chunks cover 8 of 16 elements");
  CHECK(error({left, {{3, 1}, {1, 2}, kNoIndex}}).find("overlaps the one at [0, 0]") !=
        std::string::npos);
  CHECK(error({left, {{0, 3}, {4, 2}, kNoIndex}}).find("reaches out of [4, 4]") !=
        std::string::npos);
  CHECK(error({{{0}, {16}, kNoIndex}}).find("another rank") != std::string::npos);
  CHECK(error({{{0, INT64_MAX}, {4, 2}, kNoIndex}}).find("reaches out") != std::string::npos);
  CHECK(error({{{-1, 0}, {4, 2}, kNoIndex}}).find("reaches out") != std::string::npos);
}

}  // namespace
}  // namespace mlc
