#include "mlc/keys/rule_file.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <optional>

namespace mlc {
namespace {

using yaml::Node;

constexpr int64_t kMaxRank = 64;  // PyTorch's own limit on dimensions
constexpr std::string_view kMatcherHint =
    "a rule has one of regex, glob, prefix, suffix, exact, substring, or match with concat";
constexpr std::string_view kActionHint =
    "a rule has one of to, drop, keep, split, concat, transpose; to transpose and rename, write "
    "two "
    "rules, of which the first has `continue: true`";

constexpr std::array<std::string_view, 7> kMatchers = {"regex", "glob",      "prefix", "suffix",
                                                       "exact", "substring", "match"};

// Same error, but pointing at NODE.
Error at(const Node& node, const Error& error) {
  return node.error(error.message(), error.hint());
}

struct Entry {
  std::string name;
  Node node;
};

Result<Entry> only_one(const Node& rule, std::span<const std::string_view> names,
                       std::string_view what, std::string_view hint) {
  std::optional<Entry> found;
  for (const auto& [key, value] : rule.entries()) {
    if (std::find(names.begin(), names.end(), key) == names.end()) continue;
    if (found)
      return rule.key_error(key,
                            "a rule has one " + std::string(what) + ", but this one has " +
                                quoted(found->name) + " and " + quoted(key),
                            std::string(hint));
    found = Entry{key, value};
  }
  if (!found) return rule.error("this rule has no " + std::string(what), std::string(hint));
  return std::move(*found);
}

Status must_be_true(const Node& node, std::string_view key) {
  MLC_TRY(const bool value, node.as_bool());
  if (!value)
    return node.error(std::string(key) + " must be true",
                      "leave the rule out where it shall not act");
  return {};
}

Result<bool> flag(const Node& rule, std::string_view key) {
  const Node* node = rule.find(key);
  if (!node) return false;
  return node->as_bool();
}

Status add_pattern(const Node& node, MatchKind kind, Rule& rule) {
  MLC_TRY(const std::string text, node.as_string());
  auto pattern = Pattern::compile(kind, text);
  if (!pattern.ok()) return at(node, pattern.error());
  rule.patterns.push_back(std::move(pattern).value());
  return {};
}

Status add_replacement(const Node& node, const Pattern& pattern, Rule& rule) {
  MLC_TRY(const std::string text, node.as_string());
  auto to = pattern.replacement(text);
  if (!to.ok()) return at(node, to.error());
  rule.to.push_back(std::move(to).value());
  return {};
}

Status read_matcher(const Node& node, Rule& rule) {
  MLC_TRY(const Entry matcher, only_one(node, kMatchers, "matcher", kMatcherHint));
  if (matcher.name != "match") {
    const auto row = std::find(kMatchers.begin(), kMatchers.end(), matcher.name);
    return add_pattern(matcher.node, static_cast<MatchKind>(row - kMatchers.begin()), rule);
  }
  if (matcher.node.items().size() < 2)
    return matcher.node.error(
        "match must be a list of two or more regexes, one for each tensor to join");
  for (const Node& item : matcher.node.items())
    MLC_CHECK(add_pattern(item, MatchKind::regex, rule));
  return {};
}

Status read_to(const Node& node, Rule& rule) {
  rule.action = Action::rename;
  return add_replacement(node, rule.patterns[0], rule);
}

Status read_drop(const Node& node, Rule& rule) {
  rule.action = Action::drop;
  return must_be_true(node, "drop");
}

Status read_keep(const Node& node, Rule& rule) {
  rule.action = Action::keep;
  return must_be_true(node, "keep");
}

Status read_dim(const Node& node, Rule& rule) {
  const Node* dim = node.find("dim");
  if (!dim) return {};
  MLC_TRY(rule.dim, dim->as_int());
  if (rule.dim < -kMaxRank || rule.dim >= kMaxRank)
    return dim->error("no tensor has a dimension " + std::to_string(rule.dim));
  return {};
}

Status need_mapping(const Node& node, std::string_view key, std::string_view example) {
  if (node.kind() == yaml::Kind::mapping) return {};
  return node.error(std::string(key) + " must be a mapping, found " + node.describe(),
                    "for example " + std::string(key) + ": " + std::string(example));
}

Result<Node> need(const Node& node, std::string_view owner, std::string_view key) {
  const Node* found = node.find(key);
  if (!found) return node.error(std::string(owner) + " needs " + quoted(key));
  return *found;
}

Status read_sizes(const Node& node, size_t parts, Rule& rule) {
  for (const Node& item : node.items()) {
    MLC_TRY(const int64_t size, item.as_int());
    if (size < 0) return item.error("a part cannot have fewer than 0 elements");
    rule.sizes.push_back(size);
  }
  if (rule.sizes.size() != parts)
    return node.error("sizes must be a list with one size for each of the " +
                      std::to_string(parts) + " names in to");
  return {};
}

Status read_split(const Node& node, Rule& rule) {
  rule.action = Action::split;
  MLC_CHECK(need_mapping(node, "split", "{dim: 0, parts: 2, to: [$1.a, $1.b]}"));
  MLC_CHECK(node.only_keys({"dim", "parts", "sizes", "to"}));
  MLC_CHECK(read_dim(node, rule));
  MLC_TRY(const Node to, need(node, "split", "to"));
  const size_t parts = to.items().size();
  if (parts < 2) return to.error("split needs a list of two or more names in to");
  for (const Node& item : to.items()) MLC_CHECK(add_replacement(item, rule.patterns[0], rule));

  const Node* sizes = node.find("sizes");
  const Node* count = node.find("parts");
  if (sizes && count)
    return node.key_error("sizes", "split has parts or sizes, but this one has both");
  if (sizes) return read_sizes(*sizes, parts, rule);
  if (!count) return {};
  MLC_TRY(const int64_t expected, count->as_int());
  if (expected != static_cast<int64_t>(parts))
    return count->error("split into " + std::to_string(expected) + " parts has " +
                        std::to_string(parts) + " names in to");
  return {};
}

Status read_concat(const Node& node, Rule& rule) {
  rule.action = Action::concat;
  MLC_CHECK(need_mapping(node, "concat", "{dim: 0, to: $1.ab}"));
  MLC_CHECK(node.only_keys({"dim", "to"}));
  MLC_CHECK(read_dim(node, rule));
  MLC_TRY(const Node to, need(node, "concat", "to"));
  for (const Pattern& pattern : rule.patterns) MLC_CHECK(add_replacement(to, pattern, rule));
  return {};
}

Status read_transpose(const Node& node, Rule& rule) {
  rule.action = Action::transpose;
  for (const Node& item : node.items()) {
    MLC_TRY(const int64_t dim, item.as_int());
    rule.permutation.push_back(dim);
  }
  std::vector<int64_t> sorted = rule.permutation;
  std::sort(sorted.begin(), sorted.end());
  bool complete = sorted.size() >= 2 && sorted.size() <= static_cast<size_t>(kMaxRank);
  for (size_t i = 0; complete && i < sorted.size(); ++i)
    complete = sorted[i] == static_cast<int64_t>(i);
  if (!complete)
    return node.error("transpose must be a list with every dimension from 0 on once",
                      "[1, 0] swaps the two dimensions of a matrix");
  return {};
}

struct ActionRow {
  std::string_view name;
  Status (*read)(const Node& node, Rule& rule);
};
constexpr std::array<ActionRow, 6> kActions = {{{"to", read_to},
                                                {"drop", read_drop},
                                                {"keep", read_keep},
                                                {"split", read_split},
                                                {"concat", read_concat},
                                                {"transpose", read_transpose}}};

Status read_action(const Node& node, Rule& rule) {
  std::array<std::string_view, kActions.size()> names;
  std::transform(kActions.begin(), kActions.end(), names.begin(),
                 [](auto& row) { return row.name; });
  MLC_TRY(const Entry action, only_one(node, names, "action", kActionHint));
  const bool joins = action.name == "concat";
  if (joins && !node.find("match"))
    return node.key_error("concat",
                          "concat needs match, a list of regexes, one for each tensor to join");
  if (!joins && node.find("match"))
    return node.key_error("match", "match goes with concat only", "use regex for one pattern");
  const auto row = std::find(names.begin(), names.end(), action.name);
  return kActions[static_cast<size_t>(row - names.begin())].read(action.node, rule);
}

Status read_modifiers(const Node& node, Rule& rule) {
  MLC_TRY(rule.continues, flag(node, "continue"));
  MLC_TRY(rule.all, flag(node, "all"));
  const bool renames = rule.action == Action::rename;
  if (rule.continues && !renames && rule.action != Action::transpose)
    return node.key_error("continue", "only rules with to or transpose can continue");
  if (rule.all && !(renames && (node.find("regex") || node.find("substring"))))
    return node.key_error("all", "all goes with regex or substring and to only");
  return {};
}

Result<Rule> read_rule(const Node& node, size_t number, const std::string& file) {
  if (node.kind() != yaml::Kind::mapping)
    return node.error("a rule must be a mapping, found " + node.describe());
  MLC_CHECK(
      node.only_keys({"regex", "glob", "prefix", "suffix", "exact", "substring", "match", "to",
                      "drop", "keep", "split", "concat", "transpose", "continue", "all"}));
  Rule rule;
  rule.label = "rule " + std::to_string(number);
  rule.place = file + ":" + std::to_string(node.line());
  MLC_CHECK(read_matcher(node, rule));
  MLC_CHECK(read_action(node, rule));
  MLC_CHECK(read_modifiers(node, rule));
  return rule;
}

}  // namespace

Result<std::vector<Rule>> read_rule_file(const Node& root, const std::string& file) {
  constexpr const char* kExample = "a rule file has 'version: 1' and 'rules:', a list of rules";
  if (root.kind() != yaml::Kind::mapping)
    return root.error("a rule file must be a mapping, found " + root.describe(), kExample);
  MLC_CHECK(root.only_keys({"version", "rules"}));
  const Node* version = root.find("version");
  if (!version) return root.error("the rule file does not say its version", kExample);
  MLC_TRY(const int64_t number, version->as_int());
  if (number != 1)
    return version->error("rule files of version " + std::to_string(number) +
                          " are unknown to this mlc, which reads version 1");
  const Node* list = root.find("rules");
  if (!list) return root.error("the rule file has no rules", kExample);
  if (list->kind() != yaml::Kind::sequence)
    return list->error("rules must be a list, found " + list->describe());
  std::vector<Rule> rules;
  for (const Node& item : list->items()) {
    MLC_TRY(Rule rule, read_rule(item, rules.size() + 1, file));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace mlc
