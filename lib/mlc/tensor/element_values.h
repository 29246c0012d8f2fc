// Tensor bytes as doubles: how statistics and comparison look at every type.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/tensor/dtype.h"

#include <cstddef>

namespace mlc {

/// Doubles that one stored element becomes: 2 for complex numbers (real, imaginary), the packed
/// values for packed types (low bits first), else 1.
size_t values_per_element(DType dtype);

/// Writes the values of the whole elements IN to OUT, which has room for them. bool is 0 or 1,
/// quantized and opaque types are their raw integers, 64-bit integers are rounded.
void load_values(DType dtype, Bytes in, double* out);

}  // namespace mlc
