#include "mlc/onnx_quant/node_builder.h"

#include "mlc/onnx_quant/constant_floats.h"

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

const std::string& NodeBuilder::widened(const std::string& value) {
  const auto [place, is_new] = widened_.try_emplace(value);
  std::string& made = place->second;
  if (!is_new) return made;
  if (const DocTensor* const tensor = document_.find_tensor(value)) {
    made = document_.add_tensor(value + "_float", onnx::widened(tensor->data));
    return made;
  }
  std::vector<DocNode> node;
  made = add_cast(node, value, info(DType::f32).onnx, value + "_float");
  pending_.emplace(value, std::move(node.front()));
  return made;
}

void NodeBuilder::add_narrow(std::vector<DocNode>& nodes, const std::string& input,
                             std::string output) {
  const std::string name = output + "_half";
  add_as(nodes, "Cast", {input}, std::move(output), name);
  nodes.back().attributes.push_back(document_.attribute("to", int64_t{info(DType::f16).onnx}));
}

void NodeBuilder::take_made(std::string_view value, std::vector<DocNode>& nodes) {
  const auto found = pending_.find(value);
  if (found == pending_.end()) return;
  DocNode node = std::move(found->second);
  pending_.erase(found);
  const std::vector<std::string> outputs = node.outputs;
  nodes.push_back(std::move(node));
  for (const std::string& output : outputs) take_made(output, nodes);
}

}  // namespace mlc::onnx
