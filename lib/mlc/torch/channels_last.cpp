#include "mlc/torch/channels_last.h"

#include <c10/core/MemoryFormat.h>

namespace mlc::torch_module {

ChannelsLastWeights::ChannelsLastWeights(const torch::jit::Module& module) {
  for (const auto& one : module.named_parameters()) {
    // Other parameters of four dimensions, such as tables of positions, gain nothing.
    const bool convolution = one.name == "weight" || one.name.ends_with(".weight");
    if (convolution && one.value.dim() == 4 && one.value.is_floating_point()) {
      weights_.emplace_back(one.value, one.value.variable_data());
    }
  }
}

void ChannelsLastWeights::apply() {
  for (auto& [parameter, before] : weights_) parameter.set_data(with_channels_last(before));
}

void ChannelsLastWeights::undo() {
  for (auto& [parameter, before] : weights_) parameter.set_data(before);
}

bool wants_channels_last(const LoadOptions& options, const std::string& device,
                         const ChannelsLastWeights& weights) {
  if (options.channels_last != ChannelsLast::automatic) {
    return options.channels_last == ChannelsLast::on;
  }
  return options.purpose == Purpose::repeated && device == "cpu" && !weights.empty();
}

at::Tensor with_channels_last(const at::Tensor& value) {
  return value.dim() == 4 ? value.contiguous(c10::MemoryFormat::ChannelsLast) : value;
}

}  // namespace mlc::torch_module
