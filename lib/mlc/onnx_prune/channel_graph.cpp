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

}  // namespace

Result<ChannelGraph> find_channels(const Document& document, const InferredSizes& sizes) {
  // Where an axis becomes several, the first choice of one is kept if its channels can go; heads
  // have to be found that way, because what is summed over inside of them cannot.
  SplitChoices choices;
  for (size_t walk = 0;; ++walk) {
    Walker walker(document, sizes, choices);
    MLC_CHECK(walker.run());
    bool again = false;
    for (const auto& [node, split] : walker.splits()) {
      size_t& chosen = choices[node];
      if (!all_frozen(walker.atoms(), split.labels) || chosen + 1 >= split.candidates) continue;
      ++chosen;
      again = true;
    }
    if (!again || walk == kMostWalks) return walker.take();
  }
}

}  // namespace mlc::onnx
