#include "mlc/onnx_file/proto_reader.h"

#include "mlc/base/text.h"

#include <string>

namespace mlc {
namespace {

constexpr int kVarintBytes = 10;  // of 64 bits
constexpr uint64_t kHighestNumber = (1U << 29U) - 1;

}  // namespace

std::optional<uint64_t> ProtoReader::take_varint(Bytes& packed) {
  uint64_t value = 0;
  for (size_t i = 0; i < packed.size() && i < kVarintBytes; ++i) {
    const auto byte = std::to_integer<uint64_t>(packed[i]);
    value |= (byte & 0x7fU) << (7 * i);
    if ((byte & 0x80U) != 0) continue;
    packed = packed.subspan(i + 1);
    return value;
  }
  return std::nullopt;
}

Error ProtoReader::broken(std::string_view what) const {
  return corrupt("byte " + format_count(offset_) + ": " + std::string(what),
                 "the file is damaged or was cut off: fetch or export it again");
}

Result<bool> ProtoReader::next() {
  if (at_end()) return false;
  begin_ = position_;
  number_ = 0;
  Bytes rest = message_.subspan(position_);
  offset_ = static_cast<uint64_t>(rest.data() - file_begin_);
  const auto key = take_varint(rest);
  if (!key) return broken("a field's number is cut off");
  if (*key >> 3U == 0 || *key >> 3U > kHighestNumber) return broken("no field has such a number");
  number_ = static_cast<uint32_t>(*key >> 3U);
  type_ = static_cast<WireType>(*key & 7U);
  value_ = 0;
  bytes_ = {};
  size_t fixed = 0;
  switch (type_) {
    case WireType::varint: {
      const auto value = take_varint(rest);
      if (!value) return broken("a number is cut off");
      value_ = *value;
      break;
    }
    case WireType::bytes: {
      const auto length = take_varint(rest);
      if (!length) return broken("a length is cut off");
      if (*length > rest.size()) {
        return broken("a field of " + format_count(*length) + " bytes, where " +
                      format_count(rest.size()) + " are left");
      }
      bytes_ = rest.first(static_cast<size_t>(*length));
      rest = rest.subspan(static_cast<size_t>(*length));
      break;
    }
    case WireType::fixed64:
      fixed = 8;
      break;
    case WireType::fixed32:
      fixed = 4;
      break;
    default:
      return broken("a field of the unknown type " + std::to_string(*key & 7U));
  }
  if (fixed > rest.size()) return broken("a number is cut off");
  if (fixed == 8) value_ = load_le<uint64_t>(rest.data());
  if (fixed == 4) value_ = load_le<uint32_t>(rest.data());
  rest = rest.subspan(fixed);
  position_ = message_.size() - rest.size();
  return true;
}

}  // namespace mlc
