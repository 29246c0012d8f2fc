// TorchScript whose layers compute with bytes, out of TorchScript that computes with floats.
//
// Linear layers become quantized::linear_dynamic, embeddings quantized::embedding_byte. With ranges
// of activations, convolutions and linear layers of the straight part of the program become
// quantized::conv2d and quantized::linear, a ReLU behind them included, and bytes go on through
// sums, concatenations and what does not change values (pools, flatten): floats appear where
// something else reads them.
#pragma once

#include "mlc/engine/script_quantization.h"
#include "mlc/torch/layer_sites.h"

#include <functional>

#include <ATen/core/stack.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// The arguments of `forward` for sample I, without the module.
using ArgumentSource = std::function<Result<torch::jit::Stack>(uint64_t)>;

/// Rewrites `forward` of MODULE, which is frozen. NAMES are those of what it was frozen from.
/// Errors: as Model::write_quantized; throws what LibTorch throws.
Result<ScriptQuantReport> quantize_script(torch::jit::Module& module, const WeightNames& names,
                                          const ScriptQuantOptions& options,
                                          const ArgumentSource& arguments);

/// As Model::layer_inputs, of a frozen MODULE.
Result<std::vector<LayerInput>> layer_inputs_of(torch::jit::Module& module,
                                                const WeightNames& names,
                                                const LayerInputRequest& request,
                                                const ArgumentSource& arguments);

}  // namespace mlc::torch_module
