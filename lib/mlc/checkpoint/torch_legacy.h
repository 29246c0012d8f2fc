// One legacy stream of torch.save: five pickles, then the storages, anywhere in mapped bytes.
// A whole file of PyTorch 0.1.10 to 1.5 is one; so is the argument of
// torch.storage._load_from_bytes, which plain pickle.dump makes of a storage.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/reader.h"

#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc {

/// Gives STORAGE its place: LENGTH bytes at OFFSET of the stream.
using StoragePlacer = std::function<Status(Storage& storage, uint64_t offset, uint64_t length)>;

class LegacyStream {
 public:
  /// BYTES outlive the checkpoint's graph, which borrows text from them.
  LegacyStream(Checkpoint& checkpoint, Bytes bytes) : checkpoint_(checkpoint), bytes_(bytes) {}

  /// Runs the pickles and puts classes in place of ('module', class, file, source) ids. Errors:
  /// corrupt, unsupported.
  Status read_pickles();

  NodeId root() const { return root_; }
  /// The nodes of the object's pickle are [first_node(), end_node()).
  NodeId first_node() const { return first_; }
  NodeId end_node() const { return end_; }
  uint8_t pickle_protocol() const { return protocol_; }
  int64_t format_version() const { return version_; }

  /// For collect_tensors(): the storage behind a persistent id of this stream.
  Result<uint32_t> resolve(NodeId persistent);

  /// Walks the storages behind the pickles. Call after every id was resolved. Errors: corrupt for
  /// storages that are listed but not used, used but not listed, or of another size than said.
  Status place_storages(const StoragePlacer& place);
  /// Bytes behind the last storage.
  uint64_t trailing_bytes() const { return bytes_.size() - position_; }

 private:
  struct View {
    uint32_t storage;
    uint32_t root;
    uint64_t offset;  // bytes
  };

  /// The next pickle of the stream, into GRAPH.
  Result<pickle::ReadResult> read_pickle(pickle::Graph& graph, std::string_view what);
  Status read_header();
  Status read_keys();
  Status replace_modules();
  Result<uint32_t> find_or_add(const StorageReference& reference);
  Result<uint32_t> add_view(const StorageReference& reference, uint32_t root);
  Status place_root(std::string_view key, std::unordered_map<uint32_t, uint64_t>& placed,
                    const StoragePlacer& place);

  Checkpoint& checkpoint_;
  Bytes bytes_;
  uint64_t position_ = 0;
  NodeId root_ = kNoNode;
  NodeId first_ = kNoNode;
  NodeId end_ = kNoNode;
  uint8_t protocol_ = 0;
  int64_t version_ = 0;
  std::vector<std::string_view> keys_;  // of the roots, in the order of their bytes
  std::unordered_map<std::string_view, uint32_t> roots_;
  std::unordered_map<std::string_view, uint32_t> views_;  // index in view_list_
  std::vector<View> view_list_;
};

}  // namespace mlc
