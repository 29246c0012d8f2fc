// Batch norms of a smaller model: what they subtract and divide by was estimated with all channels.
//
// Each gets the mean and variance with which what it gives is nearest, by least squares over
// samples, to what it gives in the whole model. Where what it reads kept its shape this is what
// estimating its statistics again would give (compression 2.3); where it did not, a variance as
// large as before would make errors larger.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/choose.h"
#include "mlc/onnx_prune/observe.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::onnx {

struct Restated {
  size_t node = 0;
  std::string value;          // that it normalises; channels are its second axis
  std::vector<int64_t> kept;  // channels
  PairStatistics seen;        // of what it normalises
};

/// The batch norms behind node FIRST whose statistics are f32 and nobody else's, in the order of
/// the graph, without statistics.
std::vector<Restated> find_restated(const Document& document, ChannelPlan& plan, size_t first);

/// Changes the statistics of NORMS in DOCUMENT, which is still whole; those of channels that go
/// stay. Errors: those of reading them.
Status restate(Document& document, const std::vector<Restated>& norms);

}  // namespace mlc::onnx
