// The layers of a frozen TorchScript graph whose weights are constants.
#pragma once

#include "mlc/engine/script_quantization.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

enum class LayerKind : uint8_t { linear, conv1d, conv2d, embedding };

struct LayerSite {
  LayerKind kind = LayerKind::linear;
  torch::jit::Node* node = nullptr;
  size_t argument = 0;  // of NODE: the activations, or the indices of an embedding
  std::string name;     // of the weight in the state_dict
  at::Tensor weight;    // [out, in, ...], of a linear layer [out, in]
  std::optional<at::Tensor> bias;
  // Of convolutions:
  std::vector<int64_t> stride;
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  int64_t groups = 1;

  /// Asked of the node each time: rewriting the layer before exchanges it.
  torch::jit::Value* input() const { return node->input(argument); }
};

/// The names that tensors have in a module, for constants of a frozen copy of it, which share their
/// memory, or are named for the attributes they were. "w, part" is a piece of w. Empty where the
/// file does not tell.
class WeightNames {
 public:
  explicit WeightNames(const torch::jit::Module& module);
  std::string of(const torch::jit::Value& constant, const at::Tensor& tensor) const;

 private:
  std::map<const char*, std::pair<size_t, std::string>> names_;  // begin, bytes and name
};

struct FoundLayers {
  std::vector<LayerSite> layers;  // in the order of the program, those within branches too
  std::vector<ScriptKept> kept;   // other weights of two or more dimensions
};

/// aten::linear and what is one (addmm and matmul with a constant matrix), aten::conv1d, conv2d and
/// _convolution without transposition, aten::embedding, all with weights of float32.
FoundLayers find_layers(torch::jit::Block* block, const WeightNames& names);

}  // namespace mlc::torch_module
