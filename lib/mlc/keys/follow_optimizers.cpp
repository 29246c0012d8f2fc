#include "mlc/keys/follow_optimizers.h"

#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/keys/optimizer_owners.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

enum class Fate : uint8_t { renamed, dropped, changed };

/// What becomes of the tensors of one state_dict, by their old names.
class Fates {
 public:
  Fates(const Checkpoint& checkpoint, const StateDict& state_dict, const Plan& plan) : plan_(plan) {
    const auto note = [&](uint32_t source) {
      const StateDictEntry& entry = state_dict.entries[source];
      if (may_be_parameter(checkpoint, entry)) lost_.push_back(entry.tensor);
    };
    const std::set<TensorIdentity> kept = kept_tensors(checkpoint, state_dict, plan);
    for (const PlanItem& item : plan.items) {
      if (item.op == PlanItem::Op::keep || item.op == PlanItem::Op::rename) continue;
      for (const uint32_t source : item.sources) {
        changed_.insert(plan.names[source]);
        add_ends(plan.names[source]);
        note(source);
      }
    }
    for (const DroppedKey& key : plan.dropped) {
      if (!plan.is_tensor(key.source)) continue;
      dropped_.insert(plan.names[key.source]);
      add_ends(plan.names[key.source]);
      // Another name of it stays, and with it the parameter.
      const Tensor& tensor = checkpoint.tensors[state_dict.entries[key.source].tensor];
      const bool tied =
          tensor.storage != kNoIndex && kept.contains(identity_of(checkpoint, tensor));
      if (!tied) note(key.source);
    }
  }

  std::optional<Fate> of(std::string_view name) const {
    if (changed_.contains(name)) return Fate::changed;
    if (dropped_.contains(name)) return Fate::dropped;
    return plan_.new_name_of(name) ? std::optional(Fate::renamed) : std::nullopt;
  }
  std::optional<std::string> new_name_of(std::string_view name) const {
    return plan_.new_name_of(name);
  }
  /// Whether NAME is the end, from some dot on, of a name that is dropped or changed.
  bool has_lost_end(std::string_view name) const { return lost_ends_.contains(name); }
  /// The tensors that an optimizer may hold and of which more than the name changes.
  const std::vector<uint32_t>& lost() const { return lost_; }

 private:
  /// Of the tensors that stay as they are, where any is dropped: what tells tied ones.
  static std::set<TensorIdentity> kept_tensors(const Checkpoint& checkpoint,
                                               const StateDict& state_dict, const Plan& plan) {
    std::set<TensorIdentity> kept;
    if (plan.dropped.empty()) return kept;
    for (const PlanItem& item : plan.items) {
      if (item.op != PlanItem::Op::keep && item.op != PlanItem::Op::rename) continue;
      if (!plan.is_tensor(item.sources[0])) continue;
      const Tensor& tensor = checkpoint.tensors[state_dict.entries[item.sources[0]].tensor];
      if (tensor.storage != kNoIndex) kept.insert(identity_of(checkpoint, tensor));
    }
    return kept;
  }

  /// Prefixes are few words: more than these are no wrappers.
  static constexpr int kMostWords = 8;
  void add_ends(std::string_view name) {
    lost_ends_.insert(name);
    size_t dot = name.find('.');
    for (int i = 0; i < kMostWords && dot != name.npos; ++i, dot = name.find('.', dot + 1)) {
      lost_ends_.insert(name.substr(dot + 1));
    }
  }

  const Plan& plan_;
  std::unordered_set<std::string_view> changed_;
  std::unordered_set<std::string_view> dropped_;
  std::unordered_set<std::string_view> lost_ends_;
  std::vector<uint32_t> lost_;
};

/// What becomes of a name in an optimizer.
struct Effect {
  std::optional<Fate> fate;  // none: it stays
  std::string name;          // renamed: the new one

  bool operator==(const Effect&) const = default;
};
using Effects = std::unordered_map<std::string_view, Effect>;

class Follower {
 public:
  Follower(Checkpoint& checkpoint, std::span<const PlannedStateDict> all)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), all_(all) {}

  FollowedOptimizers run() {
    std::vector<const StateDict*> state_dicts;
    for (const PlannedStateDict& one : all_) {
      state_dicts.push_back(one.state_dict);
      fates_.push_back(
          one.plan ? std::optional<Fates>(std::in_place, checkpoint_, *one.state_dict, *one.plan)
                   : std::nullopt);
    }
    const OptimizerOwners owners(checkpoint_, std::move(state_dicts));
    for (const OptimizerState& optimizer : find_optimizers(checkpoint_)) follow(optimizer, owners);
    return std::move(result_);
  }

 private:
  void follow(const OptimizerState& optimizer, const OptimizerOwners& owners);
  Effect effect_of(std::string_view name, const ParameterClaim& claim) const;
  std::set<size_t> rivals(const ParameterClaims& claims) const;
  bool may_mean(std::string_view name, size_t state_dict) const;
  void remove_dropped(const OptimizerState& optimizer, const Effects& effects);
  void rename_all(const OptimizerState& optimizer, const Effects& effects);
  void edit_flat(NodeId node, const Effects& effects);
  NodeId renamed(NodeId name, const Effects& effects);
  bool is_dropped(NodeId name, const Effects& effects) const {
    if (!graph_.is(name, NodeKind::text)) return false;
    const auto it = effects.find(graph_.text(name));
    return it != effects.end() && it->second.fate == Fate::dropped;
  }

  Checkpoint& checkpoint_;
  Graph& graph_;
  std::span<const PlannedStateDict> all_;
  std::vector<std::optional<Fates>> fates_;
  FollowedOptimizers result_;
};

Effect Follower::effect_of(std::string_view name, const ParameterClaim& claim) const {
  const std::optional<Fates>& fates = fates_[claim.state_dict];
  if (!fates) return {};
  const std::string_view key = name.substr(claim.prefix);
  const auto fate = fates->of(key);
  if (fate != Fate::renamed) return {fate, {}};
  const auto fresh = fates->new_name_of(key);
  if (!fresh || *fresh == key) return {};
  return {fate, std::string(name.substr(0, claim.prefix)) + *fresh};
}

/// Whether NAME, which is no key of the STATE_DICT, may all the same mean a tensor of it that is
/// dropped or changed or gets another name: one of both has a prefix that the other lacks.
bool Follower::may_mean(std::string_view name, size_t state_dict) const {
  if (fates_[state_dict]->has_lost_end(name)) return true;
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    const Effect effect = effect_of(name.substr(dot + 1), {state_dict, 0});
    if (effect.fate && effect.name != name) return true;
  }
  return false;
}

/// The state_dicts of which one must be right, but not which: nothing is known of a name that the
/// plans would treat in several ways, or that only looks like one of theirs.
std::set<size_t> Follower::rivals(const ParameterClaims& claims) const {
  std::set<size_t> found;
  for (const auto& [name, owners] : claims) {
    for (const ParameterClaim& one : owners) {
      if (effect_of(name, one) == effect_of(name, owners[0])) continue;
      for (const ParameterClaim& rival : owners) found.insert(rival.state_dict);
    }
    for (size_t i = 0; owners.empty() && i < fates_.size(); ++i) {
      if (fates_[i] && !found.contains(i) && may_mean(name, i)) found.insert(i);
    }
  }
  return found;
}

void Follower::follow(const OptimizerState& optimizer, const OptimizerOwners& owners) {
  const std::vector<OptimizerParameter> parameters = named_parameters(graph_, optimizer);
  if (parameters.empty()) {
    const std::set<std::vector<int64_t>> held = shapes_of_parameters(checkpoint_, optimizer);
    const auto is_held = [&](uint32_t tensor) {
      const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[tensor]);
      return held.empty() || held.contains({sizes.begin(), sizes.end()});
    };
    const bool fits = std::all_of(fates_.begin(), fates_.end(), [&](const auto& fates) {
      return !fates || std::ranges::none_of(fates->lost(), is_held);
    });
    if (!fits) result_.stale.push_back(optimizer.path);
    return;
  }
  const ParameterClaims claims = owners.claims(optimizer.path, parameters);
  if (const std::set<size_t> open = rivals(claims); !open.empty()) {
    UnclearOptimizer& unclear = result_.unclear.emplace_back();
    unclear.path = optimizer.path;
    for (const size_t i : open) unclear.owners.push_back(all_[i].state_dict->path);
    return;
  }
  Effects effects;
  bool changed = false;
  for (const auto& [name, owner] : claims) {
    if (owner.empty()) continue;
    Effect effect = effect_of(name, owner[0]);
    changed |= effect.fate == Fate::changed;
    if (effect.fate) effects.emplace(name, std::move(effect));
  }
  if (changed) result_.stale.push_back(optimizer.path);
  if (effects.empty()) return;
  if (optimizer.is_flat) return edit_flat(optimizer.node, effects);
  remove_dropped(optimizer, effects);
  rename_all(optimizer, effects);
}

/// The keys hold the names, several each.
void Follower::edit_flat(NodeId node, const Effects& effects) {
  std::vector<Entry> kept;
  std::unordered_set<std::string> done;
  for (const Entry& entry : *graph_.entries(node)) {
    const auto key = split_flat_key(graph_.text(entry.first));
    const auto it = effects.find(key->name);
    const bool stays = it == effects.end() || it->second.fate == Fate::changed;
    const bool first = !stays && done.insert(std::string(key->name)).second;
    if (!stays && it->second.fate == Fate::dropped) {
      result_.removed += first ? 1 : 0;
      continue;
    }
    kept.push_back(entry);
    if (stays) continue;
    result_.renamed += first ? 1 : 0;
    kept.back().first =
        graph_.add_text(std::string(key->head) + it->second.name + "." + std::string(key->field));
  }
  *graph_.entries_for_edit(node) = std::move(kept);
}

/// `params` and `param_names` of a group run side by side; the ids in `params` are keys of `state`.
void Follower::remove_dropped(const OptimizerState& optimizer, const Effects& effects) {
  std::unordered_set<int64_t> gone_numbers;
  for (const NodeId group : optimizer.groups) {
    const NodeId params = graph_.find(group, "params");
    const NodeId named = graph_.find(group, "param_names");
    if (params == kNoNode || !graph_.is(params, NodeKind::list)) continue;
    const bool has_names = named != kNoNode && graph_.is(named, NodeKind::list) &&
                           graph_.list(named).size() == graph_.list(params).size();
    const std::vector<NodeId> ids = graph_.list(params);
    const std::vector<NodeId> texts = has_names ? graph_.list(named) : ids;
    std::vector<NodeId> kept_ids;
    std::vector<NodeId> kept_texts;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!is_dropped(texts[i], effects)) {
        kept_ids.push_back(ids[i]);
        kept_texts.push_back(texts[i]);
        continue;
      }
      ++result_.removed;
      if (graph_.is(ids[i], NodeKind::integer)) gone_numbers.insert(graph_.integer(ids[i]));
    }
    graph_.list(params) = kept_ids;
    if (has_names) graph_.list(named) = kept_texts;
  }
  if (graph_.entries(optimizer.state) == nullptr) return;
  std::erase_if(*graph_.entries_for_edit(optimizer.state), [&](const Entry& entry) {
    if (graph_.is(entry.first, NodeKind::integer)) {
      return gone_numbers.contains(graph_.integer(entry.first));
    }
    return is_dropped(entry.first, effects);
  });
}

void Follower::rename_all(const OptimizerState& optimizer, const Effects& effects) {
  if (graph_.entries(optimizer.state) != nullptr) {
    for (Entry& entry : *graph_.entries_for_edit(optimizer.state)) {
      entry.first = renamed(entry.first, effects);
    }
  }
  for (const NodeId group : optimizer.groups) {
    for (const std::string_view list : {"params", "param_names"}) {
      const NodeId names = graph_.find(group, list);
      if (names == kNoNode || !graph_.is(names, NodeKind::list)) continue;
      for (NodeId& name : graph_.list(names)) name = renamed(name, effects);
    }
  }
}

NodeId Follower::renamed(NodeId name, const Effects& effects) {
  if (!graph_.is(name, NodeKind::text)) return name;
  const auto it = effects.find(graph_.text(name));
  if (it == effects.end() || it->second.fate != Fate::renamed) return name;
  ++result_.renamed;
  return graph_.add_text(it->second.name);
}

}  // namespace

FollowedOptimizers follow_optimizers(Checkpoint& checkpoint,
                                     std::span<const PlannedStateDict> all) {
  return Follower(checkpoint, all).run();
}

}  // namespace mlc
