#include "mlc/frontend/expression.h"

#include "catch.h"

#include <string>

using namespace mlc::arch;

namespace {

const Scope kScope = {{"a", Value(int64_t{7})},
                      {"half", Value(0.5)},
                      {"name", Value(std::string("relu"))},
                      {"sizes", Value(Ints{1, 2})}};

/// The value of TEXT as Python writes it, or the message of the error.
std::string result(const std::string& text) {
  auto node = mlc::yaml::parse("k: " + text + "\n", "e.yaml");
  REQUIRE(node.ok());
  auto value = evaluate(*node->find("k"), kScope);
  if (value.ok()) return python_literal(*value);
  const std::string message = value.error().text();
  return message.substr(0, message.find('\n')) +
         (value.error().hint().empty() ? "" : " | " + value.error().hint());
}

}  // namespace

TEST_CASE("a lone name keeps its type") {
  CHECK(result("$a") == "7");
  CHECK(result("$half") == "0.5");
  CHECK(result("$name") == "\"relu\"");
  CHECK(result("$sizes") == "[1, 2]");
  CHECK(result("'$a'") == "\"$a\"");
  CHECK(result("[$a, 2]") == "[7, 2]");
  CHECK(result("[$half, 2]") == "[0.5, 2.0]");
  CHECK(result("[]") == "[]");
  CHECK(result("[null, 2]") == "[None, 2]");
  CHECK(result("1e-5") == "1e-05");
  CHECK(result("3.0") == "3.0");
  CHECK(result("null") == "None");
  CHECK(result(".inf") == "float('inf')");
}

TEST_CASE("arithmetic follows Python") {
  CHECK(result("$a * 2 + 1") == "15");
  CHECK(result("1 + $a * 2") == "15");
  CHECK(result("($a + 1) // 3") == "2");
  CHECK(result("-$a // 2") == "-4");
  CHECK(result("-$a % 4") == "1");
  CHECK(result("$a*$half") == "3.5");
  CHECK(result("$a - 10") == "-3");
}

TEST_CASE("comparisons and flags follow Python") {
  CHECK(result("$a == 7") == "True");
  CHECK(result("$a != 3 + 4") == "False");
  CHECK(result("$a < 7 or $a <= 7 and $a >= 8") == "False");
  CHECK(result("$a < 8 and not $a > 7") == "True");
  CHECK(result("not not $a == 7") == "True");
  CHECK(result("not ($a == 7 or false) == true") == "False");
  CHECK(result("$half < $a") == "True");
  CHECK(result("$name == $name") == "True");
  CHECK(result("($a > 1) != false") == "True");
  CHECK(result("$a and true") == "1:4: \"and\" needs true or false, found an integer");
  CHECK(result("not $a") == "1:4: \"not\" needs true or false, found an integer");
  CHECK(result("$name < $name") == "1:4: cannot compare a string with a string by <");
  CHECK(result("$name == 1") == "1:4: cannot compare a string with an integer by ==");
  CHECK(result("$a < 1 < 2").starts_with("1:4: unexpected \"< 2\""));
  CHECK(result("nota$a").starts_with("1:4: unexpected"));
}

TEST_CASE("what cannot be calculated is refused") {
  CHECK(result("$other") == "1:4: unknown name $other | known here: a, half, name and sizes");
  CHECK(result("$nane") == "1:4: unknown name $nane | did you mean $name?");
  CHECK(result("$a / 2") ==
        "1:4: unexpected \"/ 2\" in an expression | integers are divided with //");
  CHECK(result("$a // 0") == "1:4: division by zero");
  CHECK(result("$name * 2") == "1:4: cannot calculate with a string");
  CHECK(result("$a * 9223372036854775807") == "1:4: the result does not fit 64 bits");
  CHECK(result("(0 - 9223372036854775807 - 1 + $a - $a) // -1") ==
        "1:4: the result does not fit 64 bits");
  CHECK(result("$a +").starts_with("1:4: the expression ends too early"));
  CHECK(result("relu$a").starts_with("1:4: unexpected \"relu$a\""));
  CHECK(result("[a, 2]") == "1:4: a list holds integers, numbers or strings, not a mixture");
  CHECK(result("$a " + std::string(100, '(')).starts_with("1:4: unexpected"));
  CHECK(result("$a + " + std::string(100, '(')) == "1:4: the expression is nested too deeply");
  CHECK(result("$a + " + std::string(100, '-') + "1") ==
        "1:4: the expression is nested too deeply");
}
