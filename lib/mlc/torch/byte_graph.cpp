#include "mlc/torch/byte_graph.h"

#include "mlc/torch/packed_layer.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <ATen/core/jit_type.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Node;
using torch::jit::Value;

// Operators that LibTorch computes on bytes without another scale.
constexpr std::array<std::string_view, 9> kSameValues = {
    "aten::max_pool2d", "aten::adaptive_avg_pool2d",
    "aten::avg_pool2d", "aten::flatten",
    "aten::relu",       "aten::hardtanh",
    "aten::permute",    "aten::transpose",
    "aten::reshape"};

bool is_op(const Node& node, std::string_view name) {
  return node.kind().toQualString() == name;
}

/// Whether NODE wants to know of a tensor what bytes and floats have in common.
bool asks_for_sizes(const Node& node) {
  constexpr std::array<std::string_view, 4> kOps = {"aten::size", "aten::dim", "aten::numel",
                                                    "aten::len"};
  return std::ranges::find(kOps, node.kind().toQualString()) != kOps.end();
}

/// The ReLU that is the only reader of VALUE.
Node* relu_behind(const Value& value) {
  if (value.uses().size() != 1) return nullptr;
  Node* const user = value.uses().front().user;
  const bool same_block = user->owningBlock() == value.node()->owningBlock();
  return same_block && is_op(*user, "aten::relu") ? user : nullptr;
}

/// c of a + c * b.
bool adds_plainly(const Node& node) {
  if (node.inputs().size() != 3) return false;
  const auto factor = torch::jit::toIValue(node.input(2));
  return factor && factor->isInt() && factor->toInt() == 1;
}

class Planner {
 public:
  Planner(const std::shared_ptr<torch::jit::Graph>& graph, const std::vector<LayerSite>& layers)
      : graph_(graph), aliases_(graph) {
    for (const LayerSite& site : layers) {
      if (site.node->owningBlock() == graph->block() && site.kind != LayerKind::embedding)
        sites_[site.node] = &site;
    }
  }

  StaticPlan run() {
    for (Node* node : graph_->nodes()) {
      if (done_.contains(node)) continue;
      if (const auto site = sites_.find(node); site != sites_.end()) {
        add_layer(*site->second);
      } else if (is_op(*node, "aten::add")) {
        add_sum(*node);
      } else if (is_op(*node, "aten::cat")) {
        add_concat(*node);
      } else if (std::ranges::find(kSameValues, node->kind().toQualString()) != kSameValues.end()) {
        add_same(*node);
      }
    }
    return std::move(plan_);
  }

 private:
  bool is_written(Value* value) { return aliases_.hasWriters(value); }
  bool is_bytes(Value* value) const { return bytes_.contains(value); }

  void need(Value* value) {
    if (needed_.insert(value).second) plan_.activations.push_back(value);
  }

  void add(StaticStep step) {
    done_.insert(step.node);
    if (step.relu != nullptr) done_.insert(step.relu);
    bytes_.insert(step.result());
    plan_.steps.push_back(step);
  }

  void add_layer(const LayerSite& site) {
    StaticStep step{StaticStep::Kind::layer, site.node, relu_behind(*site.node->output()), &site};
    if (is_written(site.input()) || is_written(step.result())) return;
    if (!is_bytes(site.input())) need(site.input());
    need(step.result());
    add(step);
  }

  void add_sum(Node& node) {
    if (!adds_plainly(node) || !is_bytes(node.input(0)) || !is_bytes(node.input(1))) return;
    StaticStep step{StaticStep::Kind::add, &node, relu_behind(*node.output()), nullptr};
    if (is_written(step.result())) return;
    need(step.result());
    add(step);
  }

  void add_concat(Node& node) {
    Node* const list = node.input(0)->node();
    const bool fits =
        list->kind() == c10::prim::ListConstruct && list->inputs().size() > 0 &&
        node.input(0)->uses().size() == 1 &&
        std::ranges::all_of(list->inputs(), [&](Value* one) { return is_bytes(one); });
    if (!fits || is_written(node.output())) return;
    need(node.output());
    add({StaticStep::Kind::concat, &node, nullptr, nullptr});
  }

  void add_same(Node& node) {
    if (!is_bytes(node.input(0)) || is_written(node.output())) return;
    add({StaticStep::Kind::same_values, &node, nullptr, nullptr});
  }

  std::shared_ptr<torch::jit::Graph> graph_;
  torch::jit::AliasDb aliases_;
  std::map<const Node*, const LayerSite*> sites_;
  std::set<const Node*> done_;
  std::set<const Value*> bytes_;
  std::set<const Value*> needed_;
  StaticPlan plan_;
};

}  // namespace

StaticPlan plan_static(const std::shared_ptr<torch::jit::Graph>& graph,
                       const std::vector<LayerSite>& layers) {
  return Planner(graph, layers).run();
}

ByteGraph::ByteGraph(torch::jit::Module& module, std::shared_ptr<torch::jit::Graph> graph)
    : module_(module), graph_(std::move(graph)) {}

Value* ByteGraph::constant(const c10::IValue& value) {
  return graph_->insertConstant(value);
}

ByteGraph::PackedKey ByteGraph::key_of(const LayerSite& site) {
  PackedKey out{site.kind, site.weight.const_data_ptr(),
                site.bias ? site.bias->const_data_ptr() : nullptr, site.weight.sizes().vec()};
  const std::vector<int64_t> strides = site.weight.strides().vec();
  for (const auto* const more : {&strides, &site.stride, &site.padding, &site.dilation})
    out.layout.insert(out.layout.end(), more->begin(), more->end());
  out.layout.push_back(site.groups);
  return out;
}

Value* ByteGraph::packed_value(const LayerSite& site, std::optional<ScriptLayer>& facts) {
  std::string& name = packed_[key_of(site)];
  if (name.empty()) {
    name = "_mlc_packed_" + std::to_string(packed_.size() - 1);
    PackedLayer layer = pack_layer(site);
    module_.register_attribute(name, layer.packed.type(), layer.packed);
    facts = std::move(layer.facts);
  }
  Value* const self = graph_->inputs()[0];
  Node* const get = graph_->insertNode(graph_->createGetAttr(self, name));
  return get->output();
}

Value* ByteGraph::make(const std::string& op, const std::vector<Value*>& inputs) {
  Node* const node = graph_->create(c10::Symbol::fromQualString(op), inputs, 1);
  node->output()->setType(c10::TensorType::get());
  return graph_->insertNode(node)->output();
}

std::optional<ScriptLayer> ByteGraph::make_dynamic(const LayerSite& site, bool reduce_range) {
  const torch::jit::WithInsertPoint here(site.node);
  std::optional<ScriptLayer> facts;
  Value* const packed = packed_value(site, facts);
  const bool table = site.kind == LayerKind::embedding;
  const std::string op = table ? "quantized::embedding_byte" : "quantized::linear_dynamic";
  Value* const flag = constant(!table && reduce_range);
  std::vector<Value*> inputs = {site.input(), packed, flag};
  if (table) {
    // It takes indices that lie one behind the other only, as those of a slice do not.
    const auto format = static_cast<int64_t>(at::MemoryFormat::Contiguous);
    inputs = {packed, make("aten::contiguous", {site.input(), constant(format)}), flag};
  }
  site.node->output()->replaceAllUsesWith(make(op, inputs));
  site.node->destroy();
  if (facts) facts->op = op;
  return facts;
}

/// VALUE as bytes; made of floats behind whatever makes it, where it has none.
Value* ByteGraph::bytes_of(Value* value) {
  if (const auto known = bytes_.find(value); known != bytes_.end()) return known->second;
  const ActivationScale scale = scales_.at(value);
  Node* const maker = value->node();
  const bool is_input = maker->kind() == c10::prim::Param;
  const torch::jit::WithInsertPoint here(is_input ? *graph_->nodes().begin() : maker->next());
  Value* const type = constant(static_cast<int64_t>(at::kQUInt8));
  Value* const out = make("aten::quantize_per_tensor",
                          {value, constant(scale.scale), constant(scale.zero_point), type});
  bytes_[value] = out;
  return out;
}

/// The bytes that STEP gives; inserted before its last node.
Value* ByteGraph::step_bytes(const StaticStep& step, std::vector<ScriptLayer>& done) {
  Node& node = *step.node;
  const std::string suffix = step.relu != nullptr ? "_relu" : "";
  std::vector<Value*> inputs;
  if (step.kind == StaticStep::Kind::same_values) {
    inputs.assign(node.inputs().begin(), node.inputs().end());
    inputs[0] = bytes_of(inputs[0]);
    return make(node.kind().toQualString(), inputs);
  }
  const ActivationScale scale = scales_.at(step.result());
  std::string op;
  if (step.kind == StaticStep::Kind::layer) {
    std::optional<ScriptLayer> facts;
    constexpr std::array<std::string_view, 3> kOps = {"linear", "conv1d", "conv2d"};
    op = "quantized::" + std::string(kOps.at(static_cast<size_t>(step.site->kind))) + suffix;
    Value* const in = bytes_of(step.site->input());
    inputs = {in, packed_value(*step.site, facts)};
    if (facts) {
      facts->op = op;
      done.push_back(std::move(*facts));
    }
  } else if (step.kind == StaticStep::Kind::add) {
    op = "quantized::add" + suffix;
    inputs = {bytes_of(node.input(0)), bytes_of(node.input(1))};
  } else {
    op = "quantized::cat";
    std::vector<Value*> parts;
    for (Value* part : node.input(0)->node()->inputs()) parts.push_back(bytes_of(part));
    Node* const list = graph_->insertNode(graph_->createList(c10::TensorType::get(), parts));
    inputs = {list->output(), node.input(1)};
  }
  inputs.push_back(constant(scale.scale));
  inputs.push_back(constant(scale.zero_point));
  return make(op, inputs);
}

/// Floats for those who read what steps gave before, and the end of the nodes that gave it.
void ByteGraph::leave_floats(const StaticPlan& plan) {
  std::vector<Node*> old;
  for (const StaticStep& step : plan.steps) {
    old.push_back(step.node);
    if (step.relu != nullptr) old.push_back(step.relu);
  }
  for (Node* node : old) node->removeAllInputs();
  for (const StaticStep& step : plan.steps) {
    Value* const result = step.result();
    Value* const bytes = bytes_.at(result);
    for (const torch::jit::Use& use : std::vector(result->uses())) {
      if (asks_for_sizes(*use.user)) use.user->replaceInput(use.offset, bytes);
    }
    if (!result->hasUses()) continue;
    const torch::jit::WithInsertPoint here(bytes->node()->next());
    // Convolutions of bytes give channels last, which a view() behind them may not take.
    Value* const floats = make("aten::dequantize", {bytes});
    const auto format = static_cast<int64_t>(at::MemoryFormat::Contiguous);
    result->replaceAllUsesWith(make("aten::contiguous", {floats, constant(format)}));
  }
  for (auto node = old.rbegin(); node != old.rend(); ++node) (*node)->destroy();
  torch::jit::EliminateDeadCode(graph_);  // lists that only they read
}

std::vector<ScriptLayer> ByteGraph::make_static(const StaticPlan& plan,
                                                const std::vector<ActivationScale>& scales) {
  std::vector<ScriptLayer> done;
  for (size_t i = 0; i < scales.size(); ++i) scales_[plan.activations[i]] = scales[i];
  for (const StaticStep& step : plan.steps) {
    const torch::jit::WithInsertPoint here(step.relu != nullptr ? step.relu : step.node);
    Value* const bytes = step_bytes(step, done);
    bytes_[step.result()] = bytes;
  }
  leave_floats(plan);
  return done;
}

}  // namespace mlc::torch_module
