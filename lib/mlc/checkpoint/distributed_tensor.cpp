#include "mlc/checkpoint/distributed_tensor.h"

#include "mlc/checkpoint/stored_parts.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

bool is_distributed(const Graph& graph, std::span<const NodeId> args) {
  return args.size() == 4 &&
         graph.is_global(args[0], "torch._utils", "_rebuild_wrapper_subclass") &&
         graph.is(args[1], NodeKind::global) && graph.global_name(args[1]) == "DTensor" &&
         graph.global_module(args[1]).starts_with("torch.distributed.");
}

/// The attribute NAME in a state as copyreg makes it: a dict, or (dict or None, slots).
NodeId attribute(const Graph& graph, NodeId state, std::string_view name) {
  if (!graph.is(state, NodeKind::tuple)) return graph.find(state, name);
  for (const NodeId part : graph.tuple(state)) {
    const NodeId found = graph.find(part, name);
    if (found != kNoNode) return found;
  }
  return kNoNode;
}

/// Whether a placement in SPEC is Partial: then the ranks hold summands.
bool is_partial(const Graph& graph, NodeId spec) {
  bool found = false;
  pickle::for_each_reachable(graph, spec, [&](NodeId node) {
    found = found || (graph.is(node, NodeKind::global) &&
                      graph.global_name(node).find("Partial") != std::string_view::npos);
  });
  return found;
}

/// The node of TENSOR itself, behind its Parameters, which PARAMETERS gets.
NodeId behind_parameters(const Checkpoint& checkpoint, const Tensor& tensor,
                         std::vector<uint32_t>& parameters) {
  const Graph& graph = checkpoint.graph;
  uint32_t index = checkpoint.tensor_at(tensor.node);
  NodeId node = tensor.node;
  while (index != kNoIndex && checkpoint.tensors[index].parameter) {
    const auto args = graph.tuple(graph.args(node));
    if (args.empty() || checkpoint.tensor_at(args[0]) == kNoIndex) break;
    parameters.push_back(index);
    node = args[0];
    index = checkpoint.tensor_at(node);
  }
  return node;
}

}  // namespace

uint32_t local_part(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (tensor.kind != TensorKind::other) return kNoIndex;
  const auto args = rebuild_args(checkpoint, tensor);
  if (!is_distributed(checkpoint.graph, args)) return kNoIndex;
  const NodeId local = attribute(checkpoint.graph, args[3], "_local_tensor");
  return local == kNoNode ? kNoIndex : checkpoint.tensor_at(local);
}

bool is_whole_distributed(const Checkpoint& checkpoint, const Tensor& tensor) {
  const uint32_t index = local_part(checkpoint, tensor);
  if (index == kNoIndex) return false;
  const Tensor& local = checkpoint.tensors[index];
  const NodeId spec = attribute(checkpoint.graph, rebuild_args(checkpoint, tensor)[3], "_spec");
  return local.kind == TensorKind::dense && local.storage != kNoIndex &&
         local.dtype == tensor.dtype &&
         std::ranges::equal(checkpoint.sizes(local), checkpoint.sizes(tensor)) && spec != kNoNode &&
         !is_partial(checkpoint.graph, spec);
}

bool is_distributed_part(const Checkpoint& checkpoint, const Tensor& tensor) {
  return local_part(checkpoint, tensor) != kNoIndex && !is_whole_distributed(checkpoint, tensor);
}

std::vector<NodeId> place_of_part(const Checkpoint& checkpoint, const Tensor& tensor) {
  // Names of groups and threads beside these are those of one run.
  constexpr std::string_view kPlace = "_coordinate_on_dim";
  constexpr std::string_view kMesh[] = {"_layout", "mesh", "_mesh"};  // newest PyTorch first
  const Graph& graph = checkpoint.graph;
  if (local_part(checkpoint, tensor) == kNoIndex) return {};
  const auto attribute_of = [&graph](NodeId object, std::string_view name) {
    const auto* content = graph.is(object, NodeKind::object) ? graph.content(object) : nullptr;
    return content == nullptr || content->state == kNoNode ? kNoNode
                                                           : attribute(graph, content->state, name);
  };
  const NodeId spec = attribute(graph, rebuild_args(checkpoint, tensor)[3], "_spec");
  const NodeId mesh = attribute_of(spec, "mesh");
  const auto first_of = [&](std::span<const std::string_view> names) {
    NodeId found = kNoNode;
    for (const std::string_view name : names) {
      if (found == kNoNode) found = attribute_of(mesh, name);
    }
    return found;
  };
  std::vector<NodeId> out = {attribute_of(spec, "placements"), first_of(kMesh),
                             attribute_of(mesh, kPlace)};
  if (std::ranges::find(out, kNoNode) != out.end()) return {};
  return out;
}

std::vector<std::string> take_whole_distributed(Checkpoint& checkpoint,
                                                const std::vector<NamedTensor>& tensors) {
  std::vector<uint32_t> whole;
  std::vector<std::string> paths;
  for (const NamedTensor& named : tensors) {
    if (!is_whole_distributed(checkpoint, checkpoint.tensors[named.tensor])) continue;
    whole.push_back(named.tensor);
    paths.push_back(named.path);
  }
  for (const uint32_t index : whole) {
    const uint32_t part = local_part(checkpoint, checkpoint.tensors[index]);
    if (part == kNoIndex) continue;  // listed twice
    const Tensor local = checkpoint.tensors[part];
    std::vector<uint32_t> changed;
    const NodeId node = behind_parameters(checkpoint, checkpoint.tensors[index], changed);
    changed.push_back(checkpoint.tensor_at(node));
    for (const uint32_t one : changed) {
      Tensor plain = local;
      plain.node = checkpoint.tensors[one].node;
      plain.parameter = checkpoint.tensors[one].parameter;
      plain.requires_grad = checkpoint.tensors[one].requires_grad;
      checkpoint.tensors[one] = plain;
    }
    checkpoint.graph.replace(node, local.node);
  }
  return paths;
}

}  // namespace mlc
