#include "mlc/onnx_prune/choose.h"

#include "mlc/base/glob.h"
#include "mlc/base/text.h"
#include "mlc/onnx_prune/scores.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

/// Which source each atom belongs to, where sources with common atoms are one.
class Families {
 public:
  explicit Families(ChannelGraph& graph) : parent_(graph.sources.size()) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    for (size_t i = 0; i < graph.sources.size(); ++i) {
      for (const Atom each : graph.sources[i].labels) {
        const auto [found, is_new] = owner_.emplace(graph.atoms.find(each), i);
        if (!is_new) join(found->second, i);
      }
    }
  }
  size_t of_source(size_t i) {
    while (parent_[i] != i) i = parent_[i];
    return i;
  }
  /// Nothing for an atom that no source has.
  std::optional<size_t> of_atom(Atom root) {
    const auto found = owner_.find(root);
    return found == owner_.end() ? std::nullopt : std::optional(of_source(found->second));
  }

 private:
  void join(size_t a, size_t b) {
    a = of_source(a);
    b = of_source(b);
    if (a != b) parent_[std::max(a, b)] = std::min(a, b);
  }

  std::vector<size_t> parent_;
  std::map<Atom, size_t> owner_;
};

class Chooser {
 public:
  Chooser(const Document& document, ChannelGraph graph, const ChannelRules& rules,
          const ValueMoments* seen)
      : document_(document), rules_(rules), seen_(seen) {
    plan_.graph = std::move(graph);
  }

  Result<ChannelPlan> run();

 private:
  void group();
  void collect_members(Families& families, const std::map<size_t, size_t>& places);
  void select();
  Status choose_each();
  Status choose_all();
  uint64_t units_asked(const ChannelGroup& group) const;
  void note_whole_units();
  void remove_lowest(ChannelGroup& group, uint64_t count);
  void keep_spans();
  void round_up(ChannelGroup& group);
  void keep_best(ChannelGroup& group);
  bool lower(Atom a, Atom b) const {
    return std::pair(plan_.scores[a], a) < std::pair(plan_.scores[b], b);
  }

  const Document& document_;
  const ChannelRules& rules_;
  const ValueMoments* seen_;
  ChannelPlan plan_;
};

void Chooser::group() {
  Families families(plan_.graph);
  std::map<size_t, size_t> places;  // of families
  std::vector<std::set<Atom>> seen;
  Atoms& atoms = plan_.graph.atoms;
  for (size_t i = 0; i < plan_.graph.sources.size(); ++i) {
    const ChannelSource& source = plan_.graph.sources[i];
    const auto [place, is_new] = places.emplace(families.of_source(i), plan_.groups.size());
    if (is_new) {
      // Exporters that fold batch norms give weights names of their own.
      const std::string& node = document_.nodes[source.node].name;
      const bool nameless = source.weight.find("::") != std::string::npos && !node.empty();
      plan_.groups.emplace_back().name = nameless ? node : source.weight;
      plan_.groups.back().channels = static_cast<int64_t>(source.labels.size());
      seen.emplace_back();
    }
    ChannelGroup& group = plan_.groups[place->second];
    for (const Atom each : source.labels) {
      const Atom root = atoms.find(each);
      if (!seen[place->second].insert(root).second) continue;
      const std::string* const why = atoms.frozen(root);
      if (why == nullptr) {
        group.units.push_back(root);
      } else {
        ++group.frozen;
        if (group.reason.empty()) group.reason = *why;
      }
    }
  }
  collect_members(families, places);
}

void Chooser::collect_members(Families& families, const std::map<size_t, size_t>& places) {
  for (auto& [place, axis] : plan_.graph.axes) {
    std::set<size_t> touched;
    for (const Atom each : axis.labels) {
      const auto family = families.of_atom(plan_.graph.atoms.find(each));
      if (family) touched.insert(places.at(*family));
    }
    for (const size_t i : touched) {
      ChannelGroup& group = plan_.groups[i];
      // Both axes of one weight come one after the other.
      const bool is_new = group.weights.empty() || group.weights.back() != place.first;
      if ((axis.makes || axis.reads) && is_new) group.weights.push_back(place.first);
      for (const size_t node : axis.nodes) {
        if (!document_.nodes[node].name.empty()) group.nodes.push_back(document_.nodes[node].name);
      }
    }
  }
}

void Chooser::select() {
  std::vector<bool> used(rules_.include.size() + rules_.exclude.size(), false);
  const auto matches = [&](const std::vector<std::string>& globs, size_t first,
                           const ChannelGroup& group) {
    bool any = false;
    for (size_t i = 0; i < globs.size(); ++i) {
      const auto match = [&](const std::string& name) { return glob_match(globs[i], name); };
      if (std::ranges::any_of(group.weights, match) || std::ranges::any_of(group.nodes, match)) {
        used[first + i] = true;
        any = true;
      }
    }
    return any;
  };
  for (ChannelGroup& group : plan_.groups) {
    const bool included = matches(rules_.include, 0, group);
    const bool excluded = matches(rules_.exclude, rules_.include.size(), group);
    group.is_selected = !excluded && (included || rules_.include.empty());
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const bool is_include = i < rules_.include.size();
    const std::string& glob =
        is_include ? rules_.include[i] : rules_.exclude[i - rules_.include.size()];
    plan_.unused_patterns.push_back({is_include ? "--include" : "--exclude", glob});
  }
}

/// How many units of GROUP may go: one unit has to stay, be it one that cannot go.
size_t most_units(const ChannelGroup& group) {
  if (group.units.empty()) return 0;
  return group.units.size() - (group.frozen > 0 ? 0 : 1);
}

void Chooser::remove_lowest(ChannelGroup& group, uint64_t count) {
  Labels order = group.units;
  std::ranges::sort(order, [this](Atom a, Atom b) { return lower(a, b); });
  order.resize(std::min<size_t>(count, most_units(group)));
  for (const Atom each : order) plan_.gone[each] = true;
}

/// How many units of GROUP the amount is.
uint64_t Chooser::units_asked(const ChannelGroup& group) const {
  if (!rules_.amount->is_count) return rules_.amount->of(group.units.size());
  return rules_.amount->count / static_cast<uint64_t>(group.unit_width());
}

Status Chooser::choose_each() {
  for (ChannelGroup& group : plan_.groups) {
    if (!group.is_selected || group.units.empty()) continue;
    const uint64_t channels = group.units.size() * static_cast<uint64_t>(group.unit_width());
    if (rules_.amount->is_count && rules_.amount->count > channels) {
      return usage_error(fmt::format("{} has {} to take away from, not {}", quoted(group.name),
                                     plural(channels, "channel"), rules_.amount->count),
                         "a share, 0.5, is of each group; --exclude leaves small ones whole");
    }
    remove_lowest(group, units_asked(group));
  }
  note_whole_units();
  return {};
}

/// Says where a number of channels is no number of units.
void Chooser::note_whole_units() {
  if (!rules_.amount->is_count) return;
  constexpr size_t kNamed = 3;
  std::vector<std::string> fewer;
  for (const ChannelGroup& group : plan_.groups) {
    const auto width = static_cast<uint64_t>(group.unit_width());
    if (!group.is_selected || group.units.empty() || rules_.amount->count % width == 0) continue;
    fewer.push_back(fmt::format("{} of {} ({} at a time)", units_asked(group) * width,
                                printable(group.name), width));
  }
  if (fewer.empty()) return;
  plan_.notes.push_back(fmt::format("fewer than {} go where channels go together only: {}",
                                    plural(rules_.amount->count, "channel"),
                                    join_list(fewer, kNamed)));
}

Status Chooser::choose_all() {
  std::vector<std::pair<Atom, size_t>> all;
  uint64_t channels = 0;
  for (size_t i = 0; i < plan_.groups.size(); ++i) {
    const ChannelGroup& group = plan_.groups[i];
    if (!group.is_selected) continue;
    for (const Atom each : group.units) all.emplace_back(each, i);
    channels += group.units.size() * static_cast<uint64_t>(group.unit_width());
  }
  const bool is_count = rules_.amount->is_count;
  if (is_count && rules_.amount->count > channels)
    return usage_error(fmt::format("there are {} that can go, not {}", plural(channels, "channel"),
                                   rules_.amount->count));
  std::ranges::sort(all, [this](const auto& a, const auto& b) { return lower(a.first, b.first); });
  std::vector<uint64_t> counts(plan_.groups.size(), 0);
  uint64_t left = is_count ? rules_.amount->count : rules_.amount->of(all.size());
  for (const auto& [atom, i] : all) {
    const ChannelGroup& group = plan_.groups[i];
    const uint64_t taken = is_count ? static_cast<uint64_t>(group.unit_width()) : 1;
    // The next unit may be a smaller one, or of a group that has more to give.
    if (taken > left || counts[i] == most_units(group)) continue;
    left -= taken;
    ++counts[i];
  }
  if (left > 0 && is_count) {
    plan_.notes.push_back(fmt::format(
        "{} go, not {}: of each group one stays, and some go together only, more at a time",
        plural(rules_.amount->count - left, "channel"), rules_.amount->count));
  }
  for (size_t i = 0; i < plan_.groups.size(); ++i) {
    if (counts[i] > 0) remove_lowest(plan_.groups[i], counts[i]);
  }
  return {};
}

/// A tensor that would be empty keeps its best.
void Chooser::keep_spans() {
  std::vector<const Labels*> spans;
  for (const Labels& each : plan_.graph.spans) spans.push_back(&each);
  for (const ChannelSource& each : plan_.graph.sources) spans.push_back(&each.labels);
  for (const auto& [place, axis] : plan_.graph.axes) spans.push_back(&axis.labels);
  for (const Labels* const span : spans) {
    std::optional<Atom> best;
    bool stays = span->empty();
    for (const Atom each : *span) {
      const Atom root = plan_.graph.atoms.find(each);
      stays = stays || !plan_.gone[root];
      if (!best || lower(*best, root)) best = root;
    }
    if (!stays) plan_.gone[*best] = false;
  }
}

/// Takes the best of those that go back.
void Chooser::keep_best(ChannelGroup& group) {
  const auto best =
      std::ranges::max_element(group.gone, [this](Atom a, Atom b) { return lower(a, b); });
  plan_.gone[*best] = false;
  group.gone.erase(best);
}

void Chooser::round_up(ChannelGroup& group) {
  group.gone.clear();
  for (const Atom each : group.units) {
    if (plan_.gone[each]) group.gone.push_back(each);
  }
  const int64_t wanted = group.kept() * group.unit_width();
  while (!group.gone.empty() && group.kept() * group.unit_width() % rules_.round_to != 0)
    keep_best(group);
  if (group.kept() * group.unit_width() == wanted) return;
  if (group.gone.empty()) {
    plan_.notes.push_back(fmt::format(
        "{} keeps all {}: no multiple of {} lies between {} and that", printable(group.name),
        plural(static_cast<uint64_t>(group.channels), "channel"), rules_.round_to, wanted));
  }
}

Result<ChannelPlan> Chooser::run() {
  group();
  select();
  MLC_TRY(ChannelScores scores, score_channels(document_, plan_.graph, rules_.norm));
  plan_.scores = std::move(scores.scores);
  plan_.gone.assign(plan_.graph.atoms.size(), false);
  for (ChannelGroup& group : plan_.groups) {
    for (const Atom each : group.units) group.dead += scores.dead[each] ? 1 : 0;
  }
  if (!rules_.amount) return std::move(plan_);
  if (seen_ != nullptr) {
    std::vector<Candidates> groups;
    for (const ChannelGroup& group : plan_.groups) {
      Candidates& one = groups.emplace_back();
      if (!group.is_selected) continue;
      one.units = group.units;
      const bool each = rules_.scope == PruneScope::layer;
      one.most = each ? units_asked(group) : one.units.size();
    }
    MLC_CHECK(score_by_losses(document_, plan_.graph, groups, *seen_, plan_.scores));
  }
  MLC_CHECK(rules_.scope == PruneScope::layer ? choose_each() : choose_all());
  keep_spans();
  for (ChannelGroup& group : plan_.groups) round_up(group);
  return std::move(plan_);
}

}  // namespace

std::vector<int64_t> ChannelPlan::kept_of(const Labels& labels) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!goes(labels[i])) out.push_back(static_cast<int64_t>(i));
  }
  return out;
}

Result<ChannelPlan> plan_channels(const Document& document, ChannelGraph graph,
                                  const ChannelRules& rules, const ValueMoments* seen) {
  return Chooser(document, std::move(graph), rules, seen).run();
}

}  // namespace mlc::onnx
