#include "mlc/onnx_file/element_type.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mlc {
namespace {

/// Types that ONNX counts by element where PyTorch has packs or nothing.
struct OwnType {
  int64_t code;
  std::string_view name;
  uint64_t per_byte;  // 0: of no fixed size
};

constexpr std::array<OwnType, 6> kOwn = {{{8, "string", 0},
                                          {21, "u4", 2},
                                          {22, "i4", 2},
                                          {23, "f4e2m1", 2},
                                          {25, "u2", 4},
                                          {26, "i2", 4}}};

const OwnType* own_type(int64_t code) {
  const auto row = std::ranges::find(kOwn, code, &OwnType::code);
  return row == kOwn.end() ? nullptr : &*row;
}

}  // namespace

std::optional<DType> dtype_from_onnx(int64_t code) {
  if (code <= 0 || own_type(code) != nullptr) return std::nullopt;
  for (const DTypeInfo& row : dtype_table()) {
    if (row.onnx == code) return row.dtype;
  }
  return std::nullopt;
}

std::string onnx_type_name(int64_t code) {
  if (const OwnType* own = own_type(code)) return std::string(own->name);
  const auto dtype = dtype_from_onnx(code);
  return dtype ? std::string(info(*dtype).brief) : "type " + std::to_string(code);
}

std::optional<uint64_t> onnx_bytes(int64_t code, uint64_t count) {
  if (const OwnType* own = own_type(code)) {
    if (own->per_byte == 0) return std::nullopt;
    return count / own->per_byte + (count % own->per_byte == 0 ? 0 : 1);
  }
  const auto dtype = dtype_from_onnx(code);
  return dtype ? checked_mul(count, element_bytes(*dtype)) : std::nullopt;
}

}  // namespace mlc
