#include "mlc/onnx_quant/node_builder.h"

namespace mlc::onnx {

NodeBuilder::NodeBuilder(Document& document) : document_(document) {
  for (const DocNode& node : document.nodes) node_names_.insert(node.name);
}

std::string NodeBuilder::node_name(std::string_view name, std::string_view op) {
  std::string out(name);
  while (!node_names_.insert(out).second)
    out = document_.unused_name(std::string(name) + "/" + std::string(op));
  return out;
}

std::string NodeBuilder::add(std::vector<DocNode>& nodes, std::string_view op,
                             std::vector<std::string> inputs, std::string_view name) {
  std::string output = document_.unused_name(name);
  add_as(nodes, op, std::move(inputs), output, name);
  return output;
}

void NodeBuilder::add_as(std::vector<DocNode>& nodes, std::string_view op,
                         std::vector<std::string> inputs, std::string output,
                         std::string_view name) {
  DocNode node;
  node.op = op;
  node.name = node_name(name, op);
  node.inputs = std::move(inputs);
  node.outputs = {std::move(output)};
  nodes.push_back(std::move(node));
}

std::string NodeBuilder::add_cast(std::vector<DocNode>& nodes, const std::string& input,
                                  int64_t type, std::string_view name) {
  std::string output = add(nodes, "Cast", {input}, name);
  nodes.back().attributes.push_back(document_.attribute("to", type));
  return output;
}

const Activation& NodeBuilder::dynamic_activation(const std::string& value) {
  const auto [place, is_new] = activations_.try_emplace(value);
  if (!is_new) return place->second;
  std::vector<DocNode> node;
  Activation& made = place->second;
  made.codes = add(node, "DynamicQuantizeLinear", {value}, value + "_quantized");
  made.scale = document_.unused_name(value + "_scale");
  made.zero_point = document_.unused_name(value + "_zero_point");
  node.front().outputs = {made.codes, made.scale, made.zero_point};
  pending_.emplace(value, std::move(node.front()));
  return made;
}

std::optional<DocNode> NodeBuilder::take_activation(std::string_view value) {
  const auto found = pending_.find(value);
  if (found == pending_.end()) return std::nullopt;
  DocNode out = std::move(found->second);
  pending_.erase(found);
  return out;
}

}  // namespace mlc::onnx
