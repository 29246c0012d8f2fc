// Scales of inputs: weights of inputs that are large on samples get finer steps (Lin et al., "AWQ",
// 2023).
//
// The columns of a weight are multiplied with s_j = mean|X_j|^a, rounded, and divided by s_j when
// they are read. Of 21 powers a from 0 to 1 that one is taken with which some rows of the weight
// change the outputs on the samples least: the sum of d^T (X^T X) d over rows, d being what
// rounding changes. Where it is no better than 0, there are no scales.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/compress/quantize_plan.h"

#include <span>
#include <vector>

namespace mlc {

/// MEANS to the power of ALPHA, around 1, so that neither side grows out of its numbers; 1 for what
/// is nothing in all samples, whose weights would else be nothing beside those of their group.
std::vector<float> powers_of(std::span<const double> means, double alpha);

/// Gives the scanned int4 weights of PLAN that INPUTS has scales of inputs where these gain: at
/// least a hundredth of the noise. All others keep what scan_weights() found. Errors: those of
/// reading weights; conflict for inputs that are not finite; interrupted.
Result<RoundingGain> scale_by_data(const Checkpoint& checkpoint, QuantizePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter);

}  // namespace mlc
