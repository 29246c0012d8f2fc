// What sizes that were observed in several runs of a program are as expressions.
//
// A run gives every symbol a value of its own; what is computed in it has sizes that are numbers.
// One number for each run ("lane") tells which expression a size is:
//
//   KnownSizes known(symbols, 3);
//   known.define(batch, {2, 5, 3});
//   known.find({24, 60, 36}, {batch});        // 12*batch
//
// Nothing is guessed: what no expression explains is a symbol of its own. Expressions of one
// Symbols, which must outlive it.
#pragma once

#include "mlc/ir/symbols.h"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mlc::ir {

/// One number for each lane; kNoNumber where there is none.
using LaneNumbers = std::vector<int64_t>;
inline constexpr int64_t kNoNumber = std::numeric_limits<int64_t>::min();

class KnownSizes {
 public:
  KnownSizes(Symbols& symbols, size_t lanes) : symbols_(symbols), lanes_(lanes) {}

  size_t lanes() const { return lanes_; }
  /// Gives SYMBOL, which is one, its values: again and again where they change, as in a loop.
  void define(Expr symbol, const LaneNumbers& numbers);
  /// A new symbol with these values.
  Expr fresh(std::string_view prefix, const LaneNumbers& numbers, Bounds bounds);

  /// The values of A; kNoNumber where a symbol has none, for a division by 0 and an overflow.
  const LaneNumbers& at(Expr a);
  /// Whether A is OBSERVED in all lanes that have a number there, and there is one.
  bool explains(Expr a, const LaneNumbers& observed);

  /// What OBSERVED is: an expression of CANDIDATES with these values; the one number, where it is
  /// the same in two lanes or more or nothing varies; an expression that was found or remembered
  /// before; a*c + b for a candidate c, or the product of two. Nothing where none of them is.
  std::optional<Expr> find(const LaneNumbers& observed, std::span<const Expr> candidates);
  /// For find() from now on.
  void remember(Expr a);
  using Remembered = std::map<LaneNumbers, Expr>;
  /// What find() remembers, and going back to it: symbols of a branch mean nothing behind it.
  const Remembered& remembered() const { return found_; }
  void restore(Remembered remembered) { found_ = std::move(remembered); }

 private:
  std::optional<Expr> same_number(const LaneNumbers& observed);
  std::optional<Expr> linear(const LaneNumbers& observed, Expr of);
  std::optional<Expr> product(const LaneNumbers& observed, std::span<const Expr> candidates);
  bool varies(Expr a) const { return !symbols_.constant_value(a); }

  Symbols& symbols_;
  size_t lanes_;
  std::map<uint32_t, LaneNumbers> numbers_;  // of expressions
  std::map<size_t, LaneNumbers> symbol_numbers_;
  Remembered found_;
};

}  // namespace mlc::ir
