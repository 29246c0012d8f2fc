#include "mlc/torch/quantize_script.h"

#include "mlc/base/text.h"
#include "mlc/torch/byte_graph.h"
#include "mlc/torch/observe_values.h"
#include "mlc/torch/packed_layer.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Stack;

/// The engine that multiplies bytes. Error: unsupported where there is none, or only one that loses
/// to floats on every CPU but those of phones.
Result<std::string> choose_backend() {
  const auto& known = at::Context::supportedQEngines();
  for (const at::QEngine engine :
       {at::QEngine::X86, at::QEngine::FBGEMM, at::QEngine::ONEDNN, at::QEngine::QNNPACK}) {
    if (std::ranges::find(known, engine) == known.end()) continue;
    at::globalContext().setQEngine(engine);
    std::string name = c10::toString(engine);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return name;
  }
  return unsupported("this LibTorch has no engine that multiplies bytes",
                     "`mlc doctor` lists the engines it has; ONNX models do without one");
}

std::string why_kept(const LayerSite& site, const ScriptQuantOptions& options) {
  const bool table = site.kind == LayerKind::embedding;
  if (options.wanted && !options.wanted(site.name)) return "excluded";
  if (table && !options.embeddings) return "an embedding";
  const bool is_conv = site.kind == LayerKind::conv1d || site.kind == LayerKind::conv2d;
  if (is_conv && !options.with_ranges) return "a convolution: it needs ranges of activations";
  if (site.weight.numel() < options.min_elements) return "small";
  return unfit_reason(site);
}

Stack with_module(const torch::jit::Module& module, Stack arguments) {
  arguments.insert(arguments.begin(), module._ivalue());
  return arguments;
}

/// Error: conflict for a program that multiplies bytes already.
Status refuse_bytes(const torch::jit::Block* block) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (std::string_view(node->kind().toQualString()).starts_with("quantized::"))
      return conflict(
          std::string("the model is quantised already: it calls ") + node->kind().toQualString(),
          "quantise the original");
    for (const torch::jit::Block* inner : node->blocks()) MLC_CHECK(refuse_bytes(inner));
  }
  return {};
}

class Quantizer {
 public:
  Quantizer(torch::jit::Module& module, const WeightNames& names, const ScriptQuantOptions& options,
            const ArgumentSource& arguments)
      : module_(module),
        names_(names),
        options_(options),
        arguments_(arguments),
        graph_(module.get_method("forward").graph()) {}

  Result<ScriptQuantReport> run() {
    MLC_TRY(report_.backend, choose_backend());
    MLC_CHECK(refuse_bytes(graph_->block()));
    torch::jit::RemoveTensorMutation(graph_);
    choose();
    ByteGraph bytes(module_, graph_);
    if (options_.with_ranges) MLC_CHECK(quantize_statically(bytes));
    for (const LayerSite& site : layers_) {
      if (site.kind == LayerKind::conv1d || site.kind == LayerKind::conv2d) {
        report_.kept.push_back({site.name, "within a branch or loop", site.weight.nbytes()});
      } else if (auto layer = bytes.make_dynamic(site, options_.reduce_range)) {
        report_.layers.push_back(std::move(*layer));
      }
    }
    torch::jit::EliminateDeadCode(graph_);
    return std::move(report_);
  }

 private:
  void choose() {
    FoundLayers found = find_layers(graph_->block(), names_);
    report_.kept = std::move(found.kept);
    for (LayerSite& site : found.layers) {
      std::string reason = why_kept(site, options_);
      if (reason.empty()) {
        layers_.push_back(std::move(site));
      } else {
        report_.kept.push_back({site.name, std::move(reason), site.weight.nbytes()});
      }
    }
  }

  Status quantize_statically(ByteGraph& bytes) {
    const StaticPlan plan = plan_static(graph_, layers_);
    if (plan.steps.empty()) return {};
    const std::vector<size_t> ids = places_of(plan.activations);
    MLC_CHECK(watch(plan, ids));
    std::vector<ActivationScale> scales;
    for (const size_t id : ids) {
      MLC_TRY(const ActivationScale scale, options_.scale_of(id));
      scales.push_back(scale);
    }
    for (ScriptLayer& layer : bytes.make_static(plan, scales))
      report_.layers.push_back(std::move(layer));
    std::vector<LayerSite> others;
    for (LayerSite& site : layers_) {
      const bool done = std::ranges::any_of(
          plan.steps, [&](const StaticStep& step) { return step.site == &site; });
      if (!done) others.push_back(std::move(site));
    }
    layers_ = std::move(others);
    return {};
  }

  /// Where VALUES stand in the program, which is the same in each copy of it that is frozen.
  /// Requires: nothing was inserted into it yet.
  std::vector<size_t> places_of(const std::vector<torch::jit::Value*>& values) const {
    std::map<const torch::jit::Value*, size_t> places;
    for (const torch::jit::Value* input : graph_->inputs()) places.emplace(input, places.size());
    for (const torch::jit::Node* node : graph_->nodes())
      for (const torch::jit::Value* output : node->outputs()) places.emplace(output, places.size());
    std::vector<size_t> out;
    for (const torch::jit::Value* value : values) out.push_back(places.at(value));
    return out;
  }

  /// Runs the samples for what is not known of the activations of PLAN, which are called IDS.
  Status watch(const StaticPlan& plan, const std::vector<size_t>& ids) {
    std::vector<torch::jit::Value*> values;
    std::vector<size_t> asked;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (options_.is_known && options_.is_known(ids[i])) continue;
      values.push_back(plan.activations[i]);
      asked.push_back(ids[i]);
    }
    if (values.empty()) return {};
    ValueWatch watch(graph_, values, [&](size_t i, const at::Tensor& value) -> Status {
      if (value.scalar_type() != at::kFloat)
        return unsupported("an activation is of another type than float32",
                           "--torchscript dynamic needs no ranges of activations");
      const at::Tensor plain = value.contiguous();
      return options_.observe(asked[i],
                              {plain.const_data_ptr<float>(), static_cast<size_t>(plain.numel())});
    });
    for (uint64_t i = 0; i < options_.samples.count; ++i) {
      MLC_TRY(Stack arguments, arguments_(i));
      MLC_CHECK(watch.run(with_module(module_, std::move(arguments))));
    }
    return {};
  }

  torch::jit::Module& module_;
  const WeightNames& names_;
  const ScriptQuantOptions& options_;
  const ArgumentSource& arguments_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::vector<LayerSite> layers_;  // that become bytes
  ScriptQuantReport report_;
};

}  // namespace

Result<ScriptQuantReport> quantize_script(torch::jit::Module& module, const WeightNames& names,
                                          const ScriptQuantOptions& options,
                                          const ArgumentSource& arguments) {
  return Quantizer(module, names, options, arguments).run();
}

}  // namespace mlc::torch_module
