// Programs that write into tensors become programs that only make new ones.
//
// A write through a view (x[:, 1] = y is copy_ on select of x) makes a new value of what the view
// looks at: the written part is put back step by step (select_scatter, slice_scatter, ...) until
// the tensor that owns the memory has its new value. Whatever reads that memory afterwards, through
// whichever view, reads the new value: views are made again of it. This is what
// torch.func.functionalize does (aten/src/ATen/FunctionalTensorWrapper.cpp of PyTorch), on graphs.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"

#include <string>
#include <vector>

namespace mlc::passes {

/// The first write into the memory of a value.
struct Write {
  ir::Value* into = nullptr;
  ir::OpName op;
  ir::Origin origin;
};

struct Functionalized {
  /// Writes that became new values.
  uint64_t writes = 0;
  /// Inputs and weights whose memory the program wrote into: their callers would see it. Sorted by
  /// name.
  std::vector<Write> written;
};

/// Error: unsupported, naming the operator and its place, for a write that cannot be followed:
/// through a view that mlc does not know, through what may be a view or a copy (reshape), in a
/// loop under two names.
Result<Functionalized> functionalize(ir::Graph& graph);

/// Whether the operator writes into its first argument: "aten::add_", "aten::copy_".
bool is_write(const ir::OpName& op);

}  // namespace mlc::passes
