// Making one checkpoint of several: shards become what the unsharded file would have been.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <span>
#include <vector>

namespace mlc {

/// Moves what NODES of FROM need into INTO: the values themselves (copied into INTO's graph, shared
/// parts staying shared), their tensors and storages, and all files and archives. Returns the
/// nodes' new ids, in order. FROM is as read_...() left it, and is empty afterwards. Errors:
/// unsupported for graphs that were edited.
Result<std::vector<NodeId>> absorb(Checkpoint& into, Checkpoint&& from,
                                   std::span<const NodeId> nodes);

}  // namespace mlc
