#include "mlc/onnx_write/check.h"

#include "mlc/base/text.h"
#include "mlc/onnx_write/raised_opset.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

namespace mlc::onnx {
namespace {

namespace pb = ::onnx;

constexpr uint64_t kLargestKept = 1024;  // bytes

void add_input(const Initializer& initializer, pb::GraphProto& graph) {
  pb::ValueInfoProto& input = *graph.add_input();
  input.set_name(initializer.name);
  pb::TypeProto_Tensor& type = *input.mutable_type()->mutable_tensor_type();
  type.set_elem_type(initializer.element());
  pb::TensorShapeProto& shape = *type.mutable_shape();
  for (const int64_t size : initializer.sizes()) shape.add_dim()->set_dim_value(size);
}

Status add_initializer(const Initializer& initializer, pb::GraphProto& graph) {
  MLC_TRY(const Buffer buffer, initializer.data->produce());
  pb::TensorProto& tensor = *graph.add_initializer();
  tensor.ParseFromString(tensor_head(initializer, nullptr));
  tensor.set_raw_data(buffer.bytes.data(), buffer.bytes.size());
  return {};
}

/// ONNX 1.19 divides by some attributes without looking at them, which ends the process.
Status refuse_zeros(const pb::GraphProto& graph) {
  for (const pb::NodeProto& node : graph.node()) {
    for (const pb::AttributeProto& each : node.attribute()) {
      const bool divides = each.name() == "strides" || each.name() == "num_outputs";
      const auto& ints = each.ints();
      const bool has_zero = std::find(ints.begin(), ints.end(), 0) != ints.end();
      if (divides && (has_zero || (each.type() == pb::AttributeProto::INT && each.i() == 0)))
        return corrupt("node " + printable(node.name()) + " has a zero in its " + each.name());
      if (each.has_g()) MLC_CHECK(refuse_zeros(each.g()));
      for (const pb::GraphProto& inner : each.graphs()) MLC_CHECK(refuse_zeros(inner));
    }
  }
  return {};
}

Result<pb::ModelProto> model_of(const Skeleton& skeleton) {
  pb::ModelProto model;
  pb::GraphProto& graph = *model.mutable_graph();
  if (!model.MergeFromString(skeleton.model_head) || !graph.MergeFromString(skeleton.graph_head) ||
      !graph.MergeFromString(skeleton.graph_tail) || !model.MergeFromString(skeleton.model_tail))
    return internal_error("its own bytes cannot be read");
  MLC_CHECK(refuse_zeros(graph));
  // Files of old exporters list weights as inputs too.
  std::set<std::string, std::less<>> inputs;
  for (const auto& input : graph.input()) inputs.insert(input.name());
  for (const Initializer& each : skeleton.initializers) {
    if (each.data->byte_size() > kLargestKept) {
      if (!inputs.contains(each.name)) add_input(each, graph);
    } else {
      MLC_CHECK_CTX(add_initializer(each, graph), "tensor " + printable(each.name));
    }
  }
  return model;
}

/// Makes inputs of what operators give that ONNX does not know, and takes these away: behind the
/// first of them shape inference would report nothing any more. Inner graphs stay as they are.
void set_aside_foreign(pb::ModelProto& model) {
  std::map<std::string, int, std::less<>> versions;
  for (const auto& row : model.opset_import())
    versions[row.domain()] = static_cast<int>(row.version());
  pb::GraphProto& graph = *model.mutable_graph();
  std::map<std::string, pb::ValueInfoProto, std::less<>> types;
  for (const auto& value : graph.value_info()) types[value.name()] = value;
  for (const auto& value : graph.output()) types[value.name()] = value;
  google::protobuf::RepeatedPtrField<pb::NodeProto> nodes;
  nodes.Swap(graph.mutable_node());
  for (pb::NodeProto& node : nodes) {
    if (pb::OpSchemaRegistry::Schema(node.op_type(), versions[node.domain()], node.domain())) {
      graph.add_node()->Swap(&node);
      continue;
    }
    for (const std::string& output : node.output()) {
      if (const auto type = types.find(output); type != types.end())
        *graph.add_input() = type->second;
    }
  }
}

/// One line of what ONNX says in several; the first of them where there are many.
std::string one_line(std::string_view text) {
  constexpr size_t kMost = 5;
  std::string out;
  size_t count = 0;
  for (std::string_view line : split(text, '\n')) {
    constexpr std::string_view kContext = "==> Context: ";
    if (line.starts_with(kContext)) line.remove_prefix(kContext.size());
    if (trim(line).empty() || ++count > kMost) continue;
    out += (out.empty() ? "" : "; ") + printable(trim(line));
  }
  return count > kMost ? fmt::format("{}; and {} more", out, count - kMost) : out;
}

void infer_shapes(pb::ModelProto model) {
  const auto infer = [](pb::ModelProto& one, bool follow_values) {
    const pb::ShapeInferenceOptions strict(/*check_type=*/true, /*strict_mode=*/1, follow_values);
    pb::shape_inference::InferShapes(one, pb::OpSchemaRegistry::Instance(), strict);
  };
  try {
    pb::ModelProto copy = model;
    infer(copy, true);
  } catch (const pb::InferenceError& problem) {
    // ONNX 1.19 takes any tensor of one dimension for sizes and forgets what Unsqueeze makes of
    // it, so that it refuses the outer product of two vectors.
    if (std::string_view(problem.what()).find("Invalid rank for") == std::string_view::npos) throw;
    infer(model, false);
  }
}

}  // namespace

Status check_skeleton(const Skeleton& skeleton) {
  constexpr std::string_view kDoing = "checking the ONNX model";
  MLC_TRY_CTX(pb::ModelProto model, model_of(skeleton), std::string(kDoing));
  try {
    pb::checker::check_model(model);
    set_aside_foreign(model);
    infer_shapes(std::move(model));
  } catch (const std::exception& problem) {
    return internal_error(one_line(problem.what())).during(std::string(kDoing));
  }
  return {};
}

namespace {

/// What an old opset leaves open. Nodes that are otherwise in newer ones leave it so.
void infer_more(pb::ModelProto& model, const pb::ShapeInferenceOptions& how) {
  pb::ModelProto raised = model;
  raise_opset(raised);
  try {
    pb::shape_inference::InferShapes(raised, pb::OpSchemaRegistry::Instance(), how);
  } catch (const std::exception&) {
    return;
  }
  model = std::move(raised);
}

}  // namespace

Result<InferredSizes> infer_sizes(const Skeleton& skeleton) {
  MLC_TRY(pb::ModelProto model, model_of(skeleton));
  set_aside_foreign(model);
  try {
    const pb::ShapeInferenceOptions lenient(/*check_type=*/false, /*strict_mode=*/0,
                                            /*data_prop=*/true);
    pb::shape_inference::InferShapes(model, pb::OpSchemaRegistry::Instance(), lenient);
    infer_more(model, lenient);
  } catch (const std::exception& problem) {
    return corrupt(one_line(problem.what())).during("inferring sizes");
  }
  InferredSizes out;
  const auto take = [&out](const pb::ValueInfoProto& value) {
    if (!value.type().tensor_type().has_shape()) return;
    std::vector<OnnxDim>& dims = out[value.name()];
    dims.clear();
    for (const auto& dim : value.type().tensor_type().shape().dim()) {
      OnnxDim& each = dims.emplace_back();
      if (dim.has_dim_value()) each.size = dim.dim_value();
      if (dim.has_dim_param()) each.symbol = dim.dim_param();
    }
  };
  for (const auto& value : model.graph().input()) take(value);
  for (const auto& value : model.graph().output()) take(value);
  for (const auto& value : model.graph().value_info()) take(value);
  return out;
}

std::vector<std::string> operator_names() {
  std::set<std::string> names;
  for (const pb::OpSchema& one : pb::OpSchemaRegistry::get_all_schemas()) {
    if (one.domain().empty()) names.insert(one.Name());
  }
  return {names.begin(), names.end()};
}

Result<std::string> checker_version() {
  return std::string(MLC_ONNX_VERSION);
}

}  // namespace mlc::onnx
