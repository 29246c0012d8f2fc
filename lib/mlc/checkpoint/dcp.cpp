// torch.distributed.checkpoint folders: .metadata, a pickle that says where every chunk of every
// tensor lies, and .distcp files that hold one whole torch.save archive per chunk or object.
// Classes and fields: torch/distributed/checkpoint/{metadata,filesystem}.py.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/nested_tree.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/sibling_files.h"
#include "mlc/checkpoint/tile_tensor.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/reader.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr uint64_t kMaxMetadataBytes = uint64_t{2} << 30U;
constexpr size_t kMaxChunks = 10'000;  // of one tensor

/// Where one item lies: torch.distributed.checkpoint.filesystem._StorageInfo.
struct Place {
  uint32_t file = kNoIndex;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::string_view fqn;  // for messages
};

class DcpReader {
 public:
  DcpReader(Checkpoint& checkpoint, std::string folder)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), folder_(std::move(folder)) {}

  Status run();

 private:
  Status read_metadata();
  Status read_places();
  Status read_place(NodeId index, NodeId info);
  Result<uint32_t> file_of(std::string_view name);
  Status check_overlap() const;
  Result<NodeId> read_item(const Place& place);
  Result<NodeId> read_value(std::string_view fqn, NodeId described);
  Result<NodeId> read_tensor(std::string_view fqn, NodeId described);
  Result<uint32_t> read_chunk(std::string_view fqn, const Tile& tile, DType dtype);
  Result<std::vector<Tile>> read_tiles(NodeId described, Dims sizes) const;
  Status add(NestedTree& tree, std::string_view fqn, NodeId value) const;

  NodeId field(NodeId object, std::string_view name) const;
  Result<std::vector<int64_t>> dims(NodeId node, std::string_view what) const;
  Result<DType> dtype_of(NodeId described) const;
  static std::string place_key(std::string_view fqn, Dims offsets);

  Checkpoint& checkpoint_;
  Graph& graph_;
  std::string folder_;
  uint8_t protocol_ = 0;
  NodeId described_ = kNoNode;  // fqn -> metadata
  NodeId stored_ = kNoNode;     // index -> place
  NodeId planned_ = kNoNode;    // fqn -> path
  std::map<std::string, Place> places_;
  std::unordered_map<std::string_view, uint32_t> files_;
};

/// A field of a pickled dataclass, kNoNode where it is absent.
NodeId DcpReader::field(NodeId object, std::string_view name) const {
  if (object == kNoNode || !graph_.is(object, NodeKind::object)) return kNoNode;
  const pickle::ObjectContent* content = graph_.content(object);
  return content == nullptr || content->state == kNoNode ? kNoNode
                                                         : graph_.find(content->state, name);
}

Result<std::vector<int64_t>> DcpReader::dims(NodeId node, std::string_view what) const {
  const auto fail = [what] {
    return corrupt("its " + std::string(what) + " is not what PyTorch writes");
  };
  if (node == kNoNode) return fail();
  if (graph_.is_call_of(node, "torch", "Size")) {
    const auto args = graph_.tuple(graph_.args(node));
    if (args.size() != 1) return fail();
    node = args[0];
  }
  const auto items = graph_.sequence(node);
  if (items.size() > kMaxRank || graph_.is(node, NodeKind::object)) return fail();
  std::vector<int64_t> out;
  for (const NodeId item : items) {
    if (!graph_.is(item, NodeKind::integer) || graph_.integer(item) < 0) return fail();
    out.push_back(graph_.integer(item));
  }
  return out;
}

// TensorProperties pickles itself as (dtype, layout, requires_grad, memory format, pin_memory).
Result<DType> DcpReader::dtype_of(NodeId described) const {
  const NodeId properties = field(described, "properties");
  if (properties != kNoNode && graph_.is(properties, NodeKind::object)) {
    const pickle::ObjectContent* content = graph_.content(properties);
    const auto items = content == nullptr || content->state == kNoNode
                           ? std::span<const NodeId>()
                           : graph_.sequence(content->state);
    if (!items.empty()) {
      if (const auto dtype = dtype_of_global(graph_, items[0])) return *dtype;
    }
  }
  return corrupt("its dtype is not what PyTorch writes");
}

Status DcpReader::read_metadata() {
  MLC_TRY(auto file, InputFile::open(folder_ + "/.metadata"));
  if (file->size() > kMaxMetadataBytes) return unsupported("a .metadata file of over 2 GiB");
  MLC_TRY(std::string bytes, file->read_string(0, file->size()));
  checkpoint_.files.push_back(std::move(file));
  checkpoint_.buffers.push_back(std::move(bytes));
  MLC_TRY_CTX(const pickle::ReadResult read,
              pickle::read(as_bytes(checkpoint_.buffers.back()), graph_), ".metadata");
  protocol_ = read.protocol;
  described_ = field(read.root, "state_dict_metadata");
  stored_ = field(read.root, "storage_data");
  planned_ = field(read.root, "planner_data");
  const auto is_mapping = [this](NodeId node) {
    return node != kNoNode && graph_.entries(node) != nullptr;
  };
  if (!is_mapping(described_) || !is_mapping(stored_)) {
    return corrupt(
        ".metadata is not torch.distributed.checkpoint's: state_dict_metadata or "
        "storage_data is missing");
  }
  if (!is_mapping(planned_)) planned_ = kNoNode;
  return {};
}

std::string DcpReader::place_key(std::string_view fqn, Dims offsets) {
  std::string key(fqn);
  for (const int64_t offset : offsets) key.append(1, '\0').append(std::to_string(offset));
  return key;
}

Result<uint32_t> DcpReader::file_of(std::string_view name) {
  const auto it = files_.find(name);
  if (it != files_.end()) return it->second;
  MLC_TRY(auto file, open_sibling(folder_, name));
  checkpoint_.files.push_back(std::move(file));
  const auto index = static_cast<uint32_t>(checkpoint_.files.size() - 1);
  files_.emplace(name, index);
  return index;
}

Status DcpReader::read_place(NodeId index, NodeId info) {
  const NodeId fqn = field(index, "fqn");
  const NodeId offset = field(index, "offset");
  if (fqn == kNoNode || !graph_.is(fqn, NodeKind::text)) {
    return corrupt("an item of storage_data has no name");
  }
  std::vector<int64_t> offsets;
  if (offset != kNoNode && !graph_.is(offset, NodeKind::none)) {
    MLC_TRY(offsets, dims(offset, "offset in storage_data"));
  }
  const NodeId path = field(info, "relative_path");
  const NodeId begin = field(info, "offset");
  const NodeId length = field(info, "length");
  const NodeId transforms = field(info, "transform_descriptors");
  const auto is_count = [this](NodeId node) {
    return node != kNoNode && graph_.is(node, NodeKind::integer) && graph_.integer(node) >= 0;
  };
  if (path == kNoNode || !graph_.is(path, NodeKind::text) || !is_count(begin) ||
      !is_count(length)) {
    return corrupt("its place in storage_data is not what PyTorch writes");
  }
  const bool untransformed =
      transforms == kNoNode || graph_.is(transforms, NodeKind::none) ||
      (graph_.is(transforms, NodeKind::list) && graph_.list(transforms).empty()) ||
      transforms == graph_.empty_tuple();
  if (!untransformed) {
    return unsupported("it is stored compressed or otherwise transformed");
  }
  Place place;
  place.fqn = graph_.text(fqn);
  place.offset = static_cast<uint64_t>(graph_.integer(begin));
  place.length = static_cast<uint64_t>(graph_.integer(length));
  MLC_TRY(place.file, file_of(graph_.text(path)));
  const InputFile& file = *checkpoint_.files[place.file];
  if (!fits_within(place.offset, place.length, file.size())) {
    return corrupt(std::to_string(place.length) + " bytes at " + std::to_string(place.offset) +
                   " reach beyond the end of " + quoted(graph_.text(path)));
  }
  if (!places_.emplace(place_key(place.fqn, offsets), place).second) {
    return corrupt("storage_data has it twice");
  }
  return {};
}

Status DcpReader::read_places() {
  for (const auto& [index, info] : *graph_.entries(stored_)) {
    if (Status read = read_place(index, info); !read.ok()) {
      const NodeId fqn = field(index, "fqn");
      const bool named = fqn != kNoNode && graph_.is(fqn, NodeKind::text);
      return std::move(read).error().during(named ? "item " + quoted(graph_.text(fqn)) : "item");
    }
  }
  return check_overlap();
}

Status DcpReader::check_overlap() const {
  std::vector<const Place*> order;
  for (const auto& [key, place] : places_) order.push_back(&place);
  std::sort(order.begin(), order.end(), [](const Place* a, const Place* b) {
    return a->file != b->file ? a->file < b->file : a->offset < b->offset;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const Place& before = *order[i - 1];
    const Place& place = *order[i];
    if (before.file == place.file && before.offset + before.length > place.offset) {
      return corrupt("items " + quoted(before.fqn) + " and " + quoted(place.fqn) +
                     " overlap in their file");
    }
  }
  return {};
}

/// A safetensors file begins with the length of its header, which is JSON.
bool starts_as_safetensors(std::string_view head) {
  constexpr size_t kLength = 8;
  return head.size() > kLength + 1 && head.substr(kLength, 2) == "{\"";
}

Result<NodeId> DcpReader::read_item(const Place& place) {
  constexpr uint64_t kHead = 10;
  const InputFile& file = *checkpoint_.files[place.file];
  MLC_TRY(const std::string head, file.read_string(0, std::min(kHead, file.size())));
  if (starts_as_safetensors(head)) {
    return unsupported(
        "its file is a safetensors file (SerializationFormat.SAFETENSORS of "
        "torch.distributed.checkpoint), which mlc does not read as a part of a DCP folder",
        "a .distcp file of that kind is a safetensors file of its own: copied under another name, "
        "mlc opens it");
  }
  MLC_TRY(ZipReader zip, ZipReader::open(checkpoint_.files[place.file],
                                         {place.offset, place.length}, ZipDialect::torch));
  checkpoint_.archives.push_back(std::move(zip));
  return read_zip_pickle(checkpoint_, static_cast<uint32_t>(checkpoint_.archives.size() - 1));
}

Result<uint32_t> DcpReader::read_chunk(std::string_view fqn, const Tile& tile, DType dtype) {
  const auto it = places_.find(place_key(fqn, tile.offsets));
  if (it == places_.end()) {
    return corrupt("storage_data lacks its chunk at " + format_shape(tile.offsets));
  }
  MLC_TRY(const NodeId node, read_item(it->second));
  const uint32_t index = checkpoint_.tensor_at(node);
  if (index == kNoIndex)
    return corrupt("its chunk at " + format_shape(tile.offsets) + " is no tensor");
  const Tensor& tensor = checkpoint_.tensors[index];
  if (tensor.kind != TensorKind::dense || tensor.dtype != dtype ||
      !std::ranges::equal(checkpoint_.sizes(tensor), tile.sizes)) {
    return corrupt("its chunk at " + format_shape(tile.offsets) + " is " +
                   std::string(info(tensor.dtype).brief) + " " +
                   format_shape(checkpoint_.sizes(tensor)) + ", .metadata says " +
                   std::string(info(dtype).brief) + " " + format_shape(tile.sizes));
  }
  return index;
}

Result<std::vector<Tile>> DcpReader::read_tiles(NodeId described, Dims sizes) const {
  const NodeId chunks = field(described, "chunks");
  if (chunks == kNoNode || !graph_.is(chunks, NodeKind::list)) return corrupt("it has no chunks");
  if (graph_.list(chunks).size() > kMaxChunks) return unsupported("it has more than 10,000 chunks");
  std::vector<Tile> tiles;
  for (const NodeId chunk : graph_.list(chunks)) {
    Tile tile;
    MLC_TRY(tile.offsets, dims(field(chunk, "offsets"), "chunk offset"));
    MLC_TRY(tile.sizes, dims(field(chunk, "sizes"), "chunk size"));
    tiles.push_back(std::move(tile));
  }
  MLC_CHECK(check_tiling(sizes, tiles));
  // Uneven sharding leaves ranks without a part; the whole of an empty tensor is kept.
  if (element_count(sizes) != 0) {
    std::erase_if(tiles, [](const Tile& tile) { return element_count(tile.sizes) == 0; });
  }
  return tiles;
}

Result<NodeId> DcpReader::read_tensor(std::string_view fqn, NodeId described) {
  MLC_TRY(const std::vector<int64_t> sizes, dims(field(described, "size"), "size"));
  MLC_TRY(const DType dtype, dtype_of(described));
  MLC_TRY(std::vector<Tile> tiles, read_tiles(described, sizes));
  if (tiles.size() == 1) {
    MLC_TRY(const uint32_t index, read_chunk(fqn, tiles[0], dtype));
    return checkpoint_.tensors[index].node;
  }
  std::string_view location = "cpu";
  std::vector<uint32_t> parts;
  for (Tile& tile : tiles) {
    MLC_TRY(tile.tensor, read_chunk(fqn, tile, dtype));
    parts.push_back(checkpoint_.tensors[tile.tensor].storage);
    location = checkpoint_.storages[parts.back()].location;
  }
  const auto count = element_count(sizes);
  const auto bytes = count ? checked_mul<int64_t>(*count, info(dtype).bytes) : std::nullopt;
  if (!bytes) return corrupt("its shape has more bytes than 64 bits can count");
  Storage storage;
  storage.key = fqn;
  storage.location = location;
  storage.dtype = dtype;
  storage.elements = *count;
  storage.own = made_bytes(
      tile_producer(checkpoint_, sizes, element_bytes(dtype), std::move(tiles)), std::move(parts));
  checkpoint_.storages.push_back(std::move(storage));
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.storage = static_cast<uint32_t>(checkpoint_.storages.size() - 1);
  const uint32_t index = checkpoint_.add_tensor(tensor, sizes, contiguous_strides(sizes));
  return checkpoint_.tensors[index].node;
}

Result<NodeId> DcpReader::read_value(std::string_view fqn, NodeId described) {
  const NodeId callable =
      graph_.is(described, NodeKind::object) ? graph_.callable(described) : kNoNode;
  const std::string_view name = callable != kNoNode && graph_.is(callable, NodeKind::global)
                                    ? graph_.global_name(callable)
                                    : std::string_view();
  if (name == "TensorStorageMetadata") return read_tensor(fqn, described);
  if (name != "BytesStorageMetadata") return corrupt("its metadata are of an unknown class");
  const auto it = places_.find(place_key(fqn, {}));
  if (it == places_.end()) return corrupt("storage_data lacks it");
  return read_item(it->second);
}

// planner_data has the path that was flattened into the name: ('optim', 'param_groups', 0, 'lr').
Status DcpReader::add(NestedTree& tree, std::string_view fqn, NodeId value) const {
  const NodeId planned = planned_ == kNoNode ? kNoNode : graph_.find(planned_, fqn);
  if (planned == kNoNode) return tree.add({NestedTree::Step(fqn)}, value);
  std::vector<NestedTree::Step> path;
  for (const NodeId item : graph_.sequence(planned)) {
    if (graph_.is(item, NodeKind::text)) {
      path.emplace_back(graph_.text(item));
    } else if (graph_.is(item, NodeKind::integer) && graph_.integer(item) >= 0) {
      path.emplace_back(graph_.integer(item));
    } else {
      return corrupt("its path in planner_data is not what PyTorch writes");
    }
  }
  return tree.add(path, value);
}

Status DcpReader::run() {
  MLC_CHECK(read_metadata());
  MLC_CHECK(read_places());
  NestedTree tree;
  const auto& entries = *graph_.entries(described_);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto [key, described] = entries[i];
    if (!graph_.is(key, NodeKind::text)) return corrupt("a name in .metadata is no text");
    const std::string_view fqn = graph_.text(key);
    MLC_TRY_CTX(const NodeId value, read_value(fqn, described), "item " + quoted(fqn));
    MLC_CHECK_CTX(add(tree, fqn, value), "item " + quoted(fqn));
  }
  MLC_TRY(checkpoint_.root, tree.build(graph_));
  checkpoint_.pickle_protocol = protocol_;  // the items have set their own
  checkpoint_.origin.writer = "torch.distributed.checkpoint";
  return {};
}

}  // namespace

Status read_dcp(Checkpoint& checkpoint, const std::string& folder) {
  return DcpReader(checkpoint, folder).run();
}

}  // namespace mlc
