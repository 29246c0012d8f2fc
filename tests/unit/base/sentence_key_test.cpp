#include "mlc/base/sentence_key.h"

#include "catch.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc {
namespace {

TEST_CASE("keys that a sentence would hide are quoted") {
  for (const std::string_view key : {"", ".", "..", "_", "a.", "a ", " a", "- -"}) {
    CHECK(sentence_key(key) == '"' + std::string(key) + '"');
  }
  CHECK(sentence_key("\"") == "\"\\\"\"");
  CHECK(sentence_key(std::string(3000, '.')).size() == 3002);
}

TEST_CASE("usual keys stay as they are, and harmless") {
  for (const std::string_view key : {"a.b", "layer.0.weight", "0", "a b", "\u65e5", ".a"}) {
    CHECK(sentence_key(key) == key);
  }
  CHECK(sentence_key("a\nb") == "a\\x0ab");
  const std::vector<std::string> keys = {"a", ""};
  CHECK(sentence_keys(keys) == std::vector<std::string>{"a", "\"\""});
}

}  // namespace
}  // namespace mlc
