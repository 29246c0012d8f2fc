// Recording what a module does with given inputs, as one straight graph.
//
// Unlike torch::jit::tracer, which keeps the control flow of a compiled module, this one runs the
// inlined graph of `forward` node by node and writes down what ran: of an `if` the branch that was
// taken, of a loop its rounds. Sizes that the program reads (x.size(0), x.shape) stay reads, so
// what is computed from them follows other inputs; only what control flow took from them is fixed.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <vector>

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

struct RecordedTrace {
  /// With the parameters and buffers of the source, shared with it, under the same names, and one
  /// method, `forward`, which takes the arguments that were given.
  torch::jit::Module module;
  /// Of branches and loops that hang on the inputs.
  std::vector<TraceDecision> decisions;
};

/// ARGUMENTS: the names of `forward`'s arguments that are given, in order; VALUES: all of its
/// arguments, defaults filled in, without self. Requires: SOURCE is in evaluation mode; runs inside
/// guarded() and InferenceMode. Errors: unsupported for constructs that cannot be recorded, and for
/// traces of more than a million steps; usage where the program raises an exception.
Result<RecordedTrace> record_trace(const torch::jit::Module& source,
                                   const std::vector<c10::Argument>& arguments,
                                   const std::vector<bool>& given,
                                   const std::vector<c10::IValue>& values);

}  // namespace mlc::torch_module
