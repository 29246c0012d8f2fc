// Quantised weights that others wrote: the layouts of compressed-tensors, recognised by the names
// and shapes of their tensors (src/compressed_tensors/compressors of
// vllm-project/compressed-tensors).
//
//   pack-quantized   X.weight_packed (int32 words), X.weight_scale [rows, groups], X.weight_shape
//   int-quantized    X.weight (int8), X.weight_scale [rows, 1]
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantized_record.h"

#include <optional>

namespace mlc {

/// The record that mlc would have written, or nothing where no tensor has such names. Weights have
/// the type of their scales. Errors: unsupported for zero points and orders of columns
/// (weight_g_idx), corrupt for sizes that contradict each other.
Result<std::optional<QuantizedRecord>> foreign_record(const Checkpoint& checkpoint,
                                                      const StateDict& state_dict);

}  // namespace mlc
