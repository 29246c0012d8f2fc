#include "mlc/compress/quant_scheme.h"

#include "catch.h"

using namespace mlc;

TEST_CASE("every scheme parses to its row and back") {
  for (const SchemeInfo& row : scheme_table()) {
    const auto scheme = parse_scheme(row.name);
    REQUIRE(scheme.ok());
    CHECK(scheme->kind == row.kind);
    CHECK(scheme->text() == row.name);
    CHECK(&scheme->info() == &row);
  }
}

TEST_CASE("options of schemes") {
  const std::pair<const char*, const char*> kTexts[] = {{"int4:g32", "int4"},
                                                        {"int4:asym:g32", "int4"},
                                                        {"int4:g128:sym", "int4:g128:sym"},
                                                        {"int4:channel", "int4:channel"},
                                                        {"int8:g64", "int8:g64"},
                                                        {"int8:asym", "int8:asym"},
                                                        {"int8:channel:sym", "int8"}};
  for (const auto& [text, shortest] : kTexts) {
    const auto scheme = parse_scheme(text);
    REQUIRE(scheme.ok());
    CHECK(scheme->text() == shortest);
    CHECK(*parse_scheme(scheme->text()) == *scheme);
  }
}

TEST_CASE("schemes that only say a default are equal to it") {
  CHECK(parse_scheme("int4:asym")->said);
  CHECK_FALSE(parse_scheme("int4:g64")->said);
  CHECK(*parse_scheme("int4:asym") == *parse_scheme("int4"));
  CHECK_FALSE(*parse_scheme("int4:sym") == *parse_scheme("int4"));
}

TEST_CASE("texts that are no schemes are refused") {
  for (const char* text :
       {"", "int", "INT8", "int8:", "int8:g", "int8:g0", "int8:g1", "int8:g99999999999999999999",
        "int8:g3x", "int8:64", "fp16:g32", "keep:sym", "int8:rtn"}) {
    const auto scheme = parse_scheme(text);
    REQUIRE_FALSE(scheme.ok());
    CHECK(scheme.error().kind() == ErrorKind::usage);
    CHECK_FALSE(scheme.error().hint().empty());
  }
  CHECK(parse_scheme("imt8").error().hint() == "did you mean int8?");
}

TEST_CASE("the codes of a scheme") {
  struct Row {
    const char* text;
    int low, zero, high, steps;
  };
  for (const Row& row : {Row{"int8", -127, 0, 127, 127}, Row{"int8:asym", 0, 0, 255, 255},
                         Row{"int4", 0, 0, 15, 15}, Row{"int4:sym", 1, 8, 15, 7}}) {
    const QuantScheme scheme = *parse_scheme(row.text);
    CHECK(scheme.low() == row.low);
    CHECK(scheme.zero() == row.zero);
    CHECK(scheme.high() == row.high);
    CHECK(scheme.steps() == row.steps);
  }
}

TEST_CASE("rows begin at the first dimension that is not 1") {
  const std::vector<int64_t> conv = {64, 3, 7, 7};
  const QuantLayout a = layout_of(*parse_scheme("int8"), conv);
  CHECK(a.rows == 64);
  CHECK(a.columns == 147);
  CHECK(a.groups == 1);
  CHECK(a.row_bytes() == 147);
  const std::vector<int64_t> positions = {1, 197, 768};
  CHECK(layout_of(*parse_scheme("int8"), positions).rows == 197);
  const std::vector<int64_t> one_output = {1, 768};
  CHECK(layout_of(*parse_scheme("int8"), one_output).rows == 1);
  const QuantLayout b = layout_of(*parse_scheme("int4"), conv);
  CHECK(b.groups == 5);  // the last one has 19 columns
  CHECK(b.row_bytes() == 74);
  const std::vector<int64_t> narrow = {5000, 9};
  CHECK(layout_of(*parse_scheme("int4"), narrow).group == 9);
}
