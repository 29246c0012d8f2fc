// Rounding weights by what they are multiplied with, so that the outputs of a layer change least.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/input_factor.h"
#include "mlc/compress/quantize_plan.h"
#include "mlc/compress/weight_quant.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// Sums over the rows X of inputs that some weights, as [rows, COLUMNS], are multiplied with.
struct InputSums {
  std::vector<std::string> weights;
  int64_t columns = 0;
  std::vector<float> gram;         // X^T X as [columns, columns]; empty: unknown
  std::vector<double> sum_square;  // of each column
  std::vector<double> sum_abs;     // the same of |x|
  uint64_t rows = 0;
};

/// GPTQ (Frantar et al., 2022): column after column is rounded, and what that costs is given to the
/// columns that are still to come. Scales of a group are found when its first column is reached.
/// Columns that are 0 in all inputs get the nearest codes, where the reference writes zeros:
/// nothing says that they stay 0, and no error comes from or goes to them. WEIGHTS, rows from FIRST
/// on, are used up; CODES gets theirs, one a byte. Any threads, other rows each.
void gptq_rows(WeightQuantizer& quantizer, const InputFactor& factor, int64_t first,
               std::span<float> weights, int8_t* codes);

/// What rounding by data gained, of some rows of each weight: sums of squares of what they give on
/// the inputs, and of the errors.
struct RoundingGain {
  static constexpr int64_t kMostRows = 8;  // of a weight that are looked at

  uint64_t weights = 0;
  double signal = 0;
  double noise_nearest = 0;  // had each weight the nearest code
  double noise = 0;
  std::optional<uint64_t> scaled;  // weights with scales of inputs (input_scales.h)
};

/// Adds to GAIN what the first rows of a weight tell, of which ROWS has some whole ones: NEAREST
/// has chosen parameters for as many, GIVEN has the codes. GRAM as in InputSums.
void add_gain(const WeightQuantizer& nearest, const WeightQuantizer& given,
              std::span<const float> rows, std::span<const float> gram, RoundingGain& gain);

/// Rounds the scanned integer weights of PLAN by GPTQ where INPUTS has theirs; all others keep
/// what scan_weights() found. Errors: those of reading weights and of
/// InputFactor::make(), interrupted.
Result<RoundingGain> round_by_data(const Checkpoint& checkpoint, QuantizePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter);

}  // namespace mlc
