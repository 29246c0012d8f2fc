// Files of pickle.dump: tensors, whose storages pickle turns into legacy streams of torch.save, and
// NumPy arrays (the model zoo of detectron2). Everything else is kept as inert data.
#include "mlc/base/text.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/torch_legacy.h"
#include "mlc/pickle/reader.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

class PickleFile {
 public:
  PickleFile(Checkpoint& checkpoint, Bytes mapping)
      : checkpoint_(checkpoint), mapping_(mapping), source_(checkpoint, mapping) {}

  Status run();

 private:
  struct Nested {
    std::string_view bytes;
    std::unique_ptr<LegacyStream> stream;
  };

  Status read_nested(NodeId call);
  Result<uint32_t> resolve(NodeId persistent);

  Checkpoint& checkpoint_;
  Bytes mapping_;
  PickledBytes source_;
  std::vector<Nested> nested_;                   // in the order of their nodes
  std::unordered_set<NodeId> used_;              // bytes of streams
  std::unordered_map<NodeId, size_t> replaced_;  // call -> index in nested_
};

// torch.storage._load_from_bytes(b'...'): the stream's object is one storage, and the call becomes
// its persistent id. Streams inside streams do not occur: a stream stores its storages itself.
Status PickleFile::read_nested(NodeId call) {
  Graph& graph = checkpoint_.graph;
  const auto args = graph.tuple(graph.args(call));
  const auto bytes = args.size() == 1 ? source_.of(args[0]) : std::nullopt;
  if (!bytes) return corrupt("a storage that is not made from bytes");
  // Honest pickles share the storage itself; a stream read again and again only costs memory.
  if (!used_.insert(args[0]).second) return corrupt("two storages made from the same bytes");
  Nested nested{*bytes, std::make_unique<LegacyStream>(checkpoint_, as_bytes(*bytes))};
  MLC_CHECK(nested.stream->read_pickles());
  const NodeId root = nested.stream->root();
  if (!graph.is(root, NodeKind::persistent)) {
    return unsupported("_load_from_bytes of something that is no storage");
  }
  graph.replace(call, root);
  replaced_.emplace(call, nested_.size());
  nested_.push_back(std::move(nested));
  return {};
}

Result<uint32_t> PickleFile::resolve(NodeId persistent) {
  if (const auto it = replaced_.find(persistent); it != replaced_.end()) {
    return nested_[it->second].stream->resolve(persistent);
  }
  const auto it = std::upper_bound(
      nested_.begin(), nested_.end(), persistent,
      [](NodeId node, const Nested& nested) { return node < nested.stream->end_node(); });
  if (it == nested_.end() || persistent < it->stream->first_node()) {
    return corrupt("a storage outside of any stream: the file was not made by torch.save");
  }
  return it->stream->resolve(persistent);
}

Status PickleFile::run() {
  Graph& graph = checkpoint_.graph;
  const auto first = static_cast<NodeId>(graph.size());
  MLC_TRY(pickle::ReadResult read, pickle::read(mapping_, graph));
  const auto end = static_cast<NodeId>(graph.size());
  for (std::string& warning : read.warnings) checkpoint_.warnings.push_back(std::move(warning));
  if (read.size < mapping_.size()) {
    checkpoint_.warnings.push_back(plural(mapping_.size() - read.size, "byte") +
                                   " behind the end of the pickle");
  }
  for (NodeId node = first; node < end; ++node) {
    if (!graph.is_call_of(node, "torch.storage", "_load_from_bytes")) continue;
    MLC_CHECK_CTX(read_nested(node), "a pickled storage");
  }
  MLC_CHECK(adopt_numpy_arrays(checkpoint_, first, source_));
  MLC_CHECK(collect_tensors(checkpoint_, first, [this](NodeId node) { return resolve(node); }));
  for (Nested& nested : nested_) {
    const auto place = [&](Storage& storage, uint64_t offset, uint64_t length) {
      return source_.place(storage, nested.bytes.substr(offset, length));
    };
    MLC_CHECK_CTX(nested.stream->place_storages(place), "a pickled storage");
  }
  checkpoint_.root = read.root;
  checkpoint_.pickle_protocol = read.protocol;
  checkpoint_.origin.writer = "pickle.dump, protocol " + std::to_string(read.protocol);
  return {};
}

}  // namespace

Status read_plain_pickle(Checkpoint& checkpoint) {
  MLC_TRY(const Bytes mapping, checkpoint.files[0]->map());
  return PickleFile(checkpoint, mapping).run();
}

}  // namespace mlc
