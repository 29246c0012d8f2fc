#include "mlc/checkpoint/derive.h"

#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/lower_tensors.h"
#include "mlc/tensor/convert.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

Status require_dense(const Checkpoint& checkpoint, uint32_t index) {
  const Tensor& tensor = checkpoint.tensors[index];
  if (tensor.kind == TensorKind::dense && tensor.storage != kNoIndex) return {};
  const std::string what = tensor.detail == kNoIndex ? "meta" : checkpoint.details[tensor.detail];
  return unsupported("a " + what + " tensor cannot be changed, only renamed or dropped");
}

/// Also that it may be made in full.
Status require_plain(const Checkpoint& checkpoint, uint32_t index) {
  MLC_CHECK(require_dense(checkpoint, index));
  return ExpansionBudget(checkpoint).add(index);
}

/// Adds a tensor of a storage of its own, whose ELEMENTS elements PRODUCE makes; requires_grad is
/// that of LIKE.
uint32_t add_produced(Checkpoint& checkpoint, uint32_t like, DType dtype, Dims sizes, Dims strides,
                      int64_t elements, BlockProducer produce) {
  Storage storage;
  storage.dtype = dtype;
  storage.elements = elements;
  storage.own = made_bytes(std::move(produce));
  Tensor tensor;
  tensor.dtype = dtype;
  // PyTorch cannot restore the flag on other types.
  const bool trainable = dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32 ||
                         dtype == DType::f64 || info(dtype).kind == DTypeClass::complex;
  tensor.requires_grad = trainable && checkpoint.tensors[like].requires_grad;
  tensor.storage = static_cast<uint32_t>(checkpoint.storages.size());
  checkpoint.storages.push_back(std::move(storage));
  return checkpoint.add_tensor(tensor, sizes, strides);
}

uint32_t add_contiguous(Checkpoint& checkpoint, uint32_t like, DType dtype, Dims sizes,
                        BlockProducer produce) {
  return add_produced(checkpoint, like, dtype, sizes, contiguous_strides(sizes),
                      element_count(sizes).value_or(0), std::move(produce));
}

std::vector<int64_t> copy_of(Dims dims) {
  return {dims.begin(), dims.end()};
}

/// The tensor's view with its own sizes, strides and offset.
struct Window {
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

Window window_of(const Checkpoint& checkpoint, uint32_t index) {
  const Tensor& tensor = checkpoint.tensors[index];
  return {copy_of(checkpoint.sizes(tensor)), copy_of(checkpoint.strides(tensor)), tensor.offset};
}

/// What is computed from damaged bytes would get a fresh, valid CRC.
Status check_source(const Checkpoint& checkpoint, uint32_t index) {
  const uint32_t storage = checkpoint.tensors[index].storage;
  return storage == kNoIndex ? Status() : check_storage(checkpoint, storage);
}

Status stream_window(const Checkpoint& checkpoint, uint32_t index, const Window& window,
                     const BlockSink& sink) {
  MLC_CHECK(check_source(checkpoint, index));
  MLC_TRY(TensorView view, checkpoint.view(index));
  view.sizes = window.sizes;
  view.strides = window.strides;
  view.offset = window.offset;
  return for_each_block(view, sink);
}

uint32_t add_window(Checkpoint& checkpoint, uint32_t source, Window window) {
  const std::vector<int64_t> sizes = window.sizes;
  const DType dtype = checkpoint.tensors[source].dtype;
  return add_contiguous(checkpoint, source, dtype, sizes,
                        [&checkpoint, source, window = std::move(window)](const BlockSink& sink) {
                          return stream_window(checkpoint, source, window, sink);
                        });
}

/// How much of a dimension lies in the storage: of an expanded one, whose items are one, one.
int64_t stored_size(int64_t size, int64_t stride) {
  return stride == 0 && size > 1 ? 1 : size;
}

/// Every element of WINDOW once: expanded dimensions have the size 1.
Window without_repeats(Window window) {
  for (size_t d = 0; d < window.sizes.size(); ++d) {
    window.sizes[d] = stored_size(window.sizes[d], window.strides[d]);
  }
  return window;
}

}  // namespace

Status stream_tensor(const Checkpoint& checkpoint, uint32_t index, const BlockSink& sink) {
  const Tensor& tensor = checkpoint.tensors[index];
  if (tensor.storage != kNoIndex) {
    const Storage& storage = checkpoint.storages[tensor.storage];
    const bool whole = tensor.offset == 0 && !tensor.conjugated && !tensor.negated &&
                       checkpoint.byte_size(tensor) == storage.byte_size() &&
                       is_contiguous(checkpoint.sizes(tensor), checkpoint.strides(tensor));
    if (whole && storage.producer() != nullptr) return (*storage.producer())(sink);
  }
  MLC_TRY(const TensorView view, checkpoint.view(index));
  return for_each_block(view, sink);
}

Result<uint32_t> derive_slice(Checkpoint& checkpoint, uint32_t tensor, int64_t dim, int64_t begin,
                              int64_t length) {
  MLC_CHECK(require_plain(checkpoint, tensor));
  Window window = window_of(checkpoint, tensor);
  const auto at = static_cast<size_t>(dim);
  window.offset += begin * window.strides[at];
  window.sizes[at] = length;
  return add_window(checkpoint, tensor, std::move(window));
}

Result<uint32_t> derive_permuted(Checkpoint& checkpoint, uint32_t tensor,
                                 std::span<const int64_t> permutation) {
  MLC_CHECK(require_plain(checkpoint, tensor));
  const Window source = window_of(checkpoint, tensor);
  Window window = source;
  for (size_t i = 0; i < permutation.size(); ++i) {
    const auto from = static_cast<size_t>(permutation[i]);
    window.sizes[i] = source.sizes[from];
    window.strides[i] = source.strides[from];
  }
  return add_window(checkpoint, tensor, std::move(window));
}

uint64_t compact_size(const Checkpoint& checkpoint, const Tensor& tensor) {
  const Dims sizes = checkpoint.sizes(tensor);
  const Dims strides = checkpoint.strides(tensor);
  uint64_t elements = 1;  // no more than the tensor has, whose count fits
  for (size_t d = 0; d < sizes.size(); ++d) {
    elements *= static_cast<uint64_t>(stored_size(sizes[d], strides[d]));
  }
  return elements * element_bytes(tensor.dtype);
}

Result<uint32_t> derive_compact(Checkpoint& checkpoint, uint32_t tensor) {
  MLC_CHECK(require_dense(checkpoint, tensor));
  const Window whole = window_of(checkpoint, tensor);
  Window window = without_repeats(whole);
  std::vector<int64_t> strides = contiguous_strides(window.sizes);
  for (size_t d = 0; d < strides.size(); ++d) {
    if (window.sizes[d] != whole.sizes[d]) strides[d] = 0;
  }
  const int64_t elements = element_count(window.sizes).value_or(0);
  return add_produced(checkpoint, tensor, checkpoint.tensors[tensor].dtype, whole.sizes, strides,
                      elements,
                      [&checkpoint, tensor, window = std::move(window)](const BlockSink& sink) {
                        return stream_window(checkpoint, tensor, window, sink);
                      });
}

Result<uint32_t> derive_concat(Checkpoint& checkpoint, std::span<const uint32_t> sources,
                               int64_t dim) {
  const auto at = static_cast<size_t>(dim);
  std::vector<int64_t> sizes = copy_of(checkpoint.sizes(checkpoint.tensors[sources[0]]));
  const DType dtype = checkpoint.tensors[sources[0]].dtype;
  int64_t outer = 1;
  for (size_t i = 0; i < at; ++i) outer *= sizes[i];
  sizes[at] = 0;
  std::vector<Window> windows;
  for (const uint32_t source : sources) {
    MLC_CHECK(require_plain(checkpoint, source));
    if (checkpoint.tensors[source].dtype != dtype) {
      return usage_error("tensors of different types cannot be joined");
    }
    windows.push_back(window_of(checkpoint, source));
    sizes[at] += windows.back().sizes[at];
  }
  std::vector<uint32_t> from(sources.begin(), sources.end());
  // One row of the outer dimensions at a time: of the first source, of the second, ...
  auto produce = [&checkpoint, from, windows, outer, at](const BlockSink& sink) -> Status {
    for (int64_t row = 0; row < outer; ++row) {
      for (size_t s = 0; s < from.size(); ++s) {
        Window slab = windows[s];
        int64_t rest = row;
        for (size_t d = at; d-- > 0;) {
          slab.offset += rest % slab.sizes[d] * slab.strides[d];
          rest /= slab.sizes[d];
          slab.sizes[d] = 1;
        }
        MLC_CHECK(stream_window(checkpoint, from[s], slab, sink));
      }
    }
    return {};
  };
  return add_contiguous(checkpoint, sources[0], dtype, sizes, std::move(produce));
}

Result<uint32_t> derive_cast(Checkpoint& checkpoint, uint32_t tensor, DType dtype,
                             CastCounts& counts) {
  MLC_CHECK(require_plain(checkpoint, tensor));
  const DType from = checkpoint.tensors[tensor].dtype;
  if (!can_convert(from, dtype)) {
    return unsupported("cannot convert " + std::string(info(from).torch) + " to " +
                       std::string(info(dtype).torch));
  }
  const std::vector<int64_t> sizes = copy_of(checkpoint.sizes(checkpoint.tensors[tensor]));
  counts.elements = static_cast<uint64_t>(checkpoint.element_count(checkpoint.tensors[tensor]));
  auto produce = [&checkpoint, tensor, from, dtype, &counts](const BlockSink& sink) -> Status {
    std::string out;
    MLC_CHECK(check_source(checkpoint, tensor));
    return stream_tensor(checkpoint, tensor, [&](Bytes block) -> Status {
      out.resize(block.size() / element_bytes(from) * element_bytes(dtype));
      MLC_TRY(const ConvertReport report,
              convert_block(from, block, dtype, std::as_writable_bytes(std::span(out))));
      counts.overflowed += report.overflowed;
      counts.underflowed += report.underflowed;
      return sink(as_bytes(out));
    });
  };
  return add_contiguous(checkpoint, tensor, dtype, sizes, std::move(produce));
}

uint32_t derive_twin(Checkpoint& checkpoint, uint32_t index) {
  const Tensor made = checkpoint.tensors[index];
  Tensor twin = made;
  twin.node = kNoNode;
  const Dims sizes = checkpoint.sizes(made);
  const Dims strides = checkpoint.strides(made);
  const std::vector<int64_t> own_sizes(sizes.begin(), sizes.end());  // adding moves the others
  const std::vector<int64_t> own_strides(strides.begin(), strides.end());
  return checkpoint.add_tensor(twin, own_sizes, own_strides);
}

namespace {

/// From now on the object at NODE is tensor INDEX.
void set_tensor_at(Checkpoint& checkpoint, NodeId node, uint32_t index) {
  if (checkpoint.graph.is(node, NodeKind::tensor)) return;  // it tells its number itself
  auto& rows = checkpoint.tensor_nodes;
  const auto at = std::ranges::lower_bound(rows, std::pair<NodeId, uint32_t>(node, 0));
  if (at != rows.end() && at->first == node) {
    at->second = index;
  } else {
    rows.insert(at, {node, index});
  }
}

/// Puts tensor REPLACEMENT into the call at NODE, in the form that lower_tensors() takes apart.
void rewrap(Checkpoint& checkpoint, NodeId node, uint32_t replacement) {
  Graph& graph = checkpoint.graph;
  const auto args = graph.tuple(graph.args(node));
  Tensor& tensor = checkpoint.tensors[replacement];
  const NodeId wrapped = graph.add_tuple({tensor.node, args[1], graph.empty_tuple(), args[3]});
  graph.replace(node, graph.add_object(pickle::ObjectForm::reduce, graph.callable(node), wrapped));
}

/// The Parameters around the tensor of INDEX, the outermost first, and what is in them.
struct Wrapping {
  std::vector<NodeId> parameters;  // calls of _rebuild_parameter(tensor, ...)
  NodeId inner = kNoNode;
};

Wrapping wrapping_of(const Checkpoint& checkpoint, uint32_t index) {
  const Graph& graph = checkpoint.graph;
  Wrapping out{{}, checkpoint.tensors[index].node};
  while (checkpoint.tensors[index].parameter && graph.is(out.inner, NodeKind::object)) {
    const auto args = graph.tuple(graph.args(out.inner));
    if (args.empty() || checkpoint.tensor_at(args[0]) == kNoIndex) break;
    out.parameters.push_back(out.inner);
    out.inner = args[0];
  }
  return out;
}

/// The tensor INNER once more, as the object that CALLABLE makes of ARGS.
uint32_t add_called(Checkpoint& checkpoint, NodeId callable, const std::vector<NodeId>& args,
                    uint32_t inner) {
  Graph& graph = checkpoint.graph;
  Tensor outer = checkpoint.tensors[inner];
  outer.node = graph.add_object(pickle::ObjectForm::reduce, callable, graph.add_tuple(args));
  const auto index = static_cast<uint32_t>(checkpoint.tensors.size());
  set_tensor_at(checkpoint, outer.node, index);
  checkpoint.tensors.push_back(outer);
  return index;
}

/// Backward hooks are an empty OrderedDict in every file; two Parameters must not share it.
NodeId own_hooks(Graph& graph, NodeId hooks) {
  const auto* entries = graph.entries(hooks);
  if (entries == nullptr || !entries->empty()) return hooks;
  return graph.add_object(pickle::ObjectForm::reduce,
                          graph.add_global("collections", "OrderedDict"), graph.empty_tuple());
}

/// The Parameter at NODE, called OLD until now, around tensor INNER.
void renew_parameter(Checkpoint& checkpoint, NodeId node, uint32_t old, uint32_t inner) {
  Tensor outer = checkpoint.tensors[inner];
  outer.node = node;
  outer.parameter = true;
  outer.requires_grad = checkpoint.tensors[old].requires_grad;
  set_tensor_at(checkpoint, node, static_cast<uint32_t>(checkpoint.tensors.size()));
  checkpoint.tensors.push_back(outer);
}

}  // namespace

PythonForm python_form(const Checkpoint& checkpoint, uint32_t tensor) {
  const Graph& graph = checkpoint.graph;
  const Wrapping wrapping = wrapping_of(checkpoint, tensor);
  if (is_wrapped_tensor(graph, wrapping.inner) || wrapping.parameters.size() > 1) {
    return PythonForm::special;
  }
  if (wrapping.parameters.empty()) return PythonForm::plain;
  const bool simple = graph.tuple(graph.args(wrapping.parameters[0])).size() == 3;
  return simple ? PythonForm::parameter : PythonForm::special;
}

uint32_t derive_like(Checkpoint& checkpoint, uint32_t like, uint32_t tensor) {
  Graph& graph = checkpoint.graph;
  const Wrapping wrapping = wrapping_of(checkpoint, like);
  const bool requires_grad = checkpoint.tensors[like].requires_grad;
  checkpoint.tensors[tensor].requires_grad = requires_grad;
  uint32_t made = tensor;
  if (is_wrapped_tensor(graph, wrapping.inner)) {
    const auto args = graph.tuple(graph.args(wrapping.inner));
    const std::vector<NodeId> own = {checkpoint.tensors[made].node, args[1], graph.empty_tuple(),
                                     args[3]};
    made = add_called(checkpoint, graph.callable(wrapping.inner), own, made);
  }
  for (size_t i = wrapping.parameters.size(); i-- > 0;) {
    const NodeId node = wrapping.parameters[i];
    const auto args = graph.tuple(graph.args(node));
    std::vector<NodeId> own(args.begin(), args.end());
    own[0] = checkpoint.tensors[made].node;
    if (own.size() > 2) own[2] = own_hooks(graph, own[2]);
    made = add_called(checkpoint, graph.callable(node), own, made);
    checkpoint.tensors[made].parameter = true;
  }
  return made;
}

void replace_tensor(Checkpoint& checkpoint, uint32_t old, uint32_t replacement) {
  Graph& graph = checkpoint.graph;
  const bool dense = checkpoint.tensors[replacement].kind == TensorKind::dense;
  if (dense && !graph.is(checkpoint.tensors[replacement].node, NodeKind::tensor)) {
    replacement = derive_twin(checkpoint, replacement);  // of a pickle, with a form of its own
  }
  // The tensor inside changes, the Parameters around it stay.
  const auto [parameters, node] = wrapping_of(checkpoint, old);
  if (is_wrapped_tensor(graph, node)) {
    rewrap(checkpoint, node, replacement);
  } else {
    graph.replace(node, checkpoint.tensors[replacement].node);
  }
  checkpoint.tensors[replacement].node = node;
  set_tensor_at(checkpoint, node, replacement);
  for (const NodeId outer : parameters) renew_parameter(checkpoint, outer, old, replacement);
}

}  // namespace mlc
