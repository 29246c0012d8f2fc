#include "mlc/onnx_write/check.h"

#include "mlc/base/text.h"

#include <exception>

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
  type.set_elem_type(info(initializer.data->dtype).onnx);
  pb::TensorShapeProto& shape = *type.mutable_shape();
  for (const int64_t size : initializer.data->sizes) shape.add_dim()->set_dim_value(size);
}

Status add_initializer(const Initializer& initializer, pb::GraphProto& graph) {
  MLC_TRY(const Buffer buffer, initializer.data->produce());
  pb::TensorProto& tensor = *graph.add_initializer();
  tensor.ParseFromString(tensor_head(initializer, nullptr));
  tensor.set_raw_data(buffer.bytes.data(), buffer.bytes.size());
  return {};
}

Result<pb::ModelProto> model_of(const Skeleton& skeleton) {
  pb::ModelProto model;
  pb::GraphProto& graph = *model.mutable_graph();
  if (!model.MergeFromString(skeleton.model_head) || !graph.MergeFromString(skeleton.graph_head) ||
      !graph.MergeFromString(skeleton.graph_tail) || !model.MergeFromString(skeleton.model_tail))
    return internal_error("its own bytes cannot be read");
  for (const Initializer& each : skeleton.initializers) {
    if (each.data->byte_size() > kLargestKept) {
      add_input(each, graph);
    } else {
      MLC_CHECK_CTX(add_initializer(each, graph), "tensor " + printable(each.name));
    }
  }
  return model;
}

}  // namespace

Status check_skeleton(const Skeleton& skeleton) {
  constexpr std::string_view kDoing = "checking the ONNX model";
  MLC_TRY_CTX(pb::ModelProto model, model_of(skeleton), std::string(kDoing));
  try {
    pb::checker::check_model(model);
    const pb::ShapeInferenceOptions strict(/*check_type=*/true, /*strict_mode=*/1,
                                           /*data_prop=*/true);
    pb::shape_inference::InferShapes(model, pb::OpSchemaRegistry::Instance(), strict);
  } catch (const std::exception& problem) {
    return internal_error(printable(problem.what())).during(std::string(kDoing));
  }
  return {};
}

}  // namespace mlc::onnx
