#include "mlc/base/text.h"

#include "catch.h"

using namespace mlc;

TEST_CASE("amounts are readable") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1000) == "1.0 kB");
  CHECK(format_bytes(999'999) == "1.0 MB");
  CHECK(format_bytes(437'980'746) == "438.0 MB");
  CHECK(format_count(1234567) == "1,234,567");
  CHECK(plural(1, "tensor") == "1 tensor");
  CHECK(plural(2000, "tensor") == "2,000 tensors");
}

TEST_CASE("text from a file cannot command the terminal") {
  CHECK(printable("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(printable("caf\xc3\xa9") == "caf\xc3\xa9");
  CHECK(printable("\xc2\x9b"
                  "2J") == "\\xc2\\x9b2J");
  CHECK(printable("\xff\xfe") == "\\xff\\xfe");
  CHECK(quoted("a\"b\n") == "\"a\\\"b\\x0a\"");
  CHECK(quoted(std::string(200, 'a'), 5) == "\"aaaaa...\"");
}

TEST_CASE("invisible characters of keys reached the terminal") {
  CHECK(printable("a\xe2\x80\xae"
                  "b") == "a\\u202eb");
  CHECK(quoted("a\xe2\x80\x8b"
               "b") == "\"a\\u200bb\"");
  CHECK(printable("a\xe2\x80\xa8"
                  "b") == "a\\u2028b");
  CHECK(printable("\xc2\xad\xef\xbb\xbf") == "\\u00ad\\ufeff");
  CHECK(printable("\xf3\xa0\x81\x81") == "\\U000e0041");
  // Their neighbours are seen.
  CHECK(printable("\xe2\x80\x8a\xe2\x80\xaf\xe2\x80\x90\xc2\xae") ==
        "\xe2\x80\x8a\xe2\x80\xaf\xe2\x80\x90\xc2\xae");
}

TEST_CASE("long lists count what they leave out as other counts are written") {
  CHECK(join_list(std::vector<std::string>(100'000, "a"), 1) == "a and 99,999 more");
}

TEST_CASE("UTF-8 is strict") {
  CHECK(is_utf8("h\xc3\xa9llo \xf0\x9f\x98\x80"));
  CHECK(!is_utf8("\xc0\x80"));
  CHECK(!is_utf8("\xed\xa0\x80"));
  CHECK(!is_utf8("\xf5\x80\x80\x80"));
  CHECK(!is_utf8("\xe2\x82"));
}

TEST_CASE("typing errors are recognised") {
  const std::vector<std::string> verbs = {"load", "save", "diff"};
  CHECK(nearest("lod", verbs) == "load");
  CHECK(nearest("svae", verbs) == "save");
  CHECK(!nearest("quantize", verbs));
  CHECK(edit_distance("abc", "abc", 3) == 0);
  CHECK(edit_distance("abcdefgh", "x", 3) == 4);
}

TEST_CASE("lists end in words") {
  const std::vector<std::string> three = {"a", "b", "c"};
  CHECK(join_list(three) == "a, b and c");
  CHECK(join_list(three, 1) == "a and 2 more");
  CHECK(join_list(three, 2) == "a, b and c");
}

TEST_CASE("numbers in names sort by value") {
  CHECK(natural_less("layer.2", "layer.10"));
  CHECK(!natural_less("layer.10", "layer.2"));
  CHECK(natural_less("a", "b"));
}
