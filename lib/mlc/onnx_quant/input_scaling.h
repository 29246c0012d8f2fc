// Factors that move size from the activations of products to their weights, or back.
//
// X W = (X / s) (s W), with one s for each channel of X, which all products share that read X.
// Dividing by s becomes a part of what makes X, where that can be and nothing else reads X, else a
// Mul. Two ways to choose s:
//
//   smooth  s_j = max|X_j|^a / max|W_j|^(1 - a): channels that are much larger than others leave
//           the others few codes (Xiao et al., "SmoothQuant", 2023). Without an a, the one of 0,
//           0.05, ... 1, or no factors at all, with the least noise of rounding, as it follows
//           from ranges and squares: of X to 8 bits for all, of W to 8 bits an output.
//   awq     s_j = mean|X_j|^a of 21 a from 0 to 1, the one with which the products of some rows of
//           X change least when weights are rounded to 4 bits (Lin et al., "AWQ", 2023): weights
//           of channels that matter get finer steps.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/channel_stats.h"
#include "mlc/onnx_quant/quantize.h"
#include "mlc/onnx_quant/weight_matrix.h"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mlc::onnx {

struct ScaledWeight {
  std::string name;
  Channels channels = Channels::last;  // of outputs
};

/// An activation, and the weights that nothing but it is multiplied with.
struct ScaledInput {
  std::string activation;
  std::vector<ScaledWeight> weights;
  std::vector<size_t> nodes;  // all that multiply with them, by index in Document::nodes
};

/// Of WEIGHTS, by name, those of MatMul and Gemm, by what they are multiplied with. Constants
/// aside, each activation is there once, in the order of the graph.
std::vector<ScaledInput> find_scaled_inputs(const Document& document,
                                            const std::set<std::string, std::less<>>& weights);

/// ALPHA as above; without it the best. Empty where no factors are best. Errors: those of reading
/// weights.
Result<std::vector<float>> smooth_factors(const Document& document, const ScaledInput& input,
                                          const ChannelStats& stats, std::optional<double> alpha);

struct AwqChoice {
  std::vector<float> factors;  // empty where none are best
  Rounding rounding = Rounding::rtn;
};
/// HOW says of blocks what they are like; rtn and mse are both tried. Errors: those of reading
/// weights.
Result<AwqChoice> awq_factors(const Document& document, const ScaledInput& input,
                              const ChannelStats& stats, const QuantOptions& how);

struct InputScaling {
  size_t folded = 0;      // activations that come divided
  size_t multiplied = 0;  // those with a Mul of their own
};

/// Divides each of INPUTS by its FACTORS, where it has any, and multiplies its weights. Requires:
/// INPUTS were found in DOCUMENT as it is.
Status scale_inputs(Document& document, const std::vector<ScaledInput>& inputs,
                    const std::vector<std::vector<float>>& factors, InputScaling& out);

}  // namespace mlc::onnx
