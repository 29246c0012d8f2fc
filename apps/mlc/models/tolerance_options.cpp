#include "models/tolerance_options.h"

#include <limits>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr double kUsualAtol = 1e-5;

}  // namespace

void ToleranceOptions::apply(VerifyGates& gates, double usual_rtol) const {
  gates.by_dtype = atol == kUnset && rtol == kUnset;
  gates.tolerance = {atol == kUnset ? kUsualAtol : atol, rtol == kUnset ? usual_rtol : rtol, true};
  gates.integers = {atol == kUnset ? 0 : atol, rtol == kUnset ? 0 : rtol, true};
}

void add_tolerance_options(OptionSet& set, ToleranceOptions& options, std::string_view rtol,
                           std::string_view atol_more) {
  constexpr double kMost = std::numeric_limits<double>::max();
  set.real(
      "--atol", options.atol, "X",
      fmt::format(
          "values may differ by X + rtol * |b| (default 1e-5; f16 1e-3, bf16 1e-2{}, integers 0)",
          atol_more),
      0, kMost);
  set.real(
      "--rtol", options.rtol, "X",
      fmt::format(
          "... and by this part of the value in B (default {}; f16 1e-2, bf16 5e-2, integers 0)",
          rtol),
      0, kMost);
}

}  // namespace mlc::cli
