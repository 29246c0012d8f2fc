#include "mlc/onnx_prune/moments.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mlc::onnx {
namespace {

constexpr size_t kMostPositions = 4096;
constexpr double kRidge = 1e-4;
constexpr double kFewPositions = 0.05;

/// A symmetric positive matrix as L L^T, in place; row-major, the lower half counts.
class Cholesky {
 public:
  Cholesky(std::vector<double> matrix, size_t size) : matrix_(std::move(matrix)), size_(size) {
    for (size_t j = 0; j < size_; ++j) {
      for (size_t i = j; i < size_; ++i) {
        double sum = at(i, j);
        for (size_t k = 0; k < j; ++k) sum -= at(i, k) * at(j, k);
        // What rounding leaves below zero is nothing.
        at(i, j) = i == j ? std::sqrt(std::max(sum, kLeast)) : sum / at(j, j);
      }
    }
  }

  /// The X for which the matrix times X is RIGHT.
  std::vector<double> solve(std::vector<double> right) {
    for (size_t i = 0; i < size_; ++i) {
      for (size_t k = 0; k < i; ++k) right[i] -= at(i, k) * right[k];
      right[i] /= at(i, i);
    }
    for (size_t i = size_; i-- > 0;) {
      right[i] /= at(i, i);
      for (size_t k = 0; k < i; ++k) right[k] -= at(i, k) * right[i];
    }
    return right;
  }

 private:
  static constexpr double kLeast = 1e-30;
  double& at(size_t i, size_t j) { return matrix_[i * size_ + j]; }

  std::vector<double> matrix_;
  size_t size_;
};

/// The sum of products of COUNT numbers each, in lanes that a compiler makes vectors of.
float product(const float* a, const float* b, size_t count) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes] = {};
  size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) lanes[i] += a[at + i] * b[at + i];
  }
  float out = 0;
  for (const float lane : lanes) out += lane;
  for (; at < count; ++at) out += a[at] * b[at];
  return out;
}

}  // namespace

void Moments::sum_up(const std::vector<float>& rows, size_t used) {
  for (size_t i = 0; i <= channels_; ++i) {
    const float* const a = rows.data() + i * kColumns;
    for (size_t k = 0; k <= i; ++k)
      sums_[i * (channels_ + 1) + k] += product(a, rows.data() + k * kColumns, used);
  }
  positions_ += used;
}

Status Moments::add(std::span<const ChannelView> parts) {
  const std::vector<int64_t>& sizes = parts.front().tensor->sizes;
  size_t inner = 1;
  size_t outer = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > parts.front().axis) inner *= static_cast<size_t>(sizes[i]);
    if (i < parts.front().axis) outer *= static_cast<size_t>(sizes[i]);
  }
  const size_t step = (inner + kMostPositions - 1) / kMostPositions;
  std::vector<float> rows((channels_ + 1) * kColumns, 1);  // the last one stays one
  size_t used = 0;
  for (size_t at = 0; at < outer; ++at) {
    for (size_t i = 0; i < inner; i += step) {
      size_t row = 0;
      for (const ChannelView& part : parts) {
        // Strings of the standard library have room for any plain type at their begin.
        const auto* const values = reinterpret_cast<const float*>(part.tensor->bytes->data());
        const float* const from = values + at * part.channels() * inner + i;
        for (size_t c = 0; c < part.channels(); ++c)
          rows[row++ * kColumns + used] = from[c * inner];
      }
      if (++used < kColumns) continue;
      sum_up(rows, used);
      used = 0;
    }
  }
  sum_up(rows, used);
  for (size_t i = 0; i < channels_; ++i) {
    if (!std::isfinite(sums_[i * (channels_ + 1) + i]))
      return conflict("it has values that are not finite");
  }
  return {};
}

LinearGuess guess_channels(const Moments& moments, const std::vector<int64_t>& kept, bool offsets) {
  const size_t inputs = kept.size();
  std::vector<size_t> known(inputs);
  std::iota(known.begin(), known.end(), size_t{0});
  if (offsets) known.push_back(moments.channels());
  const size_t size = known.size();
  std::vector<double> matrix(size * size);
  double mean = 0;
  for (size_t i = 0; i < size; ++i) {
    for (size_t k = 0; k < size; ++k) matrix[i * size + k] = moments.mean(known[i], known[k]);
    if (i < inputs) mean += matrix[i * size + i] / static_cast<double>(inputs);
  }
  // The fewer positions a coefficient has, the more of it is chance.
  const double ridge =
      kRidge + kFewPositions * static_cast<double>(size) / static_cast<double>(moments.positions());
  for (size_t i = 0; i < inputs; ++i) matrix[i * size + i] += ridge * mean;
  Cholesky solver(std::move(matrix), size);
  LinearGuess out;
  for (size_t c = 0; c + inputs < moments.channels(); ++c) {
    const auto same = std::ranges::find(kept, static_cast<int64_t>(c));
    const auto own = static_cast<size_t>(same - kept.begin());
    // What is left to tell beside the channel itself, where it is there: x - y, or x.
    const size_t x = inputs + c;
    std::vector<double> right(size);
    for (size_t i = 0; i < size; ++i)
      right[i] = moments.mean(x, known[i]) - (own < inputs ? moments.mean(own, known[i]) : 0);
    std::vector<double> weights = solver.solve(right);
    double error = moments.mean(x, x);
    if (own < inputs) error += moments.mean(own, own) - 2 * moments.mean(x, own);
    for (size_t i = 0; i < size; ++i) error -= weights[i] * right[i];
    out.energy += moments.mean(x, x);
    out.error += std::max(error, 0.0);
    out.offsets.push_back(offsets ? weights.back() : 0);
    weights.resize(inputs);
    if (own < inputs) weights[own] += 1;
    out.weights.push_back(std::move(weights));
  }
  return out;
}

Elimination::Elimination(const Moments& moments, std::vector<double> importance)
    : size_(moments.channels()), importance_(std::move(importance)), gone_(size_, false) {
  std::vector<double> matrix(size_ * size_);
  double mean = 0;
  for (size_t i = 0; i < size_; ++i) {
    for (size_t k = 0; k < size_; ++k) matrix[i * size_ + k] = moments.mean(i, k);
    total_ += importance_[i] * matrix[i * size_ + i];
    mean += matrix[i * size_ + i] / static_cast<double>(size_);
  }
  // Without any signal all channels are alike.
  for (size_t i = 0; i < size_; ++i) matrix[i * size_ + i] += mean > 0 ? kRidge * mean : 1;
  Cholesky solver(std::move(matrix), size_);
  inverse_.resize(size_ * size_);
  tells_.assign(size_ * size_, 0);
  told_.assign(size_, 0);
  for (size_t i = 0; i < size_; ++i) {
    std::vector<double> unit(size_, 0);
    unit[i] = 1;
    unit = solver.solve(std::move(unit));
    std::ranges::copy(unit, inverse_.begin() + static_cast<std::ptrdiff_t>(i * size_));
    tells_[i * size_ + i] = 1;
  }
}

double Elimination::cost(size_t i) const {
  if (total_ <= 0) return 0;
  return (importance_[i] + told_[i]) / inverse_[i * size_ + i] / total_;
}

void Elimination::remove(size_t r) {
  const double pivot = inverse_[r * size_ + r];
  const std::vector<double> row(inverse_.begin() + static_cast<std::ptrdiff_t>(r * size_),
                                inverse_.begin() + static_cast<std::ptrdiff_t>((r + 1) * size_));
  gone_[r] = true;
  told_.assign(size_, 0);
  for (size_t c = 0; c < size_; ++c) {
    if (!gone_[c]) continue;
    double* const tells = tells_.data() + c * size_;
    const double factor = tells[r] / pivot;
    const double importance = importance_[c];
    for (size_t k = 0; k < size_; ++k) {
      tells[k] -= factor * row[k];
      told_[k] += importance * tells[k] * tells[k];
    }
  }
  for (size_t i = 0; i < size_; ++i) {
    if (gone_[i]) continue;
    double* const inverse = inverse_.data() + i * size_;
    const double factor = inverse[r] / pivot;
    for (size_t k = 0; k < size_; ++k) inverse[k] -= factor * row[k];
  }
}

}  // namespace mlc::onnx
