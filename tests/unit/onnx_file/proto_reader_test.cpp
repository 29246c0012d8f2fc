#include "mlc/onnx_file/proto_reader.h"

#include "catch.h"
#include "onnx_file/proto_writer.h"

using namespace mlc;

namespace {

/// What next() says at last: an empty text where the message ends well.
std::string walk(const std::string& message) {
  ProtoReader reader(as_bytes(message));
  for (;;) {
    const auto more = reader.next();
    if (!more.ok()) return more.error().message();
    if (!*more) return "";
  }
}

}  // namespace

TEST_CASE("fields of all wire types are read") {
  const std::string message = field(1, uint64_t{300}) + field(2, "text") +
                              std::string("\x1d\x01\x02\x03\x04", 5) +
                              std::string("\x21\x01\x00\x00\x00\x00\x00\x00\x80", 9);
  ProtoReader reader(as_bytes(message));
  REQUIRE(*reader.next());
  CHECK((reader.is(1, WireType::varint) && reader.value() == 300));
  REQUIRE(*reader.next());
  CHECK((reader.is(2, WireType::bytes) && reader.text() == "text"));
  CHECK(reader.offset() == 3);
  REQUIRE(*reader.next());
  CHECK((reader.is(3, WireType::fixed32) && reader.value() == 0x04030201));
  REQUIRE(*reader.next());
  CHECK((reader.is(4, WireType::fixed64) && reader.integer() < 0));
  CHECK(!*reader.next());
}

TEST_CASE("negative numbers take ten bytes") {
  const std::string message = field(1, static_cast<uint64_t>(-3));
  CHECK(message.size() == 11);
  ProtoReader reader(as_bytes(message));
  REQUIRE(*reader.next());
  CHECK(reader.integer() == -3);
}

TEST_CASE("broken fields are told with their offset") {
  CHECK(walk(field(1, uint64_t{1}) + "\x12\x05"
                                     "ab") == "byte 2: a field of 5 bytes, where 2 are left");
  CHECK(walk("\x08") == "byte 0: a number is cut off");
  CHECK(walk("\xff") == "byte 0: a field's number is cut off");
  CHECK(walk(std::string("\x00\x01", 2)) == "byte 0: no field has such a number");
  CHECK(walk("\x0b") == "byte 0: a field of the unknown type 3");  // a group
  CHECK(walk("\x0d\x01\x02") == "byte 0: a number is cut off");
  CHECK(walk("\x12") == "byte 0: a length is cut off");
  // Eleven bytes of a number, of which ten may be.
  CHECK(walk("\x08" + std::string(10, '\xff') + '\x01') == "byte 0: a number is cut off");
}

TEST_CASE("offsets of nested messages count from the begin of the file") {
  const std::string message = field(7, field(1, uint64_t{1}) + "\x12\x05");
  ProtoReader reader(as_bytes(message));
  REQUIRE(*reader.next());
  ProtoReader inner = reader.message();
  REQUIRE(*inner.next());
  CHECK(inner.next().error().message() == "byte 4: a field of 5 bytes, where 0 are left");
}
