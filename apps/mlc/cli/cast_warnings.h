// What `mlc save` says of values that a cast could not keep.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/tensor/dtype.h"

#include <string>

namespace mlc::cli {

/// Says what DTYPE can never hold.
void warn_of_type(DType dtype, Reporter& reporter);

/// Names the tensors of STATE_DICT that --dtype left as they were.
void warn_of_uncast(const Checkpoint& checkpoint, const StateDict& state_dict, Reporter& reporter);

/// Says what became of finite values that were too large, once the output is written. DTYPE as the
/// user wrote it; empty where tensors went to several types.
void warn_of_overflow(const CastCounts& counts, const std::string& dtype, Reporter& reporter);

}  // namespace mlc::cli
