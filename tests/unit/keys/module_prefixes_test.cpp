#include "mlc/keys/module_prefixes.h"

#include "catch.h"
#include "keys/keys_testing.h"
#include "mlc/keys/prefix.h"

using mlc::RuleSet;
using namespace keys_testing;
using Lines = std::vector<std::string>;

namespace {

// "old -> new" for each of MODULES, "old -> (gone)" for those that go away.
Lines mapped(const Lines& modules, const mlc::Plan& plan) {
  Lines out;
  for (const auto& [old, now] : mlc::map_module_prefixes(modules, plan))
    out.push_back("'" + old + "' -> " + (now ? "'" + *now + "'" : "(gone)"));
  return out;
}

Lines followed(const Lines& modules, const Lines& keys, const std::string& rules) {
  auto parsed = RuleSet::parse(rule_file(rules), "r.yaml");
  if (!parsed.ok()) FAIL(parsed.error().text());
  auto plan = make_plan(names(keys).info(), *parsed);
  if (!plan.ok()) FAIL(plan.error().text());
  Lines out;
  for (const auto& [from, now] : mlc::follow_module_versions(modules, *plan))
    out.push_back("'" + modules[from] + "' -> '" + now + "'");
  return out;
}

Lines by_rules(const Lines& modules, const Lines& keys, const std::string& rules) {
  auto parsed = RuleSet::parse(rule_file(rules), "r.yaml");
  if (!parsed.ok()) FAIL(parsed.error().text());
  auto plan = make_plan(names(keys).info(), *parsed);
  if (!plan.ok()) FAIL(plan.error().text());
  return mapped(modules, *plan);
}

}  // namespace

TEST_CASE("stripping a wrapper strips its modules") {
  const Keys keys = names({"module.conv.weight", "module.bn.1.weight"});
  auto plan = mlc::plan_strip_prefix(keys.info(), {});
  REQUIRE(plan.ok());
  CHECK(mapped({"", "module", "module.conv", "module.bn", "module.bn.1", "module.relu"}, *plan) ==
        Lines{"'' -> ''", "'module' -> ''", "'module.conv' -> 'conv'", "'module.bn' -> 'bn'",
              "'module.bn.1' -> 'bn.1'", "'module.relu' -> 'relu'"});
}

TEST_CASE("adding a prefix adds it to modules without tensors too") {
  mlc::PrefixOptions options;
  options.add = "m.";
  auto plan = mlc::plan_strip_prefix(names({"a.weight", "b.c.weight"}).info(), options);
  REQUIRE(plan.ok());
  CHECK(mapped({"", "a", "b", "b.c", "relu"}, *plan) == Lines{"'' -> ''", "'a' -> 'm.a'",
                                                              "'b' -> 'm.b'", "'b.c' -> 'm.b.c'",
                                                              "'relu' -> 'm.relu'"});
}

TEST_CASE("DenseNet's modules with a dot in their names become whole") {
  CHECK(by_rules({"", "f", "f.denselayer1", "f.denselayer1.norm.1", "f.denselayer1.relu.1"},
                 {"f.denselayer1.norm.1.weight", "f.denselayer1.norm.1.bias"},
                 "  - {regex: '(denselayer\\d+)\\.(norm|conv)\\.(\\d)\\.', to: '$1.$2$3.'}\n") ==
        Lines{"'' -> ''", "'f' -> 'f'", "'f.denselayer1' -> 'f.denselayer1'",
              "'f.denselayer1.norm.1' -> 'f.denselayer1.norm1'",
              "'f.denselayer1.relu.1' -> 'f.denselayer1.relu.1'"});
}

TEST_CASE("a module whose tensors are dropped goes, with what is in it") {
  CHECK(by_rules({"", "head", "head.fc", "head.relu", "body"}, {"head.fc.w", "body.w", "body.n"},
                 "  - {prefix: head., drop: true}\n  - {exact: body.n, drop: true}\n") ==
        Lines{"'' -> ''", "'head' -> (gone)", "'head.fc' -> (gone)", "'head.relu' -> (gone)",
              "'body' -> 'body'"});
}

TEST_CASE("renamed parameters still show where their module is") {
  CHECK(by_rules({"ln"}, {"ln.gamma", "ln.beta"},
                 "  - {exact: ln.gamma, to: norm.weight}\n  - {exact: ln.beta, to: norm.bias}\n") ==
        Lines{"'ln' -> 'norm'"});
  CHECK(by_rules(
            {"ln"}, {"ln.gamma", "ln.bias"},
            "  - {exact: ln.gamma, to: elsewhere.weight}\n  - {exact: ln.bias, to: norm.bias}\n") ==
        Lines{"'ln' -> 'norm'"});
}

TEST_CASE("modules that come apart stay where they are") {
  CHECK(by_rules({"m", "m.a", "m.b", "m.a.relu"}, {"m.a.w", "m.b.w"},
                 "  - {prefix: m.a., to: x.a.}\n  - {prefix: m.b., to: y.b.}\n") ==
        Lines{"'m' -> 'm'", "'m.a' -> 'x.a'", "'m.b' -> 'y.b'", "'m.a.relu' -> 'x.a.relu'"});
}

TEST_CASE("split modules go and joined ones meet") {
  CHECK(by_rules({"attn", "attn.qkv"}, {"attn.qkv.weight", "attn.qkv.bias"},
                 "  - {regex: 'qkv\\.(.*)', split: {to: ['q.$1', 'k.$1']}}\n") ==
        Lines{"'attn' -> 'attn'", "'attn.qkv' -> (gone)"});
  CHECK(by_rules({"gate", "up"}, {"gate.weight", "up.weight"},
                 "  - {match: [gate, up], concat: {to: gate_up}}\n") ==
        Lines{"'gate' -> 'gate_up'", "'up' -> 'gate_up'"});
}

TEST_CASE("every part of a split module has its version") {
  CHECK(followed({"", "attn", "attn.qkv"}, {"attn.qkv.weight", "attn.qkv.bias"},
                 "  - {regex: 'qkv\\.(.*)', split: {to: ['q.$1', 'k.$1']}}\n") ==
        Lines{"'' -> ''", "'attn' -> 'attn'", "'attn.qkv' -> 'attn.q'", "'attn.qkv' -> 'attn.k'"});
}

TEST_CASE("a module keeps its version while a tensor stays, and the target its own") {
  const Lines modules = {"", "blk", "blk.bn", "top"};
  const Lines keys = {"blk.scale", "blk.bn.weight", "top.w"};
  CHECK(followed(modules, keys, "  - {exact: blk.scale, to: top.scale}\n") ==
        Lines{"'' -> ''", "'blk' -> 'blk'", "'blk.bn' -> 'blk.bn'", "'top' -> 'top'"});
  CHECK(followed(modules, keys, "  - {prefix: blk., to: top.}\n") ==
        Lines{"'' -> ''", "'blk.bn' -> 'top.bn'", "'top' -> 'top'"});
}
