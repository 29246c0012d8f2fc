// How much each channel matters, by the norms of its slices.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/prune_plan.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/channel_graph.h"

#include <vector>

namespace mlc::onnx {

struct ChannelScores {
  std::vector<double> scores;  // by atom, of those that stand for others; see choose.h
  std::vector<bool> dead;      // all that makes them is zero
};

/// Errors: conflict for weights that are not finite; those of reading weights.
Result<ChannelScores> score_channels(const Document& document, ChannelGraph& graph, PruneNorm norm);

/// The elements of TENSOR as f32; empty for types that are no floating-point numbers.
Result<std::vector<float>> floats_of(const DocTensor& tensor);

}  // namespace mlc::onnx
