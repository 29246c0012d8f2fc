// CRC-32 as zip uses it (polynomial 0xEDB88320, reflected), at memory speed, and the arithmetic
// that lets several threads check one record.
#pragma once

#include "mlc/base/bytes.h"

#include <cstdint>

namespace mlc {

/// The CRC-32 of BYTES, continuing from INITIAL (the CRC of what came before; 0 at the start).
uint32_t crc32(Bytes bytes, uint32_t initial = 0);

/// The CRC-32 of A followed by B, from the CRCs of both and the length of B in bytes.
uint32_t crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t length_b);

}  // namespace mlc
