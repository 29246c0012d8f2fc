#include "mlc/ir/polynomial.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <iterator>

namespace mlc::ir {
namespace {

constexpr size_t kMaxTerms = 64;
constexpr size_t kMaxFactors = 16;

// Graded order: multiplying both sides by a term keeps it, which long division needs.
std::strong_ordering compare(const std::vector<Atom>& a, const std::vector<Atom>& b) {
  if (a.size() != b.size()) return b.size() <=> a.size();
  return a <=> b;
}

std::vector<Atom> product(const std::vector<Atom>& a, const std::vector<Atom>& b) {
  std::vector<Atom> out;
  out.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

std::optional<Term> multiply(const Term& a, const Term& b) {
  const auto coefficient = checked_mul(a.coefficient, b.coefficient);
  if (!coefficient || a.atoms.size() + b.atoms.size() > kMaxFactors) return std::nullopt;
  return Term{product(a.atoms, b.atoms), *coefficient};
}

// a / b, where B's factors are all in A and the coefficient divides.
std::optional<Term> divide_exactly(const Term& a, const Term& b) {
  const bool overflows = a.coefficient == INT64_MIN && b.coefficient == -1;
  if (overflows || a.coefficient % b.coefficient != 0) return std::nullopt;
  if (!std::includes(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end())) {
    return std::nullopt;
  }
  Term out;
  out.coefficient = a.coefficient / b.coefficient;
  std::set_difference(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end(),
                      std::back_inserter(out.atoms));
  return out;
}

}  // namespace

bool PolynomialLess::operator()(const Polynomial& a, const Polynomial& b) const {
  return std::lexicographical_compare(
      a.begin(), a.end(), b.begin(), b.end(), [](const Term& x, const Term& y) {
        const auto order = compare(x.atoms, y.atoms);
        return order != 0 ? order < 0 : x.coefficient < y.coefficient;
      });
}

Polynomial constant_polynomial(int64_t value) {
  return value == 0 ? Polynomial{} : Polynomial{Term{{}, value}};
}

std::optional<int64_t> constant_of(const Polynomial& value) {
  if (value.empty()) return 0;
  if (value.size() == 1 && value[0].atoms.empty()) return value[0].coefficient;
  return std::nullopt;
}

std::optional<Polynomial> add(const Polynomial& a, const Polynomial& b) {
  Polynomial out;
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() || y != b.end()) {
    if (y == b.end() || (x != a.end() && compare(x->atoms, y->atoms) < 0)) {
      out.push_back(*x++);
    } else if (x == a.end() || compare(y->atoms, x->atoms) < 0) {
      out.push_back(*y++);
    } else {
      const auto sum = checked_add(x->coefficient, y->coefficient);
      if (!sum) return std::nullopt;
      if (*sum != 0) out.push_back({x->atoms, *sum});
      ++x, ++y;
    }
  }
  if (out.size() > kMaxTerms) return std::nullopt;
  return out;
}

std::optional<Polynomial> multiply(const Polynomial& a, const Polynomial& b) {
  Polynomial out;
  for (const Term& x : a) {
    Polynomial row;  // in order, because A's and B's are and the order survives multiplication
    for (const Term& y : b) {
      const auto term = multiply(x, y);
      if (!term) return std::nullopt;
      row.push_back(*term);
    }
    const auto sum = add(out, row);
    if (!sum) return std::nullopt;
    out = *sum;
  }
  return out;
}

std::optional<Polynomial> scale(const Polynomial& a, int64_t factor) {
  return multiply(a, constant_polynomial(factor));
}

std::optional<Polynomial> divide_exactly(const Polynomial& a, const Polynomial& b) {
  if (b.empty()) return std::nullopt;
  Polynomial rest = a;
  Polynomial quotient;
  while (!rest.empty()) {
    const auto term = divide_exactly(rest[0], b[0]);
    if (!term || term->coefficient == INT64_MIN || quotient.size() == kMaxTerms) {
      return std::nullopt;
    }
    const auto taken = multiply(b, Polynomial{Term{term->atoms, -term->coefficient}});
    if (!taken) return std::nullopt;
    const auto left = add(rest, *taken);
    if (!left) return std::nullopt;
    quotient.push_back(*term);
    rest = *left;
  }
  return quotient;
}

Division divide(const Polynomial& a, int64_t divisor) {
  Division out;
  for (const Term& term : a) {
    const int64_t toward_zero = term.coefficient % divisor;
    const int64_t remainder = toward_zero < 0 ? toward_zero + divisor : toward_zero;
    const int64_t quotient = term.coefficient / divisor - (toward_zero < 0 ? 1 : 0);
    if (quotient != 0) out.quotient.push_back({term.atoms, quotient});
    if (remainder != 0) out.remainder.push_back({term.atoms, remainder});
  }
  return out;
}

std::optional<Division> divide(const Polynomial& a, const Term& divisor) {
  Division out;
  for (const Term& term : a) {
    const auto whole = divide_exactly(term, divisor);
    if (!whole) {
      out.remainder.push_back(term);
      continue;
    }
    const auto sum = add(out.quotient, Polynomial{*whole});
    if (!sum) return std::nullopt;
    out.quotient = *sum;
  }
  return out;
}

}  // namespace mlc::ir
