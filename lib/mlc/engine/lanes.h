// At which sizes a model is run to learn how its sizes hang together: one number for each symbol
// and each run ("lane").
#pragma once

#include "mlc/ir/symbols.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlc {

struct LaneSymbol {
  std::string name;
  ir::Bounds bounds;
  int64_t example = 1;
};

/// In the order in which to try them. small: the cheapest; medium: for models that halve their
/// input again and again, multiples of the power of two in the example; wide: the same farther
/// apart, for windows of what is left; large: multiples of the example.
enum class LaneScale : uint8_t { small, medium, wide, large };

/// LANES numbers for each of SYMBOLS, in its bounds. As far as the bounds have room no two symbols
/// have the same number in a lane, none is 0, 1 or in TAKEN, and no symbol is a*s + b of another:
/// what is computed from them cannot be confused.
std::vector<std::vector<int64_t>> lane_sizes(std::span<const LaneSymbol> symbols,
                                             std::span<const int64_t> taken, LaneScale scale,
                                             size_t lanes);

}  // namespace mlc
