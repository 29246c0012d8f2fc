// A TorchScript module as a graph with expressions for sizes.
//
// The inlined program is interpreted once. Beside each value of the graph it keeps what the
// value is in a few real runs at other sizes ("lanes"): what a size is follows from the rules of
// the operator (capture_shapes.h) or from its numbers in the lanes (ir/known_sizes.h), and is a
// symbol of its own where neither tells. What convolutions, products of matrices and all after
// them give has sizes but no elements in the lanes, unless one is asked for
// (without_elements.h). Numbers, texts, lists and modules are worked out on the way, so that the
// graph holds tensors only; so are branches and loops that hang on them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/capture_request.h"
#include "mlc/torch/program_places.h"

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

struct CaptureTarget {
  torch::jit::Module module;             // in evaluation mode, on the CPU
  std::vector<c10::Argument> arguments;  // of forward, without self
  /// An argument of forward from the tensor for it.
  std::function<Result<c10::IValue>(const c10::Argument&, const HostTensor&)> to_argument;
  Reporter* reporter = nullptr;  // hears of sizes that did not do
  /// Names for what forward gives; empty: as Model::outputs() makes them.
  std::vector<std::string> output_names;
  bool names_must_fit = true;       // else they count only where there are as many outputs
  ProgramPlaces* places = nullptr;  // learns where the program is given numbers
};

/// Requires: runs inside guarded(). Errors: as Model::capture().
Result<CapturedProgram> capture(const CaptureTarget& target, const CaptureRequest& request);

}  // namespace mlc::torch_module
