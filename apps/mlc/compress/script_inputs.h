// Inputs of a TorchScript model that nobody gave: what its file, or samples of them, tell.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <vector>

namespace mlc::cli {

/// With what the model was traced; empty where the file does not tell it of all inputs.
std::vector<InputSpec> traced_inputs(const Signature& signature);

/// What the first sample of DATA is.
Result<std::vector<InputSpec>> sampled_inputs(const CalibrationData& data);

}  // namespace mlc::cli
