// How much each channel matters, by the norms of its slices.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/prune_plan.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/channel_graph.h"
#include "mlc/onnx_prune/observe.h"

#include <cstdint>
#include <vector>

namespace mlc::onnx {

struct ChannelScores {
  std::vector<double> scores;  // by atom, of those that stand for others; see choose.h
  std::vector<bool> dead;      // all that makes them is zero
};

/// Errors: conflict for weights that are not finite; those of reading weights.
Result<ChannelScores> score_channels(const Document& document, ChannelGraph& graph, PruneNorm norm);

/// Units that can go, and how many of them will at most.
struct Candidates {
  Labels units;
  uint64_t most = 0;
};

/// Gives the units of each of GROUPS scores in the order in which they go best: what the weights
/// that read them lose with that unit and all before it. A group that no observed weight reads
/// keeps its scores. Errors: those of reading weights.
Status score_by_losses(const Document& document, ChannelGraph& graph,
                       const std::vector<Candidates>& groups, const ValueMoments& seen,
                       std::vector<double>& scores);

/// The elements of TENSOR as f32; empty for types that are no floating-point numbers.
Result<std::vector<float>> floats_of(const DocTensor& tensor);

}  // namespace mlc::onnx
