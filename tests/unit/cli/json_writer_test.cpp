#include "cli/json_writer.h"

#include "catch.h"
#include "cli/render_error.h"
#include "mlc/base/text.h"

#include <limits>
#include <random>

#include <nlohmann/json.hpp>

namespace mlc::cli {
namespace {

std::string as_json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST_CASE("strings are escaped") {
  CHECK(as_json("layer1.weight") == R"("layer1.weight")");
  CHECK(as_json("a\"b\\c\n\t\r") == R"("a\"b\\c\n\t\r")");
  CHECK(as_json(std::string_view("\0\x1b[31m\x7f", 7)) == R"("\u0000\u001b[31m\u007f")");
  CHECK(as_json("\xC2\x9B") == R"("\u009b")");  // the one-character CSI that some terminals obey
  CHECK(as_json("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80") ==
        "\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\"");
}

TEST_CASE("bytes that are not UTF-8 become the replacement character, one each") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(as_json("a\xFFz") == "\"a" + r + "z\"");
  CHECK(as_json("\xE2\x82") == "\"" + r + r + "\"");          // cut off
  CHECK(as_json("\xED\xA0\x80") == "\"" + r + r + r + "\"");  // a surrogate
  CHECK(as_json("\xC0\x80") == "\"" + r + r + "\"");          // overlong
  CHECK(as_json("\xF4\x90\x80\x80") == "\"" + r + r + r + r + "\"");
}

TEST_CASE("any bytes become JSON that another parser reads") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string json = as_json(bytes);
    INFO(json);
    const auto parsed = nlohmann::json::parse(json, nullptr, false);
    REQUIRE(parsed.is_string());
    if (is_utf8(bytes)) CHECK(parsed.get<std::string>() == bytes);
  }
}

TEST_CASE("one tensor is one line") {
  Writer out;
  JsonWriter json(out);
  json.begin_object();
  json.field("schema", "mlc.load/1");
  json.field("tensors_total", uint64_t{2});
  json.key("tensors");
  json.begin_array();
  for (const char* name : {"a", "b"}) {
    json.begin_object();
    json.field("name", name);
    json.list("shape", std::vector<int64_t>{2, 3});
    json.end_object();
  }
  json.end_array();
  json.key("none");
  json.begin_array();
  json.end_array();
  json.key("info");
  json.begin_object();
  json.field("exact", true);
  json.key("nothing");
  json.null();
  json.end_object();
  json.end_object();
  CHECK(out.take() == R"({
  "schema": "mlc.load/1",
  "tensors_total": 2,
  "tensors": [
    {"name": "a", "shape": [2, 3]},
    {"name": "b", "shape": [2, 3]}
  ],
  "none": [],
  "info": {
    "exact": true,
    "nothing": null
  }
}
)");
}

TEST_CASE("compact JSON is one line without its end") {
  Writer out;
  JsonWriter json(out, JsonLayout::compact);
  json.begin_object();
  json.field("a", -1);
  json.key("b");
  json.begin_array();
  json.value(0.1);
  json.value(std::numeric_limits<double>::infinity());
  json.raw("{}");
  json.end_array();
  json.end_object();
  CHECK(out.take() == R"({"a": -1, "b": [0.1, null, {}]})");
}

TEST_CASE("an error has the members that are known") {
  CHECK(error_json(corrupt("cut off", "copy it").during("reading x").in_file("m.pt")) ==
        R"({"schema": "mlc.error/1", "kind": "corrupt", "message": "cut off", "file": "m.pt", )"
        R"("context": ["reading x"], "hint": "copy it"})");
  CHECK(error_json(usage_error("no")) ==
        R"({"schema": "mlc.error/1", "kind": "usage", "message": "no", "context": []})");
}

TEST_CASE("an error cannot act on a terminal") {
  const ErrorText text =
      error_text(corrupt("1:2: bad\n  line\x1b[2J\n  ^", "try\x07").in_file("a\x1b]0;x\n.pt"));
  CHECK(text.message == "a\\x1b]0;x\\x0a.pt:1:2: bad\n  line\\x1b[2J\n  ^");
  CHECK(text.hint == "try\\x07");
}

}  // namespace
}  // namespace mlc::cli
