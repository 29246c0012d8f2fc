#include "mlc/metadata/metadata.h"

#include "catch.h"
#include "mlc/base/version.h"
#include "mlc/metadata/meta_yaml.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

using namespace mlc;

namespace {

constexpr const char* kFull = R"(mlc: metadata/1
name: resnet18-flowers
version: 2.10
framework: {torch: 2.13.0, cuda: "12.8", python: 3.11}
requires: ["torch>=1.13,<3", "mlc>=0.1"]
architecture: architecture.yaml
training: {epoch: 42, metrics: {top1: 0.941}}
custom: {tags: [a, b], note: ~}
provenance:
  - {verb: strip-module-prefix, mlc: 0.1.0, input_sha256: 12e4, options: {prefix: module.}}
)";

Metadata parsed(const std::string& text) {
  auto result = Metadata::parse(text, "m.yaml");
  if (!result.ok()) FAIL(result.error().text());
  return *result;
}

std::string complaint(const std::string& text) {
  auto result = Metadata::parse(text, "m.yaml");
  if (result.ok()) return "no error";
  CHECK(result.error().file() == "m.yaml");
  const std::string hint = result.error().hint();
  return result.error().text() + (hint.empty() ? "" : "\nhint: " + hint);
}

template <class T>
std::string message_of(const T& result) {
  if (result.ok()) return "no error";
  const std::string hint = result.error().hint();
  return result.error().text() + (hint.empty() ? "" : "\nhint: " + hint);
}

}  // namespace

TEST_CASE("metadata is read with its types") {
  const Metadata m = parsed(kFull);
  CHECK(m.name() == "resnet18-flowers");
  CHECK(m.version() == "2.10");
  CHECK(m.framework("torch") == "2.13.0");
  CHECK(m.framework("python") == "3.11");
  CHECK(m.framework("onnx") == std::nullopt);
  REQUIRE(m.requirements().size() == 2);
  CHECK(m.requirements()[0].to_string() == "torch>=1.13,<3");
  CHECK(*m.get("training.epoch")->as_int() == 42);
  CHECK(*m.get("training.metrics.top1")->as_double() == 0.941);
  CHECK(*m.get("custom.tags.1")->as_text() == "b");
  CHECK(m.get("custom.note")->is_null());
  CHECK(m.get("custom.tags.2") == nullptr);
  CHECK(m.get("name.first") == nullptr);
  CHECK(m.get("") == nullptr);
  CHECK(*m.get("provenance.0.input_sha256")->as_text() == "12e4");
}

TEST_CASE("metadata is written in the order of the format") {
  const std::string expected = R"(mlc: metadata/1
name: resnet18-flowers
version: "2.10"
framework:
  torch: 2.13.0
  cuda: "12.8"
  python: "3.11"
requires:
  - torch>=1.13,<3
  - mlc>=0.1
architecture: architecture.yaml
training:
  epoch: 42
  metrics:
    top1: 0.941
custom:
  tags:
    - a
    - b
  note: null
provenance:
  - {verb: strip-module-prefix, mlc: 0.1.0, input_sha256: "12e4", options: {prefix: module.}}
)";
  const Metadata m = parsed(kFull);
  CHECK(m.to_yaml() == expected);
  CHECK(parsed(expected) == m);
  CHECK(parsed("name: b\nmlc: metadata/1\n").to_yaml() == "mlc: metadata/1\nname: b\n");
  CHECK(Metadata().to_yaml() == "mlc: metadata/1\n");
  CHECK(Metadata().empty());
}

TEST_CASE("the example beside the schema is in normal form") {
  const std::string path = MLC_SOURCE_DIR "/schemas/examples/metadata.yaml";
  auto example = Metadata::parse_file(path);
  if (!example.ok()) FAIL(example.error().text());
  std::ifstream in(path);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  CHECK(example->to_yaml() == text);
}

TEST_CASE("metadata as JSON") {
  CHECK(
      parsed("mlc: metadata/1\nversion: 1.10\ntraining: {e: 1, f: 1.0, n: ~, i: .inf, l: [true]}\n")
          .to_json() == R"({
  "mlc": "metadata/1",
  "version": "1.10",
  "training": {
    "e": 1,
    "f": 1.0,
    "n": null,
    "i": ".inf",
    "l": [
      true
    ]
  }
})");
}

TEST_CASE("errors in metadata point at the mistake") {
  CHECK(complaint("name: x\n") ==
        "1:1: the key \"mlc\" is missing\n  name: x\n  ^\n"
        "hint: begin with the line \"mlc: metadata/1\"");
  CHECK(complaint("mlc: metadata/2\n") ==
        "1:6: unknown format \"metadata/2\"\n  mlc: metadata/2\n       ^\n"
        "hint: this mlc reads metadata/1");
  CHECK(Metadata::parse("mlc: metadata/2\n", "m").error().kind() == ErrorKind::unsupported);
  CHECK(complaint("mlc: metadata/1\nnaem: x\n") ==
        "2:1: unknown key \"naem\"\n  naem: x\n  ^\nhint: did you mean \"name\"?");
  CHECK(complaint("mlc: metadata/1\nlicense: MIT\n") ==
        "2:1: unknown key \"license\"\n  license: MIT\n  ^\n"
        "hint: put your own keys under \"custom\"");
  CHECK(complaint("mlc: metadata/1\nname: [x]\n") ==
        "2:7: expected text, found a list\n  name: [x]\n        ^");
  CHECK(complaint("mlc: metadata/1\nframework: {torch: 2.1.0, cuda: ~}\n") ==
        "2:33: expected the version as text, found null\n"
        "  framework: {torch: 2.1.0, cuda: ~}\n                                  ^\n"
        "hint: leave out what was not used");
  CHECK(complaint("mlc: metadata/1\nrequires:\n  - mlc>=0.1\n  - torch=>1.13\n") ==
        "4:5: \"torch=>1.13\" is not a requirement: \"=>1.13\" is not a version clause: it begins "
        "with "
        "none of ~= == != <= >= < > ===\n    - torch=>1.13\n      ^\n"
        "hint: write it like >=1.13, <3, ==2.* or ~=1.4");
  CHECK(complaint("mlc: metadata/1\ntraining: 3\n") ==
        "2:11: expected a mapping, found an integer\n  training: 3\n            ^");
  CHECK(complaint("mlc: metadata/1\nprovenance: [{mlc: 0.1.0}]\n") ==
        "2:14: the key \"verb\" is missing\n  provenance: [{mlc: 0.1.0}]\n               ^");
  CHECK(complaint("- a\n") ==
        "1:1: expected a mapping, found a list\n  - a\n  ^\n"
        "hint: begin with the line \"mlc: metadata/1\"");
  CHECK(complaint("mlc: metadata/1\ncustom: {big: 99999999999999999999}\n") ==
        "2:15: the integer \"99999999999999999999\" does not fit 64 bits\n"
        "  custom: {big: 99999999999999999999}\n                ^\n"
        "hint: put it in quotes to make it a string");
  CHECK(complaint("mlc: metadata/1\ncustom: {" + std::string(300, 'k') + ": 1}\n")
            .starts_with("2:10: a key of 300 bytes is too long"));
  CHECK(Metadata::parse("mlc: [", "x.pt", ErrorKind::corrupt).error().kind() == ErrorKind::corrupt);
  CHECK(Metadata::parse("mlc: metadata/1\nname: []", "x.pt", ErrorKind::corrupt).error().kind() ==
        ErrorKind::corrupt);
  CHECK(complaint(std::string((16U << 20U) + 1, ' ')) == "the metadata is larger than 16.8 MB");
}

TEST_CASE("set reads YAML, and text where the format wants text") {
  Metadata m;
  CHECK(message_of(m.set("version", "2.10")) == "no error");
  CHECK(message_of(m.set("name", "# no comment: [really")) == "no error");
  CHECK(message_of(m.set("framework.cuda", "'12.0'")) == "no error");
  CHECK(message_of(m.set("training.epoch", "42")) == "no error");
  CHECK(message_of(m.set("training.metrics.top1", "0.50")) == "no error");
  CHECK(message_of(m.set("training.tags", "[a, 2]")) == "no error");
  CHECK(message_of(m.set("training.tags.2", "yes")) == "no error");
  CHECK(message_of(m.set("requires", "torch>=1.13,<3")) == "no error");
  CHECK(message_of(m.set("requires.1", "mlc>=0.1")) == "no error");
  CHECK(message_of(m.set("custom.a\\.b", "true")) == "no error");
  CHECK(m.to_yaml() == R"(mlc: metadata/1
name: "# no comment: [really"
version: "2.10"
framework:
  cuda: "12.0"
requires:
  - torch>=1.13,<3
  - mlc>=0.1
training:
  epoch: 42
  metrics:
    top1: 0.50
  tags:
    - a
    - 2
    - "yes"
custom:
  a.b: true
)");
  CHECK(m.get("custom.a\\.b") != nullptr);
  CHECK(message_of(m.set("architecture", "{type: Linear}")) == "no error");
  CHECK(*m.get("architecture.type")->as_text() == "Linear");
  CHECK(message_of(m.set("requires", "[torch>=2, 'mlc>=0.1,<1']")) == "no error");
  CHECK(m.requirements().size() == 2);
}

TEST_CASE("a change that breaks the format changes nothing") {
  Metadata m = parsed(kFull);
  const Metadata before = m;
  CHECK(message_of(m.set("training.epoch.first", "1")) ==
        "cannot set training.epoch.first: training.epoch is an integer\n"
        "hint: set training.epoch itself, or another key");
  CHECK(message_of(m.set("custom.tags.7", "x")) ==
        "cannot set custom.tags.7: custom.tags is a list of 2 items\n"
        "hint: add to it with custom.tags.2");
  CHECK(message_of(m.set("requires.0", "torch>>1")) ==
        "requires.0: \"torch>>1\" is not a requirement: \">>1\" is not a version clause: \">1\" is "
        "not "
        "a PEP 440 version\nhint: write it like >=1.13, <3, ==2.* or ~=1.4");
  CHECK(message_of(m.set("framework", "2.1")) == "framework: expected a mapping, found a number");
  CHECK(message_of(m.set("licence", "MIT")) ==
        "unknown key \"licence\"\nhint: put your own keys under \"custom\"");
  CHECK(
      message_of(m.set("provenance.0.verb", "x")).starts_with("\"provenance\" is written by mlc"));
  CHECK(message_of(m.set("mlc", "metadata/2")).starts_with("\"mlc\" is written by mlc itself"));
  CHECK(message_of(m.set("a..b", "1")).starts_with("\"a..b\" is not a path of keys"));
  CHECK(message_of(m.set("training.x", "[1")).starts_with("1:1: this bracket is never closed"));
  CHECK(m.set("training.x", "[1").error().file() == "value of training.x");
  CHECK(m == before);
}

TEST_CASE("remove") {
  Metadata m = parsed(kFull);
  CHECK(*m.remove("training.metrics"));
  CHECK_FALSE(*m.remove("training.metrics"));
  CHECK_FALSE(*m.remove("nothing.at.all"));
  CHECK(*m.remove("custom.tags.0"));
  CHECK(*m.get("custom.tags.0")->as_text() == "b");
  CHECK(*m.remove("requires"));
  CHECK(m.requirements().empty());
  CHECK_FALSE(m.remove("provenance").ok());
}

TEST_CASE("merging: the other wins, provenance grows") {
  Metadata m = parsed(kFull);
  m.merge_from(parsed(
      "mlc: metadata/1\nname: new\ntraining: {epoch: 43, metrics: {top5: 0.99}}\nrequires: [a]\n"
      "custom: {tags: [z]}\nprovenance: [{verb: save}]\n"));
  CHECK(m.name() == "new");
  CHECK(*m.get("training.epoch")->as_int() == 43);
  CHECK(m.get("training.metrics.top1") != nullptr);
  CHECK(m.get("training.metrics.top5") != nullptr);
  CHECK(m.requirements().size() == 1);
  CHECK(m.get("custom.tags")->as_list()->size() == 1);
  REQUIRE(m.get("provenance")->as_list()->size() == 2);
  CHECK(*m.get("provenance.1.verb")->as_text() == "save");
  Metadata empty;
  empty.merge_from(parsed(kFull));
  CHECK(empty == parsed(kFull));
  empty.merge_from(Metadata());
  CHECK(empty == parsed(kFull));
}

TEST_CASE("provenance says verb, mlc, input and options") {
  Metadata m;
  m.append_provenance({"quantize", {{"scheme", "int8"}, {"bits", 8}}, std::string(64, '0')});
  m.append_provenance({"save", {{"out", "bad\xff name"}}, ""});
  CHECK(m.to_yaml() ==
        "mlc: metadata/1\nprovenance:\n  - {verb: quantize, mlc: " + std::string(mlc_version()) +
            ", input_sha256: \"" + std::string(64, '0') +
            "\", options: {scheme: int8, bits: 8}}\n  - {verb: save, mlc: " +
            std::string(mlc_version()) + ", options: {out: bad\\xff name}}\n");
  CHECK(parsed(m.to_yaml()) == m);
}

TEST_CASE("every value reads back as itself") {
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "no",
                                          "yes",
                                          "Off",
                                          "y",
                                          "null",
                                          "~",
                                          "true",
                                          "1e3",
                                          "0x10",
                                          "0o7",
                                          "1_000",
                                          "12:30:00",
                                          "2024-01-01",
                                          "2.10",
                                          "2.1.0",
                                          "-",
                                          "--- a",
                                          "---",
                                          "...",
                                          "- a",
                                          "-1",
                                          "a: b",
                                          "a:",
                                          ":a",
                                          "a:b",
                                          "# x",
                                          "a #b",
                                          "a#b",
                                          " lead",
                                          "trail ",
                                          "line\nbreak",
                                          "a\nb\n",
                                          "a\n\nb\n",
                                          "\na",
                                          "a\n",
                                          "a\n\n",
                                          "  in\nb",
                                          "a\n  b\n c\n",
                                          "a\n \nb",
                                          "tab\there",
                                          "\t",
                                          "a\n\tb",
                                          "cr\rlf\r\n",
                                          "quote\"s 'n \\",
                                          "'q'",
                                          "\"q\"",
                                          "{a}",
                                          "[a]",
                                          "a,b",
                                          "a]b",
                                          "a{b",
                                          "*a",
                                          "&a",
                                          "!a",
                                          "|",
                                          ">",
                                          "%a",
                                          "@a",
                                          "`a",
                                          "?",
                                          "? a",
                                          "\xF0\x9F\x94\xA5 fire",
                                          "\xC3\xA9t\xC3\xA9",
                                          "\xC2\x85",
                                          "\xE2\x80\xA8",
                                          "\xEF\xBB\xBF"
                                          "bom",
                                          std::string("nul\0", 4),
                                          "\x1b[31m",
                                          "\x7f",
                                          "<<",
                                          "=",
                                          ".inf",
                                          ".5",
                                          "+1",
                                          "0b11",
                                          "1e",
                                          "torch>=1.13,<3",
                                          std::string(3000, 'x'),
                                          "def forward(self, x):\n    return self.fc(x)\n",
                                          "a\n# b\n",
                                          "a\n--- b\n",
                                          "a\n...\n"};
  MetaValue::Map map;
  MetaValue::List list;
  for (const std::string& text : texts) {
    if (text.size() <= 256) map.emplace_back(text, text);
    list.push_back(text);
    CAPTURE(text);
    for (const bool flow : {false, true}) {
      const std::string line =
          flow ? "[" + yaml_text(text, true) + "]" : "- " + yaml_text(text, false);
      auto node = yaml::parse(line, "t");
      REQUIRE(node.ok());
      REQUIRE(node->items().size() == 1);
      CHECK(*MetaValue::from_yaml(*node) == MetaValue(MetaValue::List{text}));
    }
  }
  for (const double d : {0.0, 1.0, -2.5, 1e300, 5e-324, 0.1, 1.0 / 3, 1e20, 123456789.0,
                         std::nan(""), std::numeric_limits<double>::infinity()}) {
    list.push_back(d);
  }
  for (const int64_t i : {std::numeric_limits<int64_t>::min(), int64_t{0}, int64_t{-1},
                          std::numeric_limits<int64_t>::max()}) {
    list.push_back(i);
  }
  list.push_back(true);
  list.push_back(MetaValue());
  list.push_back(MetaValue::List{});
  list.push_back(MetaValue::Map{});
  list.push_back(MetaValue::List{MetaValue::List{1, MetaValue::Map{{"k", "v\nw\n"}}}, "a\nb\n"});
  list.push_back(MetaValue::Map{{"k", MetaValue::List{1}}, {"m", MetaValue::Map{{"n", 1}}}});
  map.emplace_back("list", list);
  const MetaValue all(map);
  for (const std::string& text : {write_yaml(all), write_yaml_flow(all) + "\n"}) {
    auto node = yaml::parse(text, "t");
    if (!node.ok()) FAIL(node.error().text());
    auto back = MetaValue::from_yaml(*node);
    REQUIRE(back.ok());
    REQUIRE(back->as_map()->size() == map.size());
    for (size_t i = 0; i < map.size(); ++i) {
      CAPTURE(map[i].first);
      CHECK((*back->as_map())[i] == map[i]);
    }
    CHECK(write_yaml(*back) == write_yaml(all));
  }
  Metadata m;
  CHECK(m.set_value("custom", all).ok());
  CHECK(parsed(m.to_yaml()) == m);
}

TEST_CASE("text is quoted only where it must be") {
  CHECK(yaml_text("plain text", false) == "plain text");
  CHECK(yaml_text("2.1.0", false) == "2.1.0");
  CHECK(yaml_text("a,b", false) == "a,b");
  CHECK(yaml_text("a,b", true) == "\"a,b\"");
  CHECK(yaml_text("2.10", false) == "\"2.10\"");
  CHECK(yaml_text("12:30", false) == "\"12:30\"");
  CHECK(yaml_text("0b01", false) == "\"0b01\"");
  CHECK(yaml_text("9f0b82", false) == "9f0b82");
  CHECK(yaml_text("+0x10", false) == "\"+0x10\"");
  CHECK(yaml_text("a?", true) == "\"a?\"");
  CHECK(yaml_text("x\x1by", false) == "\"x\\x1by\"");
  CHECK(yaml_double(1.0) == "1.0");
  CHECK(yaml_double(1e20) == "1.0e+20");
  CHECK(yaml_double(0.1) == "0.1");
  CHECK(write_yaml_entry("f", "a\nb\n") == "f: |\n  a\n  b\n");
  CHECK(write_yaml_entry("f", "a\nb") == "f: |-\n  a\n  b\n");
}
