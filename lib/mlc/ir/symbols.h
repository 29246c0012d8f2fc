// Integer expressions over named sizes: what every dimension and every integer of a graph is.
//
//   Symbols symbols;
//   const Expr batch = symbols.symbol("batch", {1, 1024});
//   const Expr rows = symbols.multiply(batch, symbols.constant(12));
//   symbols.floor_divide(rows, symbols.constant(4));           // 3*batch
//   symbols.text(rows);                                        // "12*batch"
//
// Expressions are kept in a canonical form, so that those which are equal for every value of the
// symbols are the same Expr as far as polynomials over floor divisions can tell. Integers are
// unbounded in meaning; where 64 bits or the size of an expression do not suffice, the result is a
// fresh symbol, about which nothing can be proved: never a wrong number.
// Division and remainder round down, as Python's and PyTorch's symbolic shapes do.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/polynomial.h"
#include "mlc/ir/real_size.h"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace mlc::ir {

/// An expression of one Symbols; comparing those of two means nothing.
struct Expr {
  uint32_t id = 0;
  friend bool operator==(Expr, Expr) = default;
};

inline constexpr int64_t kUnbounded = std::numeric_limits<int64_t>::max();

/// Inclusive. -kUnbounded and kUnbounded stand for no bound.
struct Bounds {
  int64_t low = -kUnbounded;
  int64_t high = kUnbounded;
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

struct Symbol {
  std::string name;
  Bounds bounds;
};

/// A real number that is computed from integers.
struct RealSize {
  RealSteps steps;
  std::vector<Expr> operands;
  friend bool operator==(const RealSize&, const RealSize&) = default;
};

class Symbols {
 public:
  Symbols();

  Expr constant(int64_t value);
  /// A new symbol. Requires: is_symbol_name(NAME), not find(NAME), low <= high.
  Expr symbol(std::string name, Bounds bounds);
  /// A new symbol with a name of its own that begins with PREFIX: "u0", "u1", ...
  Expr fresh(std::string_view prefix, Bounds bounds);
  std::optional<Expr> find(std::string_view name) const;
  /// Gives the symbol at INDEX of all() another name. False, and nothing changes, where that is no
  /// name or belongs to another symbol.
  bool rename(size_t index, const std::string& name);
  const std::vector<Symbol>& all() const { return symbols_; }

  Expr add(Expr a, Expr b);
  Expr subtract(Expr a, Expr b);
  Expr multiply(Expr a, Expr b);
  Expr negate(Expr a) { return multiply(a, constant(-1)); }
  /// Rounded down. Nothing has a value where the divisor is 0; one that may be 0, and negative too,
  /// gives a fresh symbol.
  Expr floor_divide(Expr a, Expr b);
  /// Rounded up.
  Expr ceil_divide(Expr a, Expr b) { return negate(floor_divide(negate(a), b)); }
  /// a - b * floor_divide(a, b).
  Expr remainder(Expr a, Expr b);
  Expr minimum(Expr a, Expr b) { return choose(Kind::minimum, a, b); }
  Expr maximum(Expr a, Expr b) { return choose(Kind::maximum, a, b); }
  /// The integer that a real number is rounded to. Requires: the last step of VALUE rounds, and
  /// what follow() requires.
  Expr rounded(RealSize value);

  std::optional<int64_t> constant_value(Expr a) const;
  Bounds bounds(Expr a) const;
  /// Whether it holds for all values of the symbols (true), for none (false), or neither is proved.
  std::optional<bool> equal(Expr a, Expr b);
  std::optional<bool> less_equal(Expr a, Expr b);

  /// "2*h*w + (h + 1)//2", "trunc(1.3*float(h))": what parse() reads.
  std::string text(Expr a) const;
  /// Names must be those of symbols. Error: corrupt, saying at which offset of TEXT.
  Result<Expr> parse(std::string_view text);

  /// The indices in all() of the symbols that A depends on, sorted.
  std::vector<size_t> symbols_of(Expr a) const;

  /// A as MAKER makes it of its parts: constant(int64_t), symbol(size_t), add(T, T), multiply(T,
  /// T), floor_divide(T, T), minimum(T, T), maximum(T, T) and rounded(RealSteps, std::vector<T>),
  /// which has the values of the operands.
  template <class T, class Maker>
  T build(Expr a, Maker& maker) const;

 private:
  friend class Evaluator;
  enum class Kind : uint8_t { symbol, floor_division, minimum, maximum, rounded };
  struct AtomInfo {
    Kind kind = Kind::symbol;
    Expr a, b;         // operands
    size_t index = 0;  // in symbols_, or in reals_
    Bounds bounds;
    uint32_t weight = 1;  // how much text it is
  };

  /// What a size never needs; beyond it an expression becomes a symbol. Bounds text() and
  /// recursion.
  static constexpr uint64_t kMaxWeight = 512;

  const Polynomial& polynomial(Expr a) const { return expressions_[a.id]; }
  Expr intern(const Polynomial& value);
  Expr intern(const std::optional<Polynomial>& value);
  Expr atom(Kind kind, Expr a, Expr b, Bounds bounds);
  Expr choose(Kind kind, Expr a, Expr b);
  Expr divide_by_constant(Expr a, int64_t divisor);
  std::optional<Expr> divide_by_term(Expr a, Expr divisor);
  std::optional<Expr> as_division(const RealSize& value);
  Bounds bounds_of(const RealSize& value) const;
  Bounds bounds_of(const Polynomial& value) const;
  Bounds plain_bounds(const Polynomial& value) const;
  uint64_t weight_of(const Polynomial& value) const;
  std::string text(const Term& term) const;
  std::string text(const AtomInfo& atom) const;
  std::string text(const RealSize& value) const;
  std::string operand(Expr a) const;

  std::vector<Polynomial> expressions_;
  std::map<Polynomial, uint32_t, PolynomialLess> known_;
  std::vector<AtomInfo> atoms_;
  std::map<std::tuple<Kind, uint32_t, uint32_t>, Atom> known_atoms_;
  std::vector<RealSize> reals_;  // of atoms
  std::vector<Symbol> symbols_;
  std::map<std::string, Atom, std::less<>> names_;
};

/// The values of expressions for values of the symbols, in the order of Symbols::all(); those
/// behind the last of VALUES have none. SYMBOLS must outlive it and gain no expression meanwhile.
class Evaluator {
 public:
  Evaluator(const Symbols& symbols, std::span<const std::optional<int64_t>> values);
  /// Nothing for a division by 0, an overflow, or a symbol that has no value.
  std::optional<int64_t> operator()(Expr a) const;

 private:
  std::optional<int64_t> rounded(const RealSize& size) const;

  const Symbols& symbols_;
  std::vector<std::optional<int64_t>> atoms_;
};

template <class T, class Maker>
T Symbols::build(Expr a, Maker& maker) const {
  // Copies: MAKER may make expressions of its own meanwhile.
  const auto part = [&](const AtomInfo atom) -> T {
    if (atom.kind == Kind::symbol) return maker.symbol(atom.index);
    if (atom.kind == Kind::rounded) {
      const RealSize value = reals_[atom.index];
      std::vector<T> operands;
      for (const Expr one : value.operands) operands.push_back(build<T>(one, maker));
      return maker.rounded(value.steps, operands);
    }
    const T left = build<T>(atom.a, maker);
    const T right = build<T>(atom.b, maker);
    if (atom.kind == Kind::floor_division) return maker.floor_divide(left, right);
    return atom.kind == Kind::minimum ? maker.minimum(left, right) : maker.maximum(left, right);
  };
  std::optional<T> sum;
  const Polynomial terms = polynomial(a);
  for (const Term& term : terms) {
    std::optional<T> product;
    if (term.coefficient != 1 || term.atoms.empty()) product = maker.constant(term.coefficient);
    for (const Atom id : term.atoms) {
      const T one = part(atoms_[id]);
      product = product ? maker.multiply(*product, one) : one;
    }
    sum = sum ? maker.add(*sum, *product) : *product;
  }
  return sum ? *sum : maker.constant(0);
}

/// A letter or "_", then letters, digits, "_" and "."; not min, max, inf, nan, none, true or false.
bool is_symbol_name(std::string_view name);

}  // namespace mlc::ir
