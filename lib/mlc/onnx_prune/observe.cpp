#include "mlc/onnx_prune/observe.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/engine/match_inputs.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace mlc::onnx {
namespace {

Result<std::vector<NamedValue>> run(mlc::Model& model, std::span<const NamedValue> inputs) {
  Status ran = model.set_inputs(inputs);
  if (ran.ok()) ran = model.run();
  if (!ran.ok()) return explain_run_error(std::move(ran).error(), model.signature(), inputs);
  return model.outputs();
}

Result<ChannelView> view(std::span<const NamedValue> values, const ChannelGraph::Reader& reader) {
  const auto found = std::ranges::find(values, reader.value, &NamedValue::name);
  if (found == values.end())
    return internal_error("activation " + mlc::quoted(reader.value) + " is missing");
  const HostTensor& tensor = found->tensor;
  if (tensor.dtype != DType::f32 || reader.axis >= tensor.sizes.size())
    return unsupported("activation " + mlc::quoted(reader.value) + " is no f32 with channels");
  return ChannelView{&tensor, reader.axis};
}

/// Sums over positions, in double: of the numbers of both, of squares, of products.
class PairSums {
 public:
  explicit PairSums(const std::vector<int64_t>& kept)
      : kept_(kept),
        x_(kept.size()),
        y_(kept.size()),
        squares_(kept.size()),
        products_(kept.size()) {}

  void add(const ChannelView& x, const ChannelView& y) {
    size_t inner = 1;
    for (size_t i = 2; i < x.tensor->sizes.size(); ++i)
      inner *= static_cast<size_t>(x.tensor->sizes[i]);
    const auto* const all = reinterpret_cast<const float*>(x.tensor->bytes->data());
    const auto* const fewer = reinterpret_cast<const float*>(y.tensor->bytes->data());
    const auto batch = static_cast<size_t>(x.tensor->sizes[0]);
    for (size_t n = 0; n < batch; ++n) {
      for (size_t k = 0; k < kept_.size(); ++k) {
        const float* const from = all + (n * x.channels() + static_cast<size_t>(kept_[k])) * inner;
        const float* const to = fewer + (n * kept_.size() + k) * inner;
        for (size_t i = 0; i < inner; ++i) {
          x_[k] += from[i];
          y_[k] += to[i];
          squares_[k] += static_cast<double>(to[i]) * to[i];
          products_[k] += static_cast<double>(from[i]) * to[i];
        }
      }
    }
    positions_ += static_cast<double>(batch * inner);
  }
  PairStatistics statistics() const {
    PairStatistics out{x_, y_, squares_, products_};
    for (size_t k = 0; k < x_.size(); ++k) {
      out.whole_mean[k] /= positions_;
      out.small_mean[k] /= positions_;
      const double mean = out.small_mean[k];
      out.small_variance[k] = squares_[k] / positions_ - mean * mean;
      out.covariance[k] = products_[k] / positions_ - mean * out.whole_mean[k];
    }
    return out;
  }

 private:
  const std::vector<int64_t>& kept_;
  std::vector<double> x_;
  std::vector<double> y_;
  std::vector<double> squares_;
  std::vector<double> products_;
  double positions_ = 0;
};

Status stopped(Reporter& reporter) {
  if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  return {};
}

}  // namespace

Result<ValueMoments> observe_channels(mlc::Model& model, const CalibrationData& data,
                                      std::span<const ChannelGraph::Reader> readers,
                                      Reporter& reporter) {
  ValueMoments out;
  std::vector<const ChannelGraph::Reader*> values;  // each once
  const ProgressScope progress(reporter, "observing channels (samples)", data.samples());
  for (uint64_t i = 0; i < data.samples(); ++i) {
    MLC_CHECK(stopped(reporter));
    MLC_TRY(const auto inputs, data.sample(i));
    MLC_TRY(const auto outputs, run(model, inputs));
    for (const ChannelGraph::Reader& reader : readers) {
      if (i > 0) break;
      MLC_TRY(const ChannelView seen, view(outputs, reader));
      if (out.try_emplace(reader.value, Moments(seen.channels())).second) values.push_back(&reader);
    }
    const auto look = [&](size_t k) -> Status {
      const auto seen = view(outputs, *values[k]);
      if (!seen.ok()) return internal_error("activation " + mlc::quoted(values[k]->value));
      Status added = out.find(values[k]->value)->second.add({&*seen, 1});
      if (added.ok()) return {};
      return std::move(added).error().during("activation " + printable(values[k]->value));
    };
    MLC_CHECK(parallel_for(values.size(), default_threads(), look));
    reporter.advance(1);
  }
  return out;
}

Result<PairStatistics> observe_statistics(mlc::Model& whole, mlc::Model& small,
                                          const CalibrationData& data, const std::string& value,
                                          const std::vector<int64_t>& kept, Reporter& reporter) {
  const ChannelGraph::Reader reader{.node = 0, .value = value, .axis = 1, .weight = {}};
  PairSums sums(kept);
  for (uint64_t i = 0; i < data.samples(); ++i) {
    MLC_CHECK(stopped(reporter));
    MLC_TRY(const auto inputs, data.sample(i));
    MLC_TRY(const auto all, run(whole, inputs));
    MLC_TRY(const auto fewer, run(small, inputs));
    MLC_TRY(const ChannelView x, view(all, reader));
    MLC_TRY(const ChannelView y, view(fewer, reader));
    if (y.channels() != kept.size()) return internal_error("channels of " + mlc::quoted(value));
    sums.add(x, y);
  }
  PairStatistics out = sums.statistics();
  for (size_t k = 0; k < kept.size(); ++k) {
    if (!std::isfinite(out.covariance[k]) || !std::isfinite(out.small_variance[k]))
      return conflict("activation " + printable(value) + " has values that are not finite");
  }
  return out;
}

Result<Moments> observe_pair(mlc::Model& whole, mlc::Model& small, const CalibrationData& data,
                             const ChannelGraph::Reader& reader, Reporter& reporter) {
  std::optional<Moments> out;
  for (uint64_t i = 0; i < data.samples(); ++i) {
    MLC_CHECK(stopped(reporter));
    MLC_TRY(const auto inputs, data.sample(i));
    MLC_TRY(const auto all, run(whole, inputs));
    MLC_TRY(const auto fewer, run(small, inputs));
    MLC_TRY(const ChannelView x, view(all, reader));
    MLC_TRY(const ChannelView y, view(fewer, reader));
    if (!out) out.emplace(x.channels() + y.channels());
    const ChannelView parts[] = {y, x};
    MLC_CHECK_CTX(out->add(parts), "activation " + printable(reader.value));
  }
  if (!out) return internal_error("there are no samples");
  return std::move(*out);
}

}  // namespace mlc::onnx
