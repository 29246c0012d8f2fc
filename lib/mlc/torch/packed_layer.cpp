#include "mlc/torch/packed_layer.h"

#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace mlc::torch_module {
namespace {

constexpr double kLeastScale = 1e-12;  // of rows of zeros

/// Adds what became of WEIGHT, whose codes are CODES.
ScriptLayer facts_of(const LayerSite& site, const at::Tensor& weight, const at::Tensor& codes,
                     uint64_t bytes_a_row) {
  ScriptLayer out;
  out.weight = site.name;
  out.sizes = weight.sizes().vec();
  out.bytes_before = weight.nbytes();
  out.bytes_after =
      static_cast<uint64_t>(weight.numel()) + static_cast<uint64_t>(weight.size(0)) * bytes_a_row;
  const at::Tensor error = (codes.dequantize() - weight).to(at::kDouble);
  out.signal = weight.to(at::kDouble).square().sum().item<double>();
  out.noise = error.square().sum().item<double>();
  out.max_error = error.abs().max().item<double>();
  return out;
}

PackedLayer pack_table(const LayerSite& site) {
  const at::Tensor weight = site.weight.contiguous();
  const at::Tensor low = weight.amin(1);
  const at::Tensor scale = ((weight.amax(1) - low) / 255).clamp_min(kLeastScale);
  const at::Tensor codes =
      at::quantize_per_channel(weight, scale, -low / scale, /*axis=*/0, at::kQUInt8);
  PackedLayer out;
  out.facts = facts_of(site, weight, codes, 2 * sizeof(float));
  out.facts.scheme = "uint8 table";
  out.packed = call_by_name("quantized::embedding_bag_prepack", "", {codes});
  return out;
}

PackedLayer pack_matrix(const LayerSite& site) {
  const at::Tensor weight = site.weight.contiguous();
  const at::Tensor largest = weight.abs().flatten(1).amax(1).to(at::kDouble);
  const at::Tensor scale = (largest / 127).clamp_min(kLeastScale);
  const at::Tensor zero = at::zeros(scale.sizes(), at::kLong);
  const at::Tensor codes = at::quantize_per_channel(weight, scale, zero, /*axis=*/0, at::kQInt8);
  PackedLayer out;
  out.facts = facts_of(site, weight, codes, sizeof(double) + sizeof(int64_t));
  out.facts.scheme = "int8";
  if (site.kind == LayerKind::linear) {
    out.packed = call_by_name("quantized::linear_prepack", "", {codes, site.bias});
    return out;
  }
  const char* const pack =
      site.kind == LayerKind::conv1d ? "quantized::conv1d_prepack" : "quantized::conv2d_prepack";
  out.packed = call_by_name(
      pack, "", {codes, site.bias, site.stride, site.padding, site.dilation, site.groups});
  return out;
}

}  // namespace

c10::IValue call_by_name(const char* name, const char* overload, torch::jit::Stack arguments) {
  const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
  handle.callBoxed(&arguments);
  return arguments.at(0);
}

PackedLayer pack_layer(const LayerSite& site) {
  return site.kind == LayerKind::embedding ? pack_table(site) : pack_matrix(site);
}

std::string unfit_reason(const LayerSite& site) {
  return at::isfinite(site.weight).all().item<bool>() ? "" : "not finite";
}

}  // namespace mlc::torch_module
