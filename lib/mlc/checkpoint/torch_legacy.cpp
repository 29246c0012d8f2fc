// torch/serialization.py, _legacy_save and _legacy_load.
#include "mlc/checkpoint/torch_legacy.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/readers.h"

#include <algorithm>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocolVersion = 1001;

}  // namespace

Result<pickle::ReadResult> LegacyStream::read_pickle(Graph& graph, std::string_view what) {
  MLC_TRY_CTX(pickle::ReadResult read, pickle::read(bytes_.subspan(position_), graph),
              std::string(what));
  position_ += read.size;
  if (checkpoint_.refused_opcode.empty()) checkpoint_.refused_opcode = read.refused_opcode;
  return read;
}

Status LegacyStream::read_header() {
  Graph graph;
  MLC_TRY(const pickle::ReadResult magic, read_pickle(graph, "magic number"));
  std::string_view number;
  if (graph.is(magic.root, NodeKind::big_integer)) number = graph.text(magic.root);
  // Written as text, in protocols 0 and 1, it may have become longer than it needs to be.
  while (number.size() > kMagic.size() && number.back() == '\0') number.remove_suffix(1);
  if (number != kMagic) {
    return corrupt("the stream does not start with PyTorch's magic number");
  }
  MLC_TRY(const pickle::ReadResult version, read_pickle(graph, "version"));
  if (!graph.is(version.root, NodeKind::integer)) return corrupt("the version is no number");
  version_ = graph.integer(version.root);
  if (version_ != kProtocolVersion) {
    return unsupported("legacy protocol " + std::to_string(version_) + "; PyTorch knows 1001");
  }
  // Byte order and type sizes of the writer. PyTorch ignores it: data are little-endian always.
  return read_pickle(graph, "system information").ok()
             ? Status()
             : corrupt("the system information is damaged");
}

Status LegacyStream::read_pickles() {
  MLC_CHECK(read_header());
  first_ = static_cast<NodeId>(checkpoint_.graph.size());
  MLC_TRY(pickle::ReadResult read, read_pickle(checkpoint_.graph, "saved object"));
  root_ = read.root;
  end_ = static_cast<NodeId>(checkpoint_.graph.size());
  protocol_ = read.protocol;
  for (std::string& warning : read.warnings) checkpoint_.warnings.push_back(std::move(warning));
  MLC_CHECK(replace_modules());
  return read_keys();
}

// ('module', class, source_file, source): its value is the class. The source is not needed.
Status LegacyStream::replace_modules() {
  Graph& graph = checkpoint_.graph;
  for (NodeId node = first_; node < end_; ++node) {
    if (!graph.is(node, NodeKind::persistent)) continue;
    const auto items = graph.sequence(graph.persistent_id(node));
    if (items.empty() || !is_string(graph, items[0])) {
      return corrupt("a persistent id that is neither a storage nor a class");
    }
    const std::string_view tag = graph.text(items[0]);
    if (tag == "storage") continue;
    if (tag != "module" || items.size() != 4 || !graph.is(items[1], NodeKind::global)) {
      return corrupt("a persistent id " + quoted(tag) + " that PyTorch does not write");
    }
    graph.replace(node, items[1]);
  }
  return {};
}

Status LegacyStream::read_keys() {
  Graph graph;
  MLC_TRY(const pickle::ReadResult read, read_pickle(graph, "storage keys"));
  if (!graph.is(read.root, NodeKind::list)) return corrupt("the storage keys are no list");
  for (const NodeId item : graph.list(read.root)) {
    if (!is_string(graph, item)) return corrupt("a storage key that is no text");
    keys_.push_back(checkpoint_.keep(graph.text(item)));
  }
  return {};
}

Result<uint32_t> LegacyStream::find_or_add(const StorageReference& reference) {
  const auto [it, is_new] =
      roots_.try_emplace(reference.key, static_cast<uint32_t>(checkpoint_.storages.size()));
  if (is_new) {
    checkpoint_.storages.push_back(described_storage(reference));
    return it->second;
  }
  MLC_CHECK(check_same_storage(checkpoint_.storages[it->second], reference));
  return it->second;
}

// (view key, offset, size) in elements: a part of the root that is a storage of its own.
Result<uint32_t> LegacyStream::add_view(const StorageReference& reference, uint32_t root) {
  const Graph& graph = checkpoint_.graph;
  const auto items = graph.sequence(reference.view_metadata);
  const bool good = items.size() == 3 && is_string(graph, items[0]) &&
                    graph.is(items[1], NodeKind::integer) && graph.is(items[2], NodeKind::integer);
  if (!good) return corrupt("the view of storage " + quoted(reference.key) + " is no view");
  const int64_t offset = graph.integer(items[1]);
  const int64_t size = graph.integer(items[2]);
  if (offset < 0 || size < 0 ||
      !fits_within(static_cast<uint64_t>(offset), static_cast<uint64_t>(size),
                   static_cast<uint64_t>(reference.elements))) {
    return corrupt("a view of " + std::to_string(size) + " elements at " + std::to_string(offset) +
                   " reaches beyond storage " + quoted(reference.key));
  }
  const uint64_t bytes = static_cast<uint64_t>(offset) * element_bytes(reference.dtype);
  const auto [it, is_new] =
      views_.try_emplace(graph.text(items[0]), static_cast<uint32_t>(view_list_.size()));
  if (!is_new) {
    const View& known = view_list_[it->second];
    const bool same = known.root == root && known.offset == bytes &&
                      checkpoint_.storages[known.storage].elements == size;
    if (!same) return corrupt("view " + quoted(it->first) + " is described twice, differently");
    return known.storage;
  }
  Storage storage = checkpoint_.storages[root];
  storage.key = it->first;
  storage.elements = size;
  checkpoint_.storages.push_back(storage);
  view_list_.push_back({static_cast<uint32_t>(checkpoint_.storages.size() - 1), root, bytes});
  return view_list_.back().storage;
}

Result<uint32_t> LegacyStream::resolve(NodeId persistent) {
  const Graph& graph = checkpoint_.graph;
  MLC_TRY(const StorageReference reference,
          parse_storage_reference(graph, graph.persistent_id(persistent), 6));
  MLC_TRY(const uint32_t root, find_or_add(reference));
  if (reference.view_metadata == kNoNode) return root;
  return add_view(reference, root);
}

Status LegacyStream::place_root(std::string_view key,
                                std::unordered_map<uint32_t, uint64_t>& placed,
                                const StoragePlacer& place) {
  const auto it = roots_.find(key);
  if (it == roots_.end()) return corrupt("it is listed, but nothing uses it");
  Storage& storage = checkpoint_.storages[it->second];
  if (bytes_.size() - position_ < sizeof(int64_t)) return corrupt("the file ends before it");
  const auto elements = load_le<int64_t>(bytes_.data() + position_);
  if (elements != storage.elements) {
    return corrupt("it has " + std::to_string(elements) + " elements, its reference says " +
                   std::to_string(storage.elements));
  }
  position_ += sizeof(int64_t);
  if (!fits_within(position_, storage.byte_size(), bytes_.size())) {
    return corrupt("it needs " + std::to_string(storage.byte_size()) + " bytes, " +
                       std::to_string(bytes_.size() - position_) + " are left",
                   "the file is cut off; fetch it again");
  }
  if (!placed.emplace(it->second, position_).second) return corrupt("it is listed twice");
  MLC_CHECK(place(storage, position_, storage.byte_size()));
  position_ += storage.byte_size();
  return {};
}

Status LegacyStream::place_storages(const StoragePlacer& place) {
  std::unordered_map<uint32_t, uint64_t> placed;
  for (const std::string_view key : keys_) {
    MLC_CHECK_CTX(place_root(key, placed, place), "storage " + quoted(key));
  }
  uint32_t missing = kNoIndex;
  for (const auto& [key, index] : roots_) {
    if (placed.count(index) == 0) missing = std::min(missing, index);
  }
  if (missing != kNoIndex) {
    return corrupt("storage " + quoted(checkpoint_.storages[missing].key) +
                   " is used, but not in the file");
  }
  for (const View& view : view_list_) {
    Storage& storage = checkpoint_.storages[view.storage];
    MLC_CHECK(place(storage, placed.at(view.root) + view.offset, storage.byte_size()));
  }
  return {};
}

Status read_torch_legacy(Checkpoint& checkpoint) {
  MLC_TRY(const Bytes bytes, checkpoint.files[0]->map());
  LegacyStream stream(checkpoint, bytes);
  MLC_CHECK(stream.read_pickles());
  MLC_CHECK(collect_tensors(checkpoint, stream.first_node(),
                            [&stream](NodeId node) { return stream.resolve(node); }));
  MLC_CHECK(stream.place_storages([](Storage& storage, uint64_t offset, uint64_t) {
    storage.file = 0;
    storage.offset = offset;
    return Status();
  }));
  if (stream.trailing_bytes() != 0) {
    checkpoint.warnings.push_back(plural(stream.trailing_bytes(), "byte") +
                                  " behind the last storage");
  }
  checkpoint.root = stream.root();
  checkpoint.pickle_protocol = stream.pickle_protocol();
  checkpoint.origin.writer = "PyTorch 0.1.10 to 1.5, or newer in its legacy format";
  checkpoint.origin.torch_at_least = "0.1.10";
  checkpoint.origin.format_version = stream.format_version();
  return {};
}

}  // namespace mlc
