#include "cli/table.h"

#include "catch.h"

namespace mlc::cli {
namespace {

std::string rendered(const Table& table, size_t width = 0) {
  Writer out;
  table.render(out, width);
  return out.take();
}

TEST_CASE("columns are aligned and lines have no trailing blanks") {
  Table table({{"NAME"}, {"BYTES", Align::right}, {"NOTE"}});
  table.add({"a", "1,024", ""});
  table.add({"layer.weight", "8", "tied"});
  CHECK(rendered(table) ==
        "NAME          BYTES  NOTE\n"
        "a             1,024\n"
        "layer.weight      8  tied\n");
}

TEST_CASE("an empty cell keeps the columns behind it in place") {
  Table table({{"A"}, {"B", Align::right}, {"C"}});
  table.add({"x", "", "z"});
  table.add({"", "1", "z"});
  CHECK(rendered(table) ==
        "A  B  C\n"
        "x     z\n"
        "   1  z\n");
}

TEST_CASE("cells cannot act on a terminal or break a row") {
  Table table({{"NAME"}});
  table.add({"a\x1b[31m\nb"});
  CHECK(rendered(table) == "NAME\na\\x1b[31m\\x0ab\n");
}

TEST_CASE("widths count characters, wide ones twice") {
  CHECK(display_width("weight") == 6);
  CHECK(display_width("gr\xC3\xBC\xC3\x9F") == 4);
  CHECK(display_width("\xE6\x9D\xB1\xE4\xBA\xAC") == 4);
  Table table({{"N"}, {"S"}});
  table.add({"\xC3\xBC", "1"});
  table.add({"ab", "2"});
  CHECK(rendered(table) == "N   S\n\xC3\xBC   1\nab  2\n");
}

TEST_CASE("the middle of a long text goes first") {
  CHECK(shortened("abcdefghij", 10) == "abcdefghij");
  CHECK(shortened("abcdefghijk", 10) == "abc...hijk");
  CHECK(shortened("abcdefghijk", 3) == "abc");
  const std::string wide = "\xE6\x9D\xB1\xE4\xBA\xAC\xE6\x9D\xB1\xE4\xBA\xAC\xE6\x9D\xB1";
  for (size_t width = 0; width < 10; ++width) CHECK(display_width(shortened(wide, width)) <= width);
}

TEST_CASE("only the flexible column gives way, and only on a terminal") {
  Table table({{"KEY", Align::left, true}, {"SHAPE"}});
  table.add({"encoder.layers.0.self_attn.in_proj_weight", "[768, 768]"});
  CHECK(rendered(table, 40).find("encoder.laye...n_proj_weight  [768, 768]") != std::string::npos);
  CHECK(rendered(table).find("encoder.layers.0.self_attn.in_proj_weight  [768, 768]") !=
        std::string::npos);
}

TEST_CASE("one long name shifts its own row only") {
  Table table({{"KEY", Align::left, true}, {"SHAPE"}});
  const std::string longest(81, 'k');
  table.add({longest, "[1]"});
  table.add({"w", "[2]"});
  CHECK(rendered(table) == "KEY" + std::string(79, ' ') + "SHAPE\n" + longest + "  [1]\nw" +
                               std::string(81, ' ') + "[2]\n");
}

}  // namespace
}  // namespace mlc::cli
