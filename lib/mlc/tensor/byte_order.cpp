#include "mlc/tensor/byte_order.h"

#include "mlc/base/bytes.h"

namespace mlc {
namespace {

uint16_t swapped(uint16_t value) {
  return __builtin_bswap16(value);
}
uint32_t swapped(uint32_t value) {
  return __builtin_bswap32(value);
}
uint64_t swapped(uint64_t value) {
  return __builtin_bswap64(value);
}

template <class T>
void swap_all(std::span<std::byte> bytes) {
  for (size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    store_le<T>(bytes.data() + i, swapped(load_le<T>(bytes.data() + i)));
  }
}

}  // namespace

void swap_elements(std::span<std::byte> bytes, DType dtype) {
  switch (component_bytes(dtype)) {
    case 2:
      return swap_all<uint16_t>(bytes);
    case 4:
      return swap_all<uint32_t>(bytes);
    case 8:
      return swap_all<uint64_t>(bytes);
    default:
      return;
  }
}

}  // namespace mlc
