// Weights as FP8 codes with their scales in a tensor beside them: what DeepSeek, Transformers'
// FineGrainedFP8 (X.weight_scale_inv, one for each block) and compressed-tensors' float-quantized
// (X.weight_scale) write. A weight is code times scale; the code alone is no value.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstddef>
#include <vector>

namespace mlc {

/// Two entries of a StateDict, by index.
struct ScaledCodes {
  size_t codes = 0;
  size_t scales = 0;
};

/// The plain FP8 tensors of STATE_DICT beside which floating-point scales lie under their names, in
/// the order of the codes.
std::vector<ScaledCodes> scaled_codes(const Checkpoint& checkpoint, const StateDict& state_dict);

}  // namespace mlc
