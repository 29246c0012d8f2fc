// numpy/core/src/multiarray/methods.c, array_reduce and array_setstate; descriptor.c,
// arraydescr_reduce.
#include "mlc/checkpoint/numpy_pickle.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/byte_spellings.h"
#include "mlc/pickle/names_today.h"
#include "mlc/pickle/traverse.h"
#include "mlc/tensor/byte_order.h"

#include <algorithm>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

struct Element {
  DType dtype = DType::f32;
  bool big_endian = false;
};

struct Array {
  NodeId data = kNoNode;
  NodeId dtype = kNoNode;
  NodeId shape = kNoNode;
  bool fortran_order = false;
};

/// numpy.dtype('f4', False, True) with state (3, '<', None, None, None, -1, -1, 0).
std::optional<Element> element_of(const Graph& graph, NodeId node) {
  if (!graph.is_call_of(node, "numpy", "dtype")) return std::nullopt;
  const auto args = graph.tuple(graph.args(node));
  const pickle::ObjectContent* content = graph.content(node);
  if (args.empty() || !is_string(graph, args[0]) || content == nullptr ||
      content->state == kNoNode) {
    return std::nullopt;
  }
  const auto state = graph.sequence(content->state);
  if (state.size() < 2 || !is_string(graph, state[1])) return std::nullopt;
  const std::string_view order = graph.text(state[1]);
  const std::string name(graph.text(args[0]));
  for (const DTypeInfo& row : dtype_table()) {
    if (!row.numpy.empty() && row.numpy.substr(1) == name) {
      return Element{row.dtype, order == ">" && row.bytes > 1};
    }
  }
  return std::nullopt;
}

/// Either _reconstruct(ndarray, (0,), b'b') with state (1, shape, dtype, fortran, data), or
/// protocol 5's _frombuffer(data, dtype, shape, 'C' or 'F').
std::optional<Array> array_of(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::object)) return std::nullopt;
  const NodeId callable = graph.callable(node);
  if (!graph.is(callable, NodeKind::global)) return std::nullopt;
  const std::string name =
      pickle::path_today(graph.global_module(callable), graph.global_name(callable));
  if (name == "numpy._core.multiarray._reconstruct") {
    const pickle::ObjectContent* content = graph.content(node);
    if (content == nullptr || content->state == kNoNode) return std::nullopt;
    const auto state = graph.sequence(content->state);
    if (state.size() != 5 || !graph.is(state[3], NodeKind::boolean)) return std::nullopt;
    return Array{state[4], state[2], state[1], graph.boolean(state[3])};
  }
  if (name == "numpy._core.numeric._frombuffer") {
    const auto args = graph.tuple(graph.args(node));
    if (args.size() != 4 || !is_string(graph, args[3])) return std::nullopt;
    return Array{args[0], args[1], args[2], graph.text(args[3]) == "F"};
  }
  return std::nullopt;
}

Result<std::vector<int64_t>> sizes_of(const Graph& graph, NodeId node) {
  std::vector<int64_t> sizes;
  const bool tuple = graph.is(node, NodeKind::tuple) && graph.tuple(node).size() <= kMaxRank;
  if (!tuple) return corrupt("its shape is no tuple of at most 64 numbers");
  for (const NodeId item : graph.tuple(node)) {
    if (!graph.is(item, NodeKind::integer) || graph.integer(item) < 0) {
      return corrupt("its shape has something that is no size");
    }
    sizes.push_back(graph.integer(item));
  }
  return sizes;
}

std::vector<int64_t> fortran_strides(Dims sizes) {
  std::vector<int64_t> reversed(sizes.rbegin(), sizes.rend());
  std::vector<int64_t> strides = contiguous_strides(reversed);
  std::reverse(strides.begin(), strides.end());
  return strides;
}

Status adopt(Checkpoint& checkpoint, NodeId node, const Array& array, Element element,
             PickledBytes& source) {
  const auto data = source.of(array.data);
  if (!data) return corrupt("its data are no bytes");
  MLC_TRY(const std::vector<int64_t> sizes, sizes_of(checkpoint.graph, array.shape));
  const auto count = element_count(sizes);
  const auto bytes = count ? checked_mul<int64_t>(*count, info(element.dtype).bytes) : std::nullopt;
  if (!bytes || static_cast<uint64_t>(*bytes) != data->size()) {
    return corrupt("its shape " + format_shape(sizes) + " of " +
                   std::string(info(element.dtype).brief) + " does not fill its " +
                   std::to_string(data->size()) + " bytes");
  }
  Storage storage;
  storage.key = "numpy";
  storage.location = "cpu";
  storage.dtype = element.dtype;
  storage.big_endian = element.big_endian;
  storage.elements = *count;
  MLC_CHECK(source.place(storage, *data));
  checkpoint.storages.push_back(std::move(storage));
  Tensor tensor;
  tensor.storage = static_cast<uint32_t>(checkpoint.storages.size() - 1);
  tensor.dtype = element.dtype;
  const uint32_t index = checkpoint.add_tensor(
      tensor, sizes, array.fortran_order ? fortran_strides(sizes) : contiguous_strides(sizes));
  checkpoint.graph.replace(node, checkpoint.tensors[index].node);
  checkpoint.tensors[index].node = node;
  return {};
}

/// An array of plain numbers as it stands in a pickle.
struct PlainArray {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  std::string bytes;  // row-major, little-endian
};

/// DATA, whose first dimension lies closest, with the last one closest.
std::string row_major(const std::string& data, Dims sizes, size_t element) {
  std::string out;
  out.reserve(data.size());
  const std::vector<int64_t> strides = fortran_strides(sizes);
  std::vector<int64_t> at(sizes.size(), 0);
  while (out.size() < data.size()) {
    int64_t offset = 0;
    for (size_t d = 0; d < sizes.size(); ++d) offset += at[d] * strides[d];
    out.append(data, static_cast<size_t>(offset) * element, element);
    for (size_t d = sizes.size(); d-- > 0;) {
      if (++at[d] < sizes[d]) break;
      at[d] = 0;
    }
  }
  return out;
}

std::optional<PlainArray> plain_array(const Graph& graph, NodeId node) {
  const auto array = array_of(graph, node);
  const auto element = array ? element_of(graph, array->dtype) : std::nullopt;
  if (!element) return std::nullopt;
  auto sizes = sizes_of(graph, array->shape);
  auto bytes = graph.is(array->data, NodeKind::bytearray)
                   ? std::optional(std::string(graph.text(array->data)))
                   : pickle::bytes_value(graph, array->data);
  if (!sizes.ok() || !bytes) return std::nullopt;
  const auto count = element_count(*sizes);
  const auto size = static_cast<size_t>(info(element->dtype).bytes);
  if (!count || bytes->size() % size != 0 || static_cast<size_t>(*count) != bytes->size() / size) {
    return std::nullopt;
  }
  if (element->big_endian) {
    swap_elements(std::as_writable_bytes(std::span(*bytes)), element->dtype);
  }
  if (array->fortran_order) *bytes = row_major(*bytes, *sizes, size);
  return PlainArray{element->dtype, std::move(*sizes), std::move(*bytes)};
}

}  // namespace

Status adopt_numpy_arrays(Checkpoint& checkpoint, NodeId first, PickledBytes& source) {
  const auto end = static_cast<NodeId>(checkpoint.graph.size());
  for (NodeId node = first; node < end; ++node) {
    const auto array = array_of(checkpoint.graph, node);
    if (!array) continue;
    const auto element = element_of(checkpoint.graph, array->dtype);
    if (!element) continue;
    MLC_CHECK_CTX(adopt(checkpoint, node, *array, *element, source), "a NumPy array");
  }
  return {};
}

uint64_t count_numpy_arrays(const Graph& graph, NodeId node) {
  uint64_t arrays = 0;
  pickle::for_each_reachable(graph, node, [&](NodeId each) {
    if (!numpy_array_text(graph, each).empty()) ++arrays;
  });
  return arrays;
}

std::optional<bool> same_numpy_arrays(const Graph& graph_a, NodeId a, const Graph& graph_b,
                                      NodeId b) {
  const auto of_a = plain_array(graph_a, a);
  const auto of_b = of_a ? plain_array(graph_b, b) : std::nullopt;
  if (!of_b) return std::nullopt;
  return of_a->dtype == of_b->dtype && of_a->sizes == of_b->sizes && of_a->bytes == of_b->bytes;
}

std::string numpy_array_text(const Graph& graph, NodeId node) {
  const auto array = array_of(graph, node);
  const auto element = array ? element_of(graph, array->dtype) : std::nullopt;
  if (!element) return {};
  const auto sizes = sizes_of(graph, array->shape);
  if (!sizes.ok()) return {};
  return "numpy " + std::string(info(element->dtype).brief) + format_shape(*sizes);
}

}  // namespace mlc
