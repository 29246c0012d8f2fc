// Replacing a symbol in a whole graph.
#pragma once

#include "mlc/ir/graph.h"

namespace mlc::ir {

/// Every expression of GRAPH, in types and in arguments, has TO in place of the symbol FROM.
void substitute(Graph& graph, Expr from, Expr to);

}  // namespace mlc::ir
