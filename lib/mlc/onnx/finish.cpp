#include "mlc/onnx/finish.h"

#include "mlc/onnx/constants.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

template <class Each>
void for_each_subgraph(const Node& node, Each each) {
  for (const Attribute& attribute : node.attributes) {
    if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attribute.value)) each(**graph);
  }
}

void count_uses(const Graph& graph, std::map<const Value*, uint64_t>& uses) {
  for (const Node* node : graph.nodes) {
    for (const Value* input : node->inputs) {
      if (input != nullptr) ++uses[input];
    }
    for_each_subgraph(*node, [&](const Graph& inner) { count_uses(inner, uses); });
  }
  for (const GraphOutput& output : graph.outputs) ++uses[output.value];
}

using Needed = std::unordered_set<const Value*>;

void need_inputs(const Node& node, Needed& needed);

void mark(const Graph& graph, Needed& needed) {
  for (const GraphOutput& output : graph.outputs) needed.insert(output.value);
  for (auto at = graph.nodes.rbegin(); at != graph.nodes.rend(); ++at) {
    const auto is_needed = [&](const Value* value) { return needed.contains(value); };
    if (std::ranges::any_of((*at)->outputs, is_needed)) need_inputs(**at, needed);
  }
}

void need_inputs(const Node& node, Needed& needed) {
  for (const Value* input : node.inputs) {
    if (input != nullptr) needed.insert(input);
  }
  for_each_subgraph(node, [&](const Graph& inner) { mark(inner, needed); });
}

void sweep(Graph& graph, const Needed& needed) {
  std::erase_if(graph.nodes, [&](const Node* node) {
    return std::ranges::none_of(node->outputs,
                                [&](const Value* value) { return needed.contains(value); });
  });
  for (Node* node : graph.nodes) {
    for_each_subgraph(*node, [&](Graph& inner) { sweep(inner, needed); });
  }
}

const Value* input_of(const Node& node, size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : nullptr;
}

/// SCALE[c] and SHIFT[c], so that the norm is y = x * scale + shift.
struct Affine {
  std::vector<double> scale, shift;
};

/// Nothing where a part is not known, or has another number of channels than the scale.
std::optional<Affine> affine_of(const Node& norm) {
  std::vector<std::vector<double>> parts;
  for (size_t i = 1; i < 5; ++i) {
    const Value* part = input_of(norm, i);
    if (part == nullptr || part->data == nullptr) return std::nullopt;
    auto array = array_of(*part->data);
    if (!array) return std::nullopt;
    parts.push_back(std::move(array->doubles));
    if (parts.back().size() != parts.front().size()) return std::nullopt;
  }
  const AttributeValue* given = norm.find("epsilon");
  const double eps = given == nullptr ? 1e-5 : std::get<float>(*given);
  Affine out;
  for (size_t i = 0; i < parts[0].size(); ++i) {
    const double scale = parts[0][i] / std::sqrt(parts[3][i] + eps);
    out.scale.push_back(scale);
    out.shift.push_back(parts[1][i] - parts[2][i] * scale);
  }
  return out;
}

/// Which axis of the weight counts the outputs of NODE, and in how many groups of rows.
std::optional<size_t> output_axis(const Node& node) {
  if (node.op == "Conv") return 0;
  if (node.op == "ConvTranspose") {
    const AttributeValue* group = node.find("group");
    if (group != nullptr && std::get<int64_t>(*group) != 1) return std::nullopt;
    return 1;
  }
  if (node.op == "Gemm") {
    for (const char* name : {"alpha", "beta", "transA"}) {
      if (node.find(name) != nullptr) return std::nullopt;
    }
    return node.find("transB") != nullptr ? 0 : 1;
  }
  return std::nullopt;
}

DataRef scaled_weight(const DataRef& weight, size_t axis, std::vector<double> scale,
                      const std::string& how) {
  auto out = std::make_shared<TensorData>();
  out->dtype = weight->dtype;
  out->sizes = weight->sizes;
  out->key = weight->key;
  if (!weight->identity.empty()) out->identity = weight->identity + how;
  out->produce = [weight, axis, scale = std::move(scale)]() -> Result<Buffer> {
    auto array = array_of(*weight);
    if (!array) return internal_error("the weight of a norm cannot be read");
    size_t inner = 1;
    for (size_t i = axis + 1; i < array->sizes.size(); ++i) {
      inner *= static_cast<size_t>(array->sizes[i]);
    }
    size_t row = 0;
    for (size_t i = 0; i < array->doubles.size(); i += inner, ++row) {
      const double factor = scale[row % scale.size()];
      for (size_t at = i; at < i + inner; ++at) array->doubles[at] *= factor;
    }
    return bytes_of(*array);
  };
  return out;
}

Value* new_constant(Model& model, DataRef data, const Value* like) {
  Value* out = model.new_value(like->type);
  out->data = std::move(data);
  return out;
}

bool fold_norm(Model& model, Node& norm, const std::map<const Value*, uint64_t>& uses) {
  Value* x = norm.inputs[0];
  Node* before = x->producer;
  if (before == nullptr || uses.at(x) != 1 || norm.outputs.size() != 1) return false;
  const auto axis = output_axis(*before);
  const Value* weight = axis ? input_of(*before, 1) : nullptr;
  const Value* bias = input_of(*before, 2);
  if (weight == nullptr || weight->data == nullptr) return false;
  if (bias != nullptr && (bias->data == nullptr || bias->data->sizes.size() != 1)) return false;
  auto affine = affine_of(norm);
  if (!affine || affine->scale.size() != static_cast<size_t>(weight->data->sizes.at(*axis))) {
    return false;
  }
  const auto old = bias == nullptr ? std::optional<Array>() : array_of(*bias->data);
  if (bias != nullptr && (!old || old->doubles.size() != affine->scale.size())) return false;
  std::vector<double> shift = affine->shift;
  for (size_t i = 0; old && i < shift.size(); ++i) shift[i] += old->doubles[i] * affine->scale[i];
  auto moved = std::const_pointer_cast<TensorData>(
      tensor_of_doubles(shift, {static_cast<int64_t>(shift.size())}, weight->data->dtype));
  const Value* beta = norm.inputs[2];
  moved->key = bias != nullptr ? bias->data->key : beta->data->key;
  const std::string how =
      ".bn(" + norm.inputs[1]->data->identity + norm.inputs[4]->data->identity + ")";
  before->inputs.resize(3);
  before->inputs[1] = new_constant(
      model, scaled_weight(weight->data, *axis, std::move(affine->scale), how), weight);
  before->inputs[2] = new_constant(model, std::move(moved), norm.inputs[1]);
  // The norm's output is made by the layer before it now.
  before->outputs[0] = norm.outputs[0];
  before->outputs[0]->producer = before;
  norm.outputs.clear();
  return true;
}

std::string path_of(const std::string& scope) {
  std::string out = "/";
  for (const char c : scope) out += c;
  if (!scope.empty()) out += "/";
  return out;
}

class Namer {
 public:
  std::string unique(std::string wanted) {
    if (taken_.insert(wanted).second) return wanted;
    for (uint64_t& n = next_[wanted];;) {
      std::string other = fmt::format("{}_{}", wanted, ++n);
      if (taken_.insert(other).second) return other;
    }
  }

 private:
  std::set<std::string> taken_;
  std::map<std::string, uint64_t> next_;
};

void name_constant(Value& value, Namer& names) {
  if (!value.name.empty()) return;
  value.name = names.unique(value.data->key.empty() ? "constant" : value.data->key);
}

/// The names of the state_dict, before anything that mlc made takes one of them.
void name_weights(const Graph& graph, Namer& names) {
  for (const Node* node : graph.nodes) {
    for (Value* input : node->inputs) {
      const bool is_weight = input != nullptr && input->data != nullptr;
      if (is_weight && !input->data->key.empty()) name_constant(*input, names);
    }
    for_each_subgraph(*node, [&](const Graph& inner) { name_weights(inner, names); });
  }
}

void name_graph(Graph& graph, Namer& names, bool is_main) {
  for (GraphOutput& output : graph.outputs) {
    if (is_main || !output.value->name.empty()) continue;
    output.value->name = names.unique(output.name.empty() ? graph.name + "_output" : output.name);
    output.name = output.value->name;
  }
  for (Value* input : graph.inputs) {
    if (input->name.empty()) input->name = names.unique(graph.name + "_input");
  }
  for (Node* node : graph.nodes) {
    for (Value* input : node->inputs) {
      if (input != nullptr && input->data != nullptr) name_constant(*input, names);
    }
    node->name = names.unique(path_of(node->origin.scope) + node->op);
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      Value* output = node->outputs[i];
      if (output == nullptr || !output->name.empty()) continue;
      output->name = names.unique(fmt::format("{}_output_{}", node->name, i));
    }
    for_each_subgraph(*node, [&](Graph& inner) { name_graph(inner, names, false); });
  }
}

}  // namespace

std::map<const Value*, uint64_t> count_uses(const Model& model) {
  std::map<const Value*, uint64_t> out;
  count_uses(model.graph, out);
  return out;
}

void remove_unused(Model& model, std::span<Value* const> kept) {
  Needed needed(kept.begin(), kept.end());
  mark(model.graph, needed);
  sweep(model.graph, needed);
}

uint64_t fold_batch_norms(Model& model) {
  const auto uses = count_uses(model);
  uint64_t folded = 0;
  for (Node* node : model.graph.nodes) {
    if (node->op == "BatchNormalization" && fold_norm(model, *node, uses)) ++folded;
  }
  std::erase_if(model.graph.nodes, [](const Node* node) { return node->outputs.empty(); });
  return folded;
}

void sum_before_norms(Model& model) {
  const auto uses = count_uses(model);
  // The operands of the addition that makes VALUE; null where none does.
  const auto added = [](const Value* value) -> const std::vector<Value*>* {
    const bool is_add = value != nullptr && value->producer != nullptr &&
                        value->producer->op == "Add" && value->type.dtype == DType::f32;
    return is_add ? &value->producer->inputs : nullptr;
  };
  for (Node* node : model.graph.nodes) {
    if (node->op != "LayerNormalization") continue;
    const std::vector<Value*>* outer = added(node->inputs[0]);
    if (outer == nullptr) continue;
    const auto is_constant = [](const Value* value) { return value->data != nullptr; };
    if (std::ranges::any_of(*outer, is_constant)) continue;
    std::vector<Value*> parts;
    for (Value* part : *outer) {
      const std::vector<Value*>* inner = added(part);
      // A bias, which is added nowhere else.
      if (inner != nullptr && uses.at(part) == 1 && std::ranges::any_of(*inner, is_constant)) {
        parts.insert(parts.end(), inner->begin(), inner->end());
      } else {
        parts.push_back(part);
      }
    }
    Node& sum = *node->inputs[0]->producer;
    sum.op = "Sum";
    sum.inputs = std::move(parts);
  }
}

void give_names(Model& model) {
  Namer names;
  for (Value* input : model.graph.inputs) input->name = names.unique(input->name);
  for (GraphOutput& output : model.graph.outputs) {
    output.name = names.unique(output.name);
    output.value->name = output.name;
  }
  name_weights(model.graph, names);
  name_graph(model.graph, names, true);
}

FinishFacts simplify(Model& model) {
  FinishFacts facts;
  remove_unused(model);
  facts.folded_norms = fold_batch_norms(model);
  sum_before_norms(model);
  remove_unused(model);
  return facts;
}

FinishFacts finish(Model& model) {
  const FinishFacts facts = simplify(model);
  give_names(model);
  return facts;
}

}  // namespace mlc::onnx
