#include "mlc/compress/data_rounding.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/float_rows.h"
#include "mlc/compress/output_square.h"

#include <algorithm>
#include <memory>

namespace mlc {
namespace {

// Rows that go through the columns together, so that the factor is read once for all of them.
constexpr int64_t kRows = 32;

/// to -= factor * from, COUNT of them.
void subtract(float factor, const float* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] -= factor * from[i];
}

float value_of(int8_t code, const GroupParameters& group) {
  const int number = group.low >= 0 ? static_cast<uint8_t>(code) : code;
  return group.scale * (static_cast<float>(number) - group.zero);
}

/// ROW of WEIGHTS with the nearest codes that QUANTIZER has.
void nearest_values(const WeightQuantizer& quantizer, int64_t row, const float* weights,
                    std::vector<float>& out) {
  std::vector<GroupParameters> groups;
  quantizer.parameters(row, groups);
  const auto group = static_cast<size_t>(quantizer.layout().group);
  for (size_t j = 0; j < out.size(); ++j) {
    int8_t code = 0;
    quant_kernels().encode(weights + j, 1, groups[j / group], &code);
    out[j] = value_of(code, groups[j / group]);
  }
}

Status round_weight(const Checkpoint& checkpoint, WeightPlan& weight, const InputFactor& factor,
                    const std::vector<float>& gram, unsigned threads, RoundingGain& gain,
                    Reporter& reporter) {
  MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, weight.tensor));
  const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
  auto quantizer = std::make_shared<WeightQuantizer>(weight.scheme, Rounding::rtn, sizes);
  const auto codes =
      std::make_shared<std::vector<int8_t>>(static_cast<size_t>(rows.rows() * rows.columns()));
  const auto turns = static_cast<size_t>((rows.rows() + kRows - 1) / kRows);
  MLC_CHECK(parallel_for(turns, threads, [&](size_t turn) -> Status {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const int64_t begin = static_cast<int64_t>(turn) * kRows;
    const int64_t end = std::min(begin + kRows, rows.rows());
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> floats, rows.read(begin, end, buffer));
    std::vector<float> copy(floats.begin(), floats.end());
    gptq_rows(*quantizer, factor, begin, copy, codes->data() + begin * rows.columns());
    return {};
  }));
  quantizer->finish();
  quantizer->give_codes(codes);
  std::vector<float> buffer;
  MLC_TRY(const std::span<const float> first,
          rows.read(0, std::min(rows.rows_a_piece(), rows.rows()), buffer));
  add_gain(*weight.quantizer, *quantizer, first, gram, gain);
  weight.quantizer = std::move(quantizer);
  weight.sums.reset();
  return {};
}

}  // namespace

void add_gain(const WeightQuantizer& nearest, const WeightQuantizer& given,
              std::span<const float> rows, std::span<const float> gram, RoundingGain& gain) {
  const auto columns = static_cast<size_t>(given.layout().columns);
  std::vector<float> values(columns);
  std::vector<double> difference(columns);
  const auto square = [&](const float* from, auto of) {
    for (size_t j = 0; j < columns; ++j) difference[j] = of(from, j);
    return output_square(difference, gram);
  };
  const auto error = [&](const float* from, size_t j) {
    return static_cast<double>(values[j]) - from[j];
  };
  const size_t count =
      std::min(static_cast<size_t>(RoundingGain::kMostRows), rows.size() / columns);
  ++gain.weights;
  for (size_t r = 0; r < count; ++r) {
    const float* const row = rows.data() + r * columns;
    gain.signal += square(row, [](const float* from, size_t j) { return double{from[j]}; });
    nearest_values(nearest, static_cast<int64_t>(r), row, values);
    gain.noise_nearest += square(row, error);
    given.given_values(static_cast<int64_t>(r), values.data());
    gain.noise += square(row, error);
  }
}

void gptq_rows(WeightQuantizer& quantizer, const InputFactor& factor, int64_t first,
               std::span<float> weights, int8_t* codes) {
  const QuantLayout& layout = quantizer.layout();
  const auto columns = static_cast<size_t>(layout.columns);
  const size_t rows = weights.size() / columns;
  std::vector<GroupParameters> groups(rows);
  for (size_t j = 0; j < columns; ++j) {
    const auto column = static_cast<int64_t>(j);
    const std::span<const float> compensation = factor.row(column);
    for (size_t r = 0; r < rows; ++r) {
      float* const row = weights.data() + r * columns;
      if (column % layout.group == 0) {
        groups[r] =
            quantizer.choose_group(first + static_cast<int64_t>(r), column / layout.group, row + j);
      }
      int8_t& code = codes[r * columns + j];
      quant_kernels().encode(row + j, 1, groups[r], &code);
      const float error = (row[j] - value_of(code, groups[r])) / compensation[0];
      subtract(error, compensation.data() + 1, columns - j - 1, row + j + 1);
    }
  }
}

Result<RoundingGain> round_by_data(const Checkpoint& checkpoint, QuantizePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter) {
  RoundingGain gain;
  const ProgressScope progress(reporter, "rounding (layers)", inputs.size());
  for (const InputSums& input : inputs) {
    reporter.advance(1);
    std::vector<WeightPlan*> weights;
    for (WeightPlan& weight : plan.weights) {
      const bool named = std::ranges::any_of(input.weights, [&](const std::string& name) {
        return std::ranges::find(weight.names, name) != weight.names.end();
      });
      const bool fits =
          weight.quantizer != nullptr && weight.quantizer->layout().columns == input.columns;
      if (named && fits) weights.push_back(&weight);
    }
    if (weights.empty() || input.gram.empty()) continue;
    const std::string where = "the inputs of " + sentence_key(weights.front()->names[0]);
    MLC_TRY_CTX(const InputFactor factor, InputFactor::make(input.gram, input.columns, threads),
                where);
    for (WeightPlan* weight : weights) {
      MLC_CHECK_CTX(round_weight(checkpoint, *weight, factor, input.gram, threads, gain, reporter),
                    "tensor " + sentence_key(weight->names[0]));
    }
  }
  return gain;
}

}  // namespace mlc
