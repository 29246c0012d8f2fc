// Writes a Graph as a pickle of protocol 2, byte for byte as CPython's C pickler does for the same
// objects (Modules/_pickle.c): same opcodes, memo numbers and batches of 1000. So reading a
// torch.save file and writing its graph gives the same bytes, and an edit changes only what it
// must.
#pragma once

#include "mlc/base/result.h"
#include "mlc/pickle/graph.h"

#include <cstddef>
#include <string>

namespace mlc::pickle {

inline constexpr size_t kMaxDepth = 1000;

/// The pickle of ROOT. Protocol 2, which every PyTorch reads, unless the graph holds a call with
/// keyword arguments (NEWOBJ_EX), which needs 4. Errors: unsupported for nesting beyond kMaxDepth,
/// internal for a tensor node (front ends must lower them first).
Result<std::string> write(const Graph& graph, NodeId root);

}  // namespace mlc::pickle
