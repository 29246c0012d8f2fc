#include "mlc/onnx/randomness.h"

#include <algorithm>
#include <map>
#include <memory>
#include <variant>

namespace mlc::onnx {
namespace {

using Drawing = std::vector<const Node*>;

void add(Drawing& out, const Drawing& more) {
  for (const Node* one : more) {
    if (std::ranges::find(out, one) == out.end()) out.push_back(one);
  }
}

/// Follows values through graphs in the order in which they run.
class Walk {
 public:
  void graph(const Graph& graph, const Drawing& around);
  const Drawing& of(const Value* value) const {
    static const Drawing kNone;
    const auto known = drawing_.find(value);
    return known == drawing_.end() ? kNone : known->second;
  }

 private:
  void node(const Node& node, const Drawing& around);

  std::map<const Value*, Drawing> drawing_;
};

void Walk::graph(const Graph& graph, const Drawing& around) {
  for (const Value* input : graph.inputs) add(drawing_[input], around);
  for (const Node* one : graph.nodes) node(*one, around);
}

void Walk::node(const Node& node, const Drawing& around) {
  if (node.op == "Shape" || node.op == "Size") return;
  Drawing out = around;
  for (const Value* input : node.inputs) {
    if (input != nullptr) add(out, of(input));
  }
  if (is_random(node.op)) add(out, {&node});
  const Drawing taken = out;
  for (const Attribute& attribute : node.attributes) {
    const auto* inner = std::get_if<std::shared_ptr<Graph>>(&attribute.value);
    if (inner == nullptr) continue;
    graph(**inner, taken);
    for (const GraphOutput& output : (*inner)->outputs) add(out, of(output.value));
  }
  if (out.empty()) return;
  for (const Value* output : node.outputs) {
    if (output != nullptr) add(drawing_[output], out);
  }
}

}  // namespace

bool is_random(std::string_view op) {
  return op.starts_with("Random") || op == "Bernoulli" || op == "Multinomial";
}

std::vector<RandomOutput> random_outputs(const Model& model) {
  Walk walk;
  walk.graph(model.graph, {});
  std::vector<RandomOutput> out;
  for (const GraphOutput& output : model.graph.outputs) {
    const Drawing& drawing = walk.of(output.value);
    if (!drawing.empty()) out.push_back({output.name, drawing});
  }
  return out;
}

}  // namespace mlc::onnx
