#include "mlc/keys/plan_builder.h"

#include "catch.h"
#include "keys/keys_testing.h"

using mlc::ErrorKind;
using mlc::make_plan;
using mlc::Plan;
using mlc::PlanItem;
using mlc::RuleSet;
using namespace keys_testing;
using Lines = std::vector<std::string>;

namespace {

RuleSet rules_of(const std::string& text) {
  auto rules = RuleSet::parse(rule_file(text), "r.yaml");
  if (!rules.ok()) FAIL(rules.error().text());
  return std::move(rules).value();
}

Plan planned(const Keys& keys, const std::string& rules) {
  auto plan = make_plan(keys.info(), rules_of(rules));
  if (!plan.ok()) FAIL(plan.error().text());
  return std::move(plan).value();
}

std::string complaint(const Keys& keys, const std::string& rules,
                      const mlc::RuleOptions& options = {}) {
  auto plan = make_plan(keys.info(), rules_of(rules), options);
  if (!plan.ok()) CHECK(plan.error().kind() == ErrorKind::conflict);
  return message_of(plan);
}

/// The same where tensors do not fit their rules: the rules are wrong, no two keys conflict.
std::string misfit(const Keys& keys, const std::string& rules) {
  auto plan = make_plan(keys.info(), rules_of(rules));
  if (!plan.ok()) CHECK(plan.error().kind() == ErrorKind::usage);
  return message_of(plan);
}

}  // namespace

TEST_CASE("every matcher renames the part it matched") {
  const Keys keys =
      names({"backbone.layer12.a.w", "head.w", "x.gamma", "e", "my_gamma_a", "g.1.w"});
  const Plan plan = planned(keys, R"(
  - {regex: '^backbone\.layer(\d+)\.(.*)$', to: 'encoder.blocks.$1.$2'}
  - {prefix: 'head.', to: 'classifier.'}
  - {suffix: '.gamma', to: '.weight'}
  - {exact: 'e', to: '$1'}
  - {substring: '_gamma', to: '\1'}
  - {glob: 'g.*.?', to: '$2.\1'}
)");
  CHECK(lines(plan) == Lines{"backbone.layer12.a.w -> encoder.blocks.12.a.w  (rule 1)",
                             "head.w -> classifier.w  (rule 2)", "x.gamma -> x.weight  (rule 3)",
                             "e -> $1  (rule 4)", "my_gamma_a -> my\\1_a  (rule 5)",
                             "g.1.w -> w.1  (rule 6)"});
  CHECK(plan.is_pure_rename());
  CHECK(plan.is_one_to_one());
  CHECK(plan.warnings.empty());
  CHECK(plan.counts().renamed == 6);
  CHECK(plan.new_name_of("head.w") == "classifier.w");
  CHECK(plan.new_name_of("head") == std::nullopt);
}

TEST_CASE("the first rule wins, unless it continues") {
  const Keys keys = names({"a", "b"});
  const Plan first = planned(keys, "  - {exact: a, to: c}\n  - {regex: '^.$', to: '$0$0'}\n");
  CHECK(new_names(first) == Lines{"c", "bb"});
  const Plan both =
      planned(keys, "  - {exact: a, to: c, continue: true}\n  - {regex: '^.$', to: '$0$0'}\n");
  CHECK(lines(both) == Lines{"a -> cc  (rule 1, rule 2)", "b -> bb  (rule 2)"});
  CHECK(both.uses[1].count == 2);
}

TEST_CASE("rules of different matchers are tried in their order") {
  const Keys keys = names({"abc"});
  const Lines matchers = {"exact: abc", "prefix: ab",    "regex: 'b'",
                          "glob: 'a*'", "substring: bc", "suffix: c"};
  for (const std::string& one : matchers) {
    std::string text = "  - {" + one + ", to: first}\n";
    for (const std::string& other : matchers) text += "  - {" + other + ", drop: true}\n";
    const Plan plan = planned(keys, text);
    CHECK(plan.uses[0].count == 1);
    CHECK(plan.dropped.empty());
  }
}

TEST_CASE("regexes are searched for anywhere and replace the first match or all") {
  const Keys keys = names({"a.bb.a"});
  CHECK(new_names(planned(keys, "  - {regex: 'a', to: 'x'}\n")) == Lines{"x.bb.a"});
  CHECK(new_names(planned(keys, "  - {regex: 'a', to: 'x', all: true}\n")) == Lines{"x.bb.x"});
  CHECK(new_names(planned(keys, "  - {substring: 'a', to: 'x', all: true}\n")) == Lines{"x.bb.x"});
  CHECK(new_names(planned(keys, "  - {regex: '^a', to: 'x', all: true}\n")) == Lines{"x.bb.a"});
  // Empty matches as GNU sed has them: none right behind another match (Python's re.sub does).
  CHECK(new_names(planned(keys, "  - {regex: 'b*', to: '-', all: true}\n")) == Lines{"-a-.-.-a-"});
  CHECK(new_names(planned(keys, "  - {regex: '$', to: '.end'}\n")) == Lines{"a.bb.a.end"});
}

TEST_CASE("replacements know groups, names and escapes") {
  const Keys keys = names({"ab"});
  const auto to = [&](const std::string& text) {
    return new_names(planned(keys, "  - {regex: '(?P<first>a)(x)?(b)', to: '" + text + "'}\n"))[0];
  };
  CHECK(to("$3$1") == "ba");
  CHECK(to("${3}0${first}") == "b0a");
  CHECK(to("\\3\\1") == "ba");
  CHECK(to("\\10") == "a0");
  CHECK(to("$0-\\0") == "ab-ab");
  CHECK(to("$$1\\\\") == "$1\\");
  CHECK(to("<$2>") == "<>");
}

TEST_CASE("keep leaves a key alone and drop leaves it out") {
  const Keys keys = names({"a.w", "a.b", "a.n"});
  const Plan plan = planned(keys, R"(
  - {exact: a.w, keep: true}
  - {glob: '*.n', drop: true}
  - {prefix: a., to: 'c.'}
)");
  CHECK(lines(plan) == Lines{"a.w", "a.b -> c.b  (rule 3)", "drop a.n  (rule 2)"});
  CHECK(plan.uses[0].count == 1);
  CHECK_FALSE(plan.is_one_to_one());
  CHECK(plan.is_pure_rename());
  CHECK(plan.new_name_of("a.n") == std::nullopt);
  CHECK(plan.counts().dropped == 1);
  CHECK(plan.counts().untouched == 1);
}

TEST_CASE("split cuts a tensor into named parts") {
  const Keys keys = {{"x", {1}}, {"l.qkv.weight", {6, 2}}, {"y", {1}}};
  const std::string to = "to: ['$1.q.weight', '$1.k.weight', '$1.v.weight']}}\n";
  const Plan plan =
      planned(keys, "  - {regex: '^(.*)\\.qkv\\.weight$', split: {dim: 0, parts: 3, " + to);
  CHECK(lines(plan) == Lines{"x", "l.qkv.weight -> l.q.weight  (rule 1, split dim 0, part 1 of 3)",
                             "l.qkv.weight -> l.k.weight  (rule 1, split dim 0, part 2 of 3)",
                             "l.qkv.weight -> l.v.weight  (rule 1, split dim 0, part 3 of 3)",
                             "y"});
  CHECK(plan.items[2].op == PlanItem::Op::split);
  CHECK(plan.items[2].sources == std::vector<uint32_t>{1});
  CHECK(plan.items[3].part_offset() == 4);
  CHECK(plan.counts().split == 1);
  CHECK_FALSE(plan.is_pure_rename());
  CHECK(plan.new_name_of("l.qkv.weight") == std::nullopt);

  const Plan last = planned(
      keys, "  - {regex: '^(.*)\\.qkv\\.weight$', split: {dim: -1, sizes: [1, 0, 1], " + to);
  CHECK(last.items[1].dim == 1);
  CHECK(last.items[3].part_offset() == 1);
  CHECK(last.items[2].sizes == std::vector<int64_t>{1, 0, 1});
}

TEST_CASE("a split that does not fit names key, size and parts") {
  const Keys keys = {{"a", {10, 2}}};
  CHECK(misfit(keys, "  - {exact: a, split: {to: [x, y, z]}}\n") ==
        "a has 10 elements in dimension 0, which do not divide into 3 parts (rule 1)");
  CHECK(misfit(keys, "  - {exact: a, split: {sizes: [4, 5], to: [x, y]}}\n") ==
        "a has 10 elements in dimension 0, which is not the sum of the sizes [4, 5] (rule 1)");
  CHECK(misfit(keys, "  - {exact: a, split: {dim: 2, to: [x, y]}}\n") ==
        "a has shape [10, 2] and no dimension 2 to split (rule 1)");
  CHECK(misfit(keys,
               "  - {exact: a, split: {sizes: [9223372036854775807, 9223372036854775807], "
               "to: [x, y]}}\n") != "no error");
  CHECK(make_plan(names({"a"}).info(), rules_of("  - {exact: a, split: {to: [x, y, z]}}\n")).ok());
}

TEST_CASE("concat joins the keys that give one name, in the order of match") {
  const Keys keys = {{"0.up.w", {4, 3}},
                     {"n", {1}},
                     {"0.gate.w", {2, 3}},
                     {"1.gate.w", {5, 3}},
                     {"1.up.w", {6, 3}}};
  const Plan plan = planned(
      keys,
      "  - match: ['^(.*)\\.gate\\.w$', '^(.*)\\.up\\.w$']\n    concat: {dim: 0, to: '$1.gu.w'}\n");
  CHECK(lines(plan) == Lines{"0.gate.w + 0.up.w -> 0.gu.w  (rule 1, concat dim 0)", "n",
                             "1.gate.w + 1.up.w -> 1.gu.w  (rule 1, concat dim 0)"});
  CHECK(plan.items[0].sources == std::vector<uint32_t>{2, 0});
  CHECK(plan.items[0].sizes == std::vector<int64_t>{2, 4});
  CHECK(plan.counts().concatenated == 2);
  CHECK(plan.uses[0].count == 4);
}

TEST_CASE("a group to join must be complete, unambiguous and of one shape") {
  const std::string rule =
      "  - match: ['^(.*)\\.gate$', '^(.*)\\.up$']\n    concat: {dim: 0, to: '$1.gu'}\n";
  CHECK(misfit({{"0.gate", {2}}}, rule) ==
        "0.gu lacks its part 2: no key matches \"^(.*)\\\\.up$\" beside 0.gate (rule 1)");
  CHECK(misfit({{"0.gate", {2, 3}}, {"0.up", {2, 4}}}, rule) ==
        "0.gate [2, 3] and 0.up [2, 4] cannot be joined along dimension 0 (rule 1)");
  CHECK(misfit({{"0.gate", {}}, {"0.up", {}}}, rule) ==
        "0.gate has shape [] and no dimension 0 to join along (rule 1)");
  CHECK(misfit({{"a", {2}}, {"b", {2}}, {"c", {2}}},
               "  - match: ['[ab]', 'c']\n    concat: {to: 'x'}\n") ==
        "a and b are both part 1 of x (rule 1)");
}

TEST_CASE("transpose gives the order of dimensions, and continues") {
  const Keys keys = {{"a.fc.weight", {2, 3}}, {"c", {2, 3, 4}}};
  const Plan plan = planned(keys, R"(
  - {exact: c, transpose: [1, 2, 0], continue: true}
  - {exact: c, transpose: [1, 2, 0], continue: true}
  - {exact: c, to: d}
  - {glob: '*.fc.weight', transpose: [1, 0]}
)");
  CHECK(lines(plan) == Lines{"a.fc.weight -> a.fc.weight  (rule 4, transpose 1,0)",
                             "c -> d  (rule 1, rule 2, rule 3, transpose 2,0,1)"});
  CHECK(plan.new_name_of("c") == "d");
  CHECK(misfit(keys, "  - {exact: c, transpose: [1, 0]}\n") ==
        "c has shape [2, 3, 4], which is not of 2 dimensions (rule 1)");
  CHECK(misfit(keys,
               "  - {exact: c, transpose: [2, 1, 0], continue: true}\n"
               "  - {exact: c, split: {to: [x, y]}}\n") ==
        "c is transposed and split; one run does one of these (rule 2)");
}

TEST_CASE("problems come together, the first ten") {
  Keys keys({});
  for (int i = 0; i < 12; ++i) keys.entries.push_back({"k" + std::to_string(i), {3}});
  const std::string text = misfit(keys, "  - {prefix: k, split: {to: [a, b]}}\n");
  CHECK(text.starts_with(
      "12 tensors do not fit their rules\n  k0 has 3 elements in dimension 0, which"));
  CHECK(text.ends_with("\n  and 2 more"));
  CHECK(text.find("k9") != std::string::npos);
  CHECK(text.find("k10") == std::string::npos);
}

TEST_CASE("two tensors never get one name") {
  CHECK(complaint(names({"a", "b"}), "  - {regex: '.', to: c}\n") == "a and b both become c");
  CHECK(complaint(names({"a", "b"}), "  - {exact: a, to: b}\n") == "a and b both become b");
  CHECK(complaint(names({"a", "b", "c"}), "  - {regex: '.', to: d}\n") ==
        "2 names would be given twice\n  a and b both become d\n  a and c both become d");
  CHECK(complaint(names({"a"}), "  - {exact: a, to: ''}\n") == "a would get an empty name");
  CHECK(complaint({{"a", {2}}}, "  - {exact: a, split: {to: [x, x]}}\n") ==
        "a and a both become x");
  // Swapping two names is no collision.
  CHECK(new_names(planned(names({"a", "b"}), "  - {exact: a, to: b}\n  - {exact: b, to: a}\n")) ==
        Lines{"b", "a"});
}

TEST_CASE("what has no effect is a warning, or an error with strict") {
  const Keys keys = names({"a"});
  const Plan plan = planned(keys, "  - {exact: a, to: b}\n  - {exact: z, to: y}\n");
  CHECK(plan.warnings == Lines{"r.yaml:4: rule 2 matched nothing"});
  mlc::RuleOptions strict;
  strict.strict = true;
  CHECK(complaint(keys, "  - {exact: a, to: b}\n  - {exact: z, to: y}\n", strict) ==
        "r.yaml:4: rule 2 matched nothing");
  CHECK(planned(keys, "  - {exact: a, to: a}\n").warnings == Lines{"the rules change nothing"});
  CHECK_FALSE(planned(keys, "  - {exact: a, to: a}\n").changes_anything());
  // It was said to match nothing, though it does, too late.
  CHECK(planned(names({"a", "b"}), "  - {exact: a, to: c}\n  - {glob: a, drop: true}\n").warnings ==
        Lines{"r.yaml:4: rule 2 matched nothing; it fits 1 key, but the first rule that fits a key "
              "takes it: a goes to rule 1. Put it before that one"});
  CHECK(planned(names({"la"}), "  - {prefix: l, to: m, continue: true}\n  - {exact: la, to: c}\n")
            .warnings ==
        Lines{"r.yaml:4: rule 2 matched nothing; it fits the old name of 1 key, such as la, which "
              "rule 1 renames before it: write it for the new names"});
  CHECK(complaint(keys, "  - {exact: z, to: y}\n", strict) ==
        "2 warnings, which --strict makes errors\n  the rules change nothing\n"
        "  r.yaml:3: rule 1 matched nothing");
}

TEST_CASE("require_all wants a rule for every key") {
  mlc::RuleOptions options;
  options.require_all = true;
  CHECK(complaint(names({"a", "b"}), "  - {exact: a, to: c}\n", options) ==
        "no rule matches b\nhint: 'keep: true' is the action for keys that stay as they are");
  CHECK(complaint(names({"a", "b"}), "  - {exact: a, to: c}\n  - {exact: b, keep: true}\n",
                  options) == "no error");
}

TEST_CASE("names cannot grow without end") {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "  - {regex: '^.*$', to: '$0$0', continue: true}\n";
  CHECK(misfit(names({"a"}), text) ==
        "rule 17 makes a name longer than 65,536 bytes from \"" + std::string(120, 'a') + "...\"");
}

TEST_CASE("keys need not be UTF-8") {
  const Keys keys = names({"a\xff.w", "b"});
  CHECK(new_names(planned(keys, "  - {glob: 'a*.w', to: 'c$1'}\n")) == Lines{"c\xff", "b"});
  CHECK(lines(planned(keys, "  - {suffix: .w, drop: true}\n"))[1] == "drop a\\xff.w  (rule 1)");
}

TEST_CASE("the DenseNet rules give torchvision's names of today") {
  auto rules = RuleSet::parse_file(MLC_SOURCE_DIR "/examples/densenet-keys/rules.yaml");
  REQUIRE(rules.ok());
  const std::string layer = "features.denseblock1.denselayer1.";
  Lines old = {"features.conv0.weight", "features.transition1.norm.weight", "classifier.bias"};
  Lines now = old;
  for (const char* part : {"norm.1", "conv.1", "norm.2", "conv.2"}) {
    old.push_back(layer + part + ".weight");
    now.push_back(layer + std::string(part, 4) + part[5] + ".weight");
  }
  old.push_back("features.denseblock4.denselayer16.norm.2.running_mean");
  now.push_back("features.denseblock4.denselayer16.norm2.running_mean");
  auto plan = make_plan(names(old).info(), *rules);
  REQUIRE(plan.ok());
  CHECK(new_names(*plan) == now);
  CHECK(plan->is_pure_rename());
}

TEST_CASE("the example of the schema parses") {
  auto rules = RuleSet::parse_file(MLC_SOURCE_DIR "/schemas/examples/rules.yaml");
  REQUIRE(message_of(rules) == "no error");
  CHECK(rules->file_rule_count() == 12);
}
