#include "mlc/ir/linear_size.h"

#include "catch.h"

#include <limits>

using namespace mlc::ir;

namespace {

struct Sizes {
  Symbols symbols;
  Expr a = symbols.symbol("a", {1, 4096});
  Expr b = symbols.symbol("b", {1, 64});

  std::optional<LinearSize> operator()(const char* text) {
    const auto size = symbols.parse(text);
    REQUIRE(size.ok());
    return linear_size(symbols, *size);
  }
};

}  // namespace

TEST_CASE("sizes of one symbol lead back to it") {
  Sizes of;
  const auto given = of("4*b + 1");
  REQUIRE(given);
  CHECK(given->symbol == 1);
  CHECK(given->factor == 4);
  CHECK(given->offset == 1);
  CHECK(given->at(3) == 13);
  CHECK(given->solve(13) == 3);
  CHECK_FALSE(given->solve(14));
  CHECK(of("5 - a")->solve(2) == 3);
  CHECK(of("a")->is_symbol());
  CHECK_FALSE(of("a + 1")->is_symbol());
}

TEST_CASE("no other sizes are linear, not even where small numbers look like it") {
  Sizes of;
  for (const char* text :
       {"7", "a + b", "a*a", "a//3", "a*b", "min(a, 100)", "max(a, 2)", "a*(a//2000) + a"}) {
    INFO(text);
    CHECK_FALSE(of(text));
  }
}

TEST_CASE("what 64 bits do not hold is no size") {
  const LinearSize most{0, std::numeric_limits<int64_t>::max(), 1};
  CHECK_FALSE(most.at(1));
  CHECK_FALSE(most.solve(std::numeric_limits<int64_t>::min()));
  const LinearSize turned{0, -1, 0};
  CHECK_FALSE(turned.solve(std::numeric_limits<int64_t>::min()));
  CHECK(turned.solve(3) == -3);
}
