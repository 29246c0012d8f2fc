// The tar format of PyTorch up to 0.1.9: torch/serialization.py, legacy_load.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/container/tar_reader.h"
#include "mlc/pickle/reader.h"

#include <charconv>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

/// Pickles and raw numbers, one after the other, as in the members `storages` and `tensors`.
class MixedStream {
 public:
  MixedStream(Bytes bytes, uint64_t file_offset) : bytes_(bytes), file_offset_(file_offset) {}

  /// The next pickle, into GRAPH.
  Result<NodeId> pickle(Graph& graph) {
    MLC_TRY(const pickle::ReadResult read, pickle::read(bytes_.subspan(position_), graph));
    position_ += read.size;
    return read.root;
  }

  Result<int64_t> number() {
    if (bytes_.size() - position_ < sizeof(int64_t)) return corrupt("it is cut off");
    const auto value = load_le<int64_t>(bytes_.data() + position_);
    position_ += sizeof(int64_t);
    return value;
  }

  Bytes bytes() const { return bytes_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  uint64_t file_offset() const { return file_offset_ + position_; }
  void skip(uint64_t bytes) { position_ += bytes; }

 private:
  Bytes bytes_;
  uint64_t file_offset_;
  size_t position_ = 0;
};

/// The number behind a key: an integer, or its decimal digits.
std::optional<int64_t> key_of(const Graph& graph, NodeId node) {
  if (graph.is(node, NodeKind::integer)) return graph.integer(node);
  if (!is_string(graph, node)) return std::nullopt;
  const std::string_view text = graph.text(node);
  int64_t key = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return key;
}

class TarLoader {
 public:
  TarLoader(Checkpoint& checkpoint, const TarReader& tar) : checkpoint_(checkpoint), tar_(tar) {}

  Status read_storages();
  Status read_tensors();
  Status read_object();

 private:
  Result<MixedStream> member(std::string_view name) const;
  Result<int64_t> read_count(MixedStream& stream) const;
  Status read_storage(MixedStream& stream);
  Status read_view(const Graph& graph, NodeId view);
  Status add_storage(int64_t key, Storage storage);
  Status read_tensor(MixedStream& stream);
  Status replace_reference(NodeId persistent);

  Checkpoint& checkpoint_;
  const TarReader& tar_;
  std::unordered_map<int64_t, uint32_t> storages_;
  std::unordered_map<int64_t, NodeId> tensors_;
};

Result<MixedStream> TarLoader::member(std::string_view name) const {
  const TarMember* found = tar_.find(name);
  if (found == nullptr) {
    return unsupported("is a tar archive without the member " + quoted(name) +
                           ", so not a checkpoint of PyTorch 0.1",
                       "unpack it with `tar -xf` and name the file inside");
  }
  MLC_TRY(const Bytes bytes, tar_.view(*found));
  return MixedStream(bytes, found->offset);
}

Result<int64_t> TarLoader::read_count(MixedStream& stream) const {
  Graph graph;
  MLC_TRY(const NodeId node, stream.pickle(graph));
  if (!graph.is(node, NodeKind::integer) || graph.integer(node) < 0) {
    return corrupt("it does not start with a count");
  }
  return graph.integer(node);
}

Status TarLoader::add_storage(int64_t key, Storage storage) {
  storage.key = checkpoint_.keep(std::to_string(key));
  const auto index = static_cast<uint32_t>(checkpoint_.storages.size());
  if (!storages_.emplace(key, index).second) {
    return corrupt("storage " + std::to_string(key) + " is there twice");
  }
  checkpoint_.storages.push_back(std::move(storage));
  return {};
}

// (key, location, type), then the number of elements and the elements.
Status TarLoader::read_storage(MixedStream& stream) {
  Graph graph;
  MLC_TRY(const NodeId node, stream.pickle(graph));
  const auto items = graph.sequence(node);
  const bool good = items.size() == 3 && key_of(graph, items[0]) && is_string(graph, items[1]) &&
                    graph.is(items[2], NodeKind::global);
  if (!good) return corrupt("a storage that is not what PyTorch writes");
  const std::string_view module = graph.global_module(items[2]);
  const auto dtype = dtype_from_storage(graph.global_name(items[2]));
  if (!dtype || (module != "torch" && module != "torch.cuda")) {
    return unsupported("a storage of unknown type " + graph.global_path(items[2]));
  }
  MLC_TRY(const int64_t elements, stream.number());
  const auto bytes = checked_mul<int64_t>(elements, info(*dtype).bytes);
  if (elements < 0 || !bytes || static_cast<uint64_t>(*bytes) > stream.remaining()) {
    return corrupt("a storage of " + std::to_string(elements) +
                   " elements reaches beyond its member");
  }
  Storage storage;
  storage.location = checkpoint_.keep(graph.text(items[1]));
  storage.dtype = *dtype;
  storage.elements = elements;
  storage.file = 0;
  storage.offset = stream.file_offset();
  stream.skip(static_cast<uint64_t>(*bytes));
  return add_storage(*key_of(graph, items[0]), std::move(storage));
}

// (target key, root key, offset, elements): a storage that is a part of another one.
Status TarLoader::read_view(const Graph& graph, NodeId view) {
  const auto items = graph.sequence(view);
  const bool good = items.size() == 4 && key_of(graph, items[0]) && key_of(graph, items[1]) &&
                    graph.is(items[2], NodeKind::integer) && graph.is(items[3], NodeKind::integer);
  const auto root = good ? storages_.find(*key_of(graph, items[1])) : storages_.end();
  if (root == storages_.end()) return corrupt("a view that is not what PyTorch writes");
  Storage storage = checkpoint_.storages[root->second];
  const int64_t offset = graph.integer(items[2]);
  const int64_t elements = graph.integer(items[3]);
  if (offset < 0 || elements < 0 ||
      !fits_within(static_cast<uint64_t>(offset), static_cast<uint64_t>(elements),
                   static_cast<uint64_t>(storage.elements))) {
    return corrupt("a view of " + std::to_string(elements) + " elements at " +
                   std::to_string(offset) + " reaches beyond its storage");
  }
  storage.offset += static_cast<uint64_t>(offset) * element_bytes(storage.dtype);
  storage.elements = elements;
  return add_storage(*key_of(graph, items[0]), std::move(storage));
}

Status TarLoader::read_storages() {
  MLC_TRY(MixedStream stream, member("storages"));
  MLC_TRY(const int64_t count, read_count(stream));
  for (int64_t i = 0; i < count; ++i) MLC_CHECK(read_storage(stream));
  Graph graph;
  MLC_TRY(const NodeId views, stream.pickle(graph));
  if (!graph.is(views, NodeKind::list)) return corrupt("its views are no list");
  for (const NodeId view : graph.list(views)) MLC_CHECK(read_view(graph, view));
  return {};
}

// (key, storage key, type), then rank (8 bytes, of which 4 count), sizes, strides, offset.
Status TarLoader::read_tensor(MixedStream& stream) {
  Graph graph;
  MLC_TRY(const NodeId node, stream.pickle(graph));
  const auto items = graph.sequence(node);
  const bool good = items.size() == 3 && key_of(graph, items[0]) && key_of(graph, items[1]);
  const auto storage = good ? storages_.find(*key_of(graph, items[1])) : storages_.end();
  if (storage == storages_.end()) return corrupt("a tensor that is not what PyTorch writes");
  const int64_t key = *key_of(graph, items[0]);
  MLC_TRY(const int64_t rank_field, stream.number());
  const auto rank = static_cast<uint32_t>(static_cast<uint64_t>(rank_field) & 0xFFFFFFFF);
  if (rank > kMaxRank) return corrupt("a tensor of " + std::to_string(rank) + " dimensions");
  std::vector<int64_t> sizes(rank);
  std::vector<int64_t> strides(rank);
  for (int64_t& size : sizes) {
    MLC_TRY(size, stream.number());
  }
  for (int64_t& stride : strides) {
    MLC_TRY(stride, stream.number());
  }
  Tensor tensor;
  MLC_TRY(tensor.offset, stream.number());
  tensor.storage = storage->second;
  tensor.dtype = checkpoint_.storages[tensor.storage].dtype;
  MLC_TRY_CTX(
      [[maybe_unused]] const ElementRange range,
      checked_extent(sizes, strides, tensor.offset, checkpoint_.storages[tensor.storage].elements),
      "tensor " + std::to_string(key));
  const uint32_t index = checkpoint_.add_tensor(tensor, sizes, strides);
  if (!tensors_.emplace(key, checkpoint_.tensors[index].node).second) {
    return corrupt("tensor " + std::to_string(key) + " is there twice");
  }
  return {};
}

Status TarLoader::read_tensors() {
  MLC_TRY(MixedStream stream, member("tensors"));
  MLC_TRY(const int64_t count, read_count(stream));
  for (int64_t i = 0; i < count; ++i) MLC_CHECK(read_tensor(stream));
  return {};
}

// A tensor's key, or (class, source file, source) for the class itself.
Status TarLoader::replace_reference(NodeId persistent) {
  Graph& graph = checkpoint_.graph;
  const NodeId id = graph.persistent_id(persistent);
  if (graph.is(id, NodeKind::tuple)) {
    const auto items = graph.tuple(id);
    if (items.empty() || !graph.is(items[0], NodeKind::global)) {
      return corrupt("a persistent id that is neither a tensor nor a class");
    }
    graph.replace(persistent, items[0]);
    return {};
  }
  const auto key = key_of(graph, id);
  if (!key) return corrupt("a persistent id that is neither a tensor nor a class");
  const auto tensor = tensors_.find(*key);
  if (tensor == tensors_.end()) {
    if (storages_.count(*key) == 0) {
      return corrupt("it refers to tensor " + std::to_string(*key) + ", which is not there");
    }
    return unsupported("it holds a bare storage, without a tensor");
  }
  graph.replace(persistent, tensor->second);
  return {};
}

Status TarLoader::read_object() {
  MLC_TRY(const MixedStream stream, member("pickle"));
  const Bytes bytes = stream.bytes();
  Graph& graph = checkpoint_.graph;
  const auto first = static_cast<NodeId>(graph.size());
  pickle::ReadOptions options;
  options.allow_text_persistent_ids = true;
  MLC_TRY(pickle::ReadResult read, pickle::read(bytes, graph, options));
  const auto end = static_cast<NodeId>(graph.size());
  for (NodeId node = first; node < end; ++node) {
    if (graph.is(node, NodeKind::persistent)) MLC_CHECK(replace_reference(node));
  }
  for (std::string& warning : read.warnings) checkpoint_.warnings.push_back(std::move(warning));
  checkpoint_.root = read.root;
  checkpoint_.pickle_protocol = read.protocol;
  return collect_tensors(checkpoint_, first, [](NodeId) -> Result<uint32_t> {
    return corrupt("a storage reference in a tar checkpoint");
  });
}

}  // namespace

Status read_torch_tar(Checkpoint& checkpoint) {
  MLC_TRY(const TarReader tar, TarReader::open(checkpoint.files[0]));
  TarLoader loader(checkpoint, tar);
  MLC_CHECK_CTX(loader.read_storages(), "storages");
  MLC_CHECK_CTX(loader.read_tensors(), "tensors");
  MLC_CHECK_CTX(loader.read_object(), "pickle");
  checkpoint.origin.writer = "PyTorch up to 0.1.9";
  return {};
}

}  // namespace mlc
