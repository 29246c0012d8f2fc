#include "catch.h"
#include "keys/keys_testing.h"
#include "mlc/keys/key_rules.h"

using mlc::ErrorKind;
using mlc::RuleSet;
using namespace keys_testing;

namespace {

// "LINE:COLUMN: message" without the line shown and its caret, and the hint.
std::string complaint(const std::string& text) {
  auto rules = RuleSet::parse(text, "r.yaml");
  if (rules.ok()) return "no error";
  CHECK(rules.error().kind() == ErrorKind::usage);
  CHECK(rules.error().file() == "r.yaml");
  const std::string message = rules.error().text();
  return message.substr(0, message.find('\n'));
}

std::string rule_complaint(const std::string& rule) {
  return complaint(rule_file("  - " + rule + "\n"));
}

}  // namespace

TEST_CASE("an error shows the line with a caret") {
  auto rules = RuleSet::parse(rule_file("  - regex: 'a(b'\n    drop: true\n"), "r.yaml");
  REQUIRE_FALSE(rules.ok());
  CHECK(message_of(rules) ==
        "3:12: regex \"a(b\" is not valid: missing ): a(b\n"
        "    - regex: 'a(b'\n"
        "             ^");
}

TEST_CASE("the file has a version and a list of rules") {
  CHECK(complaint("- a\n") == "1:1: a rule file must be a mapping, found a list");
  CHECK(complaint("rules: []\n") == "1:1: the rule file does not say its version");
  CHECK(complaint("version: 2\nrules: []\n") ==
        "1:10: rule files of version 2 are unknown to this mlc, which reads version 1");
  CHECK(complaint("version: 1\n") == "1:1: the rule file has no rules");
  CHECK(complaint("version: 1\nrules: {a: b}\n") == "2:8: rules must be a list, found a mapping");
  CHECK(complaint("version: 1\nrules: [a]\n") == "2:9: a rule must be a mapping, found a string");
  CHECK(complaint("version: 1\nrules: []\n") == "no error");
  CHECK(complaint("version: 1\nrule: []\n").find("2:1: unknown key \"rule\"") == 0);
}

TEST_CASE("a rule has one matcher and one action") {
  CHECK(rule_complaint("{drop: true}") == "3:5: this rule has no matcher");
  CHECK(rule_complaint("{exact: a}") == "3:5: this rule has no action");
  CHECK(rule_complaint("{exact: a, glob: b, drop: true}") ==
        "3:16: a rule has one matcher, but this one has \"exact\" and \"glob\"");
  CHECK(rule_complaint("{exact: a, drop: true, to: b}") ==
        "3:28: a rule has one action, but this one has \"drop\" and \"to\"");
  CHECK(rule_complaint("{exact: a, concat: {to: b}}") ==
        "3:16: concat needs match, a list of regexes, one for each tensor to join");
  CHECK(rule_complaint("{match: [a, b], drop: true}") == "3:6: match goes with concat only");
  CHECK(rule_complaint("{exact: a, drop: false}") == "3:22: drop must be true");
  CHECK(rule_complaint("{exact: a, keep: 1}").find("3:22: ") == 0);
  CHECK(rule_complaint("{exact: a, drop: true, continue: true}") ==
        "3:28: only rules with to or transpose can continue");
  CHECK(rule_complaint("{exact: a, to: b, all: true}") ==
        "3:23: all goes with regex or substring and to only");
}

TEST_CASE("unknown keys are errors that say what was meant") {
  auto rules = RuleSet::parse(rule_file("  - {regx: a, to: b}\n"), "r.yaml");
  REQUIRE_FALSE(rules.ok());
  CHECK(message_of(rules).find("3:6: unknown key \"regx\"") == 0);
  CHECK(message_of(rules).find("did you mean \"regex\"") != std::string::npos);
  CHECK(rule_complaint("{exact: a, split: {dims: 0, to: [a, b]}}")
            .find("3:24: unknown key \"dims\"") == 0);
}

TEST_CASE("a pattern must be one") {
  CHECK(rule_complaint("{regex: 'a**', drop: true}").find("3:13: regex \"a**\" is not valid") == 0);
  CHECK(rule_complaint("{substring: '', drop: true}") == "3:17: substring is empty");
  CHECK(rule_complaint("{glob: 'a[z-a]', drop: true}") ==
        "3:12: glob \"a[z-a]\" is not valid: invalid character class range: z-a");
  auto rules = RuleSet::parse(rule_file("  - {regex: '(a)\\1', drop: true}\n"), "r.yaml");
  CHECK(
      message_of(rules).find("hint: patterns are RE2's, without look-around and back-references") !=
      std::string::npos);
  auto look = RuleSet::parse(rule_file("  - {regex: 'a(?=b)', drop: true}\n"), "r.yaml");
  CHECK(
      message_of(look).find("hint: patterns are RE2's, without look-around and back-references") !=
      std::string::npos);
  CHECK(rule_complaint("{regex: '((a{1000}){1000}){1000}', drop: true}").find("3:13: regex") == 0);
}

TEST_CASE("a replacement refers to groups that exist") {
  CHECK(rule_complaint("{regex: '(a)', to: '$2'}") ==
        "3:24: \"$2\" refers to group $2, but the pattern has 1 group");
  CHECK(rule_complaint("{regex: 'a', to: '\\1'}") ==
        "3:22: \"\\\\1\" refers to group \\1, but the pattern has 0 groups");
  CHECK(rule_complaint("{regex: '(a)', to: '$10'}") ==
        "3:24: \"$10\" refers to group $10, but the pattern has 1 group");
  CHECK(rule_complaint("{regex: '(a)', to: '${99999999999}'}") ==
        "3:24: \"${99999999999}\" refers to group ${99999999999}, but the pattern has 1 group");
  CHECK(rule_complaint("{regex: '(a)', to: '${b}'}") ==
        "3:24: \"${b}\" refers to group \"b\", but the pattern has no group of that name");
  CHECK(rule_complaint("{regex: '(a)', to: 'x$'}") ==
        "3:24: \"x$\" has a $ that is followed by no group number");
  CHECK(rule_complaint("{regex: '(a)', to: '${1'}") == "3:24: \"${1\" has ${ without }");
  CHECK(rule_complaint("{regex: '(a)', to: '\\x'}") ==
        "3:24: \"\\\\x\" has a backslash that is followed by no group number");
  CHECK(rule_complaint("{glob: 'a*', to: '$2'}") ==
        "3:22: \"$2\" refers to group $2, but the pattern has 1 group");
  CHECK(rule_complaint("{regex: '^a$', to: '$1'}") ==
        "3:24: \"$1\" refers to group $1, but the pattern has 0 groups");
  CHECK(rule_complaint("{match: ['(a)', 'b'], concat: {to: '$1'}}") ==
        "3:40: \"$1\" refers to group $1, but the pattern has 0 groups");
}

TEST_CASE("split, concat and transpose are checked when they are read") {
  CHECK(rule_complaint("{exact: a, split: 2}") ==
        "3:23: split must be a mapping, found an integer");
  CHECK(rule_complaint("{exact: a, split: {dim: 0}}") == "3:23: split needs \"to\"");
  CHECK(rule_complaint("{exact: a, split: {to: [x]}}") ==
        "3:28: split needs a list of two or more names in to");
  CHECK(rule_complaint("{exact: a, split: {parts: 3, to: [x, y]}}") ==
        "3:31: split into 3 parts has 2 names in to");
  CHECK(rule_complaint("{exact: a, split: {sizes: [1], to: [x, y]}}") ==
        "3:31: sizes must be a list with one size for each of the 2 names in to");
  CHECK(rule_complaint("{exact: a, split: {sizes: [1, -1], to: [x, y]}}") ==
        "3:35: a part cannot have fewer than 0 elements");
  CHECK(rule_complaint("{exact: a, split: {parts: 2, sizes: [1, 1], to: [x, y]}}") ==
        "3:34: split has parts or sizes, but this one has both");
  CHECK(rule_complaint("{exact: a, split: {dim: 64, to: [x, y]}}") ==
        "3:29: no tensor has a dimension 64");
  CHECK(rule_complaint("{match: [a], concat: {to: b}}") ==
        "3:13: match must be a list of two or more regexes, one for each tensor to join");
  CHECK(rule_complaint("{match: [a, b], concat: {dim: 0}}") == "3:29: concat needs \"to\"");
  for (const char* wrong : {"[0]", "[1, 1]", "[0, 2]", "[-1, 0]", "1", "[]"})
    CHECK(rule_complaint("{exact: a, transpose: " + std::string(wrong) + "}") ==
          "3:27: transpose must be a list with every dimension from 0 on once");
}

TEST_CASE("a missing file is not found") {
  auto rules = RuleSet::parse_file("/nonexistent/rules.yaml");
  REQUIRE_FALSE(rules.ok());
  CHECK(rules.error().kind() == ErrorKind::not_found);
}
