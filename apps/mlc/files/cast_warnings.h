// What `mlc save` says of values that a cast could not keep.
#pragma once

#include "files/cast_log.h"
#include "mlc/base/reporter.h"
#include "mlc/checkpoint/scaled_codes.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/tensor/dtype.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Says what DTYPE can never hold.
void warn_of_type(DType dtype, Reporter& reporter);

/// "l.weight (l.weight_scale_inv)".
std::string codes_text(const StateDict& state_dict, const ScaledCodes& pair);

/// What FP8 codes with scales beside them are, and who makes values of them.
inline constexpr std::string_view kCodesAreNoValues =
    "a weight is its code times its scale, which mlc does not multiply; Transformers does "
    "(FineGrainedFP8Config(dequantize=True), for compressed-tensors "
    "CompressedTensorsConfig(run_compressed=False)), and DeepSeek's fp8_cast_bf16.py";

/// Says of codes_text() PAIRS, which lie WHERE, that a cast takes them for values. None: nothing.
void warn_of_cast_codes(const std::vector<std::string>& pairs, const std::string& where,
                        Reporter& reporter);
/// Says of tensors of STATE_DICT that they are FP8 codes with scales beside them, which a cast
/// takes for values.
void warn_of_codes(const Checkpoint& checkpoint, const StateDict& state_dict, Reporter& reporter);

/// Names the tensors of STATE_DICT that --dtype left as they were.
void warn_of_uncast(const Checkpoint& checkpoint, const StateDict& state_dict, Reporter& reporter);

/// Says what became of finite values that were too large, and of which tensors they are, once the
/// output is written. DTYPE as the user wrote it; empty where tensors went to several types.
void warn_of_overflow(const CastLog& casts, const std::string& dtype, Reporter& reporter);
/// The same of values that became zero, where they are many in their tensor.
void warn_of_underflow(const CastLog& casts, const std::string& dtype, Reporter& reporter);

}  // namespace mlc::cli
