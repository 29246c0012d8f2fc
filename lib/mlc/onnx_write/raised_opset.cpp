#include "mlc/onnx_write/raised_opset.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <onnx/onnx_pb.h>

namespace mlc::onnx {
namespace {

namespace pb = ::onnx;

constexpr int64_t kFollowsSizes = 14;
constexpr int64_t kHasInputs = 13;

/// The attribute that becomes the second input.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kMoved = {
    {{"Squeeze", "axes"}, {"Unsqueeze", "axes"}, {"ReduceSum", "axes"}, {"Split", "split"}}};

std::string_view moved_attribute(const pb::NodeProto& node) {
  if (!node.domain().empty()) return {};
  for (const auto& [op, attribute] : kMoved) {
    if (op == node.op_type()) return attribute;
  }
  return {};
}

std::string unused_name(const pb::GraphProto& graph) {
  std::set<std::string_view> taken;
  for (const auto& each : graph.initializer()) taken.insert(each.name());
  for (const auto& each : graph.input()) taken.insert(each.name());
  for (const auto& node : graph.node()) taken.insert(node.output().begin(), node.output().end());
  std::string name = "axes";
  while (std::ranges::any_of(taken, [&](std::string_view one) { return one.starts_with(name); }))
    name += "_";
  return name;
}

void move_attributes(pb::GraphProto& graph) {
  const std::string prefix = unused_name(graph);
  int count = 0;
  for (pb::NodeProto& node : *graph.mutable_node()) {
    const std::string_view moved = moved_attribute(node);
    auto& attributes = *node.mutable_attribute();
    const auto found =
        std::find_if(attributes.begin(), attributes.end(),
                     [&](const pb::AttributeProto& each) { return each.name() == moved; });
    if (moved.empty() || found == attributes.end() || node.input_size() != 1) continue;
    pb::TensorProto& tensor = *graph.add_initializer();
    tensor.set_name(prefix + std::to_string(++count));
    tensor.set_data_type(pb::TensorProto::INT64);
    tensor.add_dims(found->ints_size());
    *tensor.mutable_int64_data() = found->ints();
    node.add_input(tensor.name());
    attributes.erase(found);
  }
}

}  // namespace

void raise_opset(pb::ModelProto& model) {
  for (auto& row : *model.mutable_opset_import()) {
    if (!row.domain().empty() || row.version() >= kFollowsSizes) continue;
    if (row.version() < kHasInputs) move_attributes(*model.mutable_graph());
    row.set_version(kFollowsSizes);
  }
}

}  // namespace mlc::onnx
