// A number that was measured and the bound that it is below, in digits that show it.
#pragma once

#include <string>

namespace mlc::cli {

/// VALUE in DECIMALS, or as many more as it takes to read less than BOUND. Requires: VALUE < BOUND.
std::string value_below(double value, double bound, int decimals = 6);

/// "0.973412 below 0.99": the bound as it was given.
std::string below_text(double value, double bound);

}  // namespace mlc::cli
