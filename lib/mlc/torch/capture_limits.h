// Why a program cannot be captured at other sizes than the examples: which sizes it takes, found
// out by running it.
#pragma once

#include "mlc/engine/lanes.h"
#include "mlc/torch/capture.h"

#include <cstdint>
#include <vector>

namespace mlc::torch_module {

/// The sizes of a request.
struct Varying {
  std::vector<LaneSymbol> symbols;
  std::vector<int64_t> fixed;  // all that have no name
};

Varying varying(const CaptureRequest& request);

/// What to say where an attempt at other sizes ended with ERROR: that sizes are fixed in the
/// program, that it takes none above a limit, that two sizes have to be equal or one a sum of
/// others, or, where it runs at all of them, that mlc does not follow it; each with an --input that
/// does. Requires: runs inside guarded().
Error explain_limits(Error error, const CaptureTarget& target, const CaptureRequest& request,
                     const Varying& varying);

}  // namespace mlc::torch_module
