#include "edit/rule_checks.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/tensor_identity.h"

#include <algorithm>
#include <map>

namespace mlc::cli {
namespace {

/// Whether rule NUMBER was applied to a key in any of PLANS.
bool is_used(const std::vector<const Plan*>& plans, size_t number) {
  return std::any_of(plans.begin(), plans.end(),
                     [number](const Plan* plan) { return plan->uses[number].count > 0; });
}

/// The keys of PLAN to which RULE was applied, as they are shown.
std::vector<std::string> matched_names(const Plan& plan, uint32_t rule) {
  std::vector<std::string> names;
  for (const DroppedKey& key : plan.dropped) {
    if (key.rule == rule) names.push_back(sentence_key(plan.names[key.source]));
  }
  for (const PlanItem& item : plan.items) {
    const bool by_rule = std::find(item.rules.begin(), item.rules.end(), rule) != item.rules.end();
    if (by_rule) names.push_back(sentence_key(plan.names[item.sources[0]]));
  }
  return names;
}

constexpr std::string_view kSame = "same";

/// What the rules make of each source of PLAN: texts that are equal where tied tensors stay tied,
/// none for a tensor that is dropped.
std::vector<std::string> fates_of(const Plan& plan) {
  std::vector<std::string> fates(plan.names.size());
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    std::string fate(kSame);
    if (item.op == PlanItem::Op::transpose) {
      fate = "transpose";
      for (const int64_t dim : item.permutation) fate += " " + std::to_string(dim);
    } else if (item.op == PlanItem::Op::split || item.op == PlanItem::Op::concat) {
      fate = "own " + std::to_string(i);
    }
    for (const uint32_t source : item.sources) fates[source] = fate;
  }
  return fates;
}

/// GROUPS of tensors that share their memory no more, each as text.
void warn_of_groups(const std::vector<std::string>& groups, Reporter& reporter) {
  if (groups.empty()) return;
  const size_t more = groups.size() - std::min<size_t>(groups.size(), 3);
  std::string text = groups[0];
  for (size_t i = 1; i < groups.size() - more; ++i) text += "; " + groups[i];
  if (more > 0) text += "; and " + plural(more, "more group", "more groups");
  reporter.warn("tied before, and tensors of their own after these rules: " + text);
}

/// A tensor of one of several state_dicts.
struct Name {
  size_t place = 0;  // which of them
  std::string path;
  std::string fate;  // as in fates_of()
};

/// The tensors of ONE that are in the output. What is made anew is made for each state_dict, so
/// their PLACE is in such fates.
std::vector<std::pair<TensorIdentity, Name>> names_of(const Checkpoint& checkpoint,
                                                      const PlannedStateDict& one, size_t place) {
  std::vector<std::pair<TensorIdentity, Name>> out;
  std::vector<std::string> fates;
  if (one.plan != nullptr) fates = fates_of(*one.plan);
  const std::vector<StateDictEntry>& entries = one.state_dict->entries;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[entries[i].tensor];
    std::string fate = fates.empty() ? std::string(kSame) : fates[i];
    if (tensor.storage == kNoIndex || fate.empty()) continue;
    if (fate != kSame) fate += " in " + std::to_string(place);
    out.emplace_back(identity_of(checkpoint, tensor),
                     Name{place, join_path(one.state_dict->path, entries[i].key), std::move(fate)});
  }
  return out;
}

/// What leaves out values beside a state_dict, in place of the rule of LABEL.
std::string way_beside(const std::string& label) {
  constexpr std::string_view kDrop = "--drop ";
  const std::string command = label.starts_with(kDrop)
                                  ? "mlc save --drop-values " + label.substr(kDrop.size())
                                  : "mlc save --weights-only";
  return "rules hold for the keys of a state_dict; `" + command +
         "` leaves out what stands outside of it";
}

}  // namespace

Status check_misplaced(const Checkpoint& checkpoint, const std::string& place,
                       const std::vector<const Plan*>& plans, const PlanMaker& make_plan,
                       Reporter& reporter) {
  if (place.empty() || checkpoint.graph.entries(checkpoint.root) == nullptr) {
    return {};
  }
  const StateDict root = read_state_dict(checkpoint, checkpoint.root, "");
  std::vector<KeyInfo> keys;
  for (const StateDictEntry& entry : root.others) {
    keys.push_back({.name = entry.key, .is_tensor = false});
  }
  const auto plan = make_plan(keys);
  if (!plan.ok()) return {};  // whatever is wrong with it is not about this checkpoint
  for (uint32_t rule = 0; rule < plan->uses.size(); ++rule) {
    if (plan->uses[rule].count == 0 || is_used(plans, rule)) continue;
    const std::vector<std::string> names = matched_names(*plan, rule);
    if (names.empty()) continue;
    const std::string text = plan->uses[rule].label + " matches no key of the state_dict at " +
                             printable(place) +
                             ", only what stands outside of it: " + join_list(names);
    if (!plan->uses[rule].label.starts_with("--")) {
      reporter.warn(text);
      continue;
    }
    return usage_error(text, way_beside(plan->uses[rule].label)).in_file(checkpoint.path);
  }
  return {};
}

void warn_of_parted_ties(const Checkpoint& checkpoint, const StateDict& state_dict,
                         const Plan& plan, Reporter& reporter) {
  if (plan.is_pure_rename()) return;
  const std::vector<std::string> fates = fates_of(plan);
  std::map<TensorIdentity, std::vector<uint32_t>> ties;
  for (uint32_t i = 0; i < state_dict.entries.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[state_dict.entries[i].tensor];
    if (tensor.storage == kNoIndex || fates[i].empty()) continue;
    ties[identity_of(checkpoint, tensor)].push_back(i);
  }
  std::vector<std::string> groups;
  for (const auto& [identity, sources] : ties) {
    const uint32_t first = sources[0];
    const auto differs = [&fates, first](uint32_t one) { return fates[one] != fates[first]; };
    if (std::none_of(sources.begin(), sources.end(), differs)) continue;
    std::vector<std::string> names;
    for (const uint32_t one : sources) names.push_back(sentence_key(plan.names[one]));
    groups.push_back(join_list(names, 3));
  }
  warn_of_groups(groups, reporter);
}

void warn_of_parted_state_dicts(const Checkpoint& checkpoint,
                                const std::vector<PlannedStateDict>& all, Reporter& reporter) {
  const auto only_renames = [](const PlannedStateDict& one) {
    return one.plan == nullptr || one.plan->is_pure_rename();
  };
  if (std::all_of(all.begin(), all.end(), only_renames)) return;
  std::map<TensorIdentity, std::vector<Name>> ties;
  for (size_t i = 0; i < all.size(); ++i) {
    for (auto& [identity, name] : names_of(checkpoint, all[i], i)) {
      ties[identity].push_back(std::move(name));
    }
  }
  std::vector<std::string> groups;
  for (const auto& [identity, names] : ties) {
    // What is in two state_dicts and has two fates: one of them is another than that of a name
    // elsewhere.
    const Name& first = names[0];
    const auto elsewhere = [&first](const Name& one) { return one.place != first.place; };
    const auto differs = [&first](const Name& one) { return one.fate != first.fate; };
    if (std::none_of(names.begin(), names.end(), elsewhere)) continue;
    if (std::none_of(names.begin(), names.end(), differs)) continue;
    std::vector<std::string> paths;
    for (const Name& one : names) paths.push_back(sentence_key(one.path));
    groups.push_back(join_list(paths, 3));
  }
  warn_of_groups(groups, reporter);
}

}  // namespace mlc::cli
