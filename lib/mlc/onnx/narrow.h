// A model of float32 in half the bytes.
//
// float16: weights and computation. What overflows or loses its meaning in 11 bits stays float32,
// between casts: sums and means, exponentials, powers and roots, angles, positions, sampling,
// control flow, divisions by what was summed, and all that only prepares these. Numbers beyond
// 65504 that stand for infinity, as masks have them, become the largest number of float16.
// bfloat16: weights only; each is cast to float32 where it is read, because ONNX Runtime's CPU
// computes next to nothing in bfloat16. Its own optimiser takes these casts away as it loads.
//
// Inputs and outputs keep their types in both.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::onnx {

struct NarrowFacts {
  uint64_t narrow_nodes = 0;  // that compute in float16
  uint64_t wide_nodes = 0;    // that compute with float32 all the same
  uint64_t casts = 0;         // that were added
  /// Weights with numbers that float16 does not reach. They stay float32, with what reads them.
  std::vector<std::string> too_large;
};

/// Requires: DTYPE is f16 or bf16; values have no names yet (finish.h). Weights are read once, to
/// find the large ones. Errors: those of reading them.
Result<NarrowFacts> narrow_floats(Model& model, DType dtype);

}  // namespace mlc::onnx
