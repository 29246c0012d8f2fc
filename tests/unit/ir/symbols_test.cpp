#include "mlc/ir/symbols.h"

#include "catch.h"

#include <cmath>
#include <functional>
#include <random>

using namespace mlc::ir;

namespace {

struct Sizes {
  Symbols symbols;
  Expr a = symbols.symbol("a", {1, 1024});
  Expr b = symbols.symbol("b", {1, 64});
  Expr u = symbols.symbol("u", {});

  Expr operator()(const char* text) {
    auto out = symbols.parse(text);
    INFO(text << ": " << (out.ok() ? "" : out.error().text()));
    REQUIRE(out.ok());
    return *out;
  }
  std::string shown(const char* text) { return symbols.text((*this)(text)); }
};

int64_t floored(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/// x*FACTOR + SHIFT, rounded to zero, down, up or to even.
RealSize rounded_line(Expr x, double factor, double shift, int rounding) {
  const RealOp ops[] = {RealOp::truncate, RealOp::round_down, RealOp::round_up, RealOp::round_even};
  return {{{RealOp::operand, 0, 0},
           {RealOp::number, factor, 0},
           {RealOp::multiply, 0, 0},
           {RealOp::number, shift, 0},
           {RealOp::add, 0, 0},
           {ops[rounding], 0, 0}},
          {x}};
}

}  // namespace

TEST_CASE("equal expressions are one") {
  Sizes of;
  const std::pair<const char*, const char*> pairs[] = {
      {"a + b", "b + a"},
      {"2*(a + 3) - 6", "a*2"},
      {"(a + b)*(a - b)", "a*a - b*b"},
      {"12*a // 4", "3*a"},
      {"(12*a + 5) // 4", "3*a + 1 + a - a"},
      {"(a*b) // b", "a"},
      {"(a*b + 3*b) // b", "a + 3"},
      {"(a*a + 2*a*b + b*b) // (a + b)", "a + b"},
      {"(a // 2) // 3", "a // 6"},
      {"(a // 2 + 5) // 3", "(a + 10) // 6"},
      {"(a + 7) // 4", "(a + 3) // 4 + 1"},
      {"min(a, b)", "min(b, a)"},
      {"max(a, 2000)", "2000"},
      {"min(a, 2000)", "a"},
      {"min(a, a + 1)", "a"},
      {"b // 65", "0"},
      {"a - a", "0"},
      {"-(-a)", "a"},
      {"a // -3", "(-a) // 3"},
      {"(a*b + b - 1) // b", "a"},
      {"(a*b + 2*b*b - 5*b) // b", "a + 2*b - 5"},
      {"(a*b - 1) // b", "a - 1"},
      {"(a*b + b//2) // (b + 0)", "a + (b//2)//b"},
  };
  for (const auto& [left, right] : pairs) {
    INFO(left << " and " << right << ": " << of.shown(left) << " and " << of.shown(right));
    CHECK(of(left) == of(right));
  }
  CHECK(of("a // 2") != of("a // 3"));
}

TEST_CASE("text of expressions") {
  Sizes of;
  const std::pair<const char*, const char*> pairs[] = {
      {"0", "0"},
      {"-1", "-1"},
      {"1 - a", "-a + 1"},
      {"b*a*2 + 1 + a", "2*a*b + a + 1"},
      {"(a - 1)//2 + 1", "(a + 1)//2"},
      {"2*(a//3)", "2*(a//3)"},
      {"-(a//3)", "-(a//3)"},
      {"a//(b + 1)", "a//(b + 1)"},
      {"(a//b)//(b//2 + 1)", "(a//b)//(b//2 + 1)"},
      {"max(a - 3, b)*2", "2*max(b, a - 3)"},
      {"trunc(1.3*float(a))", "trunc(1.3*float(a))"},
      {"2*ceil((float(a) + -0.1)/(float(b)*0.7)) - 1",
       "2*ceil((float(a) + (-0.1))/(float(b)*0.7)) - 1"},
      {"round(sqrt(float(a - b + u)))", "round(sqrt(float(a - b + u)))"},
      {"floor(max(pow(float(a), 0.3), 1e-05))", "floor(max(pow(float(a), 0.3), 1e-05))"},
      {"trunc(0.5*float(a))", "a//2"},
      {"trunc(1.3*float(10))", "13"},
      {"floor(0.29*float(100))", "28"},
      {"a//(b//2)", "a//(max(1, b//2))"},
      {"(a - a//2)//(a - a//2)", "1"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
  };
  for (const auto& [given, wanted] : pairs) CHECK(of.shown(given) == wanted);
}

TEST_CASE("bounds of expressions") {
  Sizes of;
  const auto bounds = [&](const char* text) { return of.symbols.bounds(of(text)); };
  CHECK(bounds("a") == Bounds{1, 1024});
  CHECK(bounds("2*a + b") == Bounds{3, 2112});
  CHECK(bounds("3 - a") == Bounds{-1021, 2});
  CHECK(bounds("(a - 3)//2") == Bounds{-1, 510});
  CHECK(bounds("a//b") == Bounds{0, 1024});
  CHECK(bounds("u") == Bounds{});
  CHECK(bounds("u*0") == Bounds{0, 0});
  CHECK(bounds("max(u, 3)") == Bounds{3, kUnbounded});
  CHECK(bounds("min(a, b)") == Bounds{1, 64});
  CHECK(bounds("a - 8*(a//8)") == Bounds{0, 7});
  CHECK(bounds("a - a//2") == Bounds{1, 512});
  CHECK(bounds("trunc(1.3*float(a))") == Bounds{1, 1331});
  CHECK(bounds("ceil(sqrt(float(a)))") == Bounds{1, 32});
  CHECK(bounds("floor(1.5*float(u))") == Bounds{});
}

TEST_CASE("what can be proved") {
  Sizes of;
  CHECK(of.symbols.equal(of("a"), of("a")) == true);
  CHECK(of.symbols.equal(of("a"), of("a + 1")) == false);
  CHECK(of.symbols.equal(of("a"), of("b")) == std::nullopt);
  CHECK(of.symbols.less_equal(of("b"), of("64")) == true);
  CHECK(of.symbols.less_equal(of("b + 1024"), of("a")) == false);
  CHECK(of.symbols.less_equal(of("a"), of("b")) == std::nullopt);
}

TEST_CASE("what does not fit becomes a symbol of its own") {
  Sizes of;
  const Expr huge = of("9223372036854775807*u");
  const Expr twice = of.symbols.add(huge, huge);
  CHECK(of.symbols.text(twice) == "unknown0");
  CHECK(of.symbols.text(of("u // u")) == "unknown1");  // u may be 0
  CHECK(of.symbols.text(of("a // 0")) == "unknown2");
  CHECK(of.symbols.negate(of.symbols.negate(of("-9223372036854775808"))) !=
        of("9223372036854775807"));
  Expr power = of("u");
  for (int i = 0; i < 40; ++i) power = of.symbols.multiply(power, of.symbols.add(power, of("a")));
  CHECK(of.symbols.text(power).size() < 20000);
}

TEST_CASE("expressions nest no deeper than their text may") {
  Sizes of;
  Expr deep = of("a");
  for (int i = 0; i < 100000; ++i) {
    deep = of.symbols.floor_divide(of.symbols.add(deep, of("u")), of("b"));
  }
  CHECK(of.symbols.text(deep).size() < 20000);
}

TEST_CASE("errors of expressions") {
  Sizes of;
  for (const char* text :
       {"", "a +", "(a", "c", "a b", "min(a)", "--a", "99999999999999999999", "1.5", "trunc(a)",
        "float(a)", "trunc(1.3*float(a)", "trunc(pow(1.0))", "%a", "a // ", "min", "\"a\""}) {
    INFO(text);
    CHECK(!of.symbols.parse(text).ok());
  }
  CHECK(!of.symbols.parse(std::string(1000, '(')).ok());
}

// Random expressions, against plain arithmetic on the same numbers.
TEST_CASE("canonical forms keep the value") {
  std::mt19937 random(7);
  const auto below = [&](uint32_t limit) { return static_cast<int>(random() % limit); };
  for (int round = 0; round < 2000; ++round) {
    Sizes of;
    const std::vector<std::optional<int64_t>> values = {1 + below(1024), 1 + below(64),
                                                        below(2000) - 1000};
    std::function<std::pair<Expr, std::optional<int64_t>>(int)> make =
        [&](int depth) -> std::pair<Expr, std::optional<int64_t>> {
      const int kind = depth == 0 ? below(4) : 4 + below(8);
      if (kind < 3)
        return {std::array{of.a, of.b, of.u}[static_cast<size_t>(kind)],
                values[static_cast<size_t>(kind)]};
      if (kind == 3) {
        const int64_t number = below(40) - 20;
        return {of.symbols.constant(number), number};
      }
      const auto [x, x_value] = make(depth - 1);
      const auto [y, y_value] = make(kind == 7 ? 0 : depth - 1);
      if (!x_value || !y_value) return {x, x_value};
      switch (kind) {
        case 4:
          return {of.symbols.add(x, y), *x_value + *y_value};
        case 5:
          return {of.symbols.subtract(x, y), *x_value - *y_value};
        case 6:
          return {of.symbols.minimum(x, y), std::min(*x_value, *y_value)};
        case 7:
          return {of.symbols.multiply(x, y), *x_value * *y_value};
        case 8:
          return {of.symbols.maximum(x, y), std::max(*x_value, *y_value)};
        case 10: {
          const int64_t by = 1 + below(9);
          return {of.symbols.remainder(x, of.symbols.constant(by)),
                  *x_value - by * floored(*x_value, by)};
        }
        case 11: {
          const double factor = std::array{0.5, 1.3, 0.29, -0.7, 1.0 / 3, 4.0}[random() % 6];
          const double shift = std::array{0.0, -0.5, 0.1}[random() % 3];
          const int rounding = below(4);
          const double exact = static_cast<double>(*x_value) * factor + shift;
          const double wanted = rounding == 0   ? std::trunc(exact)
                                : rounding == 1 ? std::floor(exact)
                                : rounding == 2 ? std::ceil(exact)
                                                : std::nearbyint(exact);
          return {of.symbols.rounded(rounded_line(x, factor, shift, rounding)),
                  static_cast<int64_t>(wanted)};
        }
        default: {
          const Bounds divisor = of.symbols.bounds(y);
          if (divisor.low <= 0 && divisor.high >= 0) return {x, x_value};
          return {of.symbols.floor_divide(x, y), floored(*x_value, *y_value)};
        }
      }
    };
    const auto [expression, value] = make(3);
    if (of.symbols.all().size() > 3) continue;  // something became a symbol of its own
    INFO(of.symbols.text(expression));
    CHECK(Evaluator(of.symbols, values)(expression) == value);
    const Bounds bounds = of.symbols.bounds(expression);
    CHECK((bounds.low <= *value && *value <= bounds.high));
    const auto again = of.symbols.parse(of.symbols.text(expression));
    REQUIRE(again.ok());
    CHECK(*again == expression);
  }
}

TEST_CASE("evaluation says nothing where there is no number") {
  Sizes of;
  const Expr sum = of("a + u");
  const Expr product = of("u*u*u");
  const std::vector<std::optional<int64_t>> two = {1, 2};
  CHECK(Evaluator(of.symbols, two)(sum) == std::nullopt);
  const std::vector<std::optional<int64_t>> large = {1, 2, int64_t{1} << 40};
  CHECK(Evaluator(of.symbols, large)(product) == std::nullopt);
  CHECK(Evaluator(of.symbols, large)(of("a + b")) == 3);
}

TEST_CASE("symbols of an expression") {
  Sizes of;
  CHECK(of.symbols.symbols_of(of("max(u, 3) + a//2")) == std::vector<size_t>{0, 2});
  CHECK(of.symbols.symbols_of(of("7")).empty());
}
