#include "mlc/pickle/text_values.h"

#include "catch.h"

namespace mlc::pickle {
namespace {

using namespace std::string_literals;

std::string integer_text(std::string_view text) {
  const auto value = parse_integer(text);
  if (!value) return "none";
  const auto* small = std::get_if<int64_t>(&*value);
  return small != nullptr ? std::to_string(*small)
                          : "big " + big_integer_to_decimal(std::get<std::string>(*value));
}

TEST_CASE("integers of any length are parsed and printed") {
  CHECK(integer_text("0") == "0");
  CHECK(integer_text("-5") == "-5");
  CHECK(integer_text("+5") == "5");
  CHECK(integer_text("9223372036854775807") == "9223372036854775807");
  CHECK(integer_text("-9223372036854775808") == "-9223372036854775808");
  CHECK(integer_text("9223372036854775808") == "big 9223372036854775808");
  CHECK(integer_text("-9223372036854775809") == "big -9223372036854775809");
  CHECK(integer_text("1180591620717411303424") == "big 1180591620717411303424");
  CHECK(integer_text(std::string(4000, '9')) == "big " + std::string(4000, '9'));
  for (const auto* bad : {"", "-", "+", "--1", "+-", "1 ", " 1", "1_0", "0x1", "1.0", "1e3"}) {
    CHECK(integer_text(bad) == "none");
  }
  CHECK(integer_text(std::string(4001, '9')) == "none");
}

TEST_CASE("integers lose the bytes that say nothing") {
  CHECK(shortest_integer("") == "");
  CHECK(shortest_integer("\0\0\0"s) == "\0"s);
  CHECK(shortest_integer("\xff\xff") == "\xff");
  CHECK(shortest_integer("\x80\0"s) == "\x80\0"s);
  CHECK(shortest_integer("\x7f\0"s) == "\x7f");
  CHECK(shortest_integer("\x7f\xff") == "\x7f\xff");
}

TEST_CASE("real numbers are parsed as Python writes them") {
  CHECK(parse_real("1.5") == 1.5);
  CHECK(parse_real("+1e-05") == 1e-5);
  CHECK(parse_real("-inf") == -INFINITY);
  CHECK(parse_real("nan").has_value());
  CHECK_FALSE(parse_real("").has_value());
  CHECK_FALSE(parse_real("1.5x").has_value());
}

TEST_CASE("quoted strings of Python 2 lose quotes and escapes") {
  CHECK(parse_quoted_string("'abc'") == "abc");
  CHECK(parse_quoted_string("\"it's\"") == "it's");
  CHECK(parse_quoted_string(R"('a\n\t\\\'\x00\xff')") == "a\n\t\\'\0\xff"s);
  CHECK_FALSE(parse_quoted_string("abc").has_value());
  CHECK_FALSE(parse_quoted_string("'").has_value());
  CHECK_FALSE(parse_quoted_string("'abc\"").has_value());
  CHECK_FALSE(parse_quoted_string(R"('\x0g')").has_value());
}

TEST_CASE("raw-unicode-escape is decoded as by CPython") {
  CHECK(parse_raw_unicode("abc") == "abc");
  CHECK(parse_raw_unicode("\xe9") == "\xc3\xa9");
  CHECK(parse_raw_unicode(R"(\u65e5\U0001f600)") == "\xe6\x97\xa5\xf0\x9f\x98\x80");
  CHECK(parse_raw_unicode(R"(\ud800)") == "\xed\xa0\x80");
  CHECK(parse_raw_unicode(R"(\n\\u0041)") == R"(\n\\u0041)");
  CHECK(parse_raw_unicode(R"(\u005c)") == "\\");
  CHECK_FALSE(parse_raw_unicode(R"(\u12)").has_value());
  CHECK_FALSE(parse_raw_unicode(R"(\U00110000)").has_value());
  CHECK_FALSE(parse_raw_unicode(R"(\u-123)").has_value());
}

TEST_CASE("UTF-8 may hold lone surrogates, and nothing else that is wrong") {
  CHECK(is_python_utf8("abc"));
  CHECK(is_python_utf8("x\xed\xa0\x80y\xed\xbf\xbf"));
  CHECK_FALSE(is_python_utf8("\xed\xa0"));
  CHECK_FALSE(is_python_utf8("\xff"));
  CHECK_FALSE(is_python_utf8("\xc0\x80"));
  CHECK_FALSE(is_python_utf8("\xf4\x90\x80\x80"));
  // Bytes around a surrogate must not make a character once it is taken out.
  CHECK_FALSE(is_python_utf8("\xc3\xed\xa0\x80\xa9"));
}

TEST_CASE("latin-1 goes both ways") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(utf8_to_latin1(latin1_to_utf8(all)) == all);
  CHECK_FALSE(utf8_to_latin1("\xc4\x80").has_value());
  CHECK_FALSE(utf8_to_latin1("\xc3").has_value());
  CHECK_FALSE(utf8_to_latin1("\xc3"
                             "a")
                  .has_value());
}

}  // namespace
}  // namespace mlc::pickle
