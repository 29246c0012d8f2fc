#include "mlc/onnx_quant/fold_norms.h"

#include "mlc/onnx_quant/constant_floats.h"

#include <array>
#include <cmath>
#include <map>
#include <set>

namespace mlc::onnx {
namespace {

/// The elements of a constant of f32 or f16; empty where NAME is none.
Result<std::vector<float>> constant(const Document& document, const std::string& name) {
  const DocTensor* const tensor = document.find_tensor(name);
  if (!is_single_or_half(tensor)) return std::vector<float>();
  return read_floats(*tensor->data);
}

/// What a batch norm does to each channel: times factor, plus shift.
struct Affine {
  std::vector<float> factor;
  std::vector<float> shift;
};

Result<std::optional<Affine>> affine_of(const Document& document, const DocNode& norm,
                                        size_t channels) {
  std::array<std::vector<float>, 4> parts;  // gamma, beta, mean, var
  for (size_t i = 0; i < parts.size(); ++i) {
    MLC_TRY(parts[i], constant(document, norm.input(i + 1)));
    if (parts[i].size() != channels) return std::optional<Affine>();
  }
  const double epsilon = norm.real("epsilon", 1e-5F);
  Affine out;
  for (size_t i = 0; i < channels; ++i) {
    const double factor = parts[0][i] / std::sqrt(parts[3][i] + epsilon);
    out.factor.push_back(static_cast<float>(factor));
    out.shift.push_back(static_cast<float>(parts[1][i] - parts[2][i] * factor));
  }
  return std::optional(std::move(out));
}

Result<bool> fold_one(Document& document, DocNode& conv, const DocNode& norm) {
  const DocTensor* const weight = document.find_tensor(conv.input(1));
  if (!is_single_or_half(weight) || weight->sizes.empty()) return false;
  const auto channels = static_cast<size_t>(weight->sizes[0]);
  if (channels == 0) return false;
  std::vector<float> bias(channels, 0);
  if (!conv.input(2).empty()) {
    MLC_TRY(bias, constant(document, conv.input(2)));
    if (bias.size() != channels) return false;
  }
  MLC_TRY(const std::optional<Affine> affine, affine_of(document, norm, channels));
  if (!affine) return false;
  for (size_t i = 0; i < channels; ++i) bias[i] = bias[i] * affine->factor[i] + affine->shift[i];
  const std::string name = weight->name;
  const DType dtype = weight->data->dtype;
  const DataRef data = scaled_along(weight->data, 0, affine->factor);
  conv.inputs.resize(3);
  conv.inputs[1] = document.add_tensor(name + "_folded", data);
  conv.inputs[2] = document.add_tensor(
      name + "_folded_bias", tensor_of(std::move(bias), {static_cast<int64_t>(channels)}, dtype));
  conv.outputs[0] = norm.outputs[0];
  return true;
}

}  // namespace

Result<size_t> fold_norms(Document& document) {
  std::map<std::string, size_t, std::less<>> readers;
  std::map<std::string, size_t, std::less<>> convolutions;  // by what they give
  for (const std::string& name : document.output_names()) ++readers[name];
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    const DocNode& node = document.nodes[i];
    for (const std::string& name : node.inputs) ++readers[name];
    for (const std::string& name : node.inner_names) ++readers[name];
    if (node.is("Conv")) convolutions.emplace(node.outputs[0], i);
  }
  std::set<size_t> folded;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    const DocNode& norm = document.nodes[i];
    const bool infers = norm.is("BatchNormalization") && norm.integer("training_mode", 0) == 0 &&
                        norm.outputs.size() == 1;
    const auto conv = convolutions.find(norm.input(0));
    if (!infers || conv == convolutions.end() || readers[norm.input(0)] != 1) continue;
    MLC_TRY(const bool done, fold_one(document, document.nodes[conv->second], norm));
    if (done) folded.insert(i);
  }
  std::vector<DocNode> nodes;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    if (!folded.contains(i)) nodes.push_back(std::move(document.nodes[i]));
  }
  document.nodes = std::move(nodes);
  document.drop_unused_tensors();
  document.drop_unused_value_info();
  return folded.size();
}

}  // namespace mlc::onnx
