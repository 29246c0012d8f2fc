// Operators that no lowering knows, kept in a model that somebody else has the kernels for.
#pragma once

#include "mlc/onnx/lowering.h"

#include <string>

namespace mlc::onnx {

/// Makes a node that is CALL's operator itself: of the domain PREFIX.NAMESPACE and the type NAME,
/// or NAME.OVERLOAD. Its tensors are the inputs, the rest of its arguments the attributes. Where an
/// argument is a list of tensors, or a tensor that was left out stands before others, the attribute
/// mlc_inputs has the argument of each input, for the order alone does not say it. Such nodes are
/// never merged. Throws Unlowerable for what writes into its arguments, which no ONNX model can.
void keep_operator(Call& call, const std::string& prefix);

/// Whether that would work. It is tried, so that the model is of no more use.
bool can_keep_operator(Call& call);

}  // namespace mlc::onnx
