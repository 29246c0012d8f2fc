#include "mlc/compress/drop_search.h"

namespace mlc {

Result<DropSearch> find_least_undone(size_t most, double limit,
                                     const std::function<Result<double>(size_t)>& drop) {
  DropSearch out;
  const auto will_do = [&](size_t undone) -> Result<bool> {
    MLC_TRY(const double found, drop(undone));
    out.trail.push_back({undone, found});
    if (!(found <= limit)) return false;
    out.undone = undone;
    return true;
  };
  size_t low = 1;
  size_t high = most;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    MLC_TRY(const bool enough, will_do(middle));
    if (enough) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  // What is left was measured already, unless it is the last of all.
  if (low == most && most > 0 && out.undone != most) {
    MLC_TRY(const bool enough, will_do(most));
    static_cast<void>(enough);
  }
  return out;
}

}  // namespace mlc
