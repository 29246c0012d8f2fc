// The `quantization_config` that loaders of compressed-tensors (vLLM, transformers) want in the
// config.json beside the weights.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quantize_plan.h"

#include <string>

namespace mlc {

/// CONFIG, the text of a config.json or "", with the description of PLAN in it. Modules that keep a
/// matrix are listed under `ignore`. Errors: corrupt where CONFIG is no JSON object.
Result<std::string> with_quantization_config(const std::string& config,
                                             const Checkpoint& checkpoint,
                                             const QuantizePlan& plan);

}  // namespace mlc
