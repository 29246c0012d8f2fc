// A model that runs as a program like one of torch.export: what is asked for, and what comes out.
// Plain data, because it crosses into the module.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"
#include "mlc/frontend/exported_program.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace mlc {

struct CaptureRequest {
  /// With type and dimensions, also of those that come from a file. Named dimensions may vary.
  std::vector<InputSpec> inputs;
  /// Values of an input at SIZES; other ones for another SEED.
  std::function<Result<HostTensor>(const InputSpec&, const std::vector<int64_t>& sizes,
                                   uint64_t seed)>
      sample;
  /// Names of inputs that are numbers of the program, not inputs of it, though they might be.
  std::set<std::string> frozen = {};
};

struct CapturedProgram {
  /// Named dimensions are symbols of its graph. Weights have the names of the state_dict.
  ExportedProgram program;
  /// The value of a weight, as ProgramSource::weight. Holds the tensors of the model.
  std::function<Result<Weight>(const ProgramWeight&)> weight;
  /// What people should know about the program: sizes that it does not follow, numbers that it
  /// cannot take as inputs.
  std::vector<std::string> notes;
};

/// Inputs of SPECS as sample_inputs() makes them; those from files have the sizes of the file.
/// Errors: those of sample_inputs().
Result<CaptureRequest> capture_request(std::vector<InputSpec> specs, uint64_t seed,
                                       Reporter& reporter);

}  // namespace mlc
