#include "mlc/frontend/sympy_text.h"

#include <catch2/catch.hpp>

using namespace mlc;

namespace {

struct Sizes {
  ir::Symbols symbols;
  ir::Expr s = symbols.symbol("s", {2, ir::kUnbounded});

  std::string operator()(const std::string& text) {
    const auto out = parse_sympy(text, symbols,
                                 [&](std::string_view /*name*/) -> Result<ir::Expr> { return s; });
    if (!out.ok()) return out.error().text();
    return *out ? symbols.text(**out) : "nothing";
  }
};

constexpr const char* kReal = "ToFloat(Symbol('s77', positive=True, integer=True))";

std::string call(const std::string& head, const std::string& first, const std::string& second) {
  return head + "(" + first + ", " + second + ")";
}

}  // namespace

TEST_CASE("sizes in floating point as sympy writes them", "[frontend]") {
  Sizes of;
  const std::string times = call("Mul", "Float('1.3', precision=53)", kReal);
  CHECK(of("TruncToInt(" + times + ")") == "trunc(1.3*float(s))");
  CHECK(of("FloorToInt(" + times + ")") == "floor(1.3*float(s))");
  CHECK(of("CeilToInt(" + times + ")") == "ceil(1.3*float(s))");
  CHECK(of("RoundToInt(" + times + ")") == "round(1.3*float(s))");
  CHECK(of("Max(Integer(1), TruncToInt(" + times + "))") == "trunc(1.3*float(s))");
  CHECK(of("TruncToInt(OpaqueUnaryFn_sqrt(" + std::string(kReal) + "))") ==
        "trunc(sqrt(float(s)))");
}

TEST_CASE("quotients that doubles hold become integer ones", "[frontend]") {
  Sizes of;
  const std::string half = call("Mul", "Float('0.5', precision=53)", kReal);
  CHECK(of("TruncToInt(" + half + ")") == "s//2");
  CHECK(of("CeilToInt(" + call("IntTrueDiv", "Symbol('s77', integer=True)", "Integer(3)") + ")") ==
        "s - ((2*s)//3)");
  const std::string minus_half = call("Add", kReal, "Float('-0.5', precision=53)");
  CHECK(of("CeilToInt(" + call("FloatTrueDiv", minus_half, "Float('1.0', precision=53)") + ")") ==
        "s");
}

TEST_CASE("what no expression can say is nothing", "[frontend]") {
  Sizes of;
  CHECK(of(kReal) == "nothing");
  CHECK(of("TruncToInt(" + call("Mul", kReal, call("Pow", kReal, "Integer(-1)")) + ")") ==
        "nothing");
  CHECK(of("TruncToInt(Add(" + std::string(kReal) + ", Float('0.1', precision=53), " + kReal +
           "))") == "nothing");
  CHECK(of("TruncToInt(Float('0.1', precision=24))") == "nothing");
  CHECK(of("Unknown('x', ToFloat(Integer(1)))") == "nothing");
  CHECK(of("Float('1.3'").find("cannot be read") != std::string::npos);
  CHECK(of("FloatTrueDiv(ToFloat(Integer(1)), Float('0.0', precision=53))").find("divides by 0") !=
        std::string::npos);
}
