#include "cli/below_text.h"

#include <cstdlib>

#include <fmt/format.h>

namespace mlc::cli {

std::string value_below(double value, double bound, int decimals) {
  constexpr int kMost = 20;
  std::string out;
  do {
    out = fmt::format("{:.{}f}", value, decimals++);
  } while (decimals <= kMost && std::strtod(out.c_str(), nullptr) >= bound);
  return out;
}

std::string below_text(double value, double bound) {
  return fmt::format("{} below {}", value_below(value, bound), bound);
}

}  // namespace mlc::cli
