// --atol and --rtol of the verbs that compare what two artefacts compute.
#pragma once

#include "cli/option_set.h"
#include "mlc/engine/verify.h"

#include <string_view>

namespace mlc::cli {

/// The part of a value that it may differ by on one engine, and where two compute it, each of which
/// adds long sums in an order of its own.
inline constexpr double kUsualRtol = 1e-4;
inline constexpr double kEnginesRtol = 1e-3;

struct ToleranceOptions {
  double atol = kUnset;
  double rtol = kUnset;

  static constexpr double kUnset = -1;

  bool is_given() const { return atol != kUnset || rtol != kUnset; }

  /// With what was given; where nothing was, half precision is held to less. Integers have no
  /// tolerance but one that was given. USUAL_RTOL: where --rtol was not.
  void apply(VerifyGates& gates, double usual_rtol = kUsualRtol) const;
};

/// RTOL: the default of --rtol, as its help has it; ATOL_MORE: more of the help of --atol.
void add_tolerance_options(OptionSet& set, ToleranceOptions& options,
                           std::string_view rtol = "1e-4", std::string_view atol_more = {});

}  // namespace mlc::cli
