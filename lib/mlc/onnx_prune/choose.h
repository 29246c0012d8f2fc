// Which channels go: groups of what can only go together, their scores, an amount of them.
//
// The score of a channel is the mean, over all weights that make, scale or read it, of the norm of
// its slice in relation to the mean norm of all slices of that axis (compression 2.3; the sum over
// coupled tensors is that of DepGraph, Fang et al., CVPR 2023). A channel of 1 is average. Where
// activations were observed, the score is what taking the channel away costs the weights that read
// it, when the others tell what they can of it (moments.h), and channels go one after the other.
#pragma once

#include "mlc/base/glob.h"
#include "mlc/base/result.h"
#include "mlc/compress/prune_plan.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/channel_graph.h"
#include "mlc/onnx_prune/observe.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::onnx {

struct ChannelRules {
  /// Of each group, or of all together: a share of the units, or a number of channels, of which
  /// whole units go.
  std::optional<PruneAmount> amount;
  PruneScope scope = PruneScope::layer;
  PruneNorm norm = PruneNorm::l1;
  int64_t round_to = 1;              // what stays of a group is a multiple, in channels
  std::vector<std::string> include;  // globs over names of weights and nodes
  std::vector<std::string> exclude;
};

/// Channels that depend on each other: a residual stream, the inside of a block, heads.
struct ChannelGroup {
  std::string name;                  // of the weight that makes the first of them
  std::vector<std::string> weights;  // that make or read them
  std::vector<std::string> nodes;
  Labels units;          // that can go, one by one
  int64_t frozen = 0;    // units that cannot
  int64_t channels = 0;  // indices of the first weight's axis
  std::string reason;    // why none or not all can go; empty where all can
  bool is_selected = true;

  // Of plan_channels():
  Labels gone;
  int64_t dead = 0;  // units whose weights are all zero where they are made

  int64_t all_units() const { return static_cast<int64_t>(units.size()) + frozen; }
  /// Channels of a unit; 1 where units differ.
  int64_t unit_width() const {
    return all_units() > 0 && channels % all_units() == 0 ? channels / all_units() : 1;
  }
  int64_t kept() const { return all_units() - static_cast<int64_t>(gone.size()); }
};

struct ChannelPlan {
  ChannelGraph graph;
  std::vector<ChannelGroup> groups;
  std::vector<double> scores;  // by atom, of those that stand for others
  std::vector<bool> gone;      // the same
  std::vector<UnusedPattern> unused_patterns;
  std::vector<std::string> notes;  // groups that no multiple of round_to divides, and such

  /// Whether index I of an axis with LABELS goes.
  bool goes(Atom atom) { return gone[graph.atoms.find(atom)]; }
  /// The indices of an axis that stay.
  std::vector<int64_t> kept_of(const Labels& labels);
};

/// Finds the groups of GRAPH and, where RULES has an amount, chooses. At least one unit of each
/// group stays. Errors: usage for a count that is larger than a group; conflict for weights that
/// are not finite, naming them; those of reading weights. SEEN may be null: activations of
/// measured_readers().
Result<ChannelPlan> plan_channels(const Document& document, ChannelGraph graph,
                                  const ChannelRules& rules, const ValueMoments* seen);

}  // namespace mlc::onnx
