// The fields of one protobuf message, read where they lie:
// https://protobuf.dev/programming-guides/encoding
//
//   ProtoReader reader(file);
//   for (;;) {
//     MLC_TRY(const bool more, reader.next());
//     if (!more) break;
//     if (reader.is(7, WireType::bytes)) ...reader.bytes()...
//   }
//
// Nothing is copied and no length is believed. As protobuf's own parsers, callers pass over fields
// that they do not know and fields whose wire type is not the one they expect.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace mlc {

enum class WireType : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

class ProtoReader {
 public:
  /// FILE_BEGIN is where offsets in errors count from; by default MESSAGE itself.
  explicit ProtoReader(Bytes message) : ProtoReader(message, message.data()) {}
  ProtoReader(Bytes message, const std::byte* file_begin)
      : message_(message), file_begin_(file_begin) {}

  /// Goes to the next field; false at the end of the message. Error: corrupt, with the offset, for
  /// a field that is cut off, has a longer length than what is left, or belongs to a group;
  /// number() and is() then tell what it would have been, 0 where no field has its number.
  Result<bool> next();

  uint32_t number() const { return number_; }
  bool is(uint32_t number, WireType type) const { return number_ == number && type_ == type; }

  /// Of a varint or a fixed field.
  uint64_t value() const { return value_; }
  int64_t integer() const { return static_cast<int64_t>(value_); }
  /// Of a field of the type bytes: a text, a message, or packed numbers.
  Bytes bytes() const { return bytes_; }
  std::string_view text() const { return as_text(bytes_); }
  /// A reader for the message in this field.
  ProtoReader message() const { return {bytes_, file_begin_}; }
  /// Where the field begins, in bytes from the begin of the file.
  uint64_t offset() const { return offset_; }
  /// The whole field, with its number and type: what a message that holds it has of it.
  Bytes field() const { return message_.subspan(begin_, position_ - begin_); }
  bool at_end() const { return position_ == message_.size(); }

  /// Takes one varint from the front of PACKED; nothing where there is none.
  static std::optional<uint64_t> take_varint(Bytes& packed);

 private:
  Error broken(std::string_view what) const;

  Bytes message_;
  const std::byte* file_begin_;
  size_t position_ = 0;
  size_t begin_ = 0;  // of the field
  uint64_t offset_ = 0;
  uint32_t number_ = 0;
  WireType type_ = WireType::varint;
  uint64_t value_ = 0;
  Bytes bytes_;
};

}  // namespace mlc
