// The operators that look at memory which they share with their argument.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"

namespace mlc::passes {

enum class ViewKind : uint8_t {
  none,   // the result has memory of its own
  view,   // it shares that of its argument
  maybe,  // it does or does not, as the argument lies in memory
};

ViewKind view_kind(const ir::OpName& op);
/// Whether NODE, of ViewKind::maybe, copies at all sizes: it gives another dtype, is told to copy,
/// or makes contiguous what repeats one element.
bool always_copies(const ir::Node& node, const ir::Symbols& symbols);
/// The argument that a view looks at: "self", or the first one.
ir::Value* viewed(const ir::Node& node);
/// Whether the operator changes the shape of its argument itself: "aten::unsqueeze_".
bool is_shape_write(const ir::OpName& op);

/// BEFORE, the current value of what VIEW (result OUTPUT of its node) looks at, with the part that
/// VIEW sees replaced by PART. New nodes go before PLACE. Error: unsupported for views that cannot
/// be put back.
Result<ir::Value*> put_back(ir::Graph& graph, ir::Node* place, const ir::Node& view, size_t output,
                            ir::Value* before, ir::Value* part);

}  // namespace mlc::passes
