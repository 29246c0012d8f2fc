// Blocks of four bits whose codes go by what the weights are multiplied with (GPTQ).
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/input_gram.h"
#include "mlc/onnx_quant/quantize.h"
#include "mlc/onnx_quant/quantized_weight.h"

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

struct MultipliedWeight {
  std::string name;
  Channels channels = Channels::last;  // of outputs
};

/// Weights, all of which are multiplied with the same activations and with nothing else.
struct MultipliedWeights {
  GramSource inputs;
  std::vector<MultipliedWeight> weights;

  uint64_t gram_bytes() const { return inputs.channels * inputs.channels * sizeof(float); }
};

/// Of WEIGHTS, by name, those of MatMul and Gemm, by what they are multiplied with; the same
/// activations are there once, in the order of the graph. A weight that several nodes read has what
/// all of them multiply it with; one that meets a constant is not there.
std::vector<MultipliedWeights> find_multiplied(const Document& document,
                                               const std::set<std::string, std::less<>>& weights);

using BlockWeights = std::map<std::string, std::shared_ptr<const BlockWeight>>;

/// Puts WEIGHTS of DOCUMENT into BLOCKS, and into GAIN what their inputs, of which GRAM is, gain.
/// HOW says of blocks what they are like. Errors: those of reading weights and of
/// InputFactor::make().
Status round_by_inputs(const Document& document, const MultipliedWeights& weights,
                       std::span<const float> gram, const QuantOptions& how, BlockWeights& blocks,
                       RoundingGain& gain);

}  // namespace mlc::onnx
