#include "mlc/keys/name_index.h"

#include <bit>

namespace mlc {

NameIndex::NameIndex(size_t expected) : slots_(std::bit_ceil(expected * 2 + 1)) {}

}  // namespace mlc
