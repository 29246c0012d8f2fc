#include "mlc/ir/expression_parser.h"

#include "mlc/base/text.h"

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
