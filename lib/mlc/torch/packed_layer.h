// Weights as LibTorch's kernels for bytes take them.
#pragma once

#include "mlc/engine/script_quantization.h"
#include "mlc/torch/layer_sites.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

namespace mlc::torch_module {

/// The result of calling operator NAME ("quantized::linear_prepack") of OVERLOAD.
c10::IValue call_by_name(const char* name, const char* overload, torch::jit::Stack arguments);

struct PackedLayer {
  c10::IValue packed;  // the object that kernels take
  ScriptLayer facts;   // all but `op`
};

/// Linear layers and convolutions: int8 codes with a scale for each output, symmetric. Embeddings:
/// uint8 codes with a scale and a zero point for each row. Throws what LibTorch throws.
PackedLayer pack_layer(const LayerSite& site);

/// Why the weights of SITE cannot be bytes: not finite; empty where they can.
std::string unfit_reason(const LayerSite& site);

}  // namespace mlc::torch_module
