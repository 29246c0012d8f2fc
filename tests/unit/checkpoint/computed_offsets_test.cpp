#include "mlc/checkpoint/computed_offsets.h"

#include "catch.h"

#include <vector>

namespace mlc {
namespace {

constexpr uint64_t kGib4 = uint64_t{1} << 32U;

/// A first record whose successor's header begins at NEXT, then that one with its data at DATA.
bool computes(uint64_t next, uint64_t data, uint64_t size = 8, uint64_t alignment = 64) {
  const uint64_t first_header = 128;
  const StorageRecord first{first_header, 192, next - 192 - 16, 8};
  return computes_places(std::vector<StorageRecord>{first, {next, data, size, 8}}, alignment);
}

// The numbers are those of PyTorchFileReader.get_record_offset_no_read.
TEST_CASE("the second storage is expected behind the first, aligned") {
  CHECK(computes(1000, 1088));
  CHECK_FALSE(computes(1000, 1087));
  CHECK_FALSE(computes(1000, 1152));
  CHECK(computes(1000, 4096, 8, 4096));
  CHECK(computes(1000, 1042, 8, 1));
  CHECK(computes(1000, 1088, kGib4 - 1));
}

TEST_CASE("headers beyond 4 GiB have another size") {
  const auto beyond = [](uint64_t header, uint64_t data) {
    const StorageRecord first{header - 64, header, 0, 8};  // empty: no descriptor follows
    return computes_places(std::vector<StorageRecord>{first, {header, data, 8, 8}}, 64);
  };
  CHECK(beyond(kGib4 - 2, kGib4 + 64));
  CHECK(beyond(kGib4 + 100, kGib4 + 192));
  CHECK_FALSE(beyond(kGib4 + 100, kGib4 + 142));
}

TEST_CASE("nothing can be wrong about no storage and about one") {
  CHECK(computes_places({}, 64));
  CHECK(computes_places(std::vector<StorageRecord>{{7, 77, 100, 8}}, 64));
}

}  // namespace
}  // namespace mlc
