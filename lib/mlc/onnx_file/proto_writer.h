// The fields of one protobuf message, appended to a string: what ProtoReader reads.
#pragma once

#include "mlc/base/bytes.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace mlc {

class ProtoWriter {
 public:
  /// Appends to OUT, which must outlive this.
  explicit ProtoWriter(std::string& out) : out_(out) {}

  void varint(uint32_t number, uint64_t value);
  void integer(uint32_t number, int64_t value) { varint(number, static_cast<uint64_t>(value)); }
  void float32(uint32_t number, float value);
  /// A text, bytes, or a message that is whole already.
  void bytes(uint32_t number, std::string_view content);
  /// What stands before LENGTH bytes of such a field.
  void prefix(uint32_t number, uint64_t length);
  /// Fields that are whole already.
  void fields(Bytes whole) { out_.append(as_text(whole)); }

 private:
  void raw_varint(uint64_t value);

  std::string& out_;
};

/// Bytes of a field of LENGTH bytes, its prefix included.
uint64_t proto_field_bytes(uint32_t number, uint64_t length);

}  // namespace mlc
