#include "mlc/onnx_prune/channel_graph.h"

#include "mlc/onnx_prune/walker.h"

#include <algorithm>

namespace mlc::onnx {
namespace {

constexpr size_t kMostWalks = 64;

/// Whether nothing of LABELS can go.
bool all_frozen(Atoms& atoms, const Labels& labels) {
  return std::ranges::all_of(labels, [&](Atom each) { return atoms.frozen(each) != nullptr; });
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
                                   const KeptAxes& kept) {
  // Where an axis becomes several, the first choice of one is kept if its channels can go; heads
  // have to be found that way, because what is summed over inside of them cannot.
  SplitChoices choices;
  std::set<size_t> given_up;  // no choice helps: the reasons of the first are told
  for (size_t walk = 0;; ++walk) {
    Walker walker(document, sizes, choices);
    MLC_CHECK(walker.run());
    keep(walker, kept);
    bool again = false;
    for (const auto& [node, split] : walker.splits()) {
      size_t& chosen = choices[node];
      if (!all_frozen(walker.atoms(), split.labels) || given_up.contains(node)) continue;
      if (chosen + 1 >= split.candidates) given_up.insert(node);
      chosen = chosen + 1 >= split.candidates ? 0 : chosen + 1;
      again = true;
    }
    if (!again || walk == kMostWalks) return walker.take();
  }
}

}  // namespace mlc::onnx
