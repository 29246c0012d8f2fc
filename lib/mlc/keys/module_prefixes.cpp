#include "mlc/keys/module_prefixes.h"

#include "mlc/checkpoint/module_keys.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

namespace mlc {
namespace {

// Votes of one kind: the first, and whether all others said the same.
struct Ballot {
  bool any = false;
  bool agreed = true;
  std::string_view name;

  void vote(std::string_view choice) {
    if (!any) name = choice;
    agreed = agreed && name == choice;
    any = true;
  }
};

struct Module {
  // In the order in which they are asked: tensors of its own that keep or change their last
  // component, then deeper ones.
  std::array<Ballot, 3> ballots;
  bool has_tensors = false;  // in the input, at any depth
  bool survives = false;     // some of them are in the output
  bool has_unsplit = false;  // some of its own are in the output and not parts of a split
  bool stays = false;        // some of them, at any depth, voted for the name it has
  bool own_stay = false;     // some of its own did
  // Where its own went, other than its own name: neighbours differ, but one may come twice.
  std::vector<std::string_view> targets;

  void vote(size_t ballot, std::string_view choice, std::string_view name) {
    ballots[ballot].vote(choice);
    const bool is_own = ballot != 2;
    if (choice == name) {
      stays = true;
      own_stay = own_stay || is_own;
    } else if (is_own && (targets.empty() || targets.back() != choice)) {
      targets.push_back(choice);
    }
  }

  const Ballot* decisive() const {
    for (const Ballot& ballot : ballots) {
      if (ballot.any) return &ballot;
    }
    return nullptr;
  }
};

// What is left of N in front of REST, or nothing if it does not end in it.
std::optional<std::string_view> without_end(std::string_view n, std::string_view rest) {
  if (n == rest) return std::string_view();
  if (n.size() <= rest.size() || !n.ends_with(rest)) return std::nullopt;
  const std::string_view before = n.substr(0, n.size() - rest.size());
  if (before.back() != '.') return std::nullopt;
  return before.substr(0, before.size() - 1);
}

std::string_view parent_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

class ModuleMap {
 public:
  ModuleMap(std::span<const std::string> names, const Plan& plan) : plan_(plan) {
    for (const std::string& name : names) add_with_parents(name);
    modules_.try_emplace("");
    for (uint32_t i = 0; i < plan.names.size() && plan.is_tensor(i); ++i)
      for_each_module(plan.names[i],
                      [](Module& module, std::string_view) { module.has_tensors = true; });
    for (const PlanItem& item : plan.items) {
      if (!plan.is_tensor(item.sources[0])) continue;
      for (const uint32_t source : item.sources) count(plan_.names[source], item);
    }
  }

  std::optional<std::string> new_name(const std::string& name) const {
    if (name.empty()) return std::string();
    return answer(name);
  }

  // Requires: NAME is one of the names given.
  const Module& module(std::string_view name) const { return modules_.at(name); }

 private:
  // Those around a module without tensors decide for it, whether they have a version or not.
  void add_with_parents(std::string_view name) {
    while (modules_.try_emplace(name).second && !name.empty()) name = parent_of(name);
  }

  // Calls VISIT(module, its name) for every known module that KEY is below, the root included.
  template <class Visit>
  void for_each_module(std::string_view key, const Visit& visit) {
    for (size_t end = 0; end != std::string_view::npos; end = key.find('.', end + 1)) {
      const auto found = modules_.find(key.substr(0, end));
      if (found != modules_.end()) visit(found->second, found->first);
    }
  }

  void count(std::string_view key, const PlanItem& item) {
    for_each_module(key, [&](Module& module, std::string_view name) {
      const std::string_view rest = name.empty() ? key : key.substr(name.size() + 1);
      const bool is_own = rest.find('.') == std::string_view::npos;
      module.survives = true;
      if (is_own && item.op != PlanItem::Op::split) module.has_unsplit = true;
      if (const auto before = without_end(item.name, rest)) {
        module.vote(is_own ? 0 : 2, *before, name);
      } else if (is_own) {
        module.vote(1, parent_of(item.name), name);
      } else if (item.name.size() > name.size() && item.name.starts_with(name) &&
                 item.name[name.size()] == '.') {
        module.vote(2, name, name);
      }
    });
  }

  std::optional<std::string> answer(std::string_view name) const {
    std::string_view at = name;
    for (;;) {
      const auto found = modules_.find(at);
      if (found != modules_.end()) {
        const Module& module = found->second;
        if (module.has_tensors && !module.survives) return std::nullopt;
        const Ballot* ballot = module.decisive();
        if (ballot && ballot->agreed) return joined(ballot->name, name.substr(at.size()));
        const bool own_decide = ballot && ballot != &module.ballots[2];
        if (at == name && own_decide && !module.has_unsplit) return std::nullopt;
      }
      if (at.empty()) return std::string(name);
      at = parent_of(at);
    }
  }

  // A module called BEFORE, and what stands behind it: TAIL is empty or begins with its dot, but
  // for tails of the root.
  static std::string joined(std::string_view before, std::string_view tail) {
    if (!tail.empty() && tail.front() == '.') tail.remove_prefix(1);
    if (before.empty() || tail.empty()) return std::string(before.empty() ? tail : before);
    return std::string(before) + "." + std::string(tail);
  }

  const Plan& plan_;
  std::unordered_map<std::string_view, Module> modules_;
};

}  // namespace

std::vector<std::pair<std::string, std::optional<std::string>>> map_module_prefixes(
    std::span<const std::string> module_names, const Plan& plan) {
  const ModuleMap map(module_names, plan);
  std::vector<std::pair<std::string, std::optional<std::string>>> out;
  out.reserve(module_names.size());
  for (const std::string& name : module_names) out.emplace_back(name, map.new_name(name));
  return out;
}

std::vector<FollowedModule> follow_module_versions(std::span<const std::string> module_names,
                                                   const Plan& plan) {
  const ModuleMap map(module_names, plan);
  std::vector<std::optional<std::string>> main(module_names.size());
  std::unordered_map<std::string, size_t> taken;
  for (size_t i = 0; i < module_names.size(); ++i) {
    const std::string& old = module_names[i];
    main[i] = map.module(old).stays ? old : map.new_name(old);
    if (!main[i]) continue;
    const auto [at, is_new] = taken.try_emplace(*main[i], i);
    if (is_new) continue;
    const std::string& before = module_names[at->second];
    const bool defended = before == *main[i] && map.module(before).own_stay;
    if (!defended) at->second = i;
  }
  std::vector<FollowedModule> out;
  for (size_t i = 0; i < module_names.size(); ++i) {
    const std::string& old = module_names[i];
    if (main[i] && taken.at(*main[i]) == i) out.push_back({i, *main[i]});
    for (const std::string_view target : map.module(old).targets) {
      if (taken.try_emplace(std::string(target), i).second) out.push_back({i, std::string(target)});
    }
  }
  return out;
}

namespace {

/// Which rule dropped the tensors of MODULE.
uint32_t rule_that_dropped(const Plan& plan, std::string_view module) {
  for (const DroppedKey& key : plan.dropped) {
    const std::string_view name = plan.names[key.source];
    if (module.empty() || (name.starts_with(module) && name[module.size()] == '.')) return key.rule;
  }
  return plan.dropped.empty() ? 0 : plan.dropped[0].rule;
}

}  // namespace

Status follow_modules(Plan& plan) {
  std::vector<std::string> modules;  // with those around them, which decide for empty ones
  std::vector<size_t> followers;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    if (item.op != PlanItem::Op::keep || plan.is_tensor(item.sources[0])) continue;
    const auto module = module_of_extra_state(item.name);
    if (!module) continue;
    for (size_t dot = module->find('.'); dot != module->npos; dot = module->find('.', dot + 1))
      modules.emplace_back(module->substr(0, dot));
    modules.emplace_back(*module);
    followers.push_back(i);
  }
  if (followers.empty()) return {};
  std::unordered_map<std::string, std::optional<std::string>> renamed;
  for (auto& [old, name] : map_module_prefixes(modules, plan))
    renamed.emplace(old, std::move(name));
  for (const size_t i : followers) {
    PlanItem& item = plan.items[i];
    const std::string module(*module_of_extra_state(item.name));
    const std::optional<std::string>& name = renamed.at(module);
    if (!name) {
      plan.dropped.push_back({item.sources[0], rule_that_dropped(plan, module), item.name});
      item.sources.clear();  // marks it for removal
    } else if (*name != module) {
      item.op = PlanItem::Op::rename;
      item.name = (name->empty() ? "" : *name + ".") + std::string(kExtraState);
    }
  }
  std::erase_if(plan.items, [](const PlanItem& item) { return item.sources.empty(); });
  std::stable_sort(plan.dropped.begin(), plan.dropped.end(),
                   [](const auto& a, const auto& b) { return a.source < b.source; });
  return plan.check_names();
}

}  // namespace mlc
