// Lists that loops fill which stay loops: how many elements they have hangs on sizes or values.
#pragma once

#include "mlc/torch/capturer.h"

namespace mlc::torch_module {

/// Whether ITEM or something in it is a list that a loop fills, or has filled.
bool has_rows(const Item& item);

}  // namespace mlc::torch_module
