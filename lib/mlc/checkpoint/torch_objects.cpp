#include "mlc/checkpoint/torch_objects.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/tensor_parts.h"

#include <array>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

// What the arguments of a rebuilding call are, by position.
enum class Rebuild : uint8_t {
  none,
  strided,           // storage, offset, size, stride [, requires_grad, hooks, metadata]
  strided_v3,        // the same, then dtype [, metadata]
  parameter,         // tensor, requires_grad, hooks [, state]
  from_type,         // function, type, args, state
  quantized,         // storage, offset, size, stride, qparams, requires_grad, hooks
  sparse,            // layout, data
  nested,            // buffer, sizes, strides, offsets
  meta,              // dtype, size, stride, requires_grad
  wrapper_subclass,  // cls, dtype, size, stride, ...
  other,             // arguments that are not looked at
};

struct RebuildRow {
  std::string_view module;
  std::string_view name;
  Rebuild rebuild;
};

constexpr std::array kRebuilds = {
    RebuildRow{"torch._utils", "_rebuild_tensor_v2", Rebuild::strided},
    RebuildRow{"torch._utils", "_rebuild_tensor", Rebuild::strided},
    RebuildRow{"torch._utils", "_rebuild_tensor_v3", Rebuild::strided_v3},
    RebuildRow{"torch._utils", "_rebuild_parameter", Rebuild::parameter},
    RebuildRow{"torch._utils", "_rebuild_parameter_with_state", Rebuild::parameter},
    RebuildRow{"torch._tensor", "_rebuild_from_type_v2", Rebuild::from_type},
    RebuildRow{"torch._tensor", "_rebuild_from_type", Rebuild::from_type},
    RebuildRow{"torch.tensor", "_rebuild_from_type_v2", Rebuild::from_type},
    RebuildRow{"torch.tensor", "_rebuild_from_type", Rebuild::from_type},
    RebuildRow{"torch._utils", "_rebuild_qtensor", Rebuild::quantized},
    RebuildRow{"torch._utils", "_rebuild_sparse_tensor", Rebuild::sparse},
    RebuildRow{"torch._utils", "_rebuild_sparse_csr_tensor", Rebuild::sparse},
    RebuildRow{"torch._utils", "_rebuild_nested_tensor", Rebuild::nested},
    RebuildRow{"torch._utils", "_rebuild_meta_tensor_no_storage", Rebuild::meta},
    RebuildRow{"torch._utils", "_rebuild_wrapper_subclass", Rebuild::wrapper_subclass},
    RebuildRow{"torch._utils", "_rebuild_device_tensor_from_numpy", Rebuild::other},
    RebuildRow{"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", Rebuild::other},
    RebuildRow{"torch._utils", "_rebuild_xla_tensor", Rebuild::other},
};

Rebuild rebuild_of(const Graph& graph, NodeId callable) {
  if (!graph.is(callable, NodeKind::global)) return Rebuild::none;
  for (const RebuildRow& row : kRebuilds) {
    if (graph.is_global(callable, row.module, row.name)) return row.rebuild;
  }
  return Rebuild::none;
}

// PyTorch before 0.4: torch.FloatTensor and Parameter made by NEWOBJ, filled by BUILD.
bool is_old_tensor_class(const Graph& graph, NodeId callable) {
  if (!graph.is(callable, NodeKind::global)) return false;
  const std::string_view module = graph.global_module(callable);
  return (module == "torch" || module == "torch.cuda") &&
         graph.global_name(callable).ends_with("Tensor");
}

class Collector {
 public:
  Collector(Checkpoint& checkpoint, const StorageResolver& resolve)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), resolve_(resolve) {}

  Status run(NodeId first);

 private:
  struct Made {
    Tensor tensor;
    std::vector<int64_t> sizes;
    std::vector<int64_t> strides;
  };

  Status visit(NodeId node);
  Status visit_storage(NodeId node);
  Rebuild cached_rebuild(NodeId callable);
  Result<Made> make(Rebuild rebuild, std::span<const NodeId> args);
  Result<Made> make_strided(std::span<const NodeId> args, NodeId dtype, NodeId metadata);
  Result<Made> make_alias(std::span<const NodeId> args);
  Result<Made> make_sparse(std::span<const NodeId> args);
  Result<Made> make_quantized(std::span<const NodeId> args);
  Result<Made> make_packed(std::span<const NodeId> args, const Storage& storage);
  int64_t length_of(NodeId node) const;
  Result<Made> make_shape_only(NodeId dtype, NodeId sizes, NodeId strides, TensorKind kind,
                               std::string detail);
  Result<Made> copy_of(uint32_t tensor) const;
  Made opaque(std::string detail);
  Made make_nested(std::span<const NodeId> args);
  Status read_dims(NodeId node, std::string_view what, std::vector<int64_t>& out) const;
  Result<std::optional<Made>> make_old(NodeId node);
  Status apply_metadata(NodeId metadata, Tensor& tensor) const;
  uint32_t detail(std::string text);
  void add(NodeId node, Made made);

  Checkpoint& checkpoint_;
  const Graph& graph_;
  const StorageResolver& resolve_;
  std::unordered_map<NodeId, Rebuild> rebuilds_;
  std::unordered_map<std::string, uint32_t> detail_index_;
};

Error bad_argument(std::string_view what, NodeId) {
  return corrupt("a tensor's " + std::string(what) + " is not what PyTorch writes");
}

uint32_t Collector::detail(std::string text) {
  const auto [it, is_new] =
      detail_index_.emplace(text, static_cast<uint32_t>(checkpoint_.details.size()));
  if (is_new) checkpoint_.details.push_back(std::move(text));
  return it->second;
}

Status Collector::read_dims(NodeId node, std::string_view what, std::vector<int64_t>& out) const {
  if (graph_.is_call_of(node, "torch", "Size")) {
    const auto args = graph_.tuple(graph_.args(node));
    if (args.size() != 1) return bad_argument(what, node);
    node = args[0];
  }
  if (!graph_.is(node, NodeKind::tuple) && !graph_.is(node, NodeKind::list)) {
    return bad_argument(what, node);
  }
  out.clear();
  for (const NodeId item : graph_.sequence(node)) {
    if (!graph_.is(item, NodeKind::integer)) return bad_argument(what, item);
    out.push_back(graph_.integer(item));
  }
  return {};
}

// {'conj': True} or {'neg': True}: the bytes are to be conjugated or negated when read.
Status Collector::apply_metadata(NodeId metadata, Tensor& tensor) const {
  if (metadata == kNoNode || graph_.is(metadata, NodeKind::none)) return {};
  const std::vector<Entry>* entries = graph_.entries(metadata);
  if (entries == nullptr) return bad_argument("metadata", metadata);
  for (const auto& [key, value] : *entries) {
    if (!graph_.is(key, NodeKind::text) || !graph_.is(value, NodeKind::boolean)) {
      return bad_argument("metadata", metadata);
    }
    const std::string_view name = graph_.text(key);
    if (name == "conj") {
      tensor.conjugated = graph_.boolean(value);
    } else if (name == "neg") {
      tensor.negated = graph_.boolean(value);
    } else {
      return corrupt("a tensor has unknown metadata " + quoted(name) +
                     "; PyTorch writes conj and neg");
    }
  }
  return {};
}

Result<Collector::Made> Collector::make_strided(std::span<const NodeId> args, NodeId dtype,
                                                NodeId metadata) {
  if (!graph_.is(args[0], NodeKind::persistent) || !graph_.is(args[1], NodeKind::integer)) {
    return bad_argument("storage or offset", args[0]);
  }
  Made made;
  made.tensor.storage = checkpoint_.storage_at(args[0]);
  if (made.tensor.storage == kNoIndex) return bad_argument("storage", args[0]);
  const Storage& storage = checkpoint_.storages[made.tensor.storage];
  made.tensor.dtype = storage.dtype;
  made.tensor.offset = graph_.integer(args[1]);
  if (dtype != kNoNode) {
    const auto parsed = dtype_of_global(graph_, dtype);
    if (!parsed) return bad_argument("dtype", dtype);
    made.tensor.dtype = *parsed;
  } else if (storage.untyped) {
    return corrupt("an untyped storage (" + quoted(storage.key) + ") under a tensor without dtype");
  }
  MLC_CHECK(read_dims(args[2], "size", made.sizes));
  MLC_CHECK(read_dims(args[3], "stride", made.strides));
  const auto capacity =
      static_cast<int64_t>(storage.byte_size() / element_bytes(made.tensor.dtype));
  MLC_TRY_CTX([[maybe_unused]] const ElementRange range,
              checked_extent(made.sizes, made.strides, made.tensor.offset, capacity),
              "storage " + quoted(storage.key));
  if (args.size() > 4) {
    made.tensor.requires_grad = graph_.is(args[4], NodeKind::boolean) && graph_.boolean(args[4]);
  }
  MLC_CHECK(apply_metadata(metadata, made.tensor));
  return made;
}

Result<Collector::Made> Collector::copy_of(uint32_t index) const {
  Made made;
  made.tensor = checkpoint_.tensors[index];
  const Dims sizes = checkpoint_.sizes(made.tensor);
  const Dims strides = checkpoint_.strides(made.tensor);
  made.sizes.assign(sizes.begin(), sizes.end());
  made.strides.assign(strides.begin(), strides.end());
  return made;
}

Result<Collector::Made> Collector::make_alias(std::span<const NodeId> args) {
  const uint32_t inner = checkpoint_.tensor_at(args[0]);
  if (inner == kNoIndex) return opaque("parameter of an unknown tensor");
  MLC_TRY(Made made, copy_of(inner));
  made.tensor.parameter = true;
  made.tensor.requires_grad = graph_.is(args[1], NodeKind::boolean) && graph_.boolean(args[1]);
  return made;
}

Result<Collector::Made> Collector::make_shape_only(NodeId dtype, NodeId sizes, NodeId strides,
                                                   TensorKind kind, std::string what) {
  Made made;
  made.tensor.kind = kind;
  made.tensor.detail = detail(std::move(what));
  const auto parsed = dtype_of_global(graph_, dtype);
  if (!parsed) return bad_argument("dtype", dtype);
  made.tensor.dtype = *parsed;
  MLC_CHECK(read_dims(sizes, "size", made.sizes));
  MLC_CHECK(read_dims(strides, "stride", made.strides));
  if (made.sizes.size() != made.strides.size() || made.sizes.size() > kMaxRank ||
      !element_count(made.sizes)) {
    return bad_argument("shape", sizes);
  }
  return made;
}

// (layout, (indices, values, size, ...)) or (layout, (compressed, plain, values, size)).
Result<Collector::Made> Collector::make_sparse(std::span<const NodeId> args) {
  std::string layout = "sparse";
  if (graph_.is(args[0], NodeKind::object)) {
    const auto names = graph_.tuple(graph_.args(args[0]));
    if (names.size() == 1 && graph_.is(names[0], NodeKind::text)) {
      layout = graph_.text(names[0]);
      if (layout.starts_with("torch.")) layout.erase(0, 6);
    }
  }
  const auto parts = graph_.sequence(args[1]);
  const size_t size_at = layout == "sparse_coo" ? 2 : 3;
  if (parts.size() <= size_at) return bad_argument("sparse data", args[1]);
  std::vector<Dims> shapes;  // of the indices, then of the values
  for (size_t i = 0; i < size_at; ++i) {
    const uint32_t part = checkpoint_.tensor_at(parts[i]);
    if (part == kNoIndex) return bad_argument("sparse indices or values", args[1]);
    shapes.push_back(checkpoint_.sizes(checkpoint_.tensors[part]));
  }
  const uint32_t values = checkpoint_.tensor_at(parts[size_at - 1]);
  Made made;
  made.tensor.kind = TensorKind::sparse;
  made.tensor.dtype = checkpoint_.tensors[values].dtype;
  MLC_CHECK(read_dims(parts[size_at], "size", made.sizes));
  if (made.sizes.size() > kMaxRank || !element_count(made.sizes)) {
    return bad_argument("shape", parts[size_at]);
  }
  MLC_CHECK(shapes.size() == 2
                ? check_coo_parts(shapes[0], shapes[1], made.sizes)
                : check_compressed_parts(layout, shapes[0], shapes[1], shapes[2], made.sizes));
  made.strides.assign(made.sizes.size(), 0);
  made.tensor.detail = detail(std::move(layout));
  return made;
}

/// How many elements the one-dimensional tensor or the list at NODE has, or -1.
int64_t Collector::length_of(NodeId node) const {
  if (graph_.is(node, NodeKind::list)) return static_cast<int64_t>(graph_.list(node).size());
  const uint32_t tensor = checkpoint_.tensor_at(node);
  if (tensor == kNoIndex) return -1;
  const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[tensor]);
  return sizes.size() == 1 ? sizes[0] : -1;
}

// A quantised tensor of 4 or 2 bits: unlike those of other packed types its shape counts values,
// while its storage holds packs, of which each row begins a new one (get_sub_byte_tensor_size() in
// PyTorch's aten/src/ATen/quantized/Quantizer.cpp).
Result<Collector::Made> Collector::make_packed(std::span<const NodeId> args,
                                               const Storage& storage) {
  const DTypeInfo& row = info(storage.dtype);
  Made made;
  made.tensor.kind = TensorKind::other;
  made.tensor.detail = detail("packed quantized");
  made.tensor.dtype = storage.dtype;
  MLC_CHECK(read_dims(args[2], "size", made.sizes));
  MLC_CHECK(read_dims(args[3], "stride", made.strides));
  std::vector<int64_t> packs = made.sizes;
  if (!packs.empty())
    packs.back() = packs.back() / row.per_element + (packs.back() % row.per_element != 0 ? 1 : 0);
  MLC_TRY_CTX([[maybe_unused]] const ElementRange values,
              checked_extent(made.sizes, made.strides, graph_.integer(args[1]), INT64_MAX),
              "storage " + quoted(storage.key));
  MLC_TRY_CTX([[maybe_unused]] const ElementRange range,
              checked_extent(packs, contiguous_strides(packs), 0, storage.elements),
              "storage " + quoted(storage.key));
  return made;
}

// (per_tensor_affine, scale, zero point) or (per_channel_affine, scales, zero points, axis).
Result<Collector::Made> Collector::make_quantized(std::span<const NodeId> args) {
  const uint32_t index =
      graph_.is(args[0], NodeKind::persistent) ? checkpoint_.storage_at(args[0]) : kNoIndex;
  if (index != kNoIndex && graph_.is(args[1], NodeKind::integer)) {
    const Storage& storage = checkpoint_.storages[index];
    const DTypeInfo& row = info(storage.dtype);
    if (row.kind == DTypeClass::quantized && row.per_element > 1) return make_packed(args, storage);
  }
  MLC_TRY(Made made, make_strided(args.first(4), kNoNode, kNoNode));
  const auto how = graph_.sequence(args[4]);
  if (how.empty() || !graph_.is(how[0], NodeKind::global)) {
    return bad_argument("quantization", args[4]);
  }
  if (graph_.global_name(how[0]).starts_with("per_channel")) {
    if (how.size() != 4 || !graph_.is(how[3], NodeKind::integer)) {
      return bad_argument("quantization", args[4]);
    }
    MLC_CHECK(
        check_channels(made.sizes, graph_.integer(how[3]), length_of(how[1]), length_of(how[2])));
  } else if (how.size() != 3 || !graph_.is(how[1], NodeKind::real) ||
             !graph_.is(how[2], NodeKind::integer)) {
    return bad_argument("quantization", args[4]);
  }
  if (info(made.tensor.dtype).kind != DTypeClass::quantized) {
    return corrupt("a quantized tensor on a storage of " +
                   std::string(info(made.tensor.dtype).torch));
  }
  made.tensor.kind = TensorKind::quantized;
  made.tensor.detail = detail("quantized");
  return made;
}

Collector::Made Collector::opaque(std::string what) {
  Made made;
  made.tensor.kind = TensorKind::other;
  made.tensor.detail = detail(std::move(what));
  made.sizes = {0};
  made.strides = {1};
  return made;
}

// (buffer, sizes, strides, offsets): rows of different shapes.
Collector::Made Collector::make_nested(std::span<const NodeId> args) {
  Made made = opaque("nested");
  const uint32_t buffer = checkpoint_.tensor_at(args[0]);
  if (buffer != kNoIndex) made.tensor.dtype = checkpoint_.tensors[buffer].dtype;
  return made;
}

Result<Collector::Made> Collector::make(Rebuild rebuild, std::span<const NodeId> args) {
  static constexpr std::array<size_t, 11> kLeastArguments = {0, 4, 7, 2, 3, 5, 2, 4, 3, 5, 0};
  if (args.size() < kLeastArguments[static_cast<size_t>(rebuild)]) {
    return corrupt("a tensor is rebuilt from " + std::to_string(args.size()) + " arguments");
  }
  const auto optional_at = [&](size_t i) { return i < args.size() ? args[i] : kNoNode; };
  switch (rebuild) {
    case Rebuild::strided:
      return make_strided(args, kNoNode, optional_at(6));
    case Rebuild::strided_v3:
      return make_strided(args, args[6], optional_at(7));
    case Rebuild::parameter:
      return make_alias(args);
    case Rebuild::from_type: {
      const Rebuild inner = rebuild_of(graph_, args[0]);
      const bool known = graph_.is(args[2], NodeKind::tuple) && inner != Rebuild::none &&
                         inner != Rebuild::from_type;
      if (!known) return opaque("tensor subclass");
      MLC_TRY(Made made, make(inner, graph_.tuple(args[2])));
      if (inner == Rebuild::wrapper_subclass && graph_.is(args[1], NodeKind::global)) {
        made.tensor.detail = detail(std::string(graph_.global_name(args[1])));
      }
      return made;
    }
    case Rebuild::quantized:
      return make_quantized(args);
    case Rebuild::sparse:
      return make_sparse(args);
    case Rebuild::nested:
      return make_nested(args);
    case Rebuild::meta:
      return make_shape_only(args[0], args[1], args[2], TensorKind::meta, "meta");
    case Rebuild::wrapper_subclass:
      return make_shape_only(args[1], args[2], args[3], TensorKind::other, "subclass");
    case Rebuild::other:
    case Rebuild::none:
      break;
  }
  return opaque("device");
}

Result<std::optional<Collector::Made>> Collector::make_old(NodeId node) {
  const pickle::ObjectContent* content = graph_.content(node);
  if (content == nullptr || content->state == kNoNode ||
      !graph_.is(content->state, NodeKind::tuple)) {
    return std::optional<Made>();
  }
  const auto state = graph_.tuple(content->state);
  if (graph_.is_global(graph_.callable(node), "torch.nn.parameter", "Parameter")) {
    if (state.size() < 2) return std::optional<Made>();
    MLC_TRY(Made made, make_alias(state));
    return std::optional(std::move(made));
  }
  if (!is_old_tensor_class(graph_, graph_.callable(node)) || state.size() != 4) {
    return std::optional<Made>();
  }
  MLC_TRY(Made made, make_strided(state, kNoNode, kNoNode));
  return std::optional(std::move(made));
}

Rebuild Collector::cached_rebuild(NodeId callable) {
  const auto [it, is_new] = rebuilds_.try_emplace(callable, Rebuild::none);
  if (is_new) it->second = rebuild_of(graph_, callable);
  return it->second;
}

void Collector::add(NodeId node, Made made) {
  made.tensor.node = node;
  checkpoint_.add_tensor(made.tensor, made.sizes, made.strides);
}

Status Collector::visit(NodeId node) {
  const Rebuild rebuild = cached_rebuild(graph_.callable(node));
  if (rebuild != Rebuild::none) {
    MLC_TRY(Made made, make(rebuild, graph_.tuple(graph_.args(node))));
    add(node, std::move(made));
    return {};
  }
  if (graph_.object_form(node) != pickle::ObjectForm::new_object) return {};
  MLC_TRY(auto made, make_old(node));
  if (made) add(node, std::move(*made));
  return {};
}

Status Collector::visit_storage(NodeId node) {
  const auto items = graph_.sequence(graph_.persistent_id(node));
  const bool is_storage =
      !items.empty() && is_string(graph_, items[0]) && graph_.text(items[0]) == "storage";
  if (!is_storage) return {};  // ('module', class, ...) of legacy files
  MLC_TRY(const uint32_t storage, resolve_(node));
  checkpoint_.storage_nodes.emplace_back(node, storage);
  return {};
}

Status Collector::run(NodeId first) {
  const auto end = static_cast<NodeId>(graph_.size());
  for (NodeId node = first; node < end; ++node) {
    if (graph_.is(node, NodeKind::object)) MLC_CHECK(visit(node));
    if (graph_.is(node, NodeKind::persistent)) MLC_CHECK(visit_storage(node));
  }
  return {};
}

}  // namespace

Storage described_storage(const StorageReference& reference) {
  Storage storage;
  storage.key = reference.key;
  storage.location = reference.location;
  storage.dtype = reference.dtype;
  storage.untyped = reference.untyped;
  storage.elements = reference.elements;
  return storage;
}

Status check_same_storage(const Storage& known, const StorageReference& reference) {
  if (known.dtype == reference.dtype && known.elements == reference.elements &&
      known.untyped == reference.untyped) {
    return {};
  }
  return corrupt("storage " + quoted(reference.key) + " is described twice, differently");
}

Result<StorageReference> parse_storage_reference(const Graph& graph, NodeId id, size_t fields) {
  const auto bad = [](std::string what) {
    return corrupt("a storage reference whose " + what + " is not what PyTorch writes");
  };
  if (!graph.is(id, NodeKind::tuple)) return bad("type");
  const auto items = graph.tuple(id);
  if (items.size() != fields) {
    return corrupt("a storage reference of " + std::to_string(items.size()) + " items instead of " +
                   std::to_string(fields));
  }
  if (!is_string(graph, items[0]) || graph.text(items[0]) != "storage") return bad("tag");
  if (!graph.is(items[1], NodeKind::global)) return bad("type");
  if (!is_string(graph, items[2])) return bad("key");
  if (!is_string(graph, items[3])) return bad("location");
  if (!graph.is(items[4], NodeKind::integer) || graph.integer(items[4]) < 0) return bad("size");

  StorageReference out;
  out.key = graph.text(items[2]);
  out.location = graph.text(items[3]);
  out.elements = graph.integer(items[4]);
  const std::string_view module = graph.global_module(items[1]);
  const std::string_view name = graph.global_name(items[1]);
  if (module == "torch.storage" && name.find("Storage") != std::string_view::npos) {
    out.untyped = true;
    out.dtype = DType::u8;
  } else {
    const auto dtype = dtype_from_storage(name);
    if ((module != "torch" && module != "torch.cuda") || !dtype) {
      return unsupported("storage " + quoted(out.key) + " of unknown type " +
                         graph.global_path(items[1]));
    }
    out.dtype = *dtype;
  }
  const auto bytes = checked_mul<int64_t>(out.elements, info(out.dtype).bytes);
  if (!bytes) return corrupt("storage " + quoted(out.key) + " of impossible size");
  if (fields > 5 && !graph.is(items[5], NodeKind::none)) out.view_metadata = items[5];
  return out;
}

Status collect_tensors(Checkpoint& checkpoint, NodeId first, const StorageResolver& resolve) {
  return Collector(checkpoint, resolve).run(first);
}

std::optional<DType> dtype_of_global(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::global) || graph.global_module(node) != "torch")
    return std::nullopt;
  return dtype_from_torch(graph.global_name(node));
}

}  // namespace mlc
