#include "mlc/keys/plan_builder.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/keys/problem_list.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace mlc {
namespace {

using Op = PlanItem::Op;
constexpr uint32_t kNone = NameIndex::kNone;

std::string shape_text(std::span<const int64_t> shape) {
  std::string out = "[";
  for (const int64_t size : shape) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(size);
  }
  return out + "]";
}

/// A key that a short form dropped after a rule had renamed it.
struct LostKey {
  uint32_t source = 0;
  uint32_t renaming = 0;  // the last rule that did
  uint32_t dropping = 0;
  std::string name;  // by then
};

class PlanBuilder {
 public:
  PlanBuilder(std::span<const KeyInfo> keys, const RuleSet& rules, const RuleOptions& options);
  Result<Plan> build();

 private:
  Status apply_file();
  Status place(uint32_t source, const FirstMatch& first);
  bool refuse_other(uint32_t source, uint32_t rule, std::string_view verb);
  Status rewrite(const Rule& rule, FirstMatch::Hit hit, size_t which, std::string& name);
  Status split(const Rule& rule, FirstMatch::Hit hit, const PlanItem& draft);
  Status join(const Rule& rule, FirstMatch::Hit hit, PlanItem draft);
  bool split_sizes(const Rule& rule, uint32_t source, PlanItem& part);
  void transpose(const Rule& rule, PlanItem& draft);
  void finish_groups();
  void finish_group(PlanItem& item);
  void join_sizes(PlanItem& item);

  Status apply(const ShortForm& form);
  Status apply_map(uint32_t index);
  Status rename_items(uint32_t index, const Pattern& pattern, bool blanket = false);
  bool is_beside(const PlanItem& item) const { return keys_[item.sources[0]].is_beside(); }
  void keep_items(const ShortForm& form);
  void drop_item(PlanItem& item, uint32_t rule);
  void use(uint32_t rule, const PlanItem& item);

  void warn();
  std::string renamed_before(size_t rule) const;
  std::string taken_before(size_t rule) const;
  bool survives(uint32_t renaming) const;
  uint32_t kept_by_old_name(const ShortForm& form, uint32_t source) const;
  void warn_of_lost(const ShortForm& form);
  Status check_options();
  void problem(const std::string& text, uint32_t rule) {
    problems_.add(text + " (" + plan_.uses[rule].label + ")");
  }
  std::string key(uint32_t source) const { return sentence_key(plan_.names[source]); }

  std::span<const KeyInfo> keys_;
  const RuleSet& rules_;
  const RuleOptions& options_;
  Plan plan_;
  std::vector<bool> matched_;                         // per source
  std::unordered_map<std::string, uint32_t> groups_;  // "RULE NAME" -> item that joins
  std::vector<LostKey> lost_;
  ProblemList problems_;
};

PlanBuilder::PlanBuilder(std::span<const KeyInfo> keys, const RuleSet& rules,
                         const RuleOptions& options)
    : keys_(keys), rules_(rules), options_(options), matched_(keys.size()) {
  plan_.names.reserve(keys.size());
  for (const KeyInfo& key : keys) plan_.add_name(key);
  for (const Rule& rule : rules.rules()) plan_.uses.push_back({rule.label, 0});
}

Result<Plan> PlanBuilder::build() {
  MLC_CHECK(apply_file());
  for (const ShortForm& form : rules_.short_forms()) MLC_CHECK(apply(form));
  for (PlanItem& item : plan_.items) {
    if (item.op == Op::keep && item.name != plan_.names[item.sources[0]]) item.op = Op::rename;
  }
  std::stable_sort(plan_.dropped.begin(), plan_.dropped.end(),
                   [](const auto& a, const auto& b) { return a.source < b.source; });
  MLC_CHECK(check_options());
  MLC_CHECK(plan_.check_names());
  return std::move(plan_);
}

Status PlanBuilder::apply_file() {
  const FirstMatch first(std::span(rules_.rules()).first(rules_.file_rule_count()));
  plan_.items.reserve(keys_.size());
  for (uint32_t i = 0; i < keys_.size(); ++i) MLC_CHECK(place(i, first));
  finish_groups();
  if (problems_.empty()) return {};
  return usage_error(problems_.text("tensors do not fit their rules"));
}

// Follows one key through the rules of the file until one says what becomes of it.
Status PlanBuilder::place(uint32_t source, const FirstMatch& first) {
  PlanItem item;
  item.name = plan_.names[source];
  item.sources = {source};
  uint32_t from = 0;
  for (auto hit = first.find(item.name, from); hit; hit = first.find(item.name, from)) {
    const Rule& rule = rules_.rules()[hit->rule];
    use(hit->rule, item);
    item.rules.push_back(hit->rule);
    switch (rule.action) {
      case Action::keep:
        item.rules.pop_back();
        break;
      case Action::drop:
        drop_item(item, hit->rule);
        return {};
      case Action::split:
        return split(rule, *hit, item);
      case Action::concat:
        return join(rule, *hit, std::move(item));
      case Action::rename:
        MLC_CHECK(rewrite(rule, *hit, 0, item.name));
        break;
      case Action::transpose:
        transpose(rule, item);
        break;
    }
    if (!rule.continues) break;
    from = hit->rule + 1;
  }
  plan_.items.push_back(std::move(item));
  return {};
}

Status PlanBuilder::rewrite(const Rule& rule, FirstMatch::Hit hit, size_t which,
                            std::string& name) {
  auto renamed = rule.patterns[hit.pattern].rewrite(name, rule.to[which], rule.all);
  if (!renamed)
    return usage_error(rule.label + " makes a name longer than " + format_count(kMaxKeyBytes) +
                       " bytes from " + quoted(name));
  name = std::move(*renamed);
  return {};
}

// Whether SOURCE has no elements to do something with; a problem is noted then.
bool PlanBuilder::refuse_other(uint32_t source, uint32_t rule, std::string_view verb) {
  if (keys_[source].is_tensor) return false;
  problem(key(source) + " is no tensor, which nothing can " + std::string(verb), rule);
  return true;
}

void PlanBuilder::transpose(const Rule& rule, PlanItem& draft) {
  const uint32_t source = draft.sources[0];
  if (refuse_other(source, draft.rules.back(), "transpose")) return;
  const size_t rank = rule.permutation.size();
  if (keys_[source].has_shape && keys_[source].shape.size() != rank) {
    problem(key(source) + " has shape " + shape_text(keys_[source].shape) + ", which is not of " +
                plural(rank, "dimension"),
            draft.rules.back());
    return;
  }
  if (draft.op == Op::transpose && draft.permutation.size() == rank) {
    std::vector<int64_t> both;  // the second permutation speaks of dimensions the first has moved
    for (const int64_t dim : rule.permutation)
      both.push_back(draft.permutation[static_cast<size_t>(dim)]);
    draft.permutation = std::move(both);
  } else {
    draft.permutation = rule.permutation;
  }
  draft.op = Op::transpose;
}

// Fills in dimension and sizes of PART; false (and a problem noted) where SOURCE cannot be cut so.
bool PlanBuilder::split_sizes(const Rule& rule, uint32_t source, PlanItem& part) {
  part.dim = rule.dim;
  part.sizes = rule.sizes;
  if (!keys_[source].has_shape) return true;
  const auto shape = keys_[source].shape;
  const auto rank = static_cast<int64_t>(shape.size());
  if (part.dim < -rank || part.dim >= rank)
    return problem(key(source) + " has shape " + shape_text(shape) + " and no dimension " +
                       std::to_string(part.dim) + " to split",
                   part.rules.back()),
           false;
  if (part.dim < 0) part.dim += rank;
  const int64_t size = shape[static_cast<size_t>(part.dim)];
  const std::string what = key(source) + " has " + std::to_string(size) +
                           " elements in dimension " + std::to_string(part.dim);
  if (rule.sizes.empty()) {
    if (size % part.parts != 0)
      return problem(what + ", which do not divide into " + std::to_string(part.parts) + " parts",
                     part.rules.back()),
             false;
    part.sizes.assign(part.parts, size / part.parts);
    return true;
  }
  int64_t left = size;  // subtracting from it cannot overflow: sizes are not negative
  for (const int64_t one : rule.sizes) left = one > left ? -1 : left - one;
  if (left == 0) return true;
  return problem(what + ", which is not the sum of the sizes " + shape_text(rule.sizes),
                 part.rules.back()),
         false;
}

Status PlanBuilder::split(const Rule& rule, FirstMatch::Hit hit, const PlanItem& draft) {
  if (refuse_other(draft.sources[0], hit.rule, "split")) return {};
  if (draft.op == Op::transpose)
    return problem(key(draft.sources[0]) + " is transposed and split; one run does one of these",
                   hit.rule),
           Status();
  PlanItem part = draft;
  part.op = Op::split;
  part.parts = static_cast<uint32_t>(rule.to.size());
  if (!split_sizes(rule, draft.sources[0], part)) return {};
  for (part.part = 0; part.part < part.parts; ++part.part) {
    part.name = draft.name;
    MLC_CHECK(rewrite(rule, hit, part.part, part.name));
    plan_.items.push_back(part);
  }
  return {};
}

Status PlanBuilder::join(const Rule& rule, FirstMatch::Hit hit, PlanItem draft) {
  const uint32_t source = draft.sources[0];
  if (refuse_other(source, hit.rule, "join")) return {};
  if (draft.op == Op::transpose)
    return problem(key(source) + " is transposed and joined; one run does one of these", hit.rule),
           Status();
  MLC_CHECK(rewrite(rule, hit, hit.pattern, draft.name));
  const std::string group = std::to_string(hit.rule) + " " + draft.name;
  const auto [entry, is_new] =
      groups_.try_emplace(group, static_cast<uint32_t>(plan_.items.size()));
  if (is_new) {
    draft.op = Op::concat;
    draft.dim = rule.dim;
    draft.sources.assign(rule.patterns.size(), kNone);
    plan_.items.push_back(std::move(draft));
  }
  uint32_t& place = plan_.items[entry->second].sources[hit.pattern];
  if (place != kNone) {
    problem(key(place) + " and " + key(source) + " are both part " +
                std::to_string(hit.pattern + 1) + " of " +
                sentence_key(plan_.items[entry->second].name),
            hit.rule);
    return {};
  }
  place = source;
  return {};
}

void PlanBuilder::finish_groups() {
  if (groups_.empty()) return;
  for (PlanItem& item : plan_.items) {
    if (item.op == Op::concat) finish_group(item);
  }
}

/// Whether pattern WHICH of RULE is one of those before it.
bool stands_before(const Rule& rule, size_t which) {
  return std::any_of(rule.patterns.begin(), rule.patterns.begin() + static_cast<ptrdiff_t>(which),
                     [&](const Pattern& one) { return one.text() == rule.patterns[which].text(); });
}

void PlanBuilder::finish_group(PlanItem& item) {
  const Rule& rule = rules_.rules()[item.rules.back()];
  std::string found;
  for (const uint32_t source : item.sources) {
    if (source == kNone) continue;
    found += (found.empty() ? "" : ", ") + key(source);
  }
  bool complete = true;
  for (size_t i = 0; i < item.sources.size(); ++i) {
    if (item.sources[i] != kNone) continue;
    complete = false;
    const std::string text = quoted(rule.patterns[i].text());
    problem(sentence_key(item.name) + " lacks its part " + std::to_string(i + 1) + ": " +
                (stands_before(rule, i)
                     ? text + " stands twice in match, and a key goes to the first of them"
                     : "no key matches " + text + " beside " + found),
            item.rules.back());
  }
  if (complete) join_sizes(item);
}

void PlanBuilder::join_sizes(PlanItem& item) {
  const bool known = std::all_of(item.sources.begin(), item.sources.end(),
                                 [&](uint32_t source) { return keys_[source].has_shape; });
  if (!known) return;
  const auto first = keys_[item.sources[0]].shape;
  const auto rank = static_cast<int64_t>(first.size());
  if (item.dim < -rank || item.dim >= rank)
    return problem(key(item.sources[0]) + " has shape " + shape_text(first) + " and no dimension " +
                       std::to_string(item.dim) + " to join along",
                   item.rules.back());
  if (item.dim < 0) item.dim += rank;
  const auto dim = static_cast<size_t>(item.dim);
  for (const uint32_t source : item.sources) {
    const auto shape = keys_[source].shape;
    bool fits = shape.size() == first.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) fits = i == dim || shape[i] == first[i];
    if (!fits)
      return problem(key(item.sources[0]) + " " + shape_text(first) + " and " + key(source) + " " +
                         shape_text(shape) + " cannot be joined along dimension " +
                         std::to_string(item.dim),
                     item.rules.back());
    item.sizes.push_back(shape[dim]);
  }
}

void PlanBuilder::use(uint32_t rule, const PlanItem& item) {
  ++plan_.uses[rule].count;
  for (const uint32_t source : item.sources) matched_[source] = true;
}

void PlanBuilder::drop_item(PlanItem& item, uint32_t rule) {
  const bool renamed = !item.rules.empty() && item.name != plan_.names[item.sources[0]];
  if (renamed && rule >= rules_.file_rule_count()) {
    lost_.push_back({item.sources[0], item.rules.back(), rule, item.name});
  }
  for (const uint32_t source : item.sources) plan_.dropped.push_back({source, rule, item.name});
  item.sources.clear();  // marks it for removal
}

Status PlanBuilder::apply(const ShortForm& form) {
  const uint32_t index = form.rules[0];
  const Pattern& pattern = rules_.rules()[index].patterns[0];
  switch (form.kind) {
    case ShortForm::Kind::map:
      return apply_map(index);
    case ShortForm::Kind::regex:
      return rename_items(index, pattern);
    case ShortForm::Kind::add_prefix:
      return rename_items(index, pattern, true);
    case ShortForm::Kind::keep:
      keep_items(form);
      break;
    case ShortForm::Kind::drop:
      for (PlanItem& item : plan_.items) {
        if (!pattern.matches(item.name)) continue;
        use(index, item);
        drop_item(item, index);
      }
      break;
  }
  std::erase_if(plan_.items, [](const PlanItem& item) { return item.sources.empty(); });
  return {};
}

Status PlanBuilder::apply_map(uint32_t index) {
  const Rule& rule = rules_.rules()[index];
  const bool is_key = std::any_of(plan_.items.begin(), plan_.items.end(), [&](const auto& item) {
    return rule.patterns[0].matches(item.name);
  });
  const uint64_t before = plan_.uses[index].count;
  MLC_CHECK(rename_items(index, rule.patterns[is_key ? 0 : 1]));
  if (!is_key && plan_.uses[index].count > before)
    plan_.notes.push_back(rule.label + " renames the " + plural(plan_.uses[index].count, "key") +
                          " that begin with " + printable(rule.patterns[1].text()));
  return {};
}

// BLANKET: the rule is for every key, and so for none of what stands beside the model.
Status PlanBuilder::rename_items(uint32_t index, const Pattern& pattern, bool blanket) {
  const Rule& rule = rules_.rules()[index];
  const auto which = static_cast<uint32_t>(&pattern - rule.patterns.data());
  for (PlanItem& item : plan_.items) {
    if (!pattern.matches(item.name) || (blanket && is_beside(item))) continue;
    use(index, item);
    item.rules.push_back(index);
    MLC_CHECK(rewrite(rule, {index, which}, which, item.name));
  }
  return {};
}

void PlanBuilder::keep_items(const ShortForm& form) {
  for (PlanItem& item : plan_.items) {
    bool kept = false;
    for (const uint32_t index : form.rules) {
      if (!rules_.rules()[index].patterns[0].matches(item.name)) continue;
      use(index, item);
      kept = true;
    }
    if (!kept && !is_beside(item)) drop_item(item, form.rules[0]);
  }
}

// "; rules before it made x of backbone.x, ..." where the short form RULE would match an old name.
std::string PlanBuilder::renamed_before(size_t rule) const {
  if (rule < rules_.file_rule_count()) return {};  // those of a file see old names
  const auto told = [&](uint32_t source, const std::string& now) -> std::string {
    const std::string& old = plan_.names[source];
    if (now == old || !rules_.rules()[rule].patterns[0].matches(old)) return {};
    return "; by then " + sentence_key(old) + " is " + sentence_key(now) +
           ": write it for the new names, or put it before the options that rename";
  };
  for (const PlanItem& item : plan_.items) {
    if (item.sources.size() != 1) continue;
    if (std::string text = told(item.sources[0], item.name); !text.empty()) return text;
  }
  for (const auto& one : plan_.dropped) {
    if (std::string text = told(one.source, one.name); !text.empty()) return text;
  }
  return {};
}

// "; rule 2 comes first and takes a.b, ..." where RULE, of the file, would match keys.
std::string PlanBuilder::taken_before(size_t rule) const {
  if (rule >= rules_.file_rule_count()) return {};
  const std::vector<Pattern>& patterns = rules_.rules()[rule].patterns;
  uint64_t keys = 0;
  std::optional<uint32_t> example;
  for (uint32_t i = 0; i < plan_.names.size(); ++i) {
    const bool fits = std::any_of(patterns.begin(), patterns.end(),
                                  [&](const Pattern& one) { return one.matches(plan_.names[i]); });
    if (!fits) continue;
    ++keys;
    if (!example) example = i;
  }
  if (!example) return {};
  const auto taker =
      FirstMatch(std::span(rules_.rules()).first(rule)).find(plan_.names[*example], 0);
  if (!taker) return {};
  const std::string by = plan_.uses[taker->rule].label;
  if (rules_.rules()[taker->rule].continues) {
    return "; it fits the old name of " + plural(keys, "key") + ", such as " + key(*example) +
           ", which " + by + " renames before it: write it for the new names";
  }
  return "; it fits " + plural(keys, "key") +
         ", but the first rule that fits a key takes it: " + key(*example) + " goes to " + by +
         ". Put it before that one";
}

// Whether the output has a key that rule RENAMING was applied to.
bool PlanBuilder::survives(uint32_t renaming) const {
  return std::any_of(plan_.items.begin(), plan_.items.end(), [renaming](const PlanItem& item) {
    return std::find(item.rules.begin(), item.rules.end(), renaming) != item.rules.end();
  });
}

// The rule of the --keep FORM that matches the old name of SOURCE; kNone without one.
uint32_t PlanBuilder::kept_by_old_name(const ShortForm& form, uint32_t source) const {
  if (form.kind != ShortForm::Kind::keep) return kNone;
  for (const uint32_t index : form.rules) {
    if (rules_.rules()[index].patterns[0].matches(plan_.names[source])) return index;
  }
  return kNone;
}

// FORM sees new names. Where a --keep matches the old name of what it drops, or nothing is left of
// what a rule renamed, that was hardly meant; a --drop of some of the new names is.
void PlanBuilder::warn_of_lost(const ShortForm& form) {
  struct Loss {
    uint64_t keys = 0;
    const LostKey* example = nullptr;
    uint32_t by = kNone;  // of several --keep the one that was written for the old name
  };
  std::map<uint32_t, Loss> losses;  // by the rule that renamed
  for (const LostKey& key : lost_) {
    if (key.dropping != form.rules[0]) continue;
    Loss& loss = losses[key.renaming];
    ++loss.keys;
    const uint32_t by = kept_by_old_name(form, key.source);
    if (loss.example == nullptr || (loss.by == kNone && by != kNone)) loss.example = &key;
    if (loss.by == kNone) loss.by = by;
  }
  for (const auto& [renaming, loss] : losses) {
    const bool all = !survives(renaming);
    if (loss.by == kNone && !all) continue;
    const uint32_t rule = loss.by == kNone ? form.rules[0] : loss.by;
    plan_.warnings.push_back(
        plan_.uses[rule].label + " leaves out " + (all && loss.keys > 1 ? "all " : "") +
        plural(loss.keys, "key") + " that " + plan_.uses[renaming].label +
        " renamed before it, such as " + sentence_key(loss.example->name) + ", which was " +
        key(loss.example->source) +
        ": write it for the new names, or put it before the options that rename");
  }
}

void PlanBuilder::warn() {
  if (!plan_.changes_anything()) plan_.warnings.push_back("the rules change nothing");
  for (size_t i = 0; i < plan_.uses.size(); ++i) {
    if (plan_.uses[i].count > 0) continue;
    const std::string& place = rules_.rules()[i].place;
    plan_.warnings.push_back((place.empty() ? "" : place + ": ") + plan_.uses[i].label +
                             " matched nothing" + renamed_before(i) + taken_before(i));
  }
  for (const ShortForm& form : rules_.short_forms()) {
    const bool applied = std::any_of(form.rules.begin(), form.rules.end(),
                                     [this](uint32_t rule) { return plan_.uses[rule].count > 0; });
    if (applied) warn_of_lost(form);  // that another one matched nothing has been said
  }
}

Status PlanBuilder::check_options() {
  if (options_.require_all) {
    ProblemList unmatched;
    for (uint32_t i = 0; i < keys_.size(); ++i) {
      if (!matched_[i] && keys_[i].is_tensor) unmatched.add("no rule matches " + key(i));
    }
    if (!unmatched.empty())
      return conflict(unmatched.text("keys are matched by no rule"),
                      "'keep: true' is the action for keys that stay as they are");
  }
  warn();
  if (!options_.strict || plan_.warnings.empty()) return {};
  ProblemList problems;
  for (const std::string& warning : plan_.warnings) problems.add(warning);
  return conflict(problems.text("warnings, which --strict makes errors"));
}

}  // namespace

Result<Plan> make_plan(std::span<const KeyInfo> keys, const RuleSet& rules,
                       const RuleOptions& options) {
  return PlanBuilder(keys, rules, options).build();
}

}  // namespace mlc
