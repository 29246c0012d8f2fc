// How much of a quantisation has to be undone for a model's outputs to stay near enough.
//
// Layers are put in the order of what each costs when it alone is quantised, and undone from the
// worst on. More undone layers cost less, so the least number that will do is found by halving: of
// n layers in about log2(n) runs. Where the order does not hold, as it need not, the answer is
// still one that was measured.
#pragma once

#include "mlc/base/result.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace mlc {

struct DropTrial {
  size_t undone = 0;
  double drop = 0;
};

struct DropSearch {
  std::vector<DropTrial> trail;  // in the order in which they were measured
  std::optional<size_t> undone;  // the least that will do, as far as was looked
};

/// DROP(n) is what outputs lose with the n worst undone, and is called once at most for each n of
/// [1, MOST]. An answer of at most LIMIT will do. Errors: those of DROP.
Result<DropSearch> find_least_undone(size_t most, double limit,
                                     const std::function<Result<double>(size_t)>& drop);

}  // namespace mlc
