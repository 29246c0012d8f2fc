// Changing the element type of tensor bytes, with the bits that PyTorch's .to() gives on the CPU.
//
// Floating to floating rounds to nearest, ties to even, by way of float32: that is what PyTorch
// does from float64 to the 16- and 8-bit types too. float8_e4m3fn saturates; the other types turn
// what is too large into infinity, or into NaN where they have none. Integers wrap. bool is "not
// zero".
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace mlc {

/// Elements (components of complex ones) that did not survive as they were. Rounding is not
/// counted.
struct ConvertReport {
  uint64_t overflowed =
      0;  // finite values that became infinite, NaN or the largest; wrapped integers
  uint64_t underflowed = 0;  // values that were not zero and are now
  uint64_t nans = 0;         // NaNs before, which still are

  ConvertReport& operator+=(const ConvertReport& other) {
    overflowed += other.overflowed;
    underflowed += other.underflowed;
    nans += other.nans;
    return *this;
  }
};

/// The type of the two halves of COMPLEX, the type of complex numbers.
DType component_type(DType complex);

/// Whether convert_block() takes this pair: equal types; floating to floating or bool; complex to
/// complex; integers and bool to each other and to floating.
bool can_convert(DType from, DType to);

/// Converts the whole elements IN to as many at OUT, which may not overlap. Nothing is counted
/// where both types are equal. Errors: unsupported for a pair that has no conversion. Thread-safe.
/// Requires: OUT has exactly the room for the elements of IN.
Result<ConvertReport> convert_block(DType from, Bytes in, DType to, std::span<std::byte> out);

}  // namespace mlc
