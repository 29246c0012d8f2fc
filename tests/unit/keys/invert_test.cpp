#include "mlc/keys/invert.h"

#include "catch.h"
#include "keys/keys_testing.h"

#include <random>

using mlc::ErrorKind;
using mlc::invert;
using mlc::Plan;
using mlc::RuleSet;
using namespace keys_testing;
using Lines = std::vector<std::string>;

namespace {

Plan planned(const Keys& keys, const std::string& rules) {
  auto parsed = RuleSet::parse(rules, "r.yaml");
  if (!parsed.ok()) FAIL(parsed.error().text());
  auto plan = make_plan(keys.info(), *parsed);
  if (!plan.ok()) FAIL(plan.error().text());
  return std::move(plan).value();
}

std::string inverse_of(const Plan& plan) {
  auto text = invert(plan);
  if (!text.ok()) FAIL(text.error().text());
  return std::move(text).value();
}

// What the tensors of PLAN's output look like.
Keys outputs(const Keys& keys, const Plan& plan) {
  using Op = mlc::PlanItem::Op;
  Keys out({});
  out.has_shapes = keys.has_shapes;
  for (const auto& item : plan.items) {
    std::vector<int64_t> shape = keys.entries[item.sources[0]].shape;
    const auto dim = static_cast<size_t>(item.dim);
    if (item.op == Op::split) shape[dim] = item.sizes[item.part];
    if (item.op == Op::concat) {
      shape[dim] = 0;
      for (const int64_t size : item.sizes) shape[dim] += size;
    }
    if (item.op == Op::transpose) {
      for (size_t i = 0; i < shape.size(); ++i)
        shape[i] = keys.entries[item.sources[0]].shape[static_cast<size_t>(item.permutation[i])];
    }
    out.entries.push_back({item.name, shape});
  }
  return out;
}

Lines described(const Keys& keys) {
  Lines out;
  for (const auto& entry : keys.entries) {
    std::string line = entry.name;
    for (const int64_t size : entry.shape) line += " " + std::to_string(size);
    out.push_back(line);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void check_round_trip(const Keys& keys, const std::string& rules) {
  const Plan plan = planned(keys, rules);
  const Keys renamed = outputs(keys, plan);
  const std::string back = inverse_of(plan);
  INFO(back);
  const Plan again = planned(renamed, back);
  CHECK(described(outputs(renamed, again)) == described(keys));
}

}  // namespace

TEST_CASE("the inverse is written with exact names") {
  const Keys keys = {{"a", {1}}, {"it's", {1}}, {"k", {1}}};
  const Plan plan =
      planned(keys, rule_file("  - {exact: a, to: '$b'}\n  - {exact: \"it's\", to: c}\n"));
  CHECK(inverse_of(plan) ==
        "version: 1\nrules:\n  - exact: '$b'\n    to: 'a'\n  - exact: 'c'\n    to: 'it''s'\n");
  CHECK(inverse_of(planned(keys, "version: 1\nrules: []\n")) == "version: 1\nrules: []\n");
}

TEST_CASE("every operation can be undone") {
  const Keys keys = {{"l.qkv.w", {6, 2}}, {"l.kv.b", {6}},   {"g\\$.1", {2, 3}}, {"u", {4, 3}},
                     {"t", {2, 3, 4}},    {"s", {5, 7}},     {"a", {1}},         {"b", {1}},
                     {"new\nline", {1}},  {"\xc3\xa9", {1}}, {" sp: #", {1}},    {"kept", {0}}};
  check_round_trip(keys, rule_file(R"(
  - {regex: '^(.*)\.qkv\.w$', split: {dim: 0, to: ['$1.q+w', '$1.k', '$1.v']}}
  - {regex: '^(.*)\.kv\.b$', split: {dim: 0, sizes: [2, 4], to: ['$1.0', '$1.1']}}
  - {match: ['^g.*$', '^u$'], concat: {dim: 0, to: 'gu'}, continue: false}
  - {exact: t, transpose: [1, 2, 0], continue: true}
  - {exact: t, to: "tab\tname"}
  - {exact: s, transpose: [1, 0]}
  - {exact: a, to: b}
  - {exact: b, to: a}
  - {regex: '[^a-z]', to: 'X$0'}
)"));
}

TEST_CASE("a plan and its inverse give the names back", "[property]") {
  std::mt19937 random(7);
  const auto pick = [&](size_t count) { return static_cast<size_t>(random() % count); };
  const Lines words = {"a", "b", "layer", "0", "1", "w", "norm", "$1", "x y", "'", "\\"};
  for (int round = 0; round < 300; ++round) {
    Keys keys({});
    std::vector<std::string> seen;
    for (size_t i = 0; i < 1 + pick(12); ++i) {
      std::string name = words[pick(words.size())];
      for (size_t part = pick(3); part > 0; --part) name += "." + words[pick(words.size())];
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
      seen.push_back(name);
      keys.entries.push_back({name, {4, 6}});
    }
    const Lines rules = {"  - {prefix: 'a', to: 'p.'}\n",
                         "  - {regex: '(\\d)\\.(.*)', to: '$2_$1', continue: true}\n",
                         "  - {suffix: 'w', split: {dim: 1, to: ['w0', 'w1', 'w2']}}\n",
                         "  - {substring: 'norm', transpose: [1, 0], continue: true}\n",
                         "  - {glob: '*.*', to: '$2/$1'}\n",
                         "  - {regex: 'a', to: 'aa', all: true, continue: true}\n"};
    std::string text = "version: 1\nrules:\n";
    for (size_t i = 0; i < 1 + pick(4); ++i) text += rules[pick(rules.size())];
    auto parsed = RuleSet::parse(text, "r.yaml");
    REQUIRE(parsed.ok());
    if (!make_plan(keys.info(), *parsed).ok()) continue;  // names collided, or transposed and split
    check_round_trip(keys, text);
  }
}

TEST_CASE("what is lost cannot be inverted") {
  auto dropped = invert(planned(names({"a", "b"}), rule_file("  - {exact: a, drop: true}\n")));
  REQUIRE_FALSE(dropped.ok());
  CHECK(dropped.error().kind() == ErrorKind::conflict);
  CHECK(message_of(dropped) ==
        "the plan drops 1 tensor, first a, so no rules can bring back its input\n"
        "hint: rename with --emit-inverse in one run, drop in the next without it");
  auto joined =
      invert(planned(names({"a", "b"}), rule_file("  - {match: [a, b], concat: {to: c}}\n")));
  CHECK(message_of(joined) ==
        "the shapes of the tensors joined to c are unknown, so the inverse cannot split it\n"
        "hint: --emit-inverse needs a checkpoint here, not --only-names");
  auto bytes = invert(planned(names({"\xff"}), rule_file("  - {glob: '*', to: c}\n")));
  REQUIRE_FALSE(bytes.ok());
  CHECK(bytes.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("a renamed tensor without a name cannot be inverted") {
  auto unnamed = invert(planned(names({"", "a"}), rule_file("  - {regex: '^$', to: w}\n")));
  REQUIRE_FALSE(unnamed.ok());
  CHECK(message_of(unnamed) == "w was a tensor with an empty name, which no rule can give back");
}

TEST_CASE("an inverse of many splits is not slow") {
  Keys keys({});
  for (int i = 0; i < 3000; ++i) keys.entries.push_back({"l." + std::to_string(i) + ".qkv", {3}});
  check_round_trip(keys, rule_file("  - {suffix: qkv, split: {to: [q, k, v]}}\n"));
}
