#include "mlc/onnx_edit/document.h"

#include "mlc/base/text.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/onnx_file/proto_writer.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

// Fields of ModelProto, GraphProto and NodeProto.
constexpr uint32_t kModelVersion = 1;
constexpr uint32_t kModelProducer = 2;
constexpr uint32_t kModelProducerVersion = 3;
constexpr uint32_t kModelGraph = 7;
constexpr uint32_t kModelOpset = 8;
constexpr uint32_t kModelMetadata = 14;
constexpr uint32_t kGraphNode = 1;
constexpr uint32_t kGraphTensor = 5;
constexpr uint32_t kGraphInput = 11;
constexpr uint32_t kGraphOutput = 12;
constexpr uint32_t kGraphValue = 13;

const std::string kNothing;

/// The fields of one message, which come out in the order of their numbers.
class Fields {
 public:
  void add(uint32_t number, std::string whole) { parts_.emplace_back(number, std::move(whole)); }
  void bytes(uint32_t number, std::string_view content) {
    std::string whole;
    ProtoWriter(whole).bytes(number, content);
    add(number, std::move(whole));
  }
  void raw(const std::vector<RawField>& fields) {
    for (const RawField& each : fields) add(each.number, std::string(as_text(each.bytes)));
  }
  /// Those of numbers in [LOW, HIGH).
  std::string take(uint32_t low, uint32_t high) {
    std::ranges::stable_sort(parts_, {}, [](const auto& part) { return part.first; });
    std::string out;
    for (const auto& [number, whole] : parts_) {
      if (number >= low && number < high) out += whole;
    }
    return out;
  }
  std::string all() { return take(0, ~0U); }

 private:
  std::vector<std::pair<uint32_t, std::string>> parts_;
};

std::string node_message(const DocNode& node) {
  Fields out;
  for (const std::string& input : node.inputs) out.bytes(1, input);
  for (const std::string& output : node.outputs) out.bytes(2, output);
  if (!node.name.empty()) out.bytes(3, node.name);
  out.bytes(4, node.op);
  for (const DocAttribute& each : node.attributes) out.bytes(5, as_text(each.message));
  if (!node.domain.empty()) out.bytes(7, node.domain);
  out.raw(node.others);
  return out.all();
}

std::string pair_message(std::string_view key, std::string_view value) {
  std::string out;
  ProtoWriter writer(out);
  writer.bytes(1, key);
  writer.bytes(2, value);
  return out;
}

}  // namespace

const DocAttribute* DocNode::find(std::string_view attribute) const {
  const auto found = std::ranges::find(attributes, attribute, &DocAttribute::name);
  return found == attributes.end() ? nullptr : &*found;
}

int64_t DocNode::integer(std::string_view attribute, int64_t otherwise) const {
  const DocAttribute* const found = find(attribute);
  return found ? found->integer().value_or(otherwise) : otherwise;
}

float DocNode::real(std::string_view attribute, float otherwise) const {
  const DocAttribute* const found = find(attribute);
  return found ? found->real().value_or(otherwise) : otherwise;
}

const std::string& DocNode::input(size_t i) const {
  return i < inputs.size() ? inputs[i] : kNothing;
}

std::optional<DType> DocTensor::dtype() const {
  return data ? dtype_from_onnx(element) : std::nullopt;
}

int64_t Document::opset() const {
  for (const auto& [domain, version] : opsets_) {
    if (domain.empty() || domain == "ai.onnx") return version;
  }
  return 1;
}

void Document::set_opset(int64_t version) {
  for (auto& [domain, number] : opsets_) {
    if (domain.empty() || domain == "ai.onnx") number = version;
  }
}

DocTensor* Document::find_tensor(std::string_view name) {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors[found->second];
}

const DocTensor* Document::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors[found->second];
}

std::string Document::unused_name(std::string_view name) {
  std::string out(name);
  for (int i = 1; names_.contains(out); ++i) out = fmt::format("{}_{}", name, i);
  names_.insert(out);
  return out;
}

void Document::name_tensor(const std::string& name, DataRef data) {
  raise_ir_version(kIrOfInitializers);
  DocTensor tensor;
  tensor.name = name;
  tensor.element = info(data->dtype).onnx;
  tensor.sizes = data->sizes;
  tensor.data = std::move(data);
  tensor_index_.emplace(name, tensors.size());
  tensors.push_back(std::move(tensor));
}

std::string Document::add_tensor(std::string_view name, DataRef data,
                                 std::optional<PackedType> packed) {
  raise_ir_version(kIrOfInitializers);
  DocTensor tensor;
  tensor.name = unused_name(name);
  tensor.element = packed ? packed->element : info(data->dtype).onnx;
  tensor.sizes = packed ? packed->sizes : data->sizes;
  tensor.data = std::move(data);
  tensor_index_.emplace(tensor.name, tensors.size());
  tensors.push_back(std::move(tensor));
  return tensors.back().name;
}

void Document::drop_unused_tensors() {
  std::set<std::string_view> read(input_names_.begin(), input_names_.end());
  read.insert(output_names_.begin(), output_names_.end());
  for (const DocNode& node : nodes) {
    read.insert(node.inputs.begin(), node.inputs.end());
    read.insert(node.inner_names.begin(), node.inner_names.end());
  }
  std::erase_if(tensors, [&](const DocTensor& each) { return !read.contains(each.name); });
  tensor_index_.clear();
  for (size_t i = 0; i < tensors.size(); ++i) tensor_index_.emplace(tensors[i].name, i);
}

DocAttribute Document::keep(std::string_view name, std::string message) {
  return {std::string(name), as_bytes(made_.emplace_back(std::move(message)))};
}

DocAttribute Document::attribute(std::string_view name, int64_t value) {
  return keep(name, integer_attribute(name, value));
}

DocAttribute Document::attribute(std::string_view name, std::span<const int64_t> values) {
  return keep(name, integers_attribute(name, values));
}

DocAttribute Document::attribute(std::string_view name, std::string_view text) {
  return keep(name, text_attribute(name, text));
}

void Document::index_values() {
  value_index_.clear();
  input_names_.clear();
  output_names_.clear();
  for (const auto* list : {&inputs_, &outputs_, &infos_}) {
    for (const Value& each : *list) value_index_.emplace(each.value.name, &each.value);
  }
  for (const Value& each : inputs_) input_names_.push_back(each.value.name);
  for (const Value& each : outputs_) output_names_.push_back(each.value.name);
}

const OnnxValue* Document::value_info(std::string_view name) const {
  const auto found = value_index_.find(name);
  return found == value_index_.end() ? nullptr : found->second;
}

Document::Value Document::tensor_value(const std::string& name, DType dtype) {
  std::string tensor;
  ProtoWriter(tensor).integer(1, info(dtype).onnx);
  std::string type;
  ProtoWriter(type).bytes(1, tensor);
  std::string message;
  ProtoWriter writer(message);
  writer.bytes(1, name);
  writer.bytes(2, type);
  OnnxValue value;
  value.name = name;
  value.kind = OnnxKind::tensor;
  value.element = info(dtype).onnx;
  return {std::move(value), as_bytes(made_.emplace_back(std::move(message)))};
}

void Document::state_tensor(const std::string& name, DType dtype) {
  if (value_info(name) != nullptr) return;
  infos_.push_back(tensor_value(name, dtype));
  value_index_.emplace(name, &infos_.back().value);
}

void Document::add_output(const std::string& name) {
  std::string message;
  ProtoWriter(message).bytes(1, name);
  OnnxValue value;
  value.name = name;
  outputs_.push_back({std::move(value), as_bytes(made_.emplace_back(std::move(message)))});
  index_values();
}

std::vector<std::string> Document::fix_overridable() {
  std::vector<std::string> out;
  for (const Value& each : inputs_)
    if (find_tensor(each.value.name) != nullptr) out.push_back(each.value.name);
  std::erase_if(inputs_, [&](const Value& each) { return find_tensor(each.value.name); });
  if (!out.empty()) raise_ir_version(kIrOfInitializers);
  index_values();
  return out;
}

void Document::drop_unused_value_info() {
  std::set<std::string_view> made;
  for (const DocNode& node : nodes) made.insert(node.outputs.begin(), node.outputs.end());
  std::erase_if(infos_, [&](const Value& each) { return !made.contains(each.value.name); });
  index_values();
}

void Document::drop_value_info(const std::set<std::string, std::less<>>& names) {
  std::erase_if(infos_, [&](const Value& each) { return names.contains(each.value.name); });
  index_values();
}

void Document::import_domain(std::string_view domain, int64_t version) {
  const auto same = [&](const auto& row) { return row.first == domain; };
  if (std::ranges::none_of(opsets_, same)) opsets_.emplace_back(std::string(domain), version);
}

void Document::set_metadata(std::string_view key, std::string_view value) {
  std::erase_if(metadata_, [&](const auto& row) { return row.first == key; });
  metadata_.emplace_back(std::string(key), std::string(value));
}

std::optional<std::string> Document::metadata(std::string_view key) const {
  for (const auto& [name, value] : metadata_) {
    if (name == key) return value;
  }
  return std::nullopt;
}

void Document::raise_ir_version(int64_t version) {
  ir_version_ = std::max(ir_version_, version);
}

void Document::set_producer(std::string_view name, std::string_view version) {
  std::erase_if(model_fields_, [](const RawField& each) {
    return each.number == kModelProducer || each.number == kModelProducerVersion;
  });
  const auto add = [&](uint32_t number, std::string_view text) {
    std::string& whole = made_.emplace_back();
    ProtoWriter(whole).bytes(number, text);
    model_fields_.push_back({number, as_bytes(whole)});
  };
  add(kModelProducer, name);
  add(kModelProducerVersion, version);
}

std::string Document::graph_head() const {
  Fields out;
  for (const DocNode& node : nodes) out.bytes(kGraphNode, node_message(node));
  out.raw(graph_fields_);
  for (const DocTensor& each : tensors) {
    if (!each.data) out.bytes(kGraphTensor, as_text(each.message));
  }
  return out.take(0, kGraphTensor + 1);
}

std::string Document::graph_tail() const {
  Fields out;
  out.raw(graph_fields_);
  for (const Value& each : inputs_) out.bytes(kGraphInput, as_text(each.message));
  for (const Value& each : outputs_) out.bytes(kGraphOutput, as_text(each.message));
  for (const Value& each : infos_) out.bytes(kGraphValue, as_text(each.message));
  return out.take(kGraphTensor + 1, ~0U);
}

Skeleton Document::skeleton() const {
  Skeleton out;
  Fields model;
  std::string version;
  ProtoWriter(version).integer(kModelVersion, ir_version_);
  model.add(kModelVersion, std::move(version));
  model.raw(model_fields_);
  for (const auto& [domain, number] : opsets_) {
    std::string row;
    ProtoWriter writer(row);
    writer.bytes(1, domain);
    writer.integer(2, number);
    model.bytes(kModelOpset, row);
  }
  for (const auto& [key, value] : metadata_) model.bytes(kModelMetadata, pair_message(key, value));
  out.model_head = model.take(0, kModelGraph);
  out.model_tail = model.take(kModelGraph, ~0U);
  out.graph_head = graph_head();
  out.graph_tail = graph_tail();
  for (const DocTensor& each : tensors) {
    if (!each.data) continue;
    Initializer& to = out.initializers.emplace_back();
    to.name = each.name;
    to.data = each.data;
    if (!dtype_from_onnx(each.element))
      to.packed = PackedType{static_cast<int32_t>(each.element), each.sizes};
    to.other_fields = each.other_fields;
  }
  out.node_count = nodes.size() + inner_nodes_;
  return out;
}

}  // namespace mlc::onnx
