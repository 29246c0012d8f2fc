// What a changed ONNX model costs and gains beside the one that it was made of, in ONNX Runtime.
#pragma once

#include "cli/quantize_onnx_view.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/host_tensor.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mlc::cli {

struct JudgeOptions {
  /// Inputs of sample I, which any call gives anew.
  std::function<Result<std::vector<NamedValue>>(int64_t)> inputs;
  int64_t samples = 4;
  unsigned threads = 1;
  double seconds = 0.3;  // of measuring each model
};

/// Runs the models at BEFORE and AFTER on the same inputs and measures both; fills what an answer
/// says of outputs and latency. Errors: those of Engine::load() and of the inputs; internal_error
/// where AFTER refuses what BEFORE takes.
Status judge_onnx(Engine& engine, const std::string& before, const std::string& after,
                  const JudgeOptions& options, Reporter& reporter, QuantizeOnnxAnswer& answer);

}  // namespace mlc::cli
