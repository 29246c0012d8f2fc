#include "mlc/keys/follow_optimizers.h"

#include "mlc/checkpoint/optimizer.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
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

// What torch.nn's normalizations keep beside their parameters.
constexpr std::array<std::string_view, 3> kBuffers = {"running_mean", "running_var",
                                                      "num_batches_tracked"};

/// Whether ENTRY is known to be no parameter: PyTorch gives gradients to numbers with a fraction
/// only, and no optimizer holds a buffer.
bool is_buffer(const Checkpoint& checkpoint, const StateDictEntry& entry) {
  const std::string_view leaf = entry.key.substr(entry.key.rfind('.') + 1);  // npos + 1 is 0
  if (std::ranges::find(kBuffers, leaf) != kBuffers.end()) return true;
  const Tensor& tensor = checkpoint.tensors[entry.tensor];
  const DTypeClass kind = info(tensor.dtype).kind;
  return tensor.kind == TensorKind::dense && kind != DTypeClass::floating &&
         kind != DTypeClass::complex;
}

/// What becomes of the tensors of one state_dict, by their old names.
class Fates {
 public:
  Fates(const Checkpoint& checkpoint, const StateDict& state_dict, const Plan& plan) : plan_(plan) {
    const auto note = [&](uint32_t source) {
      changes_parameters_ |= !is_buffer(checkpoint, state_dict.entries[source]);
    };
    for (const PlanItem& item : plan.items) {
      if (item.op == PlanItem::Op::keep || item.op == PlanItem::Op::rename) continue;
      for (const uint32_t source : item.sources) {
        changed_.insert(plan.names[source]);
        note(source);
      }
    }
    for (const DroppedKey& key : plan.dropped) {
      if (!plan.is_tensor(key.source)) continue;
      dropped_.insert(plan.names[key.source]);
      note(key.source);
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
  /// Whether more than the name changes of anything that an optimizer may hold.
  bool change_parameters() const { return changes_parameters_; }

 private:
  const Plan& plan_;
  std::unordered_set<std::string_view> changed_;
  std::unordered_set<std::string_view> dropped_;
  bool changes_parameters_ = false;
};

class Follower {
 public:
  Follower(Checkpoint& checkpoint, std::span<const PlannedStateDict> all)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), all_(all) {}

  FollowedOptimizers run() {
    for (const PlannedStateDict& one : all_) {
      names_.push_back(names_of(*one.state_dict));
      fates_.push_back(
          one.plan ? std::optional<Fates>(std::in_place, checkpoint_, *one.state_dict, *one.plan)
                   : std::nullopt);
    }
    for (const OptimizerState& optimizer : find_optimizers(checkpoint_)) follow(optimizer);
    return std::move(result_);
  }

 private:
  using Names = std::unordered_set<std::string_view>;

  static Names names_of(const StateDict& state_dict) {
    Names names;
    for (const StateDictEntry& entry : state_dict.entries) names.insert(entry.key);
    return names;
  }

  void follow(const OptimizerState& optimizer);
  std::vector<size_t> candidates(const std::vector<std::string>& names) const;
  void remove_dropped(const OptimizerState& optimizer, const Fates& fates);
  void rename_all(const OptimizerState& optimizer, const Fates& fates);
  NodeId renamed(NodeId name, const Fates& fates);
  bool is_dropped(NodeId name, const Fates& fates) const {
    return graph_.is(name, NodeKind::text) && fates.of(graph_.text(name)) == Fate::dropped;
  }

  Checkpoint& checkpoint_;
  Graph& graph_;
  std::span<const PlannedStateDict> all_;
  std::vector<Names> names_;
  std::vector<std::optional<Fates>> fates_;
  std::map<std::vector<size_t>, size_t> met_;  // optimizers so far with these candidates
  FollowedOptimizers result_;
};

/// The state_dicts with most of NAMES.
std::vector<size_t> Follower::candidates(const std::vector<std::string>& names) const {
  std::vector<size_t> best;
  int64_t most = 1;
  for (size_t i = 0; i < names_.size(); ++i) {
    const int64_t found = std::count_if(names.begin(), names.end(), [&](const std::string& name) {
      return names_[i].contains(name);
    });
    if (found > most) best.clear();
    if (found >= most) best.push_back(i);
    most = std::max(most, found);
  }
  return best;
}

void Follower::follow(const OptimizerState& optimizer) {
  const std::vector<std::string> names = parameter_names(graph_, optimizer);
  if (names.empty()) {
    const bool fits = std::all_of(fates_.begin(), fates_.end(), [](const auto& fates) {
      return !fates || !fates->change_parameters();
    });
    if (!fits) result_.stale.push_back(optimizer.path);
    return;
  }
  const std::vector<size_t> owners = candidates(names);
  if (owners.empty()) return;
  const size_t turn = met_[owners]++;
  const std::optional<Fates>& fates = fates_[owners[turn < owners.size() ? turn : 0]];
  if (!fates) return;
  const bool changed = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return fates->of(name) == Fate::changed;
  });
  if (changed) result_.stale.push_back(optimizer.path);
  remove_dropped(optimizer, *fates);
  rename_all(optimizer, *fates);
}

/// `params` and `param_names` of a group run side by side; the ids in `params` are keys of `state`.
void Follower::remove_dropped(const OptimizerState& optimizer, const Fates& fates) {
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
      if (!is_dropped(texts[i], fates)) {
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
    return is_dropped(entry.first, fates);
  });
}

void Follower::rename_all(const OptimizerState& optimizer, const Fates& fates) {
  if (graph_.entries(optimizer.state) != nullptr) {
    for (Entry& entry : *graph_.entries_for_edit(optimizer.state)) {
      entry.first = renamed(entry.first, fates);
    }
  }
  for (const NodeId group : optimizer.groups) {
    for (const std::string_view list : {"params", "param_names"}) {
      const NodeId names = graph_.find(group, list);
      if (names == kNoNode || !graph_.is(names, NodeKind::list)) continue;
      for (NodeId& name : graph_.list(names)) name = renamed(name, fates);
    }
  }
}

NodeId Follower::renamed(NodeId name, const Fates& fates) {
  if (!graph_.is(name, NodeKind::text)) return name;
  const auto fresh = fates.new_name_of(graph_.text(name));
  if (!fresh || *fresh == graph_.text(name)) return name;
  ++result_.renamed;
  return graph_.add_text(*fresh);
}

}  // namespace

FollowedOptimizers follow_optimizers(Checkpoint& checkpoint,
                                     std::span<const PlannedStateDict> all) {
  return Follower(checkpoint, all).run();
}

}  // namespace mlc
