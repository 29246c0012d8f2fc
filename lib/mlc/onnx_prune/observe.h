// Channels of activations while models run on samples.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/onnx_prune/channel_graph.h"
#include "mlc/onnx_prune/moments.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// By value.
using ValueMoments = std::map<std::string, Moments, std::less<>>;

/// Of each kept channel over all positions, in a whole model and in a smaller one.
struct PairStatistics {
  std::vector<double> whole_mean;
  std::vector<double> small_mean;
  std::vector<double> small_variance;
  std::vector<double> covariance;
};
/// Runs both, which give VALUE as an output, on all samples; in SMALL it has only the channels
/// KEPT. Errors: those of Model::run() and of reading DATA; unsupported where it is no f32 with
/// channels as second axis; conflict for values that are not finite.
Result<PairStatistics> observe_statistics(mlc::Model& whole, mlc::Model& small,
                                          const CalibrationData& data, const std::string& value,
                                          const std::vector<int64_t>& kept, Reporter& reporter);

/// Runs MODEL, which gives what READERS read as outputs, on all samples. CHANNELS tells how many
/// channels each reads. Errors: those of Model::run() and of reading DATA; conflict for activations
/// that are not finite; unsupported for other types than f32.
Result<ValueMoments> observe_channels(mlc::Model& model, const CalibrationData& data,
                                      std::span<const ChannelGraph::Reader> readers,
                                      Reporter& reporter);

/// The same of one value in two models, the second of which has fewer channels there: moments of
/// these, then of the first's.
Result<Moments> observe_pair(mlc::Model& whole, mlc::Model& small, const CalibrationData& data,
                             const ChannelGraph::Reader& reader, Reporter& reporter);

}  // namespace mlc::onnx
