#include "mlc/ir/expression_parser.h"

#include "mlc/base/text.h"

#include <charconv>
#include <optional>
#include <utility>

namespace mlc::ir {
namespace {

constexpr int kMaxDepth = 64;

class ExpressionParser {
 public:
  ExpressionParser(Scanner& scanner, Symbols& symbols) : scanner_(scanner), symbols_(symbols) {}

  Result<Expr> sum();

 private:
  Result<Expr> product();
  Result<Expr> factor();
  Result<Expr> choice();
  Result<Expr> name();
  Result<RealSize> real_sum();
  Result<RealSize> real_product();
  Result<RealSize> real_factor();
  Result<RealSize> real_call(RealOp op);
  Result<double> real_number();
  std::optional<RealOp> function() const;

  Scanner& scanner_;
  Symbols& symbols_;
  int depth_ = 0;
};

Result<Expr> ExpressionParser::sum() {
  if (++depth_ > kMaxDepth) return scanner_.error(scanner_.peek(), "this is nested too deep");
  MLC_TRY(Expr out, product());
  while (scanner_.is_sign("+") || scanner_.is_sign("-")) {
    const bool is_plus = scanner_.take().text == "+";
    MLC_TRY(const Expr right, product());
    out = is_plus ? symbols_.add(out, right) : symbols_.subtract(out, right);
  }
  --depth_;
  return out;
}

Result<Expr> ExpressionParser::product() {
  MLC_TRY(Expr out, factor());
  while (scanner_.is_sign("*") || scanner_.is_sign("//")) {
    const bool is_product = scanner_.take().text == "*";
    MLC_TRY(const Expr right, factor());
    out = is_product ? symbols_.multiply(out, right) : symbols_.floor_divide(out, right);
  }
  return out;
}

Result<Expr> ExpressionParser::factor() {
  if (scanner_.peek().kind == TokenKind::integer) {
    MLC_TRY(const int64_t value, scanner_.expect_integer());
    return symbols_.constant(value);
  }
  if (scanner_.is_sign("-")) {
    // The lowest integer has no positive one that could be negated.
    if (scanner_.is_lowest_integer()) {
      MLC_TRY(const int64_t value, scanner_.expect_integer());
      return symbols_.constant(value);
    }
    scanner_.take();
    if (scanner_.is_sign("-")) return scanner_.unexpected("a number or a name");
    MLC_TRY(const Expr value, factor());
    return symbols_.negate(value);
  }
  if (scanner_.accept("(")) {
    MLC_TRY(const Expr value, sum());
    MLC_CHECK(scanner_.expect(")"));
    return value;
  }
  if (scanner_.is_word("min") || scanner_.is_word("max")) return choice();
  if (const auto op = function(); op && rounds(*op)) {
    MLC_TRY(RealSize value, real_call(*op));
    return symbols_.rounded(std::move(value));
  }
  return name();
}

Result<Expr> ExpressionParser::choice() {
  const bool is_minimum = scanner_.take().text == "min";
  MLC_CHECK(scanner_.expect("("));
  MLC_TRY(const Expr a, sum());
  MLC_CHECK(scanner_.expect(","));
  MLC_TRY(const Expr b, sum());
  MLC_CHECK(scanner_.expect(")"));
  return is_minimum ? symbols_.minimum(a, b) : symbols_.maximum(a, b);
}

/// The operator on reals that comes next, written as a function.
std::optional<RealOp> ExpressionParser::function() const {
  if (scanner_.peek().kind != TokenKind::word || !scanner_.is_followed_by('(')) return std::nullopt;
  return real_op_named(scanner_.peek().text);
}

/// A with B behind it, and OP of both.
RealSize both(RealSize a, const RealSize& b, RealOp op) {
  const size_t before = a.operands.size();
  for (RealStep step : b.steps) {
    if (step.op == RealOp::operand) step.operand += before;
    a.steps.push_back(step);
  }
  a.operands.insert(a.operands.end(), b.operands.begin(), b.operands.end());
  a.steps.push_back({op, 0, 0});
  return a;
}

Result<RealSize> ExpressionParser::real_sum() {
  if (++depth_ > kMaxDepth) return scanner_.error(scanner_.peek(), "this is nested too deep");
  MLC_TRY(RealSize out, real_product());
  while (scanner_.accept("+")) {
    MLC_TRY(const RealSize right, real_product());
    out = both(std::move(out), right, RealOp::add);
  }
  --depth_;
  return out;
}

Result<RealSize> ExpressionParser::real_product() {
  MLC_TRY(RealSize out, real_factor());
  while (scanner_.is_sign("*") || scanner_.is_sign("/")) {
    const RealOp op = scanner_.take().text == "*" ? RealOp::multiply : RealOp::divide;
    MLC_TRY(const RealSize right, real_factor());
    out = both(std::move(out), right, op);
  }
  return out;
}

Result<double> ExpressionParser::real_number() {
  const Token token = scanner_.take();
  double value = 0;
  const char* end = token.text.data() + token.text.size();
  const auto [at, problem] = std::from_chars(token.text.data(), end, value);
  if (problem != std::errc{} || at != end) return scanner_.error(token, "this is no number");
  return value;
}

Result<RealSize> ExpressionParser::real_factor() {
  const bool negative = scanner_.accept("-");
  const TokenKind kind = scanner_.peek().kind;
  if (kind == TokenKind::number || kind == TokenKind::integer) {
    MLC_TRY(const double value, real_number());
    return RealSize{{{RealOp::number, negative ? -value : value, 0}}, {}};
  }
  if (negative) return scanner_.unexpected("a number");
  if (scanner_.accept("(")) {
    MLC_TRY(RealSize value, real_sum());
    MLC_CHECK(scanner_.expect(")"));
    return value;
  }
  if (const auto op = function()) return real_call(*op);
  if (!scanner_.is_word("float")) return scanner_.unexpected("a real number");
  scanner_.take();
  MLC_CHECK(scanner_.expect("("));
  MLC_TRY(const Expr value, sum());
  MLC_CHECK(scanner_.expect(")"));
  return RealSize{{{RealOp::operand, 0, 0}}, {value}};
}

Result<RealSize> ExpressionParser::real_call(RealOp op) {
  scanner_.take();
  MLC_CHECK(scanner_.expect("("));
  MLC_TRY(RealSize out, real_sum());
  if (taken_by(op) == 2) {
    MLC_CHECK(scanner_.expect(","));
    MLC_TRY(const RealSize second, real_sum());
    out = both(std::move(out), second, op);
  } else {
    out.steps.push_back({op, 0, 0});
  }
  MLC_CHECK(scanner_.expect(")"));
  return out;
}

Result<Expr> ExpressionParser::name() {
  if (scanner_.peek().kind != TokenKind::word) return scanner_.unexpected("a number or a name");
  const Token token = scanner_.take();
  const auto known = symbols_.find(token.text);
  if (!known) return scanner_.error(token, "there is no symbol " + quoted(token.text, 60));
  return *known;
}

}  // namespace

Result<Expr> parse_expression(Scanner& scanner, Symbols& symbols) {
  return ExpressionParser(scanner, symbols).sum();
}

Result<Expr> Symbols::parse(std::string_view text) {
  Scanner scanner(text, "expression");
  MLC_TRY(const Expr out, parse_expression(scanner, *this));
  if (scanner.peek().kind != TokenKind::end) return scanner.unexpected("the end");
  return out;
}

}  // namespace mlc::ir
