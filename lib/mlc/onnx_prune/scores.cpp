#include "mlc/onnx_prune/scores.h"

#include "mlc/base/text.h"
#include "mlc/tensor/convert.h"

#include <cmath>
#include <map>
#include <span>

namespace mlc::onnx {
namespace {

/// The norm of each slice along AXIS.
std::vector<double> slice_norms(std::span<const float> values, const std::vector<int64_t>& sizes,
                                size_t axis, PruneNorm norm) {
  size_t inner = 1;
  for (size_t i = axis + 1; i < sizes.size(); ++i) inner *= static_cast<size_t>(sizes[i]);
  const auto count = static_cast<size_t>(sizes[axis]);
  std::vector<double> out(count, 0);
  for (size_t at = 0, index = 0; at < values.size(); at += inner, ++index) {
    double sum = 0;
    for (const float value : values.subspan(at, inner)) {
      const double one = value;
      sum += norm == PruneNorm::l1 ? std::abs(one) : one * one;
    }
    out[index % count] += sum;
  }
  return out;
}

class Scorer {
 public:
  Scorer(ChannelGraph& graph, PruneNorm norm) : graph_(graph), norm_(norm) {
    sums_.assign(graph.atoms.size(), 0);
    counts_.assign(graph.atoms.size(), 0);
    made_.assign(graph.atoms.size(), -1);
  }

  void add(const WeightAxis& axis, std::span<const float> values, const DocTensor& tensor,
           size_t i) {
    std::map<Atom, double> norms;
    const auto slices = slice_norms(values, tensor.sizes, i, norm_);
    for (size_t k = 0; k < slices.size(); ++k)
      norms[graph_.atoms.find(axis.labels[k])] += slices[k];
    double mean = 0;
    for (auto& [atom, sum] : norms) {
      if (norm_ == PruneNorm::l2) sum = std::sqrt(sum);
      mean += sum / static_cast<double>(norms.size());
    }
    for (const auto& [atom, sum] : norms) {
      sums_[atom] += mean > 0 ? sum / mean : 1;
      ++counts_[atom];
      if (axis.makes || axis.scales) made_[atom] = made_[atom] == 1 || sum > 0 ? 1 : 0;
    }
  }

  ChannelScores take() {
    ChannelScores out;
    for (size_t i = 0; i < sums_.size(); ++i) {
      out.scores.push_back(counts_[i] > 0 ? sums_[i] / counts_[i] : 1);
      out.dead.push_back(made_[i] == 0);
    }
    return out;
  }

 private:
  ChannelGraph& graph_;
  PruneNorm norm_;
  std::vector<double> sums_;
  std::vector<int> counts_;
  std::vector<int> made_;  // -1: nothing seen, 0: only zeros
};

}  // namespace

Result<std::vector<float>> floats_of(const DocTensor& tensor) {
  const auto dtype = tensor.dtype();
  if (!dtype || info(*dtype).kind != DTypeClass::floating) return std::vector<float>();
  MLC_TRY(const Buffer buffer, tensor.data->produce());
  std::vector<float> out(buffer.bytes.size() / element_bytes(*dtype));
  MLC_CHECK(convert_block(*dtype, buffer.bytes, DType::f32,
                          std::as_writable_bytes(std::span<float>(out))));
  return out;
}

Result<ChannelScores> score_channels(const Document& document, ChannelGraph& graph,
                                     PruneNorm norm) {
  Scorer scorer(graph, norm);
  std::string last;
  std::vector<float> values;
  for (const auto& [place, axis] : graph.axes) {
    if (axis.labels.empty() || !(axis.makes || axis.reads || axis.scales)) continue;
    const DocTensor& tensor = *document.find_tensor(place.first);
    if (last != place.first) {
      MLC_TRY(values, floats_of(tensor));
      last = place.first;
      for (const float value : values) {
        if (!std::isfinite(value))
          return conflict("weights are not finite: " + mlc::quoted(place.first),
                          "--exclude does not help: their channels cannot be compared");
      }
    }
    if (!values.empty()) scorer.add(axis, values, tensor, place.second);
  }
  return scorer.take();
}

}  // namespace mlc::onnx
