#include "mlc/onnx_prune/fold_constants.h"

#include "mlc/onnx_file/proto_writer.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMostNumbers = 1U << 20U;  // of masks and positions
constexpr uint64_t kMostFloats = 1;           // more may be weights
constexpr uint64_t kMostMade = 1U << 16U;

using Names = std::set<std::string, std::less<>>;

bool is_random(const DocNode& node) {
  constexpr std::string_view kRandom[] = {"Bernoulli",         "Dropout",       "Multinomial",
                                          "RandomNormal",      "RandomUniform", "RandomNormalLike",
                                          "RandomUniformLike", "Optional",      "SequenceEmpty"};
  return std::ranges::find(kRandom, node.op) != std::end(kRandom);
}

bool is_small(const DocTensor& tensor) {
  const auto dtype = tensor.dtype();
  if (!dtype || tensor.data == nullptr) return false;
  const bool floats = info(*dtype).kind == DTypeClass::floating;
  return tensor.data->count() <= (floats ? kMostFloats : kMostNumbers);
}

/// Whether NODE computes one value of small constants, of which MADE come from nodes before it.
bool computes(const Document& document, const DocNode& node, const Names& made) {
  if (!node.domain.empty() || is_random(node) || node.outputs.size() != 1) return false;
  if (node.inputs.empty() || !node.inner_names.empty()) return false;
  return std::ranges::all_of(node.inputs, [&](const std::string& input) {
    if (input.empty() || made.contains(input)) return true;
    const DocTensor* const tensor = document.find_tensor(input);
    return tensor != nullptr && is_small(*tensor);
  });
}

/// Of the IR and the operators that DOCUMENT has.
Result<Document> empty_model(const Document& document) {
  constexpr int64_t kIr = 8;
  std::string opset;
  ProtoWriter(opset).integer(2, document.opset());
  std::string graph;
  ProtoWriter(graph).bytes(2, "constants");
  std::string model;
  ProtoWriter writer(model);
  writer.integer(1, kIr);
  writer.bytes(7, graph);
  writer.bytes(8, opset);
  const auto owner = std::make_shared<const std::string>(std::move(model));
  return Document::parse(as_bytes(*owner), owner, "");
}

void add_readers(const DocNode& node, Names& read) {
  read.insert(node.inputs.begin(), node.inputs.end());
  read.insert(node.inner_names.begin(), node.inner_names.end());
}

DataRef data_of(const HostTensor& tensor) {
  auto out = std::make_shared<TensorData>();
  out->dtype = tensor.dtype;
  out->sizes = tensor.sizes;
  out->produce = [bytes = tensor.bytes]() -> Result<Buffer> {
    return Buffer{as_bytes(*bytes), bytes};
  };
  return out;
}

}  // namespace

Result<std::optional<ConstantNodes>> find_constant_nodes(const Document& document) {
  Names made;
  Names read(document.output_names().begin(), document.output_names().end());
  std::vector<DocNode> nodes;
  for (const DocNode& node : document.nodes) {
    if (computes(document, node, made)) {
      made.insert(node.outputs[0]);
      nodes.push_back(node);
    } else {
      add_readers(node, read);
    }
  }
  if (nodes.empty()) return std::optional<ConstantNodes>();
  MLC_TRY(Document model, empty_model(document));
  std::vector<std::string> values;
  Names given;
  for (const DocNode& node : nodes) {
    if (read.contains(node.outputs[0])) values.push_back(node.outputs[0]);
    for (const std::string& input : node.inputs) {
      const DocTensor* const tensor = document.find_tensor(input);
      if (tensor != nullptr && given.insert(input).second) model.name_tensor(input, tensor->data);
    }
  }
  model.nodes = std::move(nodes);
  return std::optional(ConstantNodes{std::move(model), std::move(values)});
}

void replace_constant_nodes(Document& document, std::span<const NamedValue> values) {
  Names outputs(document.output_names().begin(), document.output_names().end());
  Names replaced;
  for (const NamedValue& value : values) {
    const DataRef data = data_of(value.tensor);
    if (data->count() > kMostMade || outputs.contains(value.name)) continue;
    replaced.insert(value.name);
  }
  Names constant;
  std::vector<bool> computed;
  for (const DocNode& node : document.nodes) {
    computed.push_back(computes(document, node, constant));
    if (computed.back()) constant.insert(node.outputs[0]);
  }
  Names read = std::move(outputs);
  std::vector<DocNode> kept;
  for (size_t i = document.nodes.size(); i-- > 0;) {
    DocNode& node = document.nodes[i];
    const bool gone =
        computed[i] && (replaced.contains(node.outputs[0]) || !read.contains(node.outputs[0]));
    if (gone) continue;
    add_readers(node, read);
    kept.push_back(std::move(node));
  }
  std::ranges::reverse(kept);
  document.nodes = std::move(kept);
  for (const NamedValue& value : values)
    if (replaced.contains(value.name)) document.name_tensor(value.name, data_of(value.tensor));
}

}  // namespace mlc::onnx
