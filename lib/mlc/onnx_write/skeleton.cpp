#include "mlc/onnx_write/skeleton.h"

#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

namespace mlc::onnx {
namespace {

namespace pb = ::onnx;

/// The oldest IR version that allows the opset, after ONNX's docs/Versioning.md.
struct IrVersion {
  int opset;
  int ir;
};
constexpr int kNewestOpset = 24;
constexpr std::array kIrVersions = {IrVersion{24, 12}, IrVersion{23, 11}, IrVersion{21, 10},
                                    IrVersion{19, 9},  IrVersion{15, 8},  IrVersion{13, 7}};

/// From which opset on an operator takes its axes as an input.
struct AxesInput {
  std::string_view op;
  int opset;
};
constexpr std::array kAxesInputs = {
    AxesInput{"ReduceL1", 18},        AxesInput{"ReduceL2", 18},   AxesInput{"ReduceLogSum", 18},
    AxesInput{"ReduceLogSumExp", 18}, AxesInput{"ReduceMax", 18},  AxesInput{"ReduceMean", 18},
    AxesInput{"ReduceMin", 18},       AxesInput{"ReduceProd", 18}, AxesInput{"ReduceSum", 13},
    AxesInput{"ReduceSumSquare", 18}};

/// Words that later opsets say in another way.
struct Renamed {
  std::string_view op;
  int opset;
  std::string_view old_word;
  std::string_view new_word;
};
constexpr std::array kRenamed = {Renamed{"GridSample", 20, "bilinear", "linear"},
                                 Renamed{"GridSample", 20, "bicubic", "cubic"}};

/// EACH as the opset of the model has it.
Attribute renamed(const Node& node, const Attribute& each, int opset) {
  const auto* word = std::get_if<std::string>(&each.value);
  if (word == nullptr || !node.domain.empty()) return each;
  for (const Renamed& one : kRenamed) {
    if (one.op != node.op || opset < one.opset || *word != one.old_word) continue;
    return {each.name, std::string(one.new_word)};
  }
  return each;
}

std::string describe(const Node& node) {
  return fmt::format("{} {}", node.op, quoted(node.name));
}

/// "aten::linear in encoder.layer.0, at model.py:12".
std::string origin_text(const Node& node) {
  std::string out = node.source;
  if (!node.origin.scope.empty()) out += " in " + node.origin.scope;
  if (!node.origin.text.empty()) out += (out.empty() ? "at " : ", at ") + node.origin.text;
  return printable(out);
}

Result<int32_t> element_code(DType dtype) {
  const int code = info(dtype).onnx;
  if (code < 0) return internal_error(fmt::format("ONNX has no {} tensors", info(dtype).torch));
  return code;
}

/// MESSAGE as bytes. Protobuf itself would print where they are too many.
template <class Message>
Result<std::string> serialized(const Message& message) {
  if (message.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    return unsupported("the nodes of the model alone exceed 2 GiB");
  return message.SerializeAsString();
}

/// One conversion. Names of initializers are made as they are needed, the rest is the model's.
class Conversion {
 public:
  explicit Conversion(const Model& model) : model_(model) {}

  Result<Skeleton> run();

 private:
  using Values = std::unordered_set<const Value*>;

  Status collect_name(const Value* value);
  Status collect_names(const Graph& graph);
  Status graph(const Graph& from, pb::GraphProto& to);
  Status outputs(const Graph& from, const Values& made, pb::GraphProto& to);
  Status node(const Node& from, pb::NodeProto& to);
  Status attribute(const Attribute& from, pb::AttributeProto& to);
  Status tensor(const TensorData& from, pb::TensorProto& to);
  Status value_info(const std::string& name, const TensorType& type, pb::ValueInfoProto& to);
  /// The name by which a node or an output reads VALUE.
  Result<std::string> read(const Value& value);
  std::string axes_initializer(const std::vector<int64_t>& axes);
  std::string unused_name(std::string name);

  const Model& model_;
  Skeleton out_;
  std::map<std::string, const Value*, std::less<>> names_;  // of all values, and of outputs
  Values known_;  // those that nodes from here on may read
  std::unordered_set<const Value*> initializers_;
  std::map<std::vector<int64_t>, std::string> axes_;
};

Status Conversion::collect_name(const Value* value) {
  if (!value) return {};
  if (value->name.empty()) return internal_error("a value has no name");
  if (!is_utf8(value->name))
    return internal_error(fmt::format("the name {} is not UTF-8", quoted(value->name)));
  const auto [place, is_new] = names_.emplace(value->name, value);
  if (!is_new && place->second != value)
    return internal_error(fmt::format("two values have the name {}", quoted(value->name)));
  return {};
}

Status Conversion::collect_names(const Graph& graph) {
  for (const Value* value : graph.inputs) MLC_CHECK(collect_name(value));
  for (const Node* node : graph.nodes) {
    for (const Value* value : node->inputs) MLC_CHECK_CTX(collect_name(value), describe(*node));
    for (const Value* value : node->outputs) MLC_CHECK_CTX(collect_name(value), describe(*node));
    for (const Attribute& attribute : node->attributes) {
      if (const auto* inner = std::get_if<std::shared_ptr<Graph>>(&attribute.value))
        MLC_CHECK(collect_names(**inner));
    }
  }
  for (const GraphOutput& output : graph.outputs) {
    MLC_CHECK_CTX(collect_name(output.value), "output " + quoted(output.name));
    if (!output.value) return internal_error(fmt::format("no value is {}", quoted(output.name)));
    const auto [place, is_new] = names_.emplace(output.name, output.value);
    if (!is_new && place->second->name != output.value->name)
      return internal_error(fmt::format("two values have the name {}", quoted(output.name)));
  }
  return {};
}

Result<std::string> Conversion::read(const Value& value) {
  if (value.data) {
    if (initializers_.insert(&value).second) out_.initializers.push_back({value.name, value.data});
  } else if (!known_.contains(&value)) {
    return internal_error(fmt::format("{} is read before it is made", quoted(value.name)));
  }
  return value.name;
}

std::string Conversion::unused_name(std::string name) {
  const std::string base = name;
  for (int i = 1; names_.contains(name); ++i) name = fmt::format("{}_{}", base, i);
  names_.emplace(name, nullptr);
  return name;
}

std::string Conversion::axes_initializer(const std::vector<int64_t>& axes) {
  const auto [place, is_new] = axes_.try_emplace(axes);
  if (!is_new) return place->second;
  place->second = unused_name(fmt::format("axes_{}", fmt::join(axes, "_")));
  auto data = std::make_shared<TensorData>();
  data->dtype = DType::i64;
  data->sizes = {static_cast<int64_t>(axes.size())};
  const auto owner = std::make_shared<const std::vector<int64_t>>(axes);
  data->produce = [owner]() -> Result<Buffer> {
    return Buffer{std::as_bytes(std::span(*owner)), owner};
  };
  out_.initializers.push_back({place->second, std::move(data)});
  return place->second;
}

Status Conversion::value_info(const std::string& name, const TensorType& type,
                              pb::ValueInfoProto& to) {
  to.set_name(name);
  pb::TypeProto_Tensor& tensor = *to.mutable_type()->mutable_tensor_type();
  MLC_TRY_CTX(const int32_t code, element_code(type.dtype), "describing " + quoted(name));
  tensor.set_elem_type(code);
  pb::TensorShapeProto& shape = *tensor.mutable_shape();
  for (const ir::Expr size : type.sizes) {
    auto& dim = *shape.add_dim();
    const auto value = model_.symbols().constant_value(size);
    if (value) {
      dim.set_dim_value(*value);
    } else {
      dim.set_dim_param(model_.symbols().text(size));
    }
  }
  return {};
}

Status Conversion::tensor(const TensorData& from, pb::TensorProto& to) {
  MLC_TRY(const int32_t code, element_code(from.dtype));
  MLC_TRY(const Buffer buffer, from.produce());
  if (buffer.bytes.size() != from.byte_size())
    return internal_error(fmt::format("a tensor of {} has {}", plural(from.byte_size(), "byte"),
                                      plural(buffer.bytes.size(), "byte")));
  for (const int64_t size : from.sizes) to.add_dims(size);
  to.set_data_type(code);
  to.set_raw_data(buffer.bytes.data(), buffer.bytes.size());
  return {};
}

Status Conversion::attribute(const Attribute& from, pb::AttributeProto& to) {
  to.set_name(from.name);
  return std::visit(
      [&](const auto& value) -> Status {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, int64_t>) {
          to.set_type(pb::AttributeProto::INT);
          to.set_i(value);
        } else if constexpr (std::is_same_v<T, float>) {
          to.set_type(pb::AttributeProto::FLOAT);
          to.set_f(value);
        } else if constexpr (std::is_same_v<T, std::string>) {
          to.set_type(pb::AttributeProto::STRING);
          to.set_s(value);
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          to.set_type(pb::AttributeProto::INTS);
          to.mutable_ints()->Add(value.begin(), value.end());
        } else if constexpr (std::is_same_v<T, std::vector<float>>) {
          to.set_type(pb::AttributeProto::FLOATS);
          to.mutable_floats()->Add(value.begin(), value.end());
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          to.set_type(pb::AttributeProto::STRINGS);
          for (const std::string& one : value) to.add_strings(one);
        } else if constexpr (std::is_same_v<T, DataRef>) {
          to.set_type(pb::AttributeProto::TENSOR);
          return tensor(*value, *to.mutable_t());
        } else {
          to.set_type(pb::AttributeProto::GRAPH);
          return graph(*value, *to.mutable_g());
        }
        return {};
      },
      from.value);
}

Status Conversion::node(const Node& from, pb::NodeProto& to) {
  to.set_op_type(from.op);
  to.set_domain(from.domain);
  if (from.domain.empty()) to.clear_domain();
  to.set_name(from.name);
  if (model_.says_origins) to.set_doc_string(origin_text(from));
  for (const Value* input : from.inputs) {
    MLC_TRY(std::string name, input ? read(*input) : std::string());
    to.add_input(std::move(name));
  }
  while (to.input_size() > 0 && to.input(to.input_size() - 1).empty())
    to.mutable_input()->RemoveLast();
  const auto rule = std::ranges::find(kAxesInputs, from.op, &AxesInput::op);
  const bool axes_input =
      from.domain.empty() && rule != kAxesInputs.end() && model_.opset >= rule->opset;
  for (const Attribute& each : from.attributes) {
    const auto* axes = std::get_if<std::vector<int64_t>>(&each.value);
    if (axes_input && axes && each.name == "axes") {
      to.add_input(axes_initializer(*axes));
    } else {
      MLC_CHECK_CTX(attribute(renamed(from, each, model_.opset), *to.add_attribute()),
                    "attribute " + each.name);
    }
  }
  for (const Value* output : from.outputs) {
    to.add_output(output ? output->name : std::string());
    if (output) known_.insert(output);
  }
  ++out_.node_count;
  return {};
}

Status Conversion::outputs(const Graph& from, const Values& made, pb::GraphProto& to) {
  const bool is_inner = &from != &model_.graph;
  for (const GraphOutput& output : from.outputs) {
    MLC_TRY_CTX(std::string name, read(*output.value), "output " + quoted(output.name));
    if (name != output.name) {
      pb::NodeProto& identity = *to.add_node();
      identity.add_input(std::move(name));
      identity.add_output(output.name);
      identity.set_name(unused_name(output.name + "/Identity"));
      identity.set_op_type("Identity");
      ++out_.node_count;
    } else if (is_inner && !made.contains(output.value)) {
      return internal_error(fmt::format("output {} of {} is a value of an outer graph",
                                        quoted(name), quoted(from.name)));
    }
    MLC_CHECK(value_info(output.name, output.value->type, *to.add_output()));
  }
  return {};
}

Status Conversion::graph(const Graph& from, pb::GraphProto& to) {
  to.set_name(from.name);
  Values made;
  for (const Value* input : from.inputs) {
    MLC_CHECK(value_info(input->name, input->type, *to.add_input()));
    known_.insert(input);
    made.insert(input);
  }
  std::set<std::string_view> described;
  for (const GraphOutput& output : from.outputs) described.insert(output.name);
  for (const Node* each : from.nodes) {
    MLC_CHECK_CTX(node(*each, *to.add_node()), "writing " + describe(*each));
    for (const Value* output : each->outputs) {
      if (!output) continue;
      made.insert(output);
      if (!described.contains(output->name))
        MLC_CHECK(value_info(output->name, output->type, *to.add_value_info()));
    }
  }
  MLC_CHECK(outputs(from, made, to));
  for (const Value* value : made) known_.erase(value);
  return {};
}

Result<Skeleton> Conversion::run() {
  MLC_CHECK(collect_names(model_.graph));
  pb::ModelProto head;
  const auto ir = std::ranges::find_if(
      kIrVersions, [&](const IrVersion& row) { return row.opset <= model_.opset; });
  if (ir == kIrVersions.end() || model_.opset > kNewestOpset)
    return internal_error(fmt::format("models of opset {} are not written", model_.opset));
  head.set_ir_version(ir->ir);
  head.set_producer_name("mlc");
  head.set_producer_version(std::string(mlc_version()));
  MLC_TRY(out_.model_head, serialized(head));

  pb::GraphProto whole;
  MLC_CHECK(graph(model_.graph, whole));
  pb::GraphProto first;
  first.mutable_node()->Swap(whole.mutable_node());
  first.set_name(whole.name());
  whole.clear_name();
  MLC_TRY(out_.graph_head, serialized(first));
  MLC_TRY(out_.graph_tail, serialized(whole));

  pb::ModelProto tail;
  const auto import_domain = [&](const std::string& domain, int version) {
    pb::OperatorSetIdProto& row = *tail.add_opset_import();
    row.set_domain(domain);
    row.set_version(version);
  };
  import_domain("", model_.opset);
  for (const auto& [domain, version] : model_.domains) import_domain(domain, version);
  for (const auto& [key, value] : model_.metadata) {
    pb::StringStringEntryProto& row = *tail.add_metadata_props();
    row.set_key(key);
    row.set_value(value);
  }
  MLC_TRY(out_.model_tail, serialized(tail));
  for (const Initializer& each : out_.initializers)
    MLC_CHECK_CTX(element_code(each.data->dtype), "describing " + quoted(each.name));
  return std::move(out_);
}

}  // namespace

Result<Skeleton> make_skeleton(const Model& model) {
  return Conversion(model).run();
}

}  // namespace mlc::onnx
