#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"

#include <functional>
#include <span>
#include <string_view>

namespace mlc::onnx {

/// Runs MODEL with each sample of DATA and shows VISIT the inputs, then the outputs. TITLE is of
/// the progress, which counts samples. Errors: what the model refuses (explain_run_error()), those
/// of VISIT, interrupted.
Status run_samples(mlc::Model& model, const CalibrationData& data, std::string_view title,
                   Reporter& reporter,
                   const std::function<Status(std::span<const NamedValue>)>& visit);

}  // namespace mlc::onnx
