// Sizes that are computed from one symbol and lead back to it: 4*e + 1, as torch.export writes the
// size of an input whose dimension was given as 4*Dim("e") + 1.
#pragma once

#include "mlc/ir/symbols.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace mlc::ir {

/// factor * symbol + offset.
struct LinearSize {
  size_t symbol = 0;   // in Symbols::all()
  int64_t factor = 1;  // not 0
  int64_t offset = 0;

  bool is_symbol() const { return factor == 1 && offset == 0; }
  /// The size for a VALUE of the symbol; nothing where 64 bits do not hold it.
  std::optional<int64_t> at(int64_t value) const;
  /// The value of the symbol for a SIZE; nothing where no value gives it.
  std::optional<int64_t> solve(int64_t size) const;
};

/// SIZE as one; nothing where it depends on no symbol, on several, or otherwise on one.
std::optional<LinearSize> linear_size(const Symbols& symbols, Expr size);

}  // namespace mlc::ir
