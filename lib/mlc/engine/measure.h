// How long a model takes, call by call.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

struct MeasureOptions {
  uint64_t warmup = 10;  // calls after the first that do not count
  /// Calls that count; 0: as many as fit into SECONDS, 10 at least and 100,000 at most.
  uint64_t runs = 0;
  double seconds = 1;
};

struct Latencies {
  double first = 0;             // of the first call, in seconds, as all of these
  std::vector<double> samples;  // of those that count, ascending
};

/// Runs MODEL, whose inputs are set. Copying inputs and outputs is no part of a call. Errors: those
/// of Model::run, interrupted.
Result<Latencies> measure(Model& model, const MeasureOptions& options, Reporter& reporter);

/// The smallest sample that PERCENT of all do not exceed (nearest rank). Requires: SORTED is
/// ascending and not empty, 0 < PERCENT <= 100.
double percentile(std::span<const double> sorted, double percent);
double mean(std::span<const double> samples);

}  // namespace mlc
