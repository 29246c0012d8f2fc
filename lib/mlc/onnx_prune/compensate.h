// What kept channels tell of all, put into the weights that read them.
//
// A weight W of the whole model reads x; in the smaller model y stands there, which lacks channels
// and whose others differ a little, because of what went before. Over samples, x is B y + b by
// least squares (moments.h); so what W does is done by W B and a bias W b. Weights are taken in the
// order of the graph, each with the y of a model in which all before it were changed already
// (compression 2.3, with moments of channels instead of patches: the same for kernels of any size).
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/choose.h"
#include "mlc/onnx_prune/moments.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::onnx {

/// A weight whose channels can be told by others.
struct Compensated {
  ChannelGraph::Reader reader;
  std::vector<int64_t> kept;  // indices of its axis
  bool has_offset = false;    // its node takes a bias, and pads with no zeros
  bool new_bias = false;      // which it has not yet
  LinearGuess guess;
};

/// Readers of GRAPH whose channels can be measured: not shared weights, grouped convolutions, other
/// types than f32 and more than 4,096 channels.
std::vector<ChannelGraph::Reader> measured_readers(const Document& document,
                                                   const ChannelGraph& graph);

/// Those of them that lose channels or come behind such a one, without a guess, in the order of the
/// graph.
std::vector<Compensated> find_compensated(const Document& document, ChannelPlan& plan);

/// Changes the weights and biases of READERS in DOCUMENT, which is still whole; new biases become
/// axes of PLAN. Errors: those of reading weights.
Status compensate(Document& document, ChannelPlan& plan, const std::vector<Compensated>& readers);

}  // namespace mlc::onnx
