// Numbers without a pattern that make_convert_expected.py makes as well.
#pragma once

#include <cstdint>

/// splitmix64 of a counter.
inline uint64_t mix(uint64_t counter, uint64_t seed) {
  uint64_t x = (counter + seed) * 0x9E37'79B9'7F4A'7C15;
  x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9;
  x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31);
}
