#include "mlc/torch/observe_values.h"
#include "mlc/torch/quantize_script.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include <ATen/ATen.h>

namespace mlc::torch_module {
namespace {

/// Sums over the rows that one value was, in all samples.
struct Sums {
  const LayerSite* site = nullptr;  // one of those that read it; all see the same rows
  LayerInput facts;
  at::Tensor gram;
  at::Tensor absolute;
  at::Tensor squares;
  at::Tensor largest;
};

bool is_conv(const LayerSite& site) {
  return site.kind == LayerKind::conv1d || site.kind == LayerKind::conv2d;
}

/// Rows as the weight, seen as [out, columns], multiplies them: of convolutions the patches.
at::Tensor rows_of(const LayerSite& site, const at::Tensor& value) {
  if (!is_conv(site)) return value.reshape({-1, value.size(-1)});
  at::Tensor input = value;
  std::vector<int64_t> kernel(site.weight.sizes().begin() + 2, site.weight.sizes().end());
  std::vector<int64_t> dilation = site.dilation;
  std::vector<int64_t> padding = site.padding;
  std::vector<int64_t> stride = site.stride;
  if (site.kind == LayerKind::conv1d) {
    input = input.unsqueeze(-2);
    kernel.insert(kernel.begin(), 1);
    dilation.insert(dilation.begin(), 1);
    padding.insert(padding.begin(), 0);
    stride.insert(stride.begin(), 1);
  }
  const at::Tensor patches = at::im2col(input, kernel, dilation, padding, stride);
  return patches.transpose(1, 2).reshape({-1, patches.size(1)});
}

void add(const at::Tensor& rows, bool gram, Sums& sums) {
  const at::Tensor magnitude = rows.abs();
  const at::Tensor absolute = magnitude.sum(0, /*keepdim=*/false, at::kDouble);
  const at::Tensor squares = rows.square().sum(0, /*keepdim=*/false, at::kDouble);
  const at::Tensor largest = magnitude.amax(0).to(at::kDouble);
  const bool first = sums.facts.rows == 0;
  sums.facts.rows += static_cast<uint64_t>(rows.size(0));
  sums.absolute = first ? absolute : sums.absolute + absolute;
  sums.squares = first ? squares : sums.squares + squares;
  sums.largest = first ? largest : at::maximum(sums.largest, largest);
  if (!gram) return;
  const at::Tensor wide = rows.contiguous();
  if (first) {
    sums.gram = at::mm(wide.t(), wide);
  } else {
    sums.gram.addmm_(wide.t(), wide);
  }
}

std::vector<double> doubles(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  const double* const data = plain.const_data_ptr<double>();
  return {data, data + plain.numel()};
}

LayerInput finished(Sums sums) {
  LayerInput out = std::move(sums.facts);
  out.sum_abs = doubles(sums.absolute);
  out.sum_square = doubles(sums.squares);
  out.max_abs = doubles(sums.largest);
  out.columns = static_cast<int64_t>(out.sum_abs.size());
  if (sums.gram.defined()) {
    const at::Tensor plain = sums.gram.contiguous();
    const float* const data = plain.const_data_ptr<float>();
    out.gram.assign(data, data + plain.numel());
  }
  return out;
}

/// Where two layers read the same rows: the same value in the same way.
using Source = std::pair<const torch::jit::Value*, std::vector<int64_t>>;

Source source_of(const LayerSite& site) {
  std::vector<int64_t> how = {static_cast<int64_t>(site.kind)};
  if (is_conv(site)) {
    for (const auto* list : {&site.stride, &site.padding, &site.dilation})
      how.insert(how.end(), list->begin(), list->end());
    how.insert(how.end(), site.weight.sizes().begin() + 1, site.weight.sizes().end());
  }
  return {site.input(), how};
}

}  // namespace

Result<std::vector<LayerInput>> layer_inputs_of(torch::jit::Module& module,
                                                const WeightNames& names,
                                                const LayerInputRequest& request,
                                                const ArgumentSource& arguments) {
  const auto graph = module.get_method("forward").graph();
  const FoundLayers found = find_layers(graph->block(), names);
  std::vector<Sums> sums;
  std::vector<torch::jit::Value*> values;
  std::map<Source, size_t> known;
  for (const LayerSite& site : found.layers) {
    if (site.kind == LayerKind::embedding || site.groups != 1) continue;
    if (request.wanted && !request.wanted(site.name)) continue;
    const auto [at, is_new] = known.try_emplace(source_of(site), sums.size());
    if (is_new) {
      sums.emplace_back().site = &site;
      values.push_back(site.input());
    }
    sums[at->second].facts.weights.push_back(site.name);
  }
  ValueWatch watch(graph, values, [&](size_t id, const at::Tensor& value) -> Status {
    if (value.numel() > 0)
      add(rows_of(*sums[id].site, value.to(at::kFloat)), request.gram, sums[id]);
    return {};
  });
  for (uint64_t i = 0; i < request.samples.count; ++i) {
    MLC_TRY(torch::jit::Stack stack, arguments(i));
    stack.insert(stack.begin(), module._ivalue());
    MLC_CHECK(watch.run(std::move(stack)));
  }
  std::vector<LayerInput> out;
  for (Sums& one : sums) {
    if (one.facts.rows > 0) out.push_back(finished(std::move(one)));
  }
  return out;
}

}  // namespace mlc::torch_module
