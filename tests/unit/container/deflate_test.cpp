#include "mlc/container/deflate.h"

#include "catch.h"

#include <array>

using namespace mlc;

namespace {
// Python: zlib.compressobj(9, zlib.DEFLATED, -15) of b"checkpoint " * 10
constexpr std::array<unsigned char, 16> kStream = {0x4b, 0xce, 0x48, 0x4d, 0xce, 0x2e, 0xc8, 0xcf,
                                                   0xcc, 0x2b, 0x51, 0x48, 0xa6, 0x3d, 0x13, 0x00};
Bytes stream() {
  return std::as_bytes(std::span(kStream));
}

std::string repeated() {
  std::string out;
  for (int i = 0; i < 10; ++i) out += "checkpoint ";
  return out;
}
}  // namespace

TEST_CASE("a stream made by zlib inflates") {
  const auto out = inflate_exact(stream(), 110);
  REQUIRE(out.ok());
  CHECK(*out == repeated());
}

TEST_CASE("deflate makes what inflate reads, at every level") {
  for (const int level : {-5, 1, 6, 9, 12, 99}) {
    const auto packed = deflate(as_bytes(repeated()), level);
    REQUIRE(packed.ok());
    CHECK(packed->size() < 30);
    const auto out = inflate_exact(as_bytes(*packed), 110);
    REQUIRE(out.ok());
    CHECK(*out == repeated());
  }
}

TEST_CASE("nothing deflates and inflates too") {
  const auto packed = deflate({}, 6);
  REQUIRE(packed.ok());
  const auto out = inflate_exact(as_bytes(*packed), 0);
  REQUIRE(out.ok());
  CHECK(out->empty());
}

TEST_CASE("inflating fails with a reason") {
  const auto message = [](Bytes bytes, uint64_t size) {
    const auto out = inflate_exact(bytes, size);
    REQUIRE(!out.ok());
    CHECK(out.error().kind() == ErrorKind::corrupt);
    return out.error().message();
  };
  CHECK(message(stream(), 109) == "the compressed data hold more than the stated 109 bytes");
  CHECK(message(stream(), 111) == "the compressed data hold 110 bytes, not the stated 111");
  CHECK(message(stream().first(5), 110) == "the compressed data are damaged");
  std::string longer(as_text(stream()));
  longer += "rest";
  CHECK(message(as_bytes(longer), 110) == "the compressed data end after 16 of 20 bytes");
  CHECK(message({}, 0) == "the compressed data are damaged");
}

TEST_CASE("a stated size that deflate cannot reach is refused before it is allocated") {
  CHECK(deflate_can_hold(1, 1032));
  CHECK_FALSE(deflate_can_hold(1, 1u << 20));
  const auto out = inflate_exact(stream(), uint64_t{1} << 60);
  REQUIRE(!out.ok());
  CHECK(out.error().message() == "16 compressed bytes cannot hold the stated 1152921504606846976");
}
