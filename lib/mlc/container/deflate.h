// Raw deflate streams (RFC 1951) as zip stores them, whole in memory.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <span>
#include <string>

namespace mlc {

/// Whether COMPRESSED bytes of deflate can hold SIZE bytes at all: the format cannot do better than
/// 1032:1, so anything above is a lie that must not lead to an allocation.
bool deflate_can_hold(uint64_t compressed, uint64_t size);

/// Inflates exactly into OUT. Errors: corrupt if the stream is damaged, yields fewer or more bytes
/// than OUT has, or ends before COMPRESSED does.
Status inflate_into(Bytes compressed, std::span<std::byte> out);

/// Inflates to a string of exactly SIZE bytes, under the same rules. SIZE is checked with
/// deflate_can_hold() before it is allocated; whether that much memory is acceptable is for the
/// caller to check before.
Result<std::string> inflate_exact(Bytes compressed, uint64_t size);

/// A deflate stream of BYTES. LEVEL: 1 fastest to 12 smallest, clamped. Deterministic for one
/// level.
Result<std::string> deflate(Bytes bytes, int level);

}  // namespace mlc
