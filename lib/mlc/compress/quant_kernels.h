// The inner loops of quantising: many weights at a time, all of one group.
//
// Written so that compilers vectorise them; each exists for plain x86-64 and for AVX2, with the
// same bits from both. Sums are kept in eight lanes that are added up in order, so that a result
// depends on the weights alone. Weights must be finite except where said.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlc {

/// What stands for a group: weight = scale * (code - zero), low <= code <= high.
struct GroupParameters {
  float scale = 1;
  float zero = 0;
  int low = 0;
  int high = 0;
};

/// Sums over weights W and what stands for them, V.
struct ErrorSums {
  double signal = 0;   // of W * W
  double noise = 0;    // of (W - V) * (W - V)
  double largest = 0;  // |W - V|
  uint64_t wrong = 0;  // weights whose code is not the nearest one that there is

  void add(const ErrorSums& other);
};

struct QuantKernels {
  /// The bits of the largest |w|; 0x7F800000 or more where a weight is infinite or NaN.
  uint32_t (*largest_bits)(const float* w, size_t count);
  /// The least and the largest weight, and 0.
  void (*range)(const float* w, size_t count, float& low, float& high);
  /// codes[i] = clamp(round(w[i] / scale + zero)), ties to even.
  void (*encode)(const float* w, size_t count, const GroupParameters& group, int8_t* codes);
  /// The squared error that encode() with GROUP makes.
  double (*error)(const float* w, size_t count, const GroupParameters& group);
  /// Adds to SUMS what CODES, read as unsigned where group.low is 0, make of W.
  void (*compare)(const float* w, const int8_t* codes, size_t count, const GroupParameters& group,
                  ErrorSums& sums);
  /// The same of the values V; `wrong` is left alone.
  void (*compare_values)(const float* w, const float* v, size_t count, ErrorSums& sums);
  /// w[i] = scale * (code - zero), codes as in compare().
  void (*decode)(const int8_t* codes, size_t count, const GroupParameters& group, float* w);
  /// Two codes (0 to 15) a byte, the first in its lower half; and back. An odd COUNT leaves the
  /// upper half of the last byte 0.
  void (*pack)(const int8_t* codes, size_t count, uint8_t* out);
  void (*unpack)(const uint8_t* packed, size_t count, int8_t* codes);
};

/// Those of this processor.
const QuantKernels& quant_kernels();
/// Those that run everywhere; for tests.
const QuantKernels& portable_quant_kernels();

}  // namespace mlc
