#include "mlc/onnx_prune/norms.h"

#include "mlc/onnx_prune/made_floats.h"
#include "mlc/onnx_prune/scores.h"

#include <algorithm>
#include <cmath>

namespace mlc::onnx {
namespace {

/// A tensor of f32 that NODE alone reads.
bool is_own(const Document& document, const DocNode& node, const std::string& name) {
  const DocTensor* const tensor = document.find_tensor(name);
  if (tensor == nullptr || tensor->dtype() != DType::f32 || tensor->sizes.size() != 1) return false;
  int64_t readers = 0;
  for (const DocNode& each : document.nodes) readers += std::ranges::count(each.inputs, name);
  return readers == 1 && std::ranges::count(node.inputs, name) == 1;
}

}  // namespace

std::vector<Restated> find_restated(const Document& document, ChannelPlan& plan, size_t first) {
  std::vector<Restated> out;
  for (size_t i = first + 1; i < document.nodes.size(); ++i) {
    const DocNode& node = document.nodes[i];
    if (!node.is("BatchNormalization") || node.inputs.size() != 5) continue;
    const std::string& mean = node.inputs[3];
    if (!is_own(document, node, mean) || !is_own(document, node, node.inputs[4])) continue;
    Restated one;
    one.node = i;
    one.value = node.inputs[0];
    const auto axis = plan.graph.axes.find({mean, 0});
    const bool loses = axis != plan.graph.axes.end() && !axis->second.labels.empty();
    const auto count = static_cast<size_t>(document.find_tensor(mean)->sizes[0]);
    one.kept = plan.kept_of(loses ? axis->second.labels : Labels(count, Atoms::kStays));
    out.push_back(std::move(one));
  }
  return out;
}

Status restate(Document& document, const std::vector<Restated>& norms) {
  for (const Restated& one : norms) {
    const DocNode& node = document.nodes[one.node];
    DocTensor& mean_tensor = *document.find_tensor(node.inputs[3]);
    DocTensor& variance_tensor = *document.find_tensor(node.inputs[4]);
    MLC_TRY(std::vector<float> mean, floats_of(mean_tensor));
    MLC_TRY(std::vector<float> variance, floats_of(variance_tensor));
    const double epsilon = node.real("epsilon", 1e-5F);
    for (size_t k = 0; k < one.kept.size(); ++k) {
      const auto c = static_cast<size_t>(one.kept[k]);
      const double scale = std::sqrt(variance[c] + epsilon);
      const bool varies = one.seen.small_variance[k] > 0 && one.seen.covariance[k] > 0;
      const double slope = varies ? one.seen.covariance[k] / one.seen.small_variance[k] : 1;
      // slope * (y - small mean) + whole mean stands for x.
      mean[c] =
          static_cast<float>(one.seen.small_mean[k] - (one.seen.whole_mean[k] - mean[c]) / slope);
      const double divided = scale / slope;
      variance[c] = static_cast<float>(std::max(divided * divided - epsilon, 0.0));
    }
    mean_tensor.data = made_floats(std::move(mean), mean_tensor.sizes);
    variance_tensor.data = made_floats(std::move(variance), variance_tensor.sizes);
  }
  return {};
}

}  // namespace mlc::onnx
