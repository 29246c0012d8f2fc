#include "mlc/base/glob.h"

#include "catch.h"

#include <string>

using mlc::glob_match;

TEST_CASE("globs match whole keys") {
  CHECK(glob_match("layer*.weight", "layer1.0.weight"));
  CHECK(!glob_match("layer*.weight", "layer1.0.weight_g"));
  CHECK(glob_match("a?c", "abc"));
  CHECK(!glob_match("a?c", "ac"));
  CHECK(glob_match("[a-c]x[!0-9]", "bxz"));
  CHECK(!glob_match("[a-c]x[!0-9]", "bx7"));
  CHECK(glob_match("a[", "a["));
  CHECK(glob_match("\\*", "*"));
  CHECK(!glob_match("\\*", "a"));
  CHECK(glob_match("", ""));
  CHECK(glob_match("**", "anything"));
}

TEST_CASE("globs took bytes of UTF-8 for characters") {
  CHECK(glob_match("?本*", "日本.重み"));
  CHECK(glob_match("[日月]本*", "日本.重み"));
  CHECK(!glob_match("[!日]本*", "日本.重み"));
  CHECK(!glob_match("???本*", "日本.重み"));
  CHECK(!glob_match("*???", "本"));
  CHECK(glob_match("[あ-ん]", "う"));
  CHECK(glob_match("?", "\xFF"));  // no UTF-8
}

TEST_CASE("many stars do not explode") {
  const std::string text(2000, 'a');
  CHECK(!glob_match("*a*a*a*a*a*a*a*a*b", text));
}
