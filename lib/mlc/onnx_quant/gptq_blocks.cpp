#include "mlc/onnx_quant/gptq_blocks.h"

#include "mlc/base/text.h"
#include "mlc/compress/input_factor.h"
#include "mlc/onnx_quant/weight_uses.h"

#include <algorithm>

namespace mlc::onnx {
namespace {

/// What WEIGHT is multiplied with, in the order of the graph; nothing where a use of it is none of
/// these, or reads it in another way.
std::vector<std::string> inputs_of(const Document& document, const WeightUses& weight) {
  std::vector<std::string> out;
  for (const WeightUse& use : weight.uses) {
    const std::string& input = document.nodes[use.node].input(0);
    const bool plain = (use.role == Role::matmul || use.role == Role::gemm) &&
                       use.channels == weight.uses.front().channels &&
                       document.find_tensor(input) == nullptr;
    if (!plain) return {};
    if (std::ranges::find(out, input) == out.end()) out.push_back(input);
  }
  return out;
}

}  // namespace

std::vector<MultipliedWeights> find_multiplied(const Document& document,
                                               const std::set<std::string, std::less<>>& weights) {
  std::vector<MultipliedWeights> out;
  std::map<std::vector<std::string>, size_t> places;
  for (const WeightUses& weight : find_weights(document)) {
    if (!weights.contains(weight.tensor) || weight.is_visible) continue;
    std::vector<std::string> inputs = inputs_of(document, weight);
    if (inputs.empty()) continue;
    const DocTensor& tensor = *document.find_tensor(weight.tensor);
    const Channels channels = weight.uses.front().channels;
    const auto [place, is_new] = places.emplace(inputs, out.size());
    if (is_new) {
      const int64_t columns = tensor.sizes[channels == Channels::last ? 0 : 1];
      out.push_back({{std::move(inputs), static_cast<size_t>(columns)}, {}});
    }
    out[place->second].weights.push_back({weight.tensor, channels});
  }
  return out;
}

Status round_by_inputs(const Document& document, const MultipliedWeights& weights,
                       std::span<const float> gram, const QuantOptions& how, BlockWeights& blocks,
                       RoundingGain& gain) {
  MLC_TRY_CTX(const InputFactor factor,
              InputFactor::make(gram, static_cast<int64_t>(weights.inputs.channels), how.threads),
              "activation " + printable(weights.inputs.activations.front()));
  for (const MultipliedWeight& weight : weights.weights) {
    MLC_TRY_CTX(const auto made,
                BlockWeight::make_by_inputs(*document.find_tensor(weight.name), weight.channels,
                                            how.block, how.symmetric, factor, how.threads),
                "tensor " + printable(weight.name));
    if (made->facts().not_finite == 0) made->add_gain(gram, gain);
    blocks[weight.name] = made;
  }
  return {};
}

}  // namespace mlc::onnx
