// Sums of products of atoms with 64-bit coefficients: the canonical form behind symbols.h.
//
// An atom is a number whose value is not known: a symbol, a floor division, a minimum, a maximum.
// Terms are ordered by degree, then by their atoms, so that equal polynomials are equal vectors.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

namespace mlc::ir {

using Atom = uint32_t;

struct Term {
  std::vector<Atom> atoms;  // sorted, repeated for powers; empty for the constant term
  int64_t coefficient = 0;  // never 0 in a polynomial

  friend bool operator==(const Term&, const Term&) = default;
};

/// Highest term first. Empty: zero.
using Polynomial = std::vector<Term>;

struct PolynomialLess {
  bool operator()(const Polynomial& a, const Polynomial& b) const;
};

Polynomial constant_polynomial(int64_t value);
/// The value of a polynomial without atoms.
std::optional<int64_t> constant_of(const Polynomial& value);

// Nothing where a coefficient overflows, or more terms or factors result than a size ever has.
std::optional<Polynomial> add(const Polynomial& a, const Polynomial& b);
std::optional<Polynomial> multiply(const Polynomial& a, const Polynomial& b);
std::optional<Polynomial> scale(const Polynomial& a, int64_t factor);

/// Q where A = Q * B as polynomials; nothing where there is none, or B is zero.
std::optional<Polynomial> divide_exactly(const Polynomial& a, const Polynomial& b);

/// A = quotient * DIVISOR + remainder with every coefficient of the remainder in [0, DIVISOR), so
/// that A // DIVISOR = quotient + remainder // DIVISOR. Requires: DIVISOR > 0.
struct Division {
  Polynomial quotient;
  Polynomial remainder;
};
Division divide(const Polynomial& a, int64_t divisor);
/// The same by a term that is not 0: the quotient has the terms of A that it divides, the remainder
/// is all others. Nothing where numbers overflow.
std::optional<Division> divide(const Polynomial& a, const Term& divisor);

}  // namespace mlc::ir
