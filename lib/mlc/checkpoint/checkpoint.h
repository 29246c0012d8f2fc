// A checkpoint in memory: the tree of values that was saved, its tensors, and where their bytes
// lie.
//
// Reading touches metadata only. The tree is a pickle::Graph whatever the format was: readers of
// formats without pickles (safetensors, .npz, shards) build a dict of tensor nodes. A Checkpoint
// owns its input files, their mappings and all text; tensor bytes are fetched when asked for. Const
// methods are thread-safe; it is not copied, only held by unique_ptr.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"
#include "mlc/container/zip_reader.h"
#include "mlc/pickle/graph.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/tensor_view.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

using pickle::kNoNode;
using pickle::NodeId;

/// Entry of a shard index's metadata: how many parameters its model has.
inline constexpr std::string_view kTotalParameters = "total_parameters";

inline constexpr uint32_t kNoIndex = 0xFFFFFFFF;

enum class Format : uint8_t {
  torch_zip,     // torch.save since 1.6
  torch_legacy,  // torch.save before, and with _use_new_zipfile_serialization=False
  torch_tar,     // torch.save up to 0.1.9
  torchscript,   // torch.jit.save
  pt2,           // torch.export.save
  safetensors,
  sharded,  // an index JSON with its shards
  dcp,      // torch.distributed.checkpoint folder
  npz,
  npy,
  plain_pickle,  // pickle.dump of tensors or of other values
};

/// Hands out the bytes of one storage or tensor in consecutive blocks of whole elements.
using BlockSink = std::function<Status(Bytes)>;
using BlockProducer = std::function<Status(const BlockSink&)>;

/// Makes the bytes of a storage piece by piece, any piece at any time and from any thread.
struct PieceProducer {
  uint64_t piece_bytes = 0;  // of every piece but the last; not 0
  /// Writes the bytes of the storage from BEGIN, a multiple of piece_bytes, on.
  std::function<Status(uint64_t begin, std::span<std::byte> out)> make;
};

/// Bytes of a storage that lie in no file.
struct OwnBytes {
  std::shared_ptr<const std::string> memory;    // these; or
  BlockProducer blocks;                         // made in order ...
  std::shared_ptr<const PieceProducer> pieces;  // ... and, where set, by this in any
  std::vector<uint32_t> parts{};  // storages of the file that the blocks are put together from
};
std::shared_ptr<const OwnBytes> held_bytes(std::shared_ptr<const std::string> memory);
std::shared_ptr<const OwnBytes> held_bytes(std::string bytes);
/// PARTS: the storages that BLOCKS puts together, where it changes nothing of them.
std::shared_ptr<const OwnBytes> made_bytes(BlockProducer blocks, std::vector<uint32_t> parts = {});
/// SIZE: of the storage.
std::shared_ptr<const OwnBytes> made_bytes(PieceProducer pieces, uint64_t size);

/// One run of tensor bytes. Exactly one of the places below holds them.
struct Storage {
  std::string_view key;       // the file's own name for it: "0", "model.safetensors"
  std::string_view location;  // "cpu", "cuda:0"
  DType dtype = DType::u8;    // of its elements; u8 for untyped storages
  bool untyped = false;       // torch.storage.UntypedStorage: elements are bytes
  bool big_endian = false;    // bytes on disk; storage_bytes() returns them swapped
  int64_t elements = 0;

  uint32_t archive = kNoIndex;          // in Checkpoint::archives ...
  uint32_t entry = kNoIndex;            // ... and this entry of it; or
  uint32_t file = kNoIndex;             // in Checkpoint::files ...
  uint64_t offset = 0;                  // ... at this absolute offset, with ...
  std::optional<uint32_t> crc32;        // ... this CRC where the file tells one; or
  std::shared_ptr<const OwnBytes> own;  // here; rare, and there may be a million storages

  uint64_t byte_size() const { return static_cast<uint64_t>(elements) * element_bytes(dtype); }
  // What `own` has; null for what it has not.
  const std::string* memory() const { return own != nullptr ? own->memory.get() : nullptr; }
  const BlockProducer* producer() const {
    return own != nullptr && own->blocks != nullptr ? &own->blocks : nullptr;
  }
  const PieceProducer* pieces() const { return own != nullptr ? own->pieces.get() : nullptr; }
};

enum class TensorKind : uint8_t {
  dense,
  meta,       // shape and dtype without bytes
  quantized,  // elements of a q type plus scales and zero points
  sparse,     // indices and values are tensors of their own
  other,      // nested tensors, distributed tensors, subclasses: shown and kept, not converted
};

struct Tensor {
  NodeId node = kNoNode;  // in the graph
  uint32_t storage = kNoIndex;
  DType dtype = DType::f32;
  TensorKind kind = TensorKind::dense;
  bool requires_grad = false;
  bool parameter = false;
  bool conjugated = false;
  bool negated = false;
  bool restored = false;  // a name that safetensors holds as a text only: see tied_names.h
  uint8_t rank = 0;
  uint64_t dims = 0;           // index of the sizes in Checkpoint::dims; the strides follow
  int64_t offset = 0;          // elements of dtype from the start of the storage
  uint32_t detail = kNoIndex;  // in Checkpoint::details: "sparse_coo", "DTensor", ...
};

/// What the file says, or shows by its layout, about the program that wrote it.
struct Origin {
  std::string writer;           // "PyTorch 2.7 or newer", "safetensors", "mlc"
  std::string torch_at_least;   // lowest PyTorch that writes this layout; empty if unknown
  std::string torch_exactly;    // where the file records the version itself
  std::string torch_source;     // what the line above was read from
  int64_t format_version = -1;  // zip `version` record, .pt2 schema major, legacy protocol
};

class Checkpoint {
 public:
  std::string path;  // as the user named it
  Format format = Format::torch_zip;
  Origin origin;
  std::vector<std::string> warnings;

  std::vector<std::shared_ptr<const InputFile>> files;  // the first one is the one at `path`
  std::deque<ZipReader> archives;
  std::deque<std::string> buffers;  // pickles and other text that graph and storages point into

  pickle::Graph graph;
  NodeId root = kNoNode;
  uint8_t pickle_protocol = 0;
  std::string_view refused_opcode;  // the first in its pickles: see pickle::ReadResult
  std::vector<Storage> storages;
  std::vector<Tensor> tensors;
  std::vector<std::pair<NodeId, uint32_t>> tensor_nodes;  // graph node -> tensor, sorted by node
  /// Persistent ids of storages in the graph -> index in `storages`, sorted by node.
  std::vector<std::pair<NodeId, uint32_t>> storage_nodes;
  std::vector<int64_t> dims;
  std::vector<std::string> details;

  /// The YAML that mlc put into the file (record <root>/mlc/metadata.yaml, __metadata__["mlc"]).
  std::optional<std::string> metadata_yaml;
  /// Of TorchScript: the inputs that mlc put into the file (engine/stored_inputs.h).
  std::optional<std::string> stored_inputs;
  /// safetensors' own string map, without mlc's entry, in file order; of a torch.save zip what was
  /// kept of it there (record <root>/mlc/safetensors.json).
  std::vector<std::pair<std::string, std::string>> string_metadata;

  /// Of a sharded checkpoint: what the `metadata` of its index says beside total_size, each value
  /// as its JSON text, in the order of the index.
  std::vector<std::pair<std::string, std::string>> index_metadata;
  /// The same of what the index says beside `metadata` and `weight_map`.
  std::vector<std::pair<std::string, std::string>> index_entries;
  /// Elements of the tensors that the index names, tied ones once: what its total_parameters is
  /// about. Only where it has such an entry.
  uint64_t index_elements = 0;

  /// Records of archives[0], a torch.save zip, that torch.save does not write: other programs put
  /// them there. Entries of the archive, in its order.
  std::vector<uint32_t> extra_records;

  /// Index of the tensor at NODE, or kNoIndex.
  uint32_t tensor_at(NodeId node) const;
  /// The same, quicker for callers that ask for one node after another: NEAR, 0 at first, remembers
  /// where the last one was.
  uint32_t tensor_at(NodeId node, size_t& near) const;
  /// Index of the storage that the persistent id at NODE stands for, or kNoIndex.
  uint32_t storage_at(NodeId node) const;
  Dims sizes(const Tensor& tensor) const { return {dims.data() + tensor.dims, tensor.rank}; }
  Dims strides(const Tensor& tensor) const {
    return {dims.data() + tensor.dims + tensor.rank, tensor.rank};
  }
  /// Elements of the tensor. Every tensor in `tensors` has a count that fits.
  int64_t element_count(const Tensor& tensor) const;
  /// Bytes of its contiguous form.
  uint64_t byte_size(const Tensor& tensor) const;

  /// Adds a tensor with its own node (TensorKind::dense). Used by front ends without pickles.
  uint32_t add_tensor(Tensor tensor, Dims sizes, Dims strides);
  /// Keeps a copy of TEXT for as long as the checkpoint lives.
  std::string_view keep(std::string_view text);

  /// The bytes of a storage, little-endian: from the mapping where they lie plain in a file, else
  /// inflated, swapped or produced once and cached. Errors: corrupt, unsupported, read_failed.
  Result<Bytes> storage_bytes(uint32_t storage) const;
  /// Where the plain bytes lie in a file; nothing for deflated, swapped, in-memory and produced
  /// ones.
  struct FileRange {
    const InputFile* file = nullptr;
    uint64_t offset = 0;
    uint64_t length = 0;
    std::optional<uint32_t> crc32;  // as recorded by the container
  };
  Result<std::optional<FileRange>> file_range(uint32_t storage) const;
  /// A view of the tensor's elements. Errors as storage_bytes(); unsupported for kinds without
  /// plain elements (meta, sparse, other).
  Result<TensorView> view(uint32_t tensor) const;
  /// Lets go of the storages that were inflated, swapped or produced. Requires: no view of one of
  /// them is used any more, by any thread.
  void drop_cached() const;
  /// Streams the bytes of a whole storage. Producers run; nothing is cached.
  Status stream_storage(uint32_t storage, const BlockSink& sink) const;

 private:
  Result<std::string> load_storage(const Storage& storage) const;

  mutable std::mutex cache_mutex_;
  mutable std::map<uint32_t, std::shared_ptr<const std::string>> cache_;
};

/// "zip", "legacy", "safetensors", ...: stable names, as --json prints them.
std::string_view format_name(Format format);

}  // namespace mlc
