// Tensors written by big-endian machines.
#pragma once

#include "mlc/tensor/dtype.h"

#include <cstddef>
#include <span>

namespace mlc {

/// Reverses the bytes of every component in place: of both halves of a complex number, else of each
/// element. Types of one byte stay. Bytes behind the last whole component stay too.
void swap_elements(std::span<std::byte> bytes, DType dtype);

}  // namespace mlc
