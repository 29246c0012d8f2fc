#include "mlc/onnx_prune/compensate.h"

#include "mlc/onnx_prune/made_floats.h"
#include "mlc/onnx_prune/scores.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>

namespace mlc::onnx {
namespace {

constexpr int64_t kMostChannels = 4096;

bool pads_zeros(const DocNode& node) {
  const DocAttribute* const pads = node.find("pads");
  const DocAttribute* const automatic = node.find("auto_pad");
  if (automatic != nullptr && automatic->text() != "NOTSET" && automatic->text() != "VALID")
    return true;
  if (pads == nullptr) return false;
  const auto values = pads->integers().value_or(std::vector<int64_t>());
  return std::ranges::any_of(values, [](int64_t each) { return each != 0; });
}

/// Who reads each value.
using Readers = std::map<std::string, std::vector<size_t>, std::less<>>;

Readers find_readers(const Document& document) {
  Readers out;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    for (const std::string& input : document.nodes[i].inputs) out[input].push_back(i);
  }
  return out;
}

size_t count(const Readers& readers, const std::string& name) {
  const auto found = readers.find(name);
  return found == readers.end() ? 0 : found->second.size();
}

/// Which axis of the weight has what the node gives.
size_t out_axis(const DocNode& node) {
  return node.is("Conv") || (node.is("Gemm") && node.integer("transB", 0) != 0) ? 0 : 1;
}

/// Where an offset of what a node gives can be added.
struct OffsetPlace {
  std::string bias;  // an initializer that nobody else has; empty: the node takes one
  bool found = false;
};

/// The Add that alone reads what a MatMul gives has the bias of it.
std::string bias_behind(const Document& document, const DocNode& node, const Readers& readers) {
  const auto behind = readers.find(node.outputs[0]);
  const auto& outputs = document.output_names();
  if (behind == readers.end() || behind->second.size() != 1 ||
      std::ranges::find(outputs, node.outputs[0]) != outputs.end())
    return "";
  const DocNode& add = document.nodes[behind->second.front()];
  if (!add.is("Add")) return "";
  return add.input(0) == node.outputs[0] ? add.input(1) : add.input(0);
}

OffsetPlace place_offset(const Document& document, const DocNode& node, const Readers& readers) {
  const bool plain = node.is("Gemm") && node.real("alpha", 1) == 1 && node.real("beta", 1) == 1;
  OffsetPlace out;
  if (node.is("MatMul")) {
    out.bias = bias_behind(document, node, readers);
    if (out.bias.empty()) return out;
  } else if (plain || (node.is("Conv") && !pads_zeros(node))) {
    out.bias = node.input(2);
  } else {
    return out;
  }
  const DocTensor* const bias = document.find_tensor(out.bias);
  const int64_t given = document.find_tensor(node.input(1))->sizes[out_axis(node)];
  out.found = out.bias.empty() ||
              (bias != nullptr && bias->dtype() == DType::f32 &&
               bias->sizes == std::vector<int64_t>{given} && count(readers, bias->name) == 1);
  return out;
}

/// A weight as it lies, [outer, channels, inner].
class WeightChange {
 public:
  WeightChange(const Compensated& change, const std::vector<float>& values,
               const std::vector<int64_t>& sizes)
      : change_(change), values_(values) {
    const size_t axis = change_.reader.weight_axis;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (i < axis) outer_ *= static_cast<size_t>(sizes[i]);
      if (i > axis) inner_ *= static_cast<size_t>(sizes[i]);
    }
    channels_ = static_cast<size_t>(sizes[axis]);
  }

  /// With W B where it reads kept channels.
  std::vector<float> folded() const {
    std::vector<float> out = values_;
    std::vector<double> sums(inner_);
    for (size_t o = 0; o < outer_; ++o) {
      for (size_t k = 0; k < change_.kept.size(); ++k) {
        sums.assign(inner_, 0);
        for (size_t c = 0; c < channels_; ++c) {
          const double factor = change_.guess.weights[c][k];
          for (size_t i = 0; i < inner_; ++i) sums[i] += factor * values_[place(o, c) + i];
        }
        const size_t to = place(o, static_cast<size_t>(change_.kept[k]));
        for (size_t i = 0; i < inner_; ++i) out[to + i] = static_cast<float>(sums[i]);
      }
    }
    return out;
  }
  /// W b, for a weight whose first axis (FIRST) or last one is what its node gives.
  std::vector<double> offsets(bool first) const {
    std::vector<double> out(first ? outer_ : inner_, 0);
    for (size_t o = 0; o < outer_; ++o) {
      for (size_t c = 0; c < channels_; ++c) {
        for (size_t i = 0; i < inner_; ++i)
          out[first ? o : i] += change_.guess.offsets[c] * values_[place(o, c) + i];
      }
    }
    return out;
  }

 private:
  size_t place(size_t outer, size_t channel) const {
    return (outer * channels_ + channel) * inner_;
  }

  const Compensated& change_;
  const std::vector<float>& values_;
  size_t outer_ = 1;
  size_t inner_ = 1;
  size_t channels_ = 1;
};

Status add_offsets(Document& document, ChannelPlan& plan, const Compensated& one,
                   const std::string& name, const std::vector<double>& added) {
  DocNode& node = document.nodes[one.reader.node];
  std::vector<float> values(added.size(), 0);
  DocTensor* const bias = document.find_tensor(name);
  if (bias != nullptr) {
    MLC_TRY(values, floats_of(*bias));
  }
  for (size_t i = 0; i < values.size(); ++i) values[i] += static_cast<float>(added[i]);
  const auto size = static_cast<int64_t>(values.size());
  const DataRef data = made_floats(std::move(values), {size});
  if (bias != nullptr) {
    bias->data = data;
    return {};
  }
  node.inputs.resize(3);
  node.inputs[2] = document.add_tensor(one.reader.weight + "_offset", data);
  const Labels labels = plan.graph.axes[{one.reader.weight, out_axis(node)}].labels;
  plan.graph.axes[{node.inputs[2], 0}].labels = labels;
  return {};
}

}  // namespace

DataRef made_floats(std::vector<float> values, std::vector<int64_t> sizes) {
  auto out = std::make_shared<TensorData>();
  out->dtype = DType::f32;
  out->sizes = std::move(sizes);
  const auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  out->produce = [owner]() -> Result<Buffer> {
    return Buffer{std::as_bytes(std::span(*owner)), owner};
  };
  return out;
}

std::vector<ChannelGraph::Reader> measured_readers(const Document& document,
                                                   const ChannelGraph& graph) {
  const Readers readers = find_readers(document);
  std::vector<ChannelGraph::Reader> out;
  for (const ChannelGraph::Reader& reader : graph.readers) {
    const DocTensor& weight = *document.find_tensor(reader.weight);
    const DocNode& node = document.nodes[reader.node];
    const bool plain = weight.dtype() == DType::f32 && node.input(1) == reader.weight &&
                       count(readers, reader.weight) == 1 && node.integer("group", 1) == 1 &&
                       weight.sizes[reader.weight_axis] <= kMostChannels;
    if (plain) out.push_back(reader);
  }
  return out;
}

std::vector<Compensated> find_compensated(const Document& document, ChannelPlan& plan) {
  const Readers readers = find_readers(document);
  std::vector<Compensated> out;
  for (const ChannelGraph::Reader& reader : measured_readers(document, plan.graph)) {
    const Labels& labels = plan.graph.axes[{reader.weight, reader.weight_axis}].labels;
    Compensated one;
    one.reader = reader;
    one.kept = plan.kept_of(labels);
    // In front of the first that loses channels nothing differs.
    if (one.kept.size() == labels.size() && out.empty()) continue;
    const OffsetPlace place = place_offset(document, document.nodes[reader.node], readers);
    one.has_offset = place.found;
    one.new_bias = place.found && place.bias.empty();
    out.push_back(std::move(one));
  }
  return out;
}

Status compensate(Document& document, ChannelPlan& plan, const std::vector<Compensated>& readers) {
  for (const Compensated& each : readers) {
    DocTensor& weight = *document.find_tensor(each.reader.weight);
    MLC_TRY(const std::vector<float> values, floats_of(weight));
    const WeightChange change(each, values, weight.sizes);
    if (each.has_offset) {
      const DocNode& node = document.nodes[each.reader.node];
      const OffsetPlace place = place_offset(document, node, find_readers(document));
      MLC_CHECK(add_offsets(document, plan, each, place.bias, change.offsets(out_axis(node) == 0)));
    }
    weight.data = made_floats(change.folded(), weight.sizes);
  }
  return {};
}

}  // namespace mlc::onnx
