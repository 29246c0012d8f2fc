#include "mlc/compress/data_rounding.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/compress/float_rows.h"

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

Status round_weight(const Checkpoint& checkpoint, WeightPlan& weight, const InputFactor& factor,
                    unsigned threads, Reporter& reporter) {
  MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, weight.tensor));
  const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
  auto quantizer = std::make_shared<WeightQuantizer>(weight.scheme, Rounding::rtn, sizes);
  const auto codes =
      std::make_shared<std::vector<int8_t>>(static_cast<size_t>(rows.rows() * rows.columns()));
  const auto turns = static_cast<size_t>((rows.rows() + kRows - 1) / kRows);
  MLC_CHECK(parallel_for(turns, threads, [&](size_t turn) -> Status {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "stopped by the user");
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
  weight.quantizer = std::move(quantizer);
  weight.sums.reset();
  return {};
}

}  // namespace

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
      if (factor.is_dead(column)) row[j] = 0;
      quant_kernels().encode(row + j, 1, groups[r], &code);
      const float error = (row[j] - value_of(code, groups[r])) / compensation[0];
      subtract(error, compensation.data() + 1, columns - j - 1, row + j + 1);
    }
  }
}

Result<uint64_t> round_by_data(const Checkpoint& checkpoint, QuantizePlan& plan,
                               std::span<const InputSums> inputs, unsigned threads,
                               Reporter& reporter) {
  uint64_t rounded = 0;
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
    const std::string where = "the inputs of " + printable(weights.front()->names[0]);
    MLC_TRY_CTX(const InputFactor factor, InputFactor::make(input.gram, input.columns, threads),
                where);
    for (WeightPlan* weight : weights) {
      MLC_CHECK_CTX(round_weight(checkpoint, *weight, factor, threads, reporter),
                    "tensor " + printable(weight->names[0]));
      ++rounded;
    }
  }
  return rounded;
}

}  // namespace mlc
