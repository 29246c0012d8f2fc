// Why a program cannot be captured: which sizes it takes, found out by running it, and what helps
// where it is not a matter of sizes.
#pragma once

#include "mlc/engine/lanes.h"
#include "mlc/torch/capture.h"

#include <cstdint>
#include <string>
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

/// The way out of PROBLEMS, what a capture refused; empty where none is known.
std::string advice_on(const std::vector<std::string>& problems, bool keeps_loops);

}  // namespace mlc::torch_module
