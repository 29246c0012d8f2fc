// Choosing which weights become zero by what they are multiplied with.
//
//   wanda      of each row the weights with the least |w| * ||x||, x being the column of inputs
//   that
//              w is multiplied with (Sun et al., "A Simple and Effective Pruning Approach for Large
//              Language Models", 2023)
//   sparsegpt  of 128 columns at a time those with the least w^2 / U_jj^2, and what they cost is
//   given
//              to the columns that are still to come (Frantar and Alistarh, "SparseGPT", 2023; U as
//              in input_factor.h); weights that stay change
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/compress/input_factor.h"
#include "mlc/compress/prune_plan.h"

#include <cstdint>
#include <span>

namespace mlc {

/// How many go: a share, or of every M neighbours all but N.
struct Sparsity {
  double share = 0;
  int64_t n = 0;
  int64_t m = 0;       // 0: by share
  int64_t stride = 1;  // columns from a neighbour to the next: the size of a convolution's kernel
};

/// Sets KEEP of the rows in WEIGHTS to 1 or 0. SUM_SQUARE is of each column of the inputs.
void wanda_rows(std::span<const float> weights, std::span<const double> sum_square,
                const Sparsity& sparsity, uint8_t* keep);
/// The same; WEIGHTS become what is left of them. Rows are chosen among together.
void sparsegpt_rows(std::span<float> weights, const InputFactor& factor, const Sparsity& sparsity,
                    uint8_t* keep);

/// What choosing by data gained, of some rows of each weight: sums of squares of what they give on
/// the inputs, and of what is lost.
struct PruningGain {
  uint64_t weights = 0;
  double signal = 0;
  double noise_magnitude = 0;  // had the smallest of each row gone
  double noise = 0;
};

/// Chooses for the tensors of PLAN that INPUTS has; all others are kept (PruneKept::no_inputs).
/// Errors: conflict for tensors with masks, usage for amounts larger than what there is, those of
/// reading weights and of InputFactor::make(), interrupted.
Result<PruningGain> choose_by_data(const Checkpoint& checkpoint, PrunePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter);

}  // namespace mlc
