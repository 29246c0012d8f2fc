// Weights that a model computes of others when it runs, as weight_norm and spectral_norm do, and
// that are computed once, when the ONNX model is written.
#pragma once

#include "mlc/onnx/model.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// Where the state_dict would have a weight of SIZES that is computed of INPUTS, null ones among
/// them: "conv.weight" of "conv.parametrizations.weight.original1" and of "conv.weight_v" of these
/// sizes. Empty where no input is one of these.
std::string key_of_computed(std::span<const DataRef> inputs, const std::vector<int64_t>& sizes);

/// The weight that PRODUCE makes of INPUTS, under the key above. Null where the file would grow by
/// it, and where an input is missing or no float.
DataRef computed_weight(std::span<const DataRef> inputs, DType dtype, std::vector<int64_t> sizes,
                        std::function<Result<Buffer>()> produce);

}  // namespace mlc::onnx
