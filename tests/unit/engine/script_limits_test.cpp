#include "mlc/engine/script_limits.h"

#include "catch.h"

using mlc::misread_by_script;
using mlc::script_limit;

namespace {

std::string found(std::string_view line) {
  const auto limit = script_limit(line);
  return limit ? std::to_string(limit->column) + " " + limit->message : "";
}

}  // namespace

TEST_CASE("what TorchScript lacks is found with its column") {
  CHECK(found("    y = f\"{x}\"") == "9 TorchScript has no f-strings");
  CHECK(found("    y = [a for a in b if a]") ==
        "23 TorchScript has no comprehensions with a condition");
  CHECK(found("    y = g(lambda a: a)") == "11 TorchScript has no lambda");
  CHECK(found("    s = {1, x}") == "9 TorchScript has no sets");
  CHECK(found("    def inner(y):") == "5 a function cannot be defined in another one");
}

TEST_CASE("what TorchScript's parser stumbles over is named") {
  CHECK(found("def forward(self, *xs):") == "19 TorchScript has no *arguments");
  CHECK(found("  n = 1_000") == "8 TorchScript has no _ in numbers");
  CHECK(found("  return +x") == "10 TorchScript has no + before a value");
  CHECK(found("  y = f(x, +y)") == "12 TorchScript has no + before a value");
  CHECK(found("  y = x.mean(axis=0)") == "14 TorchScript has no argument axis");
}

TEST_CASE("what TorchScript has is no limit") {
  for (const char* line : {"",
                           "    y = [a if a else b for a in c]",
                           "    y = [a for a in (b if c else d)]",
                           "    # f\"{x}\" and lambda",
                           "    y = \"lambda for {} if\".format(x)",
                           "def forward(self, x):",
                           "    d = {\"a\": x}",
                           "    d = {}",
                           "    f = \"x\"",
                           "    y = x ** 2",
                           "    y = f(*x)",
                           "    match = x + 1",
                           "    y = [[a for a in b] for b in c]",
                           "    import_me = 1",
                           "    y = 'it''s f' + \"a\"",
                           "    y = x + 1",
                           "    y += 1",
                           "    y = a_1 + b_2_3",
                           "    axis = 1",
                           "    y = f(a * b)",
                           "    if axis == 1:"}) {
    INFO(line);
    CHECK(found(line).empty());
  }
}

TEST_CASE("two loops in one comprehension are refused before they are misread") {
  CHECK(misread_by_script("  y = [a for b in c for a in b]")->column == 21);
  CHECK_FALSE(misread_by_script("  y = [[a for a in b] for b in c]"));
  CHECK_FALSE(misread_by_script("  y = [a for a in b]; z = [a for a in b]"));
  CHECK_FALSE(misread_by_script("  raise ValueError('for what for')"));
}
