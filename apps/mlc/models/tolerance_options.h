// --atol and --rtol of the verbs that compare what two artefacts compute.
#pragma once

#include "cli/option_set.h"
#include "mlc/engine/verify.h"

#include <string_view>

namespace mlc::cli {

struct ToleranceOptions {
  double usual_rtol = 1e-4;
  double atol = kUnset;
  double rtol = kUnset;

  static constexpr double kUnset = -1;

  bool is_given() const { return atol != kUnset || rtol != kUnset; }

  /// With what was given; where nothing was, half precision is held to less. Integers have no
  /// tolerance but one that was given.
  void apply(VerifyGates& gates) const;
};

/// OTHERWISE: more of the help of --atol.
void add_tolerance_options(OptionSet& set, ToleranceOptions& options,
                           std::string_view otherwise = {});

}  // namespace mlc::cli
