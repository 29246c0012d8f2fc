#include "catch.h"
#include "keys/keys_testing.h"
#include "mlc/base/text.h"

using mlc::ErrorKind;
using mlc::RuleSet;
using mlc::Status;
using namespace keys_testing;
using Lines = std::vector<std::string>;

namespace {

template <class Add>
Lines with(const std::vector<std::string>& keys, const Add& add) {
  RuleSet rules;
  const Status status = add(rules);
  if (!status.ok()) return {message_of(status)};
  auto plan = make_plan(names(keys).info(), rules);
  if (!plan.ok()) return {message_of(plan)};
  return lines(*plan);
}

Lines map(const std::string& text, const std::vector<std::string>& keys = {"a", "a.b", "ab"}) {
  return with(keys, [&](RuleSet& rules) { return rules.add_map(text); });
}

Lines regex(const std::string& text, const std::vector<std::string>& keys = {"a.b.c"}) {
  return with(keys, [&](RuleSet& rules) { return rules.add_regex(text); });
}

}  // namespace

TEST_CASE("--map renames an equal key, else what is below it") {
  CHECK(map("a=x") == Lines{"a -> x  (--map 'a=x')", "a.b", "ab"});
  CHECK(map("a=x", {"a.b", "ab", "a.c.d"}) ==
        Lines{"a.b -> x.b  (--map 'a=x')", "ab", "a.c.d -> x.c.d  (--map 'a=x')"});
  CHECK(map("a.=x_") == Lines{"a", "a.b -> x_b  (--map 'a.=x_')", "ab"});
  CHECK(map("a.=", {"a.b"}) == Lines{"a.b -> b  (--map 'a.=')"});
  CHECK(map("ab=$1=2", {"ab"}) == Lines{"ab -> $1=2  (--map 'ab=$1=2')"});
  CHECK(map("a") == Lines{"--map 'a' is not of the form OLD=NEW"});
  CHECK(map("=a") == Lines{"--map '=a' is not of the form OLD=NEW"});
  CHECK(map("a=") == Lines{"--map 'a=' gives no new name\n"
                           "hint: --map 'a.=' removes the prefix, --drop leaves keys out"});
}

TEST_CASE("--map says when it took a prefix") {
  RuleSet rules;
  REQUIRE(rules.add_map("a=x").ok());
  auto plan = make_plan(names({"a.b", "a.c"}).info(), rules);
  REQUIRE(plan.ok());
  CHECK(plan->notes == Lines{"--map 'a=x' renames the 2 keys that begin with a."});
}

TEST_CASE("--regex is a substitution as in sed") {
  CHECK(regex("s/^a\\./b./") == Lines{"a.b.c -> b.b.c  (--regex 's/^a\\./b./')"});
  CHECK(regex("s/\\./_/g") == Lines{"a.b.c -> a_b_c  (--regex 's/\\./_/g')"});
  CHECK(regex("s|(.)\\.b|\\1x$1|") == Lines{"a.b.c -> axa.c  (--regex 's|(.)\\.b|\\1x$1|')"});
  CHECK(regex("s/b/x\\/y/") == Lines{"a.b.c -> a.x/y.c  (--regex 's/b/x\\/y/')"});
  CHECK(regex("s/b\\/c//", {"b/c.d"}) == Lines{"b/c.d -> .d  (--regex 's/b\\/c//')"});
  CHECK(regex("s|a\\|b|x|", {"a|b"}) == Lines{"a|b -> x  (--regex 's|a\\|b|x|')"});
  CHECK(regex("s_a\\_b_x_", {"a_b"}) == Lines{"a_b -> x  (--regex 's_a\\_b_x_')"});
  CHECK(regex("s/a/$$/") == Lines{"a.b.c -> $.b.c  (--regex 's/a/$$/')"});
}

TEST_CASE("--regex refuses what is no substitution") {
  const std::string hint = "\nhint: write s/PATTERN/REPLACEMENT/, as in sed";
  for (const char* wrong : {"", "s", "a/b/c/", "sabaca", "s\\a\\b\\"})
    CHECK(regex(wrong) ==
          Lines{"--regex '" + mlc::printable(wrong) + "': this is no substitution" + hint});
  CHECK(regex("s/a/b") == Lines{"--regex 's/a/b': a delimiter is missing" + hint});
  CHECK(regex("s/a/b\\/") ==
        Lines{"--regex '" + mlc::printable("s/a/b\\/") + "': a delimiter is missing" + hint});
  CHECK(regex("s/a/b/i") == Lines{"--regex 's/a/b/i': unknown flags \"i\"\n"
                                  "hint: the only flag is g: every match, not the first"});
  CHECK(regex("s/(/b/")[0].find("--regex 's/(/b/': regex \"(\" is not valid: missing )") == 0);
  CHECK(regex("s/a/$1/")[0].find("refers to group $1, but the pattern has 0 groups") !=
        std::string::npos);
}

TEST_CASE("--drop and --keep select by glob") {
  const std::vector<std::string> keys = {"a.w", "a.b", "c.w"};
  CHECK(with(keys, [](RuleSet& rules) { return rules.add_drop("*.b"); }) ==
        Lines{"a.w", "c.w", "drop a.b  (--drop '*.b')"});
  CHECK(with(keys, [](RuleSet& rules) -> Status {
          MLC_CHECK(rules.add_keep("a.w"));
          return rules.add_keep("c.*");
        }) == Lines{"a.w", "c.w", "drop a.b  (--keep 'a.w')"});
  CHECK(with(keys, [](RuleSet& rules) { return rules.add_drop("[z-a]"); })[0].find(
            "--drop '[z-a]': glob \"[z-a]\" is not valid") == 0);
}

TEST_CASE("short forms follow the file and each other") {
  auto rules = RuleSet::parse(
      rule_file("  - {exact: a, to: b}\n  - {exact: q, split: {dim: 0, to: [q.0, q.1]}}\n"),
      "r.yaml");
  REQUIRE(rules.ok());
  REQUIRE(rules->add_map("b=c").ok());
  REQUIRE(rules->add_regex("s/c/d/").ok());
  REQUIRE(rules->add_prefix("m.").ok());
  auto plan = make_plan(Keys{{"a", {1}}, {"q", {2}}, {"x", {1}}}.info(), *rules);
  REQUIRE(message_of(plan) == "no error");
  CHECK(lines(*plan) ==
        Lines{"a -> m.d  (rule 1, --map 'b=c', --regex 's/c/d/', --add-prefix 'm.')",
              "q -> m.q.0  (rule 2, --add-prefix 'm.', split dim 0, part 1 of 2)",
              "q -> m.q.1  (rule 2, --add-prefix 'm.', split dim 0, part 2 of 2)",
              "x -> m.x  (--add-prefix 'm.')"});
  CHECK(plan->warnings.empty());
}

TEST_CASE("a part of a split may be dropped") {
  auto rules = RuleSet::parse(rule_file("  - {exact: q, split: {to: [q.0, q.1]}}\n"), "r.yaml");
  REQUIRE(rules.ok());
  REQUIRE(rules->add_drop("*.1").ok());
  auto plan = make_plan(Keys{{"q", {2}}}.info(), *rules);
  REQUIRE(message_of(plan) == "no error");
  CHECK(lines(*plan) ==
        Lines{"q -> q.0  (rule 1, split dim 0, part 1 of 2)", "drop q as q.1  (--drop '*.1')"});
}

TEST_CASE("an empty prefix to add is an error") {
  RuleSet rules;
  CHECK(message_of(rules.add_prefix("")) == "--add-prefix is empty");
}
