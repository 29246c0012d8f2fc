// Rewriting a graph so that values are bytes: who has made which bytes of what.
#pragma once

#include "mlc/engine/script_quantization.h"
#include "mlc/torch/layer_sites.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// What becomes bytes when ranges are known: found by plan_static().
struct StaticStep {
  enum class Kind : uint8_t { layer, add, concat, same_values };
  Kind kind = Kind::layer;
  torch::jit::Node* node = nullptr;
  torch::jit::Node* relu = nullptr;  // behind NODE, done with it
  const LayerSite* site = nullptr;   // of a layer

  torch::jit::Value* result() const { return (relu != nullptr ? relu : node)->output(); }
};

struct StaticPlan {
  std::vector<StaticStep> steps;                // in the order of the program
  std::vector<torch::jit::Value*> activations;  // whose ranges are needed
};

/// LAYERS are those of GRAPH that become bytes; of them those outside of branches and loops are
/// planned, where nothing writes into their activations.
StaticPlan plan_static(const std::shared_ptr<torch::jit::Graph>& graph,
                       const std::vector<LayerSite>& layers);

class ByteGraph {
 public:
  ByteGraph(torch::jit::Module& module, std::shared_ptr<torch::jit::Graph> graph);

  /// Linear layers and embeddings: each alone. Returns what it did; nothing where the weights are
  /// those of another one before.
  std::optional<ScriptLayer> make_dynamic(const LayerSite& site, bool reduce_range);
  /// All steps of PLAN; SCALES are of its activations, in their order. Weights that several layers
  /// have are among what it did once.
  std::vector<ScriptLayer> make_static(const StaticPlan& plan,
                                       const std::vector<ActivationScale>& scales);

 private:
  /// The packed weights of SITE, which calls of the same layer share. FACTS: where they are new.
  torch::jit::Value* packed_value(const LayerSite& site, std::optional<ScriptLayer>& facts);
  torch::jit::Value* constant(const c10::IValue& value);
  torch::jit::Value* make(const std::string& op, const std::vector<torch::jit::Value*>& inputs);
  torch::jit::Value* bytes_of(torch::jit::Value* value);
  torch::jit::Value* step_bytes(const StaticStep& step, std::vector<ScriptLayer>& done);
  void leave_floats(const StaticPlan& plan);

  torch::jit::Module& module_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::map<torch::jit::Value*, torch::jit::Value*>
      bytes_;  // of values that are floats in the source
  std::map<torch::jit::Value*, ActivationScale> scales_;
  /// What packed weights hang on.
  struct PackedKey {
    LayerKind kind = LayerKind::linear;
    const void* weight = nullptr;
    const void* bias = nullptr;
    std::vector<int64_t> layout;  // sizes and strides of the weight, settings of convolutions
    auto operator<=>(const PackedKey&) const = default;
  };
  static PackedKey key_of(const LayerSite& site);
  std::map<PackedKey, std::string> packed_;  // names of attributes
};

}  // namespace mlc::torch_module
