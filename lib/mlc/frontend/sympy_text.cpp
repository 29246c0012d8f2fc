#include "mlc/frontend/sympy_text.h"

#include "mlc/base/text.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using ir::Expr;
using ir::RealOp;
using ir::RealSize;
using ir::Symbols;

/// An integer, or a real number; neither where it is a function that mlc does not know.
struct Number {
  std::optional<Expr> integer;
  std::optional<RealSize> real;

  bool known() const { return integer || real; }
};

constexpr int kMaxDepth = 100;
constexpr int64_t kMostPower = 8;

using Combine = Expr (Symbols::*)(Expr, Expr);
struct Row {
  std::string_view head;
  Combine combine;
  bool many;  // takes any number of arguments, from the left
};
constexpr Row kHeads[] = {
    {"Add", &Symbols::add, true},
    {"Mul", &Symbols::multiply, true},
    {"Max", &Symbols::maximum, true},
    {"Min", &Symbols::minimum, true},
    {"FloorDiv", &Symbols::floor_divide, false},
    {"CleanDiv", &Symbols::floor_divide, false},
    {"CeilDiv", &Symbols::ceil_divide, false},
    {"Mod", &Symbols::remainder, false},
    {"PythonMod", &Symbols::remainder, false},
};

struct RealRow {
  std::string_view head;
  RealOp op;
  bool many;
};
// Of reals; those of integers above come first.
constexpr RealRow kRealHeads[] = {
    {"Add", RealOp::add, true},
    {"Mul", RealOp::multiply, true},
    {"Max", RealOp::maximum, true},
    {"Min", RealOp::minimum, true},
    {"FloatTrueDiv", RealOp::divide, false},
    {"IntTrueDiv", RealOp::divide, false},
    {"Rational", RealOp::divide, false},
    {"FloatPow", RealOp::power, false},
};
constexpr std::pair<std::string_view, RealOp> kRealFunctions[] = {
    {"CeilToInt", RealOp::round_up},    {"FloorToInt", RealOp::round_down},
    {"RoundToInt", RealOp::round_even}, {"TruncToInt", RealOp::truncate},
    {"TruncToFloat", RealOp::truncate}, {"OpaqueUnaryFn_sqrt", RealOp::square_root},
};

RealSize real(const Number& value) {
  if (value.real) return *value.real;
  return {{{RealOp::operand, 0, 0}}, {*value.integer}};
}

RealSize combined(RealSize a, const RealSize& b, RealOp op) {
  const size_t before = a.operands.size();
  for (ir::RealStep step : b.steps) {
    if (step.op == RealOp::operand) step.operand += before;
    a.steps.push_back(step);
  }
  a.operands.insert(a.operands.end(), b.operands.begin(), b.operands.end());
  a.steps.push_back({op, 0, 0});
  return a;
}

/// The number that VALUE is, if it is one.
std::optional<double> number_of(const Number& value, const Symbols& symbols) {
  if (value.integer) {
    const auto number = symbols.constant_value(*value.integer);
    return number ? std::optional(static_cast<double>(*number)) : std::nullopt;
  }
  const bool is_number =
      value.real && value.real->steps.size() == 1 && value.real->steps[0].op == RealOp::number;
  return is_number ? std::optional(value.real->steps[0].number) : std::nullopt;
}

class SympyParser {
 public:
  SympyParser(std::string_view text, Symbols& symbols,
              const std::function<Result<Expr>(std::string_view)>& symbol)
      : text_(text), symbols_(symbols), symbol_(symbol) {}

  Result<std::optional<Expr>> run() {
    MLC_TRY(const Number out, term());
    skip_spaces();
    if (at_ != text_.size()) return wrong();
    return out.integer;
  }

 private:
  Error wrong() const {
    return corrupt("the size " + quoted(text_, 80) + " cannot be read at character " +
                   std::to_string(at_ + 1));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string_view word() {
    skip_spaces();
    const size_t start = at_;
    while (at_ < text_.size() &&
           (text_[at_] == '_' || text_[at_] == '.' || (text_[at_] >= '0' && text_[at_] <= '9') ||
            (text_[at_] >= 'a' && text_[at_] <= 'z') || (text_[at_] >= 'A' && text_[at_] <= 'Z'))) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  Result<Number> term();
  Result<Number> number();
  Result<Number> real_number();
  Result<Number> symbol_term();
  Result<Number> call(std::string_view head);
  Number apply(std::string_view head, const std::vector<Number>& arguments);
  Number apply_to_integers(std::string_view head, const std::vector<Number>& arguments);
  Number apply_to_reals(std::string_view head, const std::vector<Number>& arguments);
  Number power(const Number& base, const Number& exponent);
  Number shift(Expr value, Expr by, Combine combine);

  std::string_view text_;
  Symbols& symbols_;
  const std::function<Result<Expr>(std::string_view)>& symbol_;
  size_t at_ = 0;
  int depth_ = 0;
};

Result<Number> SympyParser::number() {
  const size_t start = at_;
  if (at_ < text_.size() && text_[at_] == '-') ++at_;
  int64_t value = 0;
  const auto [end, problem] =
      std::from_chars(text_.data() + start, text_.data() + text_.size(), value);
  if (problem != std::errc{}) return wrong();
  at_ = static_cast<size_t>(end - text_.data());
  return Number{symbols_.constant(value), {}};
}

// Behind "Symbol(": 's77', positive=True, integer=True)
Result<Number> SympyParser::symbol_term() {
  if (!accept('\'')) return wrong();
  const size_t end = text_.find('\'', at_);
  if (end == text_.npos) return wrong();
  const std::string_view name = text_.substr(at_, end - at_);
  at_ = end + 1;
  while (accept(',')) {
    word();
    if (!accept('=') || word().empty()) return wrong();
  }
  if (!accept(')')) return wrong();
  MLC_TRY(const Expr out, symbol_(name));
  return Number{out, {}};
}

Number SympyParser::power(const Number& base, const Number& exponent) {
  if (!exponent.integer) return {};
  const auto times = symbols_.constant_value(*exponent.integer);
  if (!times || *times < 0 || *times > kMostPower || !base.integer) return {};
  Expr out = symbols_.constant(1);
  for (int64_t i = 0; i < *times; ++i) out = symbols_.multiply(out, *base.integer);
  return {out, {}};
}

/// COMBINE of VALUE and 2 to the BY.
Number SympyParser::shift(Expr value, Expr by, Combine combine) {
  const auto bits = symbols_.constant_value(by);
  if (!bits || *bits < 0 || *bits > 62) return {};
  return {(symbols_.*combine)(value, symbols_.constant(int64_t{1} << *bits)), {}};
}

Number SympyParser::apply_to_integers(std::string_view head, const std::vector<Number>& arguments) {
  if (head == "LShift" && arguments.size() == 2) {
    return shift(*arguments[0].integer, *arguments[1].integer, &Symbols::multiply);
  }
  if (head == "RShift" && arguments.size() == 2) {
    return shift(*arguments[0].integer, *arguments[1].integer, &Symbols::floor_divide);
  }
  for (const Row& row : kHeads) {
    if (row.head != head) continue;
    if (!row.many && arguments.size() != 2) return {};
    Expr out = *arguments[0].integer;
    for (size_t i = 1; i < arguments.size(); ++i) {
      out = (symbols_.*row.combine)(out, *arguments[i].integer);
    }
    return {out, {}};
  }
  return {};
}

// Sympy puts the operands of sums and products into an order of its own: of three, nobody knows
// which two came first, and another order is rounded otherwise.
Number SympyParser::apply_to_reals(std::string_view head, const std::vector<Number>& arguments) {
  for (const RealRow& row : kRealHeads) {
    if (row.head != head) continue;
    if (!row.many && arguments.size() != 2) return {};
    const bool rounds = row.op == RealOp::add || row.op == RealOp::multiply;
    size_t exact = 0;
    for (const Number& one : arguments) {
      exact += row.op == RealOp::multiply && number_of(one, symbols_) == -1 ? 1U : 0U;
    }
    if (rounds && arguments.size() > 2 + exact) return {};
    RealSize out = real(arguments[0]);
    for (size_t i = 1; i < arguments.size(); ++i) {
      out = combined(std::move(out), real(arguments[i]), row.op);
    }
    return {{}, std::move(out)};
  }
  return {};
}

Number SympyParser::apply(std::string_view head, const std::vector<Number>& arguments) {
  bool integers = true;
  for (const Number& argument : arguments) {
    if (!argument.known()) return {};
    integers = integers && argument.integer.has_value();
  }
  if (arguments.empty()) return {};
  if (arguments.size() == 1) {
    if (head == "Integer" || head == "Identity") return arguments[0];
    if (head == "ToFloat") return {{}, real(arguments[0])};
    for (const auto& [name, op] : kRealFunctions) {
      if (name != head) continue;
      RealSize made = real(arguments[0]);
      made.steps.push_back({op, 0, 0});
      if (!head.ends_with("ToInt")) return {{}, std::move(made)};
      return {symbols_.rounded(std::move(made)), {}};
    }
  }
  if ((head == "Pow" || head == "PowByNatural") && arguments.size() == 2) {
    return power(arguments[0], arguments[1]);
  }
  if (!integers) return apply_to_reals(head, arguments);
  const Number out = apply_to_integers(head, arguments);
  return out.known() || !head.ends_with("TrueDiv") ? out : apply_to_reals(head, arguments);
}

// Behind "Float(": '1.5', precision=53)
Result<Number> SympyParser::real_number() {
  if (!accept('\'')) return wrong();
  double value = 0;
  const char* end = text_.data() + text_.size();
  const auto [at, problem] = std::from_chars(text_.data() + at_, end, value);
  if (problem != std::errc{} || at == end || *at != '\'') return wrong();
  at_ = static_cast<size_t>(at - text_.data()) + 1;
  if (!accept(',') || word() != "precision" || !accept('=')) return wrong();
  const bool is_double = word() == "53";
  if (!accept(')')) return wrong();
  if (!is_double) return Number();
  return Number{{}, RealSize{{{RealOp::number, value, 0}}, {}}};
}

Result<Number> SympyParser::call(std::string_view head) {
  std::vector<Number> arguments;
  while (!accept(')')) {
    if (!arguments.empty() && !accept(',')) return wrong();
    MLC_TRY(Number one, term());
    arguments.push_back(std::move(one));
  }
  const bool divides = head.ends_with("Div") || head.ends_with("Mod");
  if (divides && arguments.size() == 2 && number_of(arguments[1], symbols_) == 0) {
    return corrupt("the size " + quoted(text_, 80) + " divides by 0");
  }
  return apply(head, arguments);
}

Result<Number> SympyParser::term() {
  skip_spaces();
  if (at_ == text_.size()) return wrong();
  if (text_[at_] == '-' || (text_[at_] >= '0' && text_[at_] <= '9')) return number();
  if (accept('\'')) {  // of a function that mlc does not know
    const size_t end = text_.find('\'', at_);
    if (end == text_.npos) return wrong();
    at_ = end + 1;
    return Number();
  }
  const std::string_view head = word();
  if (head.empty()) return wrong();
  if (accept('=')) return term();
  if (!accept('(')) return Number();  // true, oo: no number
  if (head == "Symbol") return symbol_term();
  if (head == "Float") return real_number();
  if (++depth_ > kMaxDepth) return wrong();
  auto out = call(head);
  --depth_;
  return out;
}

}  // namespace

Result<std::optional<Expr>> parse_sympy(
    std::string_view text, Symbols& symbols,
    const std::function<Result<Expr>(std::string_view name)>& symbol) {
  return SympyParser(text, symbols, symbol).run();
}

}  // namespace mlc
