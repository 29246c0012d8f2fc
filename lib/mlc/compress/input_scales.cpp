#include "mlc/compress/input_scales.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/compress/dot.h"
#include "mlc/compress/float_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

namespace mlc {
namespace {

constexpr size_t kPowers = 21;
constexpr double kMostNoise = 0.99;  // of that without scales: less gain is not worth a tensor
constexpr double kLargest = 1e38;    // that can be rounded, as scan_weights() has it

using Factors = std::shared_ptr<const std::vector<float>>;

double power_of(size_t step) {
  return static_cast<double>(step) / (kPowers - 1);
}

/// What is known of the inputs of WEIGHT: one of INPUTS, or where several layers read it their sum,
/// in SUM; null for nothing.
const InputSums* inputs_of(const WeightPlan& weight, std::span<const InputSums> inputs,
                           InputSums& sum) {
  const InputSums* found = nullptr;
  for (const InputSums& one : inputs) {
    const bool named = std::ranges::any_of(one.weights, [&](const std::string& name) {
      return std::ranges::find(weight.names, name) != weight.names.end();
    });
    if (!named || one.columns != weight.quantizer->layout().columns || one.gram.empty()) continue;
    if (found == nullptr) {
      found = &one;
      continue;
    }
    if (found != &sum) sum = *std::exchange(found, &sum);
    std::ranges::transform(sum.gram, one.gram, sum.gram.begin(), std::plus());
    std::ranges::transform(sum.sum_abs, one.sum_abs, sum.sum_abs.begin(), std::plus());
    sum.rows += one.rows;
  }
  return found;
}

/// Some rows of a weight, evenly spread: [count, columns].
Result<std::vector<float>> some_rows(const FloatRows& rows) {
  constexpr int64_t kMost = 64;
  const int64_t count = std::min(rows.rows(), kMost);
  std::vector<float> out;
  std::vector<float> buffer;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t row = k * rows.rows() / count;
    MLC_TRY(const std::span<const float> one, rows.read(row, row + 1, buffer));
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

/// The sum of output_square() over ROWS, [count, columns], with each row of GRAM read once: twice
/// what lies below its diagonal, and the diagonal.
double output_squares(const std::vector<double>& rows, int64_t columns,
                      std::span<const float> gram) {
  std::vector<double> line(static_cast<size_t>(columns));
  double sum = 0;
  for (int64_t i = 0; i < columns; ++i) {
    std::copy_n(gram.begin() + i * columns, i + 1, line.begin());
    line[static_cast<size_t>(i)] /= 2;
    for (size_t begin = 0; begin < rows.size(); begin += line.size()) {
      const double* const row = rows.data() + begin;
      sum += 2 * row[i] * dot(line.data(), row, i + 1);
    }
  }
  return sum;
}

/// What rounding ROWS by SCHEME, with FACTORS or null, costs on the inputs.
double noise_of(const std::vector<float>& rows, const InputSums& inputs, const QuantScheme& scheme,
                const Factors& factors) {
  const auto columns = static_cast<size_t>(inputs.columns);
  const auto count = static_cast<int64_t>(rows.size() / columns);
  WeightQuantizer quantizer(scheme, Rounding::rtn, std::vector<int64_t>{count, inputs.columns});
  quantizer.scale_inputs(factors);
  std::vector<float> back(columns);
  std::vector<double> difference(rows.size());
  for (int64_t row = 0; row < count; ++row) {
    const size_t begin = static_cast<size_t>(row) * columns;
    quantizer.choose(row, rows.data() + begin);
    quantizer.decoded(row, rows.data() + begin, back.data());
    for (size_t j = 0; j < columns; ++j)
      difference[begin + j] = static_cast<double>(back[j]) - rows[begin + j];
  }
  return output_squares(difference, inputs.columns, inputs.gram);
}

struct Choice {
  Factors factors;  // null: none are best
  double power = 0;
  double signal = 0;
  double noise_nearest = 0;
  double noise = 0;
};

/// Tries all powers on some rows of WEIGHT.
Result<Choice> choose_power(const WeightPlan& weight, const FloatRows& rows,
                            const InputSums& inputs, unsigned threads) {
  std::vector<double> means = inputs.sum_abs;
  for (double& mean : means) mean /= static_cast<double>(std::max<uint64_t>(inputs.rows, 1));
  MLC_TRY(const std::vector<float> some, some_rows(rows));
  std::vector<Factors> factors(kPowers);
  std::vector<double> noise(kPowers, std::numeric_limits<double>::infinity());
  MLC_CHECK(parallel_for(kPowers, threads, [&](size_t i) -> Status {
    if (i > 0) {
      factors[i] = std::make_shared<const std::vector<float>>(powers_of(means, power_of(i)));
      // Else there are products that cannot be rounded.
      if (!(weight.largest * std::ranges::max(*factors[i]) < kLargest)) return {};
    }
    noise[i] = noise_of(some, inputs, weight.scheme, factors[i]);
    return {};
  }));
  if (!std::isfinite(noise[0])) {
    return conflict("the inputs of the layer are not finite",
                    "other samples, or another --rounding");
  }
  const auto best = static_cast<size_t>(std::ranges::min_element(noise) - noise.begin());
  const bool gains = noise[best] < kMostNoise * noise[0];
  Choice out;
  out.signal = output_squares({some.begin(), some.end()}, inputs.columns, inputs.gram);
  out.noise_nearest = noise[0];
  out.noise = noise[gains ? best : 0];
  if (gains) out.factors = std::move(factors[best]);
  if (gains) out.power = power_of(best);
  return out;
}

/// Finds the codes of WEIGHT anew, with FACTORS.
Status scale_weight(const Checkpoint& checkpoint, WeightPlan& weight, const FloatRows& rows,
                    const Factors& factors, unsigned threads, Reporter& reporter) {
  const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
  auto quantizer = std::make_shared<WeightQuantizer>(weight.scheme, Rounding::rtn, sizes);
  quantizer->scale_inputs(factors);
  const int64_t step = rows.rows_a_piece();
  const auto pieces = static_cast<size_t>((rows.rows() + step - 1) / step);
  MLC_CHECK(parallel_for(pieces, threads, [&](size_t piece) -> Status {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const int64_t begin = static_cast<int64_t>(piece) * step;
    const int64_t end = std::min(begin + step, rows.rows());
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> floats, rows.read(begin, end, buffer));
    for (int64_t row = begin; row < end; ++row)
      quantizer->choose(row, floats.data() + (row - begin) * rows.columns());
    return {};
  }));
  quantizer->finish();
  weight.quantizer = std::move(quantizer);
  weight.sums.reset();
  return {};
}

Status try_scales(const Checkpoint& checkpoint, WeightPlan& weight, const InputSums& inputs,
                  unsigned threads, RoundingGain& gain, Reporter& reporter) {
  MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, weight.tensor));
  MLC_TRY(const Choice choice, choose_power(weight, rows, inputs, threads));
  ++gain.weights;
  gain.signal += choice.signal;
  gain.noise_nearest += choice.noise_nearest;
  gain.noise += choice.noise;
  if (choice.factors == nullptr) return {};
  gain.scaled = gain.scaled.value_or(0) + 1;
  weight.input_power = choice.power;
  return scale_weight(checkpoint, weight, rows, choice.factors, threads, reporter);
}

}  // namespace

std::vector<float> powers_of(std::span<const double> means, double alpha) {
  constexpr double kLeast = 1e-4;
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const double mean : means) {
    if (!(mean > 0)) continue;
    least = std::min(least, std::max(mean, kLeast));
    most = std::max(most, std::max(mean, kLeast));
  }
  const double middle = std::sqrt(least * most);
  std::vector<float> out;
  for (const double mean : means) {
    const double ratio = mean > 0 ? std::max(mean, kLeast) / middle : 1;
    out.push_back(static_cast<float>(std::pow(ratio, alpha)));
  }
  return out;
}

Result<RoundingGain> scale_by_data(const Checkpoint& checkpoint, QuantizePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter) {
  RoundingGain gain;
  gain.scaled = 0;
  const ProgressScope progress(reporter, "choosing scales (weights)", plan.weights.size());
  for (WeightPlan& weight : plan.weights) {
    reporter.advance(1);
    weight.may_have_input_scale = false;
    if (weight.quantizer == nullptr || weight.scheme.kind != SchemeKind::int4) continue;
    InputSums sum;
    const InputSums* const known = inputs_of(weight, inputs, sum);
    if (known == nullptr) continue;
    MLC_CHECK_CTX(try_scales(checkpoint, weight, *known, threads, gain, reporter),
                  "tensor " + sentence_key(weight.names[0]));
  }
  return gain;
}

}  // namespace mlc
