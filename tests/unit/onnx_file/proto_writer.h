// Protobuf messages field by field, for tests.
#pragma once

#include "mlc/base/bytes.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>(value | 0x80U);
  return out + static_cast<char>(value);
}

/// Field NUMBER with a number, or with bytes.
inline std::string field(uint32_t number, uint64_t value) {
  return varint(uint64_t{number} << 3U) + varint(value);
}
inline std::string field(uint32_t number, std::string_view bytes) {
  return varint((uint64_t{number} << 3U) | 2U) + varint(bytes.size()) + std::string(bytes);
}

/// Messages of onnx.proto.
inline std::string tensor(std::string_view name, std::initializer_list<uint64_t> sizes,
                          uint64_t type, const std::string& rest) {
  std::string out;
  for (const uint64_t size : sizes) out += field(1, size);
  return out + field(2, type) + field(8, name) + rest;
}
inline std::string value_info(std::string_view name, uint64_t type, std::string_view shape) {
  return field(1, name) + field(2, field(1, field(1, type) + field(2, shape)));
}
inline std::string fixed(uint64_t size) {
  return field(1, field(1, size));
}
inline std::string named(std::string_view symbol) {
  return field(1, field(2, symbol));
}
inline std::string node(std::string_view domain, std::string_view type,
                        std::string_view rest = "") {
  return field(4, type) + field(7, domain) + std::string(rest);
}
inline std::string model(std::string_view graph, std::string_view rest = "") {
  return field(1, uint64_t{8}) + field(2, "pytorch") + field(3, "2.13") + field(7, graph) +
         field(8, field(2, uint64_t{17})) + std::string(rest);
}
