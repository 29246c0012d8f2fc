#include "mlc/yaml/document.h"

#include "catch.h"

#include <chrono>
#include <cmath>
#include <limits>

using mlc::ErrorKind;
using mlc::yaml::Kind;
using mlc::yaml::Node;
using mlc::yaml::plain_type;
using mlc::yaml::PlainType;

namespace {

Node parsed(const std::string& text) {
  auto node = mlc::yaml::parse(text, "f.yaml");
  if (!node.ok()) FAIL(node.error().text());
  return *node;
}

// The message of the error that TEXT gives, with "hint: ..." below it where there is a hint.
std::string complaint(const std::string& text) {
  auto node = mlc::yaml::parse(text, "f.yaml");
  if (node.ok()) return "no error";
  CHECK(node.error().kind() == ErrorKind::usage);
  CHECK(node.error().file() == "f.yaml");
  const std::string hint = node.error().hint();
  return node.error().text() + (hint.empty() ? "" : "\nhint: " + hint);
}

template <class T>
std::string message_of(const T& result) {
  return result.ok() ? "no error" : result.error().text();
}

std::string repeat(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("a tree has kinds, order and positions") {
  const Node root = parsed("b: 1\na: [x, 'y', ~]\nc:\n  d: |\n    two\n    lines\n");
  REQUIRE(root.kind() == Kind::mapping);
  REQUIRE(root.entries().size() == 3);
  CHECK(root.entries()[0].first == "b");
  CHECK(root.entries()[1].first == "a");
  const Node* list = root.find("a");
  REQUIRE(list != nullptr);
  CHECK(list->line() == 2);
  CHECK(list->column() == 4);
  REQUIRE(list->items().size() == 3);
  CHECK(list->items()[1].column() == 8);
  CHECK(list->items()[1].is_quoted());
  CHECK_FALSE(list->items()[0].is_quoted());
  CHECK(list->items()[2].kind() == Kind::null);
  const Node* text = root.find("c")->find("d");
  CHECK(text->scalar() == "two\nlines\n");
  CHECK(text->is_quoted());
  CHECK(root.find("missing") == nullptr);
  CHECK(list->find("x") == nullptr);
}

TEST_CASE("a node outlives the document it came from") {
  const Node leaf = parsed("a: {b: [deep]}\n").find("a")->find("b")->items()[0];
  CHECK(leaf.scalar() == "deep");
  CHECK(leaf.error("here").text() == "1:9: here\n  a: {b: [deep]}\n          ^");
}

TEST_CASE("empty documents are null") {
  for (const char* text :
       {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "\xEF\xBB\xBF"}) {
    CAPTURE(text);
    CHECK(parsed(text).kind() == Kind::null);
  }
}

TEST_CASE("every entry of a large mapping is found") {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "k" + std::to_string(i * 7919 % 2000) + ": 1\n";
  const Node root = parsed(text);
  REQUIRE(root.entries().size() == 2000);
  for (const auto& [key, value] : root.entries()) CHECK(root.find(key) == &value);
}

TEST_CASE("aliases repeat what they name") {
  const Node root = parsed("base: &b {lr: 0.1}\nother: *b\n");
  CHECK(root.find("other")->find("lr")->scalar() == "0.1");
}

TEST_CASE("plain scalars follow the YAML 1.2 core schema") {
  const std::pair<const char*, PlainType> rows[] = {
      {"", PlainType::null},          {"~", PlainType::null},       {"NULL", PlainType::null},
      {"nUll", PlainType::string},    {"true", PlainType::boolean}, {"False", PlainType::boolean},
      {"yes", PlainType::string},     {"no", PlainType::string},    {"on", PlainType::string},
      {"0", PlainType::integer},      {"-17", PlainType::integer},  {"+1", PlainType::integer},
      {"007", PlainType::integer},    {"0x1F", PlainType::integer}, {"0o17", PlainType::integer},
      {"0xg", PlainType::string},     {"0x", PlainType::string},    {"0o8", PlainType::string},
      {"-0x1", PlainType::string},    {"1.", PlainType::number},    {".5", PlainType::number},
      {".", PlainType::string},       {"1e3", PlainType::number},   {"1e", PlainType::string},
      {"-1.5E-3", PlainType::number}, {"e3", PlainType::string},    {".inf", PlainType::number},
      {"-.INF", PlainType::number},   {".nan", PlainType::number},  {"-.nan", PlainType::string},
      {"inf", PlainType::string},     {"1_000", PlainType::string}, {"2.1.0", PlainType::string},
      {"2.10", PlainType::number},    {"-", PlainType::string},     {"1 2", PlainType::string},
  };
  for (const auto& [text, type] : rows) {
    CAPTURE(text);
    CHECK(plain_type(text) == type);
  }
}

TEST_CASE("typed readings") {
  const Node root = parsed(
      "i: -42\nhex: 0xff\noct: 0o17\nplus: +3\nbig: 9223372036854775807\nf: 1e-3\ninf: -.inf\n"
      "nan: .nan\nt: True\ns: text\nq: '42'\nlist: [a, 1, 'b']\none: a\nn: ~\n");
  CHECK(*root.find("i")->as_int() == -42);
  CHECK(*root.find("hex")->as_int() == 255);
  CHECK(*root.find("oct")->as_int() == 15);
  CHECK(*root.find("plus")->as_int() == 3);
  CHECK(*root.find("big")->as_int() == std::numeric_limits<int64_t>::max());
  CHECK(*root.find("f")->as_double() == 1e-3);
  CHECK(*root.find("i")->as_double() == -42.0);
  CHECK(*root.find("hex")->as_double() == 255.0);
  CHECK(*root.find("inf")->as_double() == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(*root.find("nan")->as_double()));
  CHECK(*root.find("t")->as_bool());
  CHECK(*root.find("q")->as_string() == "42");
  CHECK(*root.find("i")->as_string() == "-42");
  CHECK(*root.find("list")->as_string_list() == std::vector<std::string>{"a", "1", "b"});
  CHECK(*root.find("one")->as_string_list() == std::vector<std::string>{"a"});
}

TEST_CASE("wrong types say what was expected and found") {
  const Node root = parsed(
      "s: abc\nq: '42'\nhuge: 9223372036854775808\nm: {a: 1}\nn: ~\nyes: yes\nl: [a, [b]]\n");
  CHECK(message_of(root.find("s")->as_int()) ==
        "1:4: expected an integer, found \"abc\" (a string)\n  s: abc\n     ^");
  CHECK(message_of(root.find("q")->as_int()) ==
        "2:4: expected an integer, found \"42\" (a string)\n  q: '42'\n     ^");
  CHECK(root.find("q")->as_int().error().hint() == "remove the quotes");
  CHECK(message_of(root.find("huge")->as_int()) ==
        "3:7: the integer \"9223372036854775808\" does not fit 64 bits\n"
        "  huge: 9223372036854775808\n        ^");
  CHECK(message_of(root.find("m")->as_string()) ==
        "4:4: expected a string, found a mapping\n  m: {a: 1}\n     ^");
  CHECK(message_of(root.find("n")->as_string()) ==
        "5:4: expected a string, found null\n  n: ~\n     ^");
  CHECK(message_of(root.find("yes")->as_bool()) ==
        "6:6: expected true or false, found \"yes\" (a string)\n  yes: yes\n       ^");
  CHECK(message_of(root.find("l")->as_string_list()) ==
        "7:8: expected a string, found a list\n  l: [a, [b]]\n         ^");
  CHECK(message_of(root.find("s")->as_double()) ==
        "1:4: expected a number, found \"abc\" (a string)\n  s: abc\n     ^");
  CHECK(message_of(root.find("m")->as_string_list()) ==
        "4:4: expected a list of strings, found a mapping\n  m: {a: 1}\n     ^");
}

TEST_CASE("unknown keys are refused with a guess") {
  const Node root = parsed("rename: 1\nrenmae: 2\n");
  const auto guess = root.only_keys({"rename", "drop"});
  REQUIRE_FALSE(guess.ok());
  CHECK(guess.error().text() == "2:1: unknown key \"renmae\"\n  renmae: 2\n  ^");
  CHECK(guess.error().hint() == "did you mean \"rename\"?");
  const auto list = parsed("a:\n  zzz: 1\n").find("a")->only_keys({"rename", "drop"});
  REQUIRE_FALSE(list.ok());
  CHECK(list.error().text() == "2:3: unknown key \"zzz\"\n    zzz: 1\n    ^");
  CHECK(list.error().hint() == "known here: rename and drop");
  CHECK(root.only_keys({"rename", "renmae"}).ok());
}

TEST_CASE("syntax errors point at the mistake and say what to do") {
  CHECK(complaint("a: 1\nb:\n  c: 2\n  c: 3\n") ==
        "4:3: the key \"c\" is given twice, first on line 3\n    c: 3\n    ^\n"
        "hint: remove one of them");
  CHECK(complaint("a:\n\tb: 1\n") ==
        "2:1: a tab is used for indentation\n  \\x09b: 1\n  ^\nhint: indent with spaces");
  CHECK(complaint("a: \"x\nb: 1\n") ==
        "1:4: this quoted string is never closed\n  a: \"x\n     ^\nhint: close the quote");
  CHECK(complaint("a: &id 'it''s") ==
        "1:4: this quoted string is never closed\n  a: &id 'it''s\n     ^\nhint: close the quote");
  CHECK(complaint("x: 1\na: [1, 2\n") == "2:4: this bracket is never closed\n  a: [1, 2\n     ^");
  CHECK(complaint("a: {b: 1\n") == "1:4: this bracket is never closed\n  a: {b: 1\n     ^");
  CHECK(complaint("[[1, 2]") == "1:1: this bracket is never closed\n  [[1, 2]\n  ^");
  CHECK(complaint("a: 1\n---\nb: 2\n") ==
        "2:1: a second document starts here, but only one is allowed\n  ---\n  ^\n"
        "hint: keep one document per file");
  CHECK(complaint("  a: 1\nb: 2\n") ==
        "2:1: this line does not belong to what stands above it\n  b: 2\n  ^\n"
        "hint: check the indentation");
  CHECK(complaint("a: b: c\n") ==
        "1:5: a \": \" is not allowed here\n  a: b: c\n      ^\n"
        "hint: put text that contains \": \" in quotes");
  CHECK(
      complaint("a: @x\n") ==
      "1:4: a character that cannot start a value\n  a: @x\n     ^\nhint: put the text in quotes");
  CHECK(complaint("a: 1\n: 2\n") == "2:1: a key is missing before \":\"\n  : 2\n  ^");
  CHECK(complaint("a: *nowhere\n") ==
        "1:4: the alias refers to an anchor that does not exist\n  a: *nowhere\n     ^");
}

TEST_CASE("what mlc does not take from YAML is refused, not guessed") {
  CHECK(complaint("? [a]\n: 1\n").starts_with("1:3: a list or a mapping cannot be a key"));
  CHECK(complaint("a: &x [1, *x]\n").starts_with("1:11: the alias refers to what contains it"));
  CHECK(complaint("a: !!python/object x\n")
            .starts_with("1:4: the tag \"tag:yaml.org,2002:python/object\" is not supported"));
  CHECK(complaint("a: !mine {}\n").starts_with("1:4: the tag \"!mine\" is not supported"));
  CHECK(complaint("b: 1\n<<: {a: 1}\n").starts_with("2:1: merge keys (<<) are not supported"));
  CHECK(complaint("a: 1\nb: x\x04y\n").starts_with("2:5: a control character is not allowed"));
  CHECK(complaint(std::string("a: \0", 4)) == "is binary data, not YAML");
  CHECK(complaint("a: \xff\n") == "the text is not UTF-8");
  CHECK(parsed("'<<': 1\n").find("<<") != nullptr);
  CHECK(parsed("a: !!str 42\n").find("a")->is_quoted());
}

TEST_CASE("the kind of an error is what the caller asked for") {
  const auto broken = mlc::yaml::parse("a: [", "x.pt", ErrorKind::corrupt);
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().kind() == ErrorKind::corrupt);
  const auto fine = mlc::yaml::parse("a: x", "x.pt", ErrorKind::corrupt);
  REQUIRE(fine.ok());
  CHECK(fine->find("a")->as_int().error().kind() == ErrorKind::corrupt);
}

TEST_CASE("bombs are refused in no time") {
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias +
              repeat("," + alias, 9) + "]\n";
  }
  const auto start = std::chrono::steady_clock::now();
  CHECK(complaint(laughs).find("the document has more than 1,000,000 nodes") != std::string::npos);
  const std::string too_deep = "the document is nested more than 100 levels deep";
  CHECK(complaint(repeat("[", 10'000) + repeat("]", 10'000)).find(too_deep) != std::string::npos);
  CHECK(complaint(repeat("{a: ", 10'000)).find("no error") == std::string::npos);
  CHECK(complaint(repeat("[", 10'000)).find("no error") == std::string::npos);
  CHECK(complaint(repeat("- ", 10'000) + "a").find(too_deep) != std::string::npos);
  CHECK(complaint("a: &d " + repeat("[", 60) + repeat("]", 60) + "\nb: " + repeat("[", 60) + "*d" +
                  repeat("]", 60))
            .find(too_deep) != std::string::npos);
  const auto elapsed = std::chrono::steady_clock::now() - start;
  CHECK(elapsed < std::chrono::seconds(10));
  CHECK(parsed(repeat("[", 100) + repeat("]", 100)).kind() == Kind::sequence);
}

TEST_CASE("a file is read by its path") {
  const auto missing = mlc::yaml::parse_file("/nonexistent/rules.yaml");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().kind() == ErrorKind::not_found);
  CHECK(missing.error().file() == "/nonexistent/rules.yaml");
}

TEST_CASE("the places of 300,000 lines took the square of their number", "[regression]") {
  constexpr size_t kLines = 300'000;
  std::string text = "a: |\n";
  for (size_t i = 0; i < kLines; ++i) text += "  y = x + 1\n";
  const auto node = mlc::yaml::parse(text, "f.yaml");
  REQUIRE(node.ok());
  const auto start = std::chrono::steady_clock::now();
  const auto places = node->find("a")->text_positions(kLines);
  CHECK(places.back() == std::pair<size_t, size_t>(kLines + 1, 3));
  // It was minutes, and is 20 ms.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("lines of text know where they stand in the file") {
  auto node = mlc::yaml::parse(
      "a: |\n"
      "    one\n"
      "      two\n"
      "\n"
      "    three\n"
      "b: 'quoted'\n"
      "c: >\n"
      "  folded\n"
      "  text\n",
      "f.yaml");
  REQUIRE(node.ok());
  using Place = std::pair<size_t, size_t>;
  const auto& literal = *node->find("a");
  CHECK(literal.text_positions(4)[0] == Place(2, 5));
  CHECK(literal.text_positions(4)[1] == Place(3, 5));  // its own indentation is text
  CHECK(literal.text_positions(4)[2] == Place(4, 1));
  CHECK(literal.text_positions(4)[3] == Place(5, 5));
  CHECK(node->find("b")->text_positions(1)[0] == Place(6, 5));
  CHECK(node->find("c")->text_positions(2)[1] == Place(7, 4));
  CHECK(node->error_at(5, 7, "m").text() == "5:7: m\n      three\n        ^");
}
