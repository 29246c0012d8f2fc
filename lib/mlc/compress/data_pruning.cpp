#include "mlc/compress/data_pruning.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/float_rows.h"
#include "mlc/compress/output_square.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

namespace mlc {
namespace {

constexpr size_t kRows = 32;      // that go through the columns together
constexpr size_t kColumns = 128;  // that are chosen among at a time

/// Sets the KEEP of the COUNT of least score to 0; of equal ones the first.
void drop_least(std::vector<double>& scores, std::vector<size_t>& order, size_t count,
                const auto& drop) {
  // What is not finite counts as the largest.
  for (double& score : scores) {
    if (std::isnan(score)) score = std::numeric_limits<double>::infinity();
  }
  order.resize(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  count = std::min(count, order.size());
  const auto less = [&](size_t a, size_t b) {
    return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
  };
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                   less);
  for (size_t i = 0; i < count; ++i) drop(order[i]);
}

size_t count_of(const Sparsity& sparsity, size_t total) {
  return static_cast<size_t>(std::nearbyint(sparsity.share * static_cast<double>(total)));
}

/// What is worked with for one tensor.
struct Work {
  const Sparsity* sparsity = nullptr;
  const InputSums* inputs = nullptr;
  const InputFactor* factor = nullptr;  // of sparsegpt
};

/// Of a tensor of these SIZES.
Result<Sparsity> sparsity_of(const PrunePlan& plan, const PrunedTensor& pruned, Dims sizes) {
  Sparsity out;
  if (plan.rules.shape.pattern == PrunePattern::n_of_m) {
    out.n = plan.rules.shape.first;
    out.m = plan.rules.shape.second;
    for (size_t d = row_dimension(sizes) + 2; d < sizes.size(); ++d) out.stride *= sizes[d];
    return out;
  }
  uint64_t total = 1;
  for (const int64_t size : sizes) total *= static_cast<uint64_t>(size);
  const uint64_t count = pruned.amount.of(total);
  if (count > total) {
    return usage_error("an amount of " + format_count(count) + " is more than the " +
                           format_count(total) + " there are in " + sentence_key(pruned.names[0]),
                       "a share as 0.3 fits every tensor");
  }
  out.share = static_cast<double>(count) / static_cast<double>(total);
  return out;
}

/// Adds what a few rows tell: WEIGHTS as they were, LEFT as they are now.
void add_gain(std::span<const float> weights, std::span<const float> left, const Work& work,
              PruningGain& gain) {
  constexpr size_t kMostRows = 8;
  const auto columns = static_cast<size_t>(work.inputs->columns);
  const std::vector<double> ones(columns, 1);
  std::vector<uint8_t> keep(columns);
  std::vector<double> difference(columns);
  const auto square = [&](auto of) {
    for (size_t j = 0; j < columns; ++j) difference[j] = of(j);
    return output_square(difference, work.inputs->gram);
  };
  for (size_t r = 0; r < std::min(kMostRows, weights.size() / columns); ++r) {
    const std::span<const float> row = weights.subspan(r * columns, columns);
    const std::span<const float> now = left.subspan(r * columns, columns);
    wanda_rows(row, ones, *work.sparsity, keep.data());
    gain.signal += square([&](size_t j) { return double{row[j]}; });
    gain.noise += square([&](size_t j) { return double{now[j]} - row[j]; });
    gain.noise_magnitude += square([&](size_t j) { return keep[j] != 0 ? 0.0 : -double{row[j]}; });
  }
}

Status choose_one(const Checkpoint& checkpoint, PrunedTensor& pruned, const Work& work,
                  unsigned threads, PruningGain& gain, Reporter& reporter) {
  MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, pruned.tensor));
  const auto columns = static_cast<size_t>(rows.columns());
  const auto total = static_cast<size_t>(rows.rows()) * columns;
  const auto keep = std::make_shared<std::vector<uint8_t>>(total);
  const auto values = std::make_shared<std::vector<float>>(total);
  const size_t turns = (static_cast<size_t>(rows.rows()) + kRows - 1) / kRows;
  MLC_CHECK(parallel_for(turns, threads, [&](size_t turn) -> Status {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const auto begin = static_cast<int64_t>(turn * kRows);
    const int64_t end = std::min(begin + static_cast<int64_t>(kRows), rows.rows());
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> floats, rows.read(begin, end, buffer));
    const size_t first = turn * kRows * columns;
    const std::span<float> left(values->data() + first, floats.size());
    std::ranges::copy(floats, left.begin());
    if (work.factor != nullptr) {
      if (!std::ranges::all_of(floats, [](float weight) { return std::isfinite(weight); }))
        return conflict(
            "it has weights that are infinite or NaN, which the others cannot make up for",
            "--exclude it, or --method wanda, which keeps them");
      sparsegpt_rows(left, *work.factor, *work.sparsity, keep->data() + first);
      return {};
    }
    wanda_rows(floats, work.inputs->sum_square, *work.sparsity, keep->data() + first);
    for (size_t i = 0; i < left.size(); ++i) left[i] = (*keep)[first + i] != 0 ? left[i] : 0;
    return {};
  }));
  std::vector<float> buffer;
  MLC_TRY(const std::span<const float> start,
          rows.read(0, std::min(rows.rows_a_piece(), rows.rows()), buffer));
  if (!work.inputs->gram.empty()) {
    add_gain(start, std::span<const float>(*values).first(start.size()), work, gain);
  }
  ++gain.weights;
  pruned.given_keep = keep;
  if (work.factor != nullptr) pruned.given_values = values;
  return {};
}

/// The tensors that read INPUT and can be pruned as the plan wants it.
std::vector<PrunedTensor*> readers_of(const Checkpoint& checkpoint, const InputSums& input,
                                      PrunePlan& plan) {
  std::vector<PrunedTensor*> out;
  for (PrunedTensor& pruned : plan.tensors) {
    const bool named = std::ranges::any_of(input.weights, [&](const std::string& name) {
      return std::ranges::find(pruned.names, name) != pruned.names.end();
    });
    if (!named || !pruned.is_pruned() || pruned.given_keep != nullptr) continue;
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[pruned.tensor]);
    int64_t columns = 1;
    for (size_t d = row_dimension(sizes) + 1; d < sizes.size(); ++d) columns *= sizes[d];
    if (columns == input.columns) out.push_back(&pruned);
  }
  return out;
}

}  // namespace

void wanda_rows(std::span<const float> weights, std::span<const double> sum_square,
                const Sparsity& sparsity, uint8_t* keep) {
  const size_t columns = sum_square.size();
  std::fill_n(keep, weights.size(), uint8_t{1});
  std::vector<double> scores;
  std::vector<size_t> order;
  const size_t width = sparsity.m == 0 ? columns : static_cast<size_t>(sparsity.m);
  const size_t stride = sparsity.m == 0 ? 1 : static_cast<size_t>(sparsity.stride);
  const size_t drop =
      sparsity.m == 0 ? count_of(sparsity, columns) : static_cast<size_t>(sparsity.m - sparsity.n);
  scores.resize(width);
  for (size_t begin = 0; begin < weights.size(); begin += width * stride) {
    for (size_t place = begin; place < begin + stride; ++place) {
      for (size_t i = 0; i < width; ++i) {
        const size_t at = place + i * stride;
        scores[i] = std::abs(double{weights[at]}) * std::sqrt(sum_square[at % columns]);
      }
      drop_least(scores, order, drop, [&](size_t i) { keep[place + i * stride] = 0; });
    }
  }
}

void sparsegpt_rows(std::span<float> weights, const InputFactor& factor, const Sparsity& sparsity,
                    uint8_t* keep) {
  const auto columns = static_cast<size_t>(factor.columns());
  const size_t rows = weights.size() / columns;
  std::fill_n(keep, weights.size(), uint8_t{1});
  std::vector<double> scores;
  std::vector<size_t> order;
  const size_t stride = sparsity.m == 0 ? 1 : static_cast<size_t>(sparsity.stride);
  const size_t width = sparsity.m == 0 ? kColumns : static_cast<size_t>(sparsity.m) * stride;
  // Among ROW_COUNT rows and ACROSS columns from BEGIN on, each STRIDE after the one before.
  const auto choose = [&](size_t first_row, size_t row_count, size_t begin, size_t across,
                          size_t drop) {
    scores.clear();
    for (size_t r = first_row; r < first_row + row_count; ++r) {
      for (size_t i = 0; i < across; ++i) {
        const size_t j = begin + i * stride;
        const double share = weights[r * columns + j] / factor.row(static_cast<int64_t>(j))[0];
        scores.push_back(share * share);
      }
    }
    drop_least(scores, order, drop, [&](size_t i) {
      keep[(first_row + i / across) * columns + begin + (i % across) * stride] = 0;
    });
  };
  for (size_t j = 0; j < columns; ++j) {
    const size_t end = std::min(j + width, columns);
    if (j % width == 0 && sparsity.m == 0) {
      choose(0, rows, j, end - j, count_of(sparsity, rows * (end - j)));
    } else if (j % width == 0) {
      const auto drop = static_cast<size_t>(sparsity.m - sparsity.n);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t place = j; place < j + stride; ++place)
          choose(r, 1, place, static_cast<size_t>(sparsity.m), drop);
      }
    }
    const std::span<const float> compensation = factor.row(static_cast<int64_t>(j));
    for (size_t r = 0; r < rows; ++r) {
      if (keep[r * columns + j] != 0) continue;
      float* const row = weights.data() + r * columns;
      const float error = row[j] / compensation[0];
      row[j] = 0;
      for (size_t k = j + 1; k < columns; ++k) row[k] -= error * compensation[k - j];
    }
  }
}

Result<PruningGain> choose_by_data(const Checkpoint& checkpoint, PrunePlan& plan,
                                   std::span<const InputSums> inputs, unsigned threads,
                                   Reporter& reporter) {
  PruningGain gain;
  for (const PrunedTensor& pruned : plan.tensors) {
    if (pruned.is_pruned() && pruned.is_folded()) {
      return conflict(sentence_key(pruned.names[0]) + " has a mask already",
                      "`mlc prune --apply-masks` folds masks first");
    }
  }
  const ProgressScope progress(reporter, "choosing weights (layers)", inputs.size());
  for (const InputSums& input : inputs) {
    reporter.advance(1);
    const std::vector<PrunedTensor*> readers = readers_of(checkpoint, input, plan);
    if (readers.empty()) continue;
    if (!std::ranges::all_of(input.sum_square, [](double sum) { return std::isfinite(sum); })) {
      return conflict("the inputs of " + sentence_key(readers.front()->names[0]) +
                          " are not finite, or too large to be squared",
                      "other samples");
    }
    std::optional<InputFactor> factor;
    if (plan.rules.method == PruneMethod::sparsegpt) {
      MLC_TRY_CTX(factor, InputFactor::make(input.gram, input.columns, threads),
                  "the inputs of " + sentence_key(readers.front()->names[0]));
    }
    for (PrunedTensor* const pruned : readers) {
      const Dims sizes = checkpoint.sizes(checkpoint.tensors[pruned->tensor]);
      MLC_TRY(const Sparsity sparsity, sparsity_of(plan, *pruned, sizes));
      const Work work{&sparsity, &input, factor ? &*factor : nullptr};
      MLC_CHECK_CTX(choose_one(checkpoint, *pruned, work, threads, gain, reporter),
                    "tensor " + sentence_key(pruned->names[0]));
    }
  }
  for (PrunedTensor& pruned : plan.tensors) {
    if (pruned.is_pruned() && pruned.given_keep == nullptr) pruned.kept = PruneKept::no_inputs;
  }
  return gain;
}

}  // namespace mlc
