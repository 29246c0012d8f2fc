#include "mlc/onnx_file/proto_writer.h"

#include "mlc/onnx_file/proto_reader.h"

#include <bit>

namespace mlc {
namespace {

uint64_t key(uint32_t number, WireType type) {
  return uint64_t{number} << 3U | static_cast<uint64_t>(type);
}

}  // namespace

void ProtoWriter::raw_varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
  out_.push_back(static_cast<char>(value));
}

void ProtoWriter::varint(uint32_t number, uint64_t value) {
  raw_varint(key(number, WireType::varint));
  raw_varint(value);
}

void ProtoWriter::float32(uint32_t number, float value) {
  raw_varint(key(number, WireType::fixed32));
  append_le(out_, std::bit_cast<uint32_t>(value));
}

void ProtoWriter::prefix(uint32_t number, uint64_t length) {
  raw_varint(key(number, WireType::bytes));
  raw_varint(length);
}

void ProtoWriter::bytes(uint32_t number, std::string_view content) {
  prefix(number, content.size());
  out_.append(content);
}

uint64_t proto_field_bytes(uint32_t number, uint64_t length) {
  std::string prefix;
  ProtoWriter(prefix).prefix(number, length);
  return prefix.size() + length;
}

}  // namespace mlc
