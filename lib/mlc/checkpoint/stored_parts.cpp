#include "mlc/checkpoint/stored_parts.h"

#include "mlc/base/checked_math.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/pickle/traverse.h"

#include <unordered_set>

namespace mlc {
namespace {

bool is_made_of_parts(const Tensor& tensor) {
  return tensor.kind == TensorKind::sparse || tensor.kind == TensorKind::other;
}

/// (layout, (indices, values, ...)) or (layout, (compressed, plain, values, ...)): the plain
/// indices and the values, which the front end has checked.
struct SparseParts {
  const Tensor* indices = nullptr;
  const Tensor* values = nullptr;
  bool coordinates = false;
};

std::optional<SparseParts> sparse_parts(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (tensor.kind != TensorKind::sparse) return std::nullopt;
  const auto args = rebuild_args(checkpoint, tensor);
  if (args.size() < 2) return std::nullopt;
  const auto data = checkpoint.graph.sequence(args[1]);
  const auto at = [&](size_t i) {
    const uint32_t index = i < data.size() ? checkpoint.tensor_at(data[i]) : kNoIndex;
    return index == kNoIndex ? nullptr : &checkpoint.tensors[index];
  };
  const bool coordinates = at(2) == nullptr;
  const SparseParts parts{at(coordinates ? 0 : 1), at(coordinates ? 1 : 2), coordinates};
  if (parts.indices == nullptr || parts.values == nullptr) return std::nullopt;
  return parts;
}

/// The shape of a plain tensor of a packed type counts packs, that of a quantized one values.
uint64_t values_of(const Checkpoint& checkpoint, const Tensor& tensor) {
  const auto elements = static_cast<uint64_t>(checkpoint.element_count(tensor));
  if (info(tensor.dtype).kind == DTypeClass::quantized) return elements;
  return checked_mul<uint64_t>(elements, info(tensor.dtype).per_element).value_or(UINT64_MAX);
}

}  // namespace

std::span<const NodeId> rebuild_args(const Checkpoint& checkpoint, const Tensor& tensor) {
  const pickle::Graph& graph = checkpoint.graph;
  NodeId node = tensor.node;
  if (node == kNoNode || !graph.is(node, pickle::NodeKind::object)) return {};
  auto args = graph.tuple(graph.args(node));
  while (tensor.parameter && !args.empty() && checkpoint.tensor_at(args[0]) != kNoIndex) {
    node = args[0];
    if (!graph.is(node, pickle::NodeKind::object)) return {};
    args = graph.tuple(graph.args(node));
  }
  return args;
}

StoredParts stored_parts(const Checkpoint& checkpoint, const Tensor& tensor) {
  StoredParts parts;
  if (!is_made_of_parts(tensor) || tensor.node == kNoNode) return parts;
  std::unordered_set<NodeId> seen;
  std::vector<NodeId> stack = {tensor.node};
  std::vector<NodeId> children;
  while (!stack.empty()) {
    const NodeId node = stack.back();
    stack.pop_back();
    if (!seen.insert(node).second) continue;
    const uint32_t index = node == tensor.node ? kNoIndex : checkpoint.tensor_at(node);
    if (index != kNoIndex && checkpoint.tensors[index].storage != kNoIndex) {
      parts.tensors.push_back(index);
      continue;
    }
    const uint32_t storage = checkpoint.storage_at(node);
    if (storage != kNoIndex) parts.storages.push_back(storage);
    children.clear();
    pickle::append_children(checkpoint.graph, node, children);
    stack.insert(stack.end(), children.rbegin(), children.rend());
  }
  return parts;
}

uint64_t stored_bytes(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (!is_made_of_parts(tensor)) return checkpoint.byte_size(tensor);
  const uint32_t local = local_part(checkpoint, tensor);
  if (local != kNoIndex && checkpoint.tensors[local].kind != TensorKind::other) {
    return stored_bytes(checkpoint, checkpoint.tensors[local]);
  }
  uint64_t bytes = 0;
  const StoredParts parts = stored_parts(checkpoint, tensor);
  for (const uint32_t part : parts.tensors) {
    bytes += checkpoint.byte_size(checkpoint.tensors[part]);
  }
  for (const uint32_t storage : parts.storages) bytes += checkpoint.storages[storage].byte_size();
  return bytes;
}

uint64_t stored_elements(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (const auto sparse = sparse_parts(checkpoint, tensor)) {
    return values_of(checkpoint, *sparse->values);
  }
  if (has_shape(checkpoint, tensor)) return values_of(checkpoint, tensor);
  const auto parts = stored_parts(checkpoint, tensor).tensors;
  if (parts.empty()) return 0;
  return values_of(checkpoint, checkpoint.tensors[parts[0]]);
}

std::optional<uint64_t> stored_values(const Checkpoint& checkpoint, const Tensor& tensor) {
  const auto sparse = sparse_parts(checkpoint, tensor);
  if (!sparse) return std::nullopt;
  if (sparse->coordinates) return static_cast<uint64_t>(checkpoint.sizes(*sparse->values)[0]);
  return static_cast<uint64_t>(checkpoint.element_count(*sparse->indices));
}

bool has_shape(const Checkpoint& checkpoint, const Tensor& tensor) {
  // What has no shape gets that of nothing from the front end.
  const Dims sizes = checkpoint.sizes(tensor);
  return tensor.kind != TensorKind::other || sizes.size() != 1 || sizes[0] != 0;
}

std::string shape_text(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (!has_shape(checkpoint, tensor)) return "-";
  const std::string shape = format_shape(checkpoint.sizes(tensor));
  const auto values = stored_values(checkpoint, tensor);
  return values ? shape + " nnz " + std::to_string(*values) : shape;
}

}  // namespace mlc
