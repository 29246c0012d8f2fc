#include "mlc/onnx_prune/channel_graph.h"

#include "mlc/onnx_prune/walker.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace mlc::onnx {
namespace {

constexpr size_t kMostWalks = 64;

/// Whether nothing of LABELS can go.
bool all_frozen(Atoms& atoms, const Labels& labels) {
  return std::ranges::all_of(labels, [&](Atom each) { return atoms.frozen(each) != nullptr; });
}

/// Tries the next choices of nodes that split channels of which none can go: all combinations of
/// those that split the same ones, the last node first. False where there are no more.
bool choose_anew(Walker& walker, SplitChoices& choices, std::set<size_t>& given_up) {
  std::map<Atom, std::vector<size_t>> families;
  for (const auto& [node, split] : walker.splits()) {
    if (split.labels.empty() || given_up.contains(node)) continue;
    if (all_frozen(walker.atoms(), split.labels))
      families[walker.atoms().find(split.labels.front())].push_back(node);
  }
  for (const auto& [atom, nodes] : families) {
    auto node = nodes.rbegin();
    for (; node != nodes.rend(); ++node) {
      size_t& chosen = choices[*node];
      if (++chosen < walker.splits().at(*node).candidates) break;
      chosen = 0;
    }
    if (node != nodes.rend()) continue;
    for (const size_t each : nodes) choices[each] = walker.splits().at(each).told;
    given_up.insert(nodes.begin(), nodes.end());
  }
  return !families.empty();
}

void keep(Walker& walker, const KeptAxes& kept) {
  for (const auto& [place, axis] : walker.axes()) {
    const auto found = kept.find(place);
    if (found == kept.end()) continue;
    if (axis.makes || axis.reads || !found->second.only_weights)
      walker.freeze(axis.labels, found->second.why);
  }
}

}  // namespace

Result<ChannelGraph> find_channels(const Document& document, const InferredSizes& sizes,
                                   const KeptAxes& kept, ValueAxes* values) {
  // Where an axis becomes several, the first choice of one is kept if its channels can go; heads
  // have to be found that way, because what is summed over inside of them cannot.
  SplitChoices choices;
  std::set<size_t> given_up;  // no choice helps: the reasons of one of them are told
  for (size_t walk = 0;; ++walk) {
    Walker walker(document, sizes, choices);
    MLC_CHECK(walker.run());
    keep(walker, kept);
    const bool again = choose_anew(walker, choices, given_up);
    if (again && walk < kMostWalks) continue;
    if (values != nullptr) *values = walker.take_values();
    return walker.take();
  }
}

}  // namespace mlc::onnx
