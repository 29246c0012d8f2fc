// Inputs whose values a model's own file holds: what it was exported or checked with.
#pragma once

#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"

#include <span>

namespace mlc {

/// Makes TENSOR what SPEC is at the sizes of TENSOR; type and sizes become those, dimensions keep
/// their names where there are as many. At other sizes integers stay in the range of TENSOR: they
/// are often positions or numbers of tokens, which a model cannot take from elsewhere.
void hold(InputSpec& spec, HostTensor tensor);

/// The tensor that SPEC holds for the sizes it has; null where there is none.
const HostTensor* held_values(const InputSpec& spec);

/// SPECS without the values of floating inputs, which a model takes at random too.
std::vector<InputSpec> without_floating_values(std::span<const InputSpec> specs);

}  // namespace mlc
