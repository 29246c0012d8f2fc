// What PyTorch's own calls in a pickle mean: tensors, parameters, storages, dtypes.
//
// Argument layouts: torch/_utils.py (_rebuild_*), torch/_tensor.py, as listed in the reference
// table of serialisable globals; every number is checked before it is believed.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <functional>
#include <optional>
#include <string_view>

namespace mlc {

/// Whether NODE is text, or the str of Python 2 that stands for text in files of its time.
inline bool is_string(const pickle::Graph& graph, NodeId node) {
  return graph.is(node, pickle::NodeKind::text) || graph.is(node, pickle::NodeKind::old_string);
}

/// The parts of ('storage', type, key, location, numel[, view_metadata]).
struct StorageReference {
  std::string_view key;
  std::string_view location;
  DType dtype = DType::u8;
  bool untyped = false;
  int64_t elements = 0;
  NodeId view_metadata = kNoNode;  // sixth item, legacy files only; kNoNode for None
};

/// Parses the persistent id at NODE (a tuple of FIELDS items). Errors: corrupt.
Result<StorageReference> parse_storage_reference(const pickle::Graph& graph, NodeId id,
                                                 size_t fields);

/// The Storage that REFERENCE describes, without the place of its bytes.
Storage described_storage(const StorageReference& reference);
/// Error: corrupt, if REFERENCE describes KNOWN, a storage of the same key, differently.
Status check_same_storage(const Storage& known, const StorageReference& reference);

/// Gives the index in Checkpoint::storages for the persistent node, registering it on first sight.
using StorageResolver = std::function<Result<uint32_t>(NodeId persistent)>;

/// Walks all nodes from FIRST on, resolves every persistent id that is tagged 'storage' (into
/// Checkpoint::storage_nodes) and adds a Tensor for each call that rebuilds one. Errors: corrupt,
/// naming the storage and the numbers that do not fit.
Status collect_tensors(Checkpoint& checkpoint, NodeId first, const StorageResolver& resolve);

/// The dtype behind a global such as torch.float32.
std::optional<DType> dtype_of_global(const pickle::Graph& graph, NodeId node);

}  // namespace mlc
