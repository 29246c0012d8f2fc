#include "mlc/checkpoint/json_scanner.h"

#include "catch.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/nested_tree.h"

#include <string>

namespace mlc {
namespace {

using pickle::NodeId;

std::string skipped(std::string_view text, int depth = 4) {
  std::deque<std::string> store;
  JsonScanner scanner(text, depth, store);
  if (scanner.skip() && scanner.finish()) return "";
  return std::move(scanner).error().text();
}

TEST_CASE("well-formed JSON passes") {
  for (const char* text : {"{}", "[]", " [1, -2.5e+3, 0.25, \"a\\u00e9\\n\", true, false, null] ",
                           "{\"a\":{\"b\":[[]]}}", "0", "\"\"", "-0"}) {
    INFO(text);
    CHECK(skipped(text).empty());
  }
}

TEST_CASE("malformed JSON is named") {
  struct Row {
    std::string text;
    std::string message;
  };
  const Row rows[] = {
      {"", "expected a value"},
      {"{\"a\":1,}", "expected a text"},
      {"{\"a\" 1}", "expected a colon"},
      {"{\"a\":1 \"b\":2}", "expected a comma"},
      {"[1,]", "expected a value"},
      {"[1", "expected a comma"},
      {"01", "more text after the end"},
      {"1.", "ends with its point"},
      {"1e", "without its exponent"},
      {"nul", "unknown word"},
      {"\"a", "text without end"},
      {"\"a\nb\"", "control character"},
      {"\"\\x\"", "unknown escape"},
      {"\"\\u12g4\"", "four hexadecimal digits"},
      {"\"\\ud800\"", "half a surrogate"},
      {"\"\\ud800\\u0041\"", "half a surrogate"},
      {"\"\xff\"", "not UTF-8"},
      {"[[[[[]]]]]", "nested deeper"},
      {"{} x", "more text after the end"},
      {std::string("{}\0", 3), "zero byte"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(skipped(row.text).find(row.message) != std::string::npos);
  }
}

TEST_CASE("escapes are decoded and plain text is borrowed") {
  std::deque<std::string> store;
  const std::string text = R"(["plain", "\"\\\/\b\f\n\r\t", "\u00e9\u20ac\ud83d\ude00x"])";
  JsonScanner scanner(text, 2, store);
  std::string_view value;
  REQUIRE(scanner.begin_array());
  REQUIRE((scanner.next_item() && scanner.string(value)));
  CHECK(value == "plain");
  CHECK(value.data() == text.data() + 2);
  REQUIRE((scanner.next_item() && scanner.string(value)));
  CHECK(value == "\"\\/\b\f\n\r\t");
  REQUIRE((scanner.next_item() && scanner.string(value)));
  CHECK(value == "\u00e9\u20ac\U0001F600x");
  CHECK_FALSE(scanner.next_item());
  CHECK(scanner.finish());
}

TEST_CASE("integers are digits that fit") {
  for (const char* text : {"-1", "1.0", "1e3", "01", "9223372036854775808", "x", "\"1\""}) {
    INFO(text);
    std::deque<std::string> store;
    JsonScanner scanner(text, 1, store);
    int64_t value = 0;
    CHECK_FALSE(scanner.integer(value));
  }
  std::deque<std::string> store;
  JsonScanner scanner("9223372036854775807", 1, store);
  int64_t value = 0;
  REQUIRE(scanner.integer(value));
  CHECK(value == INT64_MAX);
}

TEST_CASE("a name table sees duplicates and keeps the first number") {
  NameTable table;
  std::deque<std::string> names;
  for (uint32_t i = 0; i < 5000; ++i) {
    CHECK(table.add(names.emplace_back("name" + std::to_string(i)), i));
  }
  CHECK_FALSE(table.add("name4321", 7));
  REQUIRE(table.find("name4321") != nullptr);
  CHECK(*table.find("name4321") == 4321);
  CHECK(table.find("name5000") == nullptr);
  CHECK(table.size() == 5000);
}

TEST_CASE("paths become nested dicts and lists") {
  using Step = NestedTree::Step;
  pickle::Graph graph;
  const NodeId one = graph.add_integer(1);
  NestedTree tree;
  REQUIRE(tree.add({Step("a"), Step("b"), Step(int64_t{1})}, one).ok());
  REQUIRE(tree.add({Step("a"), Step("b"), Step(int64_t{0})}, graph.none()).ok());
  REQUIRE(tree.add({Step("c")}, one).ok());
  CHECK(tree.add({Step("c")}, one).error().text().find("taken") != std::string::npos);
  CHECK(tree.add({Step("c"), Step("d")}, one).error().text().find("taken") != std::string::npos);
  CHECK(tree.add({Step("a")}, one).error().text().find("taken") != std::string::npos);
  CHECK_FALSE(tree.add({}, one).ok());
  const auto root = tree.build(graph);
  REQUIRE(root.ok());
  const NodeId list = graph.find(graph.find(*root, "a"), "b");
  CHECK(graph.list(list) == std::vector<NodeId>{graph.none(), one});
  CHECK(graph.find(*root, "c") == one);
}

TEST_CASE("lists with holes and mixed containers are refused") {
  using Step = NestedTree::Step;
  pickle::Graph graph;
  NestedTree hole;
  REQUIRE(hole.add({Step("a"), Step(int64_t{2})}, graph.none()).ok());
  CHECK(hole.build(graph).error().text() == "a list of 1 items has number 2");
  NestedTree mixed;
  REQUIRE(mixed.add({Step("a"), Step("b")}, graph.none()).ok());
  REQUIRE(mixed.add({Step("a"), Step(int64_t{0})}, graph.none()).ok());
  CHECK(mixed.build(graph).error().text().find("mix names and numbers") != std::string::npos);
}

}  // namespace
}  // namespace mlc
