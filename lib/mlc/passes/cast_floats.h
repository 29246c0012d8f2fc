// A program in another floating-point type.
#pragma once

#include "mlc/ir/graph.h"

namespace mlc::passes {

/// Makes GRAPH what exporting would have given, had the model and its inputs been cast with
/// module.to(TO) before: floating inputs and weights are of type TO, and so is what operators are
/// told to make of f16, bf16 or f32, or make of f32 because nothing is told. Numbers that TO cannot
/// hold, the masks of attention among them, become its largest. f64 that an operator is told to
/// make stays. Requires: TO is f16, bf16 or f32.
void cast_floats(ir::Graph& graph, DType to);

}  // namespace mlc::passes
