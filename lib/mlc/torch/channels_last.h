// Weights of convolutions with channels last, and back.
//
// Measured with LibTorch 2.13 on a CPU with AVX-512 and bf16, 1 and 2 threads: ResNet-18,
// MobileNetV2, VGG-11, U-Net and the small network of examples/digits gain 1.0 to 1.4 times in
// fp32, 1.2 to 2.5 times in bf16; none loses. Some models refuse: x.view() of an image needs its
// channels first.
#pragma once

#include "mlc/engine/engine.h"

#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

class ChannelsLastWeights {
 public:
  ChannelsLastWeights() = default;
  /// Finds the weights of convolutions in two dimensions among the parameters of MODULE.
  explicit ChannelsLastWeights(const torch::jit::Module& module);

  bool empty() const { return weights_.empty(); }
  /// Gives the parameters of the module data with channels last; undo() gives them what they had.
  void apply();
  void undo();

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> weights_;  // parameter, its data before apply()
};

/// Whether a model with these WEIGHTS is to run with channels last: on demand, and automatically
/// where it is run again and again on a CPU.
bool wants_channels_last(const LoadOptions& options, const std::string& device,
                         const ChannelsLastWeights& weights);

/// VALUE, with channels last if it is a batch of images.
at::Tensor with_channels_last(const at::Tensor& value);

}  // namespace mlc::torch_module
