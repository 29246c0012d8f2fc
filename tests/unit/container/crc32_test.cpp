#include "mlc/container/crc32.h"

#include "catch.h"

#include <string>

using namespace mlc;

TEST_CASE("crc32 agrees with zlib's published check value") {
  CHECK(crc32(as_bytes("123456789")) == 0xCBF43926);
  CHECK(crc32({}) == 0);
}

TEST_CASE("crc32 continues from a former value") {
  CHECK(crc32(as_bytes("6789"), crc32(as_bytes("12345"))) == 0xCBF43926);
}

TEST_CASE("crc32_combine equals the CRC of the concatenation") {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7 + i / 13);
  for (const size_t cut : {0U, 1U, 2U, 3U, 255U, 256U, 4095U, 4999U, 5000U}) {
    const Bytes all = as_bytes(text);
    const uint32_t a = crc32(all.first(cut));
    const uint32_t b = crc32(all.subspan(cut));
    CHECK(crc32_combine(a, b, all.size() - cut) == crc32(all));
  }
}

TEST_CASE("crc32_combine covers lengths beyond 4 GiB") {
  // Python: zlib.crc32 of "a" and 2^32 + 16 zeros, fed in pieces.
  CHECK(crc32_combine(crc32(as_bytes("a")), 0xC9EFF1BD, (uint64_t{1} << 32) + 16) == 0x6F82B1FC);
}
