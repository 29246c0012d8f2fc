#include "mlc/ir/symbols.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <set>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

int64_t saturated(__int128 value) {
  if (value >= kUnbounded) return kUnbounded;
  if (value <= -kUnbounded) return -kUnbounded;
  return static_cast<int64_t>(value);
}

bool is_unbounded(int64_t bound) {
  return bound == kUnbounded || bound == -kUnbounded;
}

int64_t bound_sum(int64_t a, int64_t b) {
  if (is_unbounded(a)) return a;
  if (is_unbounded(b)) return b;
  return saturated(static_cast<__int128>(a) + b);
}

// 0 times no bound is 0: the other factor is a number, if an unknown one.
int64_t bound_product(int64_t a, int64_t b) {
  return saturated(static_cast<__int128>(a) * b);
}

Bounds product(const Bounds& a, const Bounds& b) {
  const auto [low, high] =
      std::minmax({bound_product(a.low, b.low), bound_product(a.low, b.high),
                   bound_product(a.high, b.low), bound_product(a.high, b.high)});
  return {low, high};
}

int64_t floor_quotient(int64_t value, int64_t divisor) {
  const int64_t quotient = value / divisor;
  return value % divisor != 0 && (value < 0) != (divisor < 0) ? quotient - 1 : quotient;
}

// Requires: DIVISOR.low > 0.
Bounds quotient(const Bounds& value, const Bounds& divisor) {
  const auto at = [](int64_t a, int64_t b) -> int64_t {
    if (is_unbounded(a)) return a;
    if (b == kUnbounded) return a >= 0 ? 0 : -1;
    return floor_quotient(a, b);
  };
  return {std::min(at(value.low, divisor.low), at(value.low, divisor.high)),
          std::max(at(value.high, divisor.low), at(value.high, divisor.high))};
}

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

}  // namespace

bool is_symbol_name(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kReserved = {"min",  "max",  "inf",  "nan",
                                                                "none", "true", "false"};
  if (name.empty() || name.size() > 200 || !is_name_start(name[0])) return false;
  if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end()) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_name_start(c) || (c >= '0' && c <= '9') || c == '.'; });
}

Symbols::Symbols() {
  intern(Polynomial{});
}

Expr Symbols::constant(int64_t value) {
  return intern(constant_polynomial(value));
}

Expr Symbols::symbol(std::string name, Bounds bounds) {
  assert(is_symbol_name(name) && !find(name) && bounds.low <= bounds.high);
  const Atom id = static_cast<Atom>(atoms_.size());
  AtomInfo info;
  info.index = symbols_.size();
  info.bounds = bounds;
  atoms_.push_back(info);
  names_.emplace(name, id);
  symbols_.push_back({std::move(name), bounds});
  if (bounds.low == bounds.high && !is_unbounded(bounds.low)) return constant(bounds.low);
  return intern(Polynomial{Term{{id}, 1}});
}

Expr Symbols::fresh(std::string_view prefix, Bounds bounds) {
  size_t number = 0;
  while (names_.contains(fmt::format("{}{}", prefix, number))) ++number;
  return symbol(fmt::format("{}{}", prefix, number), bounds);
}

bool Symbols::rename(size_t index, const std::string& name) {
  Symbol& symbol = symbols_[index];
  if (symbol.name == name) return true;
  if (!is_symbol_name(name) || names_.contains(name)) return false;
  auto entry = names_.extract(symbol.name);
  entry.key() = name;
  names_.insert(std::move(entry));
  symbol.name = name;
  return true;
}

std::optional<Expr> Symbols::find(std::string_view name) const {
  const auto at = names_.find(name);
  if (at == names_.end()) return std::nullopt;
  const auto known = known_.find(Polynomial{Term{{at->second}, 1}});
  if (known != known_.end()) return Expr{known->second};
  const auto constant = known_.find(constant_polynomial(atoms_[at->second].bounds.low));
  return Expr{constant->second};  // symbol() made it for a symbol of one value
}

Expr Symbols::intern(const Polynomial& value) {
  const auto [at, is_new] = known_.try_emplace(value, static_cast<uint32_t>(expressions_.size()));
  if (is_new) expressions_.push_back(value);
  return {at->second};
}

Expr Symbols::intern(const std::optional<Polynomial>& value) {
  // A lowest coefficient has no negative, which text() and others need; alone it is a constant.
  const bool has_negative =
      value && (constant_of(*value) ||
                std::all_of(value->begin(), value->end(),
                            [](const Term& term) { return term.coefficient != INT64_MIN; }));
  if (has_negative && weight_of(*value) <= kMaxWeight) return intern(*value);
  return fresh("unknown", value ? bounds_of(*value) : Bounds{});
}

uint64_t Symbols::weight_of(const Polynomial& value) const {
  uint64_t weight = 0;
  for (const Term& term : value) {
    ++weight;
    for (const Atom id : term.atoms) weight += atoms_[id].weight;
  }
  return weight;
}

Expr Symbols::atom(Kind kind, Expr a, Expr b, Bounds bounds) {
  const auto key = std::tuple(kind, a.id, b.id);
  if (const auto at = known_atoms_.find(key); at != known_atoms_.end()) {
    return intern(Polynomial{Term{{at->second}, 1}});
  }
  const uint64_t weight = 1 + weight_of(polynomial(a)) + weight_of(polynomial(b));
  if (weight > kMaxWeight) return fresh("unknown", bounds);
  const Atom id = static_cast<Atom>(atoms_.size());
  atoms_.push_back({kind, a, b, 0, bounds, static_cast<uint32_t>(weight)});
  known_atoms_.emplace(key, id);
  return intern(Polynomial{Term{{id}, 1}});
}

Expr Symbols::add(Expr a, Expr b) {
  return intern(ir::add(polynomial(a), polynomial(b)));
}

Expr Symbols::subtract(Expr a, Expr b) {
  const auto negative = scale(polynomial(b), -1);
  return negative ? intern(ir::add(polynomial(a), *negative)) : fresh("unknown", {});
}

Expr Symbols::multiply(Expr a, Expr b) {
  return intern(ir::multiply(polynomial(a), polynomial(b)));
}

Expr Symbols::remainder(Expr a, Expr b) {
  return subtract(a, multiply(b, floor_divide(a, b)));
}

Expr Symbols::floor_divide(Expr a, Expr b) {
  const Bounds divisor = bounds(b);
  if (divisor.low == 0 && divisor.high > 0) {
    if (const auto exact = divide_exactly(polynomial(a), polynomial(b))) return intern(exact);
    const Expr positive = maximum(b, constant(1));
    if (bounds(positive).low > 0) return floor_divide(a, positive);
  }
  if (divisor.low <= 0 && divisor.high >= 0) return fresh("unknown", {});
  if (divisor.high < 0) {
    const Expr positive = negate(b);
    if (bounds(positive).low <= 0) return fresh("unknown", {});
    return floor_divide(negate(a), positive);
  }
  if (const auto exact = divide_exactly(polynomial(a), polynomial(b))) return intern(exact);
  if (const auto number = constant_value(b)) return divide_by_constant(a, *number);
  const Bounds value = bounds(a);
  if (value.low >= 0 && less_equal(b, a) == false) return constant(0);
  if (const auto whole = divide_by_term(a, b)) return *whole;
  return atom(Kind::floor_division, a, b, quotient(value, divisor));
}

// (q*d + r) // d = q + r // d, and (x // m + c) // d = (x + c*m) // (m*d).
Expr Symbols::divide_by_constant(Expr a, int64_t divisor) {
  const Division parts = divide(polynomial(a), divisor);
  const Expr whole = intern(std::optional(parts.quotient));
  Expr rest = intern(std::optional(parts.remainder));
  const Bounds value = bounds(rest);
  if (value.low >= 0 && value.high < divisor) return whole;
  const Polynomial& terms = polynomial(rest);
  if (terms[0].coefficient == 1 && terms[0].atoms.size() == 1 &&
      (terms.size() == 1 || (terms.size() == 2 && terms[1].atoms.empty()))) {
    const AtomInfo inner = atoms_[terms[0].atoms[0]];
    const auto by = inner.kind == Kind::floor_division ? constant_value(inner.b) : std::nullopt;
    const auto both = by ? checked_mul(*by, divisor) : std::nullopt;
    if (both) {
      const int64_t shift = terms.size() == 2 ? terms[1].coefficient : 0;
      const Expr moved = add(inner.a, multiply(constant(shift), constant(*by)));
      return add(whole, divide_by_constant(moved, *both));
    }
  }
  return add(whole, atom(Kind::floor_division, rest, constant(divisor),
                         quotient(value, {divisor, divisor})));
}

// (q*d + r) // d = q + r // d, where d is a positive term and r // d is known: (b*s + s - 1) // s.
std::optional<Expr> Symbols::divide_by_term(Expr a, Expr divisor) {
  if (polynomial(divisor).size() != 1) return std::nullopt;
  const auto parts = divide(polynomial(a), polynomial(divisor)[0]);
  if (!parts || parts->quotient.empty()) return std::nullopt;
  const Expr whole = intern(std::optional(parts->quotient));
  const Expr rest = intern(std::optional(parts->remainder));
  const Bounds value = bounds(rest);
  if (value.low >= 0 && less_equal(divisor, rest) == false) return whole;
  if (value.high < 0 && less_equal(negate(rest), divisor) == true) return add(whole, constant(-1));
  return std::nullopt;
}

Expr Symbols::choose(Kind kind, Expr a, Expr b) {
  const bool wants_less = kind == Kind::minimum;
  if (less_equal(a, b) == true) return wants_less ? a : b;
  if (less_equal(b, a) == true) return wants_less ? b : a;
  if (b.id < a.id) std::swap(a, b);
  const Bounds x = bounds(a);
  const Bounds y = bounds(b);
  const Bounds either = wants_less ? Bounds{std::min(x.low, y.low), std::min(x.high, y.high)}
                                   : Bounds{std::max(x.low, y.low), std::max(x.high, y.high)};
  return atom(kind, a, b, either);
}

std::optional<int64_t> Symbols::constant_value(Expr a) const {
  return constant_of(polynomial(a));
}

/// Interval arithmetic alone.
Bounds Symbols::plain_bounds(const Polynomial& value) const {
  Bounds sum{0, 0};
  for (const Term& term : value) {
    Bounds one{term.coefficient, term.coefficient};
    for (const Atom id : term.atoms) one = product(one, atoms_[id].bounds);
    sum = {bound_sum(sum.low, one.low), bound_sum(sum.high, one.high)};
    // A sum that meets no bound on either side says nothing any more.
    if (sum.low == kUnbounded || sum.high == -kUnbounded) return {};
  }
  return sum;
}

/// Also sees that a and a // d hang together: a // d is (a - r) / d with r from 0 to d - 1, so that
/// bounds of d*(rest) + c*a are some of rest + c*(a // d).
Bounds Symbols::bounds_of(const Polynomial& value) const {
  constexpr int kMostDivisions = 4;
  Bounds out = plain_bounds(value);
  Polynomial open = value;
  int64_t scale_of_open = 1;  // OPEN is so many times VALUE, and something from SLACK
  Bounds slack{0, 0};
  for (int i = 0; i < kMostDivisions && open.size() > 1; ++i) {
    const auto term = std::find_if(open.begin(), open.end(), [&](const Term& one) {
      return one.atoms.size() == 1 && atoms_[one.atoms[0]].kind == Kind::floor_division &&
             constant_of(polynomial(atoms_[one.atoms[0]].b)).has_value();
    });
    if (term == open.end()) break;
    const AtomInfo& division = atoms_[term->atoms[0]];
    const int64_t by = *constant_of(polynomial(division.b));
    const int64_t times = term->coefficient;
    open.erase(term);
    const auto rest = scale(open, by);
    const auto whole = scale(polynomial(division.a), times);
    const auto sum = rest && whole ? ir::add(*rest, *whole) : std::nullopt;
    const auto scaled = checked_mul(scale_of_open, by);
    if (!sum || !scaled) break;
    open = *sum;
    scale_of_open = *scaled;
    const Bounds lost = product({times, times}, {0, by - 1});
    slack = product(slack, {by, by});
    slack = {bound_sum(slack.low, lost.low), bound_sum(slack.high, lost.high)};
    const Bounds now = plain_bounds(open);
    // VALUE * SCALE = OPEN - SLACK.
    const int64_t low = bound_sum(now.low, slack.high == kUnbounded ? -kUnbounded : -slack.high);
    const int64_t high = bound_sum(now.high, slack.low == -kUnbounded ? kUnbounded : -slack.low);
    if (!is_unbounded(low)) out.low = std::max(out.low, -floor_quotient(-low, scale_of_open));
    if (!is_unbounded(high)) out.high = std::min(out.high, floor_quotient(high, scale_of_open));
  }
  return out.low <= out.high ? out : plain_bounds(value);
}

Bounds Symbols::bounds(Expr a) const {
  return bounds_of(polynomial(a));
}

std::optional<bool> Symbols::equal(Expr a, Expr b) {
  if (a == b) return true;
  const Bounds difference = bounds(subtract(a, b));
  if (difference.low > 0 || difference.high < 0) return false;
  return std::nullopt;
}

std::optional<bool> Symbols::less_equal(Expr a, Expr b) {
  if (a == b) return true;
  const Bounds difference = bounds(subtract(a, b));
  if (difference.high <= 0) return true;
  if (difference.low > 0) return false;
  return std::nullopt;
}

std::vector<size_t> Symbols::symbols_of(Expr a) const {
  std::set<Atom> seen;
  std::vector<Atom> open;
  const auto enter = [&](Expr one) {
    for (const Term& term : polynomial(one)) {
      for (const Atom id : term.atoms) {
        if (seen.insert(id).second) open.push_back(id);
      }
    }
  };
  enter(a);
  std::vector<size_t> out;
  while (!open.empty()) {
    const AtomInfo& atom = atoms_[open.back()];
    open.pop_back();
    if (atom.kind == Kind::symbol) {
      out.push_back(atom.index);
    } else if (atom.kind == Kind::rounded) {
      for (const Expr one : reals_[atom.index].operands) enter(one);
    } else {
      enter(atom.a);
      enter(atom.b);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string Symbols::text(Expr a) const {
  std::string out;
  for (const Term& term : polynomial(a)) {
    std::string one = text(term);
    if (out.empty()) {
      out = std::move(one);
    } else if (one[0] == '-') {
      out += " - " + one.substr(1);
    } else {
      out += " + " + one;
    }
  }
  return out.empty() ? "0" : out;
}

std::string Symbols::text(const Term& term) const {
  if (term.atoms.empty()) return std::to_string(term.coefficient);
  const bool alone = term.atoms.size() == 1 && term.coefficient == 1;
  std::string out = term.coefficient == 1    ? ""
                    : term.coefficient == -1 ? "-"
                                             : std::to_string(term.coefficient) + "*";
  for (size_t i = 0; i < term.atoms.size(); ++i) {
    const AtomInfo& one = atoms_[term.atoms[i]];
    if (i > 0) out += '*';
    const bool bare = alone || one.kind != Kind::floor_division;
    out += bare ? text(one) : "(" + text(one) + ")";
  }
  return out;
}

std::string Symbols::text(const AtomInfo& atom) const {
  switch (atom.kind) {
    case Kind::symbol:
      return symbols_[atom.index].name;
    case Kind::floor_division:
      return operand(atom.a) + "//" + operand(atom.b);
    case Kind::minimum:
      return fmt::format("min({}, {})", text(atom.a), text(atom.b));
    case Kind::maximum:
      return fmt::format("max({}, {})", text(atom.a), text(atom.b));
    case Kind::rounded:
      return text(reals_[atom.index]);
  }
  return {};
}

// As an operand of "//": bare names and numbers, all else in parentheses.
std::string Symbols::operand(Expr a) const {
  std::string out = text(a);
  const bool bare = is_symbol_name(out) || std::all_of(out.begin(), out.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  return bare ? out : "(" + out + ")";
}

Evaluator::Evaluator(const Symbols& symbols, std::span<const std::optional<int64_t>> values)
    : symbols_(symbols) {
  // Operands are older than the atoms they are part of.
  for (const Symbols::AtomInfo& atom : symbols.atoms_) {
    std::optional<int64_t> value;
    if (atom.kind == Symbols::Kind::symbol) {
      if (atom.index < values.size()) value = values[atom.index];
    } else if (atom.kind == Symbols::Kind::rounded) {
      value = rounded(symbols.reals_[atom.index]);
    } else {
      const auto a = (*this)(atom.a);
      const auto b = (*this)(atom.b);
      if (a && b && atom.kind == Symbols::Kind::minimum) value = std::min(*a, *b);
      if (a && b && atom.kind == Symbols::Kind::maximum) value = std::max(*a, *b);
      if (a && b && atom.kind == Symbols::Kind::floor_division && *b > 0) {
        value = floor_quotient(*a, *b);
      }
    }
    atoms_.push_back(value);
  }
}

std::optional<int64_t> Evaluator::rounded(const RealSize& size) const {
  std::vector<int64_t> numbers;
  for (const Expr one : size.operands) {
    const auto number = (*this)(one);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return integer_of(size.steps, numbers);
}

std::optional<int64_t> Evaluator::operator()(Expr a) const {
  int64_t sum = 0;
  for (const Term& term : symbols_.polynomial(a)) {
    std::optional<int64_t> one = term.coefficient;
    for (const Atom id : term.atoms) {
      if (!atoms_[id]) return std::nullopt;
      one = checked_mul(*one, *atoms_[id]);
      if (!one) return std::nullopt;
    }
    const auto next = checked_add(sum, *one);
    if (!next) return std::nullopt;
    sum = *next;
  }
  return sum;
}

}  // namespace mlc::ir
