#include "mlc/onnx_quant/channel_stats.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/onnx_quant/activation_floats.h"
#include "mlc/onnx_quant/run_samples.h"

#include <algorithm>
#include <cmath>

namespace mlc::onnx {
namespace {

using StatsByName = std::map<std::string, ChannelStats>;

Status look_at(std::span<const NamedValue> values, StatsByName& stats) {
  std::vector<std::pair<ChannelStats*, const NamedValue*>> work;
  for (const NamedValue& value : values) {
    const auto found = stats.find(value.name);
    if (found != stats.end()) work.emplace_back(&found->second, &value);
  }
  return parallel_for(work.size(), default_threads(), [&](size_t i) -> Status {
    const HostTensor& tensor = work[i].second->tensor;
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> floats, floats_of(*work[i].second, buffer));
    const size_t channels =
        tensor.sizes.empty() ? 0 : static_cast<size_t>(std::max<int64_t>(0, tensor.sizes.back()));
    if (channels == 0) return {};
    ChannelStats& to = *work[i].first;
    if (to.rows() > 0 && to.channels() != channels)
      return unsupported("activation " + mlc::quoted(work[i].second->name) +
                         " has not always as many channels");
    to.add(floats, channels);
    return {};
  });
}

}  // namespace

void ChannelStats::keep(std::span<const float> row) {
  const size_t channels = row.size();
  if (kept_.size() < kMostRows * channels) {
    kept_.insert(kept_.end(), row.begin(), row.end());
    return;
  }
  // Reservoir sampling (Vitter, 1985, algorithm R) with xorshift64.
  random_ ^= random_ << 13U;
  random_ ^= random_ >> 7U;
  random_ ^= random_ << 17U;
  const uint64_t place = random_ % rows_;
  if (place < kMostRows)
    std::ranges::copy(row, kept_.begin() + static_cast<std::ptrdiff_t>(place * channels));
}

void ChannelStats::add(std::span<const float> values, size_t channels) {
  if (rows_ == 0) {
    low_.assign(channels, 0);
    high_.assign(channels, 0);
    sizes_.assign(channels, 0);
    squares_.assign(channels, 0);
  }
  for (size_t begin = 0; begin + channels <= values.size(); begin += channels) {
    const std::span<const float> row = values.subspan(begin, channels);
    ++rows_;
    for (size_t j = 0; j < channels; ++j) {
      const float value = row[j];
      if (!std::isfinite(value)) {
        ++not_finite_;
        continue;
      }
      low_[j] = std::min(low_[j], value);
      high_[j] = std::max(high_[j], value);
      sizes_[j] += std::abs(value);
      squares_[j] += static_cast<double>(value) * value;
    }
    keep(row);
  }
}

std::vector<double> ChannelStats::mean_of(const std::vector<double>& sums) const {
  std::vector<double> out = sums;
  for (double& value : out) value /= static_cast<double>(std::max<uint64_t>(1, rows_));
  return out;
}

Result<StatsByName> channel_stats(mlc::Model& model, const CalibrationData& data,
                                  std::span<const std::string> names, Reporter& reporter) {
  StatsByName out;
  for (const std::string& name : names) out.try_emplace(name);
  MLC_CHECK(run_samples(model, data, "looking at channels (samples)", reporter,
                        [&](std::span<const NamedValue> values) { return look_at(values, out); }));
  for (const auto& [name, stats] : out) {
    if (stats.not_finite() > 0)
      return conflict("activation " + mlc::quoted(name) + " has " +
                      plural(stats.not_finite(), "value") + " that are not finite");
  }
  return out;
}

}  // namespace mlc::onnx
