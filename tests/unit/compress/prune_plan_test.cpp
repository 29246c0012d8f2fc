#include "mlc/compress/prune_plan.h"

#include "catch.h"

using namespace mlc;

TEST_CASE("amounts are shares or counts, by how they are written") {
  CHECK(parse_amount("0.3")->share == 0.3);
  CHECK(parse_amount("30%")->share == 0.3);
  CHECK(parse_amount("1.0")->of(50) == 50);
  CHECK(parse_amount("1")->of(50) == 1);
  CHECK(parse_amount("1000")->count == 1000);
  CHECK(parse_amount("1e-1")->of(50) == 5);
  CHECK(parse_amount("0")->is_count);
  for (const char* text : {"", "%", "x", "1.5", "-1", "-0.5", "101%", "nan", "inf", "0x10", "1 0",
                           "99999999999999999999", "0.3.3"}) {
    INFO(text);
    const auto amount = parse_amount(text);
    REQUIRE_FALSE(amount.ok());
    CHECK(amount.error().kind() == ErrorKind::usage);
  }
}

TEST_CASE("shares are rounded as Python rounds, halves to even") {
  CHECK(parse_amount("0.5")->of(5) == 2);
  CHECK(parse_amount("0.5")->of(7) == 4);
  CHECK(parse_amount("0.3")->of(589824) == 176947);
  CHECK(parse_amount("0.1")->of(25) == 2);
}

TEST_CASE("patterns") {
  for (const char* text :
       {"unstructured", "rows", "2:4", "4:8", "1:64", "block:4x1", "block:16x16"}) {
    const auto shape = parse_prune_pattern(text);
    REQUIRE(shape.ok());
    CHECK(shape->text() == text);
  }
  for (const char* text : {"", "4:4", "4:2", "0:4", "2:65", "2:4:8", "block", "block:", "block:4",
                           "block:0x1", "block:4x-1", "4x1", "blocks:4x1"}) {
    INFO(text);
    CHECK_FALSE(parse_prune_pattern(text).ok());
  }
}
