#include "mlc/onnx_quant/input_scaling.h"

#include "mlc/base/parallel.h"
#include "mlc/compress/input_scales.h"
#include "mlc/onnx_quant/constant_floats.h"
#include "mlc/onnx_quant/node_builder.h"
#include "mlc/onnx_quant/quantized_weight.h"
#include "mlc/onnx_quant/weight_uses.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace mlc::onnx {
namespace {

/// Calls BODY(row) for each output of the weights of INPUT: what its inputs are multiplied with.
template <class Body>
Status each_output(const Document& document, const ScaledInput& input, const Body& body) {
  for (const ScaledWeight& weight : input.weights) {
    const DocTensor& tensor = *document.find_tensor(weight.name);
    MLC_TRY(const WeightMatrix matrix, WeightMatrix::open(tensor, weight.channels));
    const auto columns = static_cast<size_t>(matrix.columns());
    std::vector<float> buffer;
    for (int64_t begin = 0; begin < matrix.rows(); begin += matrix.rows_a_piece()) {
      const int64_t end = std::min(begin + matrix.rows_a_piece(), matrix.rows());
      const std::span<const float> rows = matrix.read(begin, end, buffer);
      for (size_t row = 0; row < rows.size() / columns; ++row)
        body(rows.subspan(row * columns, columns));
    }
  }
  return {};
}

/// What the weights of an activation's channels are like.
struct WeightChannels {
  std::vector<float> largest;   // |w|
  std::vector<double> squares;  // sums over outputs
};

Result<WeightChannels> weight_channels(const Document& document, const ScaledInput& input,
                                       size_t channels) {
  WeightChannels out{std::vector<float>(channels), std::vector<double>(channels)};
  MLC_CHECK(each_output(document, input, [&](std::span<const float> row) {
    for (size_t j = 0; j < channels; ++j) {
      out.largest[j] = std::max(out.largest[j], std::abs(row[j]));
      out.squares[j] += static_cast<double>(row[j]) * row[j];
    }
  }));
  return out;
}

std::vector<float> sizes_of(const ChannelStats& stats) {
  std::vector<float> out(stats.channels());
  for (size_t j = 0; j < out.size(); ++j) out[j] = std::max(-stats.low()[j], stats.high()[j]);
  return out;
}

/// max|X|^alpha / max|W|^(1 - alpha). Where one of both is nothing, the geometric mean of the
/// others: what samples do not show can come later, and neither it nor its weights may become small
/// beside the rest.
std::vector<float> smooth_with(const std::vector<float>& activations,
                               const std::vector<float>& weights, double alpha) {
  constexpr float kLeast = 1e-5F;
  std::vector<float> out(activations.size(), 0);
  double logarithms = 0;
  size_t known = 0;
  for (size_t j = 0; j < out.size(); ++j) {
    if (activations[j] < kLeast || weights[j] < kLeast) continue;
    const double factor = std::pow(activations[j], alpha) / std::pow(weights[j], 1 - alpha);
    out[j] = std::max(static_cast<float>(factor), kLeast);
    logarithms += std::log(out[j]);
    ++known;
  }
  const double middle = known > 0 ? std::exp(logarithms / static_cast<double>(known)) : 1;
  std::ranges::replace(out, 0.0F, static_cast<float>(middle));
  return out;
}

constexpr double kActivationCodes = 255;
constexpr double kLargestWeight = 127;

/// The squared error of products, of all rows on average, that rounding gives with each of
/// CANDIDATES: step^2 / 12 for each number that is rounded, times the square of what it is
/// multiplied with.
Result<std::vector<double>> rounding_noise(const Document& document, const ScaledInput& input,
                                           const ChannelStats& stats, const WeightChannels& weights,
                                           const std::vector<std::vector<float>>& candidates) {
  std::vector<double> weight_steps(candidates.size());  // squares, over outputs
  MLC_CHECK(each_output(document, input, [&](std::span<const float> row) {
    for (size_t c = 0; c < candidates.size(); ++c) {
      float largest = 0;
      for (size_t j = 0; j < row.size(); ++j)
        largest = std::max(largest, std::abs(row[j]) * candidates[c][j]);
      const double step = largest / kLargestWeight;
      weight_steps[c] += step * step;
    }
  }));
  const std::vector<double> squares = stats.mean_square();
  std::vector<double> out;
  for (size_t c = 0; c < candidates.size(); ++c) {
    double low = 0;
    double high = 0;
    double seen_weights = 0;      // of what activations are multiplied with
    double seen_activations = 0;  // of what weights are
    for (size_t j = 0; j < squares.size(); ++j) {
      const double factor = candidates[c][j];
      low = std::min(low, stats.low()[j] / factor);
      high = std::max(high, stats.high()[j] / factor);
      seen_weights += weights.squares[j] * factor * factor;
      seen_activations += squares[j] / (factor * factor);
    }
    const double step = (high - low) / kActivationCodes;
    out.push_back((step * step * seen_weights + weight_steps[c] * seen_activations) / 12);
  }
  return out;
}

/// Some outputs of the weights of an input, and what they give on the rows that were kept.
struct SomeOutputs {
  std::vector<float> weights;  // [outputs, channels]
  size_t outputs = 0;
};

Result<SomeOutputs> some_outputs(const Document& document, const ScaledInput& input,
                                 size_t channels) {
  constexpr size_t kMost = 64;  // of one weight, evenly spread
  SomeOutputs out;
  for (const ScaledWeight& weight : input.weights) {
    const DocTensor& tensor = *document.find_tensor(weight.name);
    MLC_TRY(const WeightMatrix matrix, WeightMatrix::open(tensor, weight.channels));
    std::vector<float> buffer;
    const auto rows = static_cast<size_t>(matrix.rows());
    const size_t count = std::min(rows, kMost);
    for (size_t k = 0; k < count; ++k) {
      const auto row = static_cast<int64_t>(k * rows / count);
      const std::span<const float> values = matrix.read(row, row + 1, buffer);
      out.weights.insert(out.weights.end(), values.begin(), values.end());
    }
  }
  out.outputs = out.weights.size() / channels;
  return out;
}

/// The sum of squares by which the products of ROWS and OUTPUTS change when the weights, times
/// FACTORS, are rounded.
double rounding_error(const SomeOutputs& outputs, std::span<const float> rows,
                      const std::vector<float>& factors, Rounding rounding,
                      const QuantOptions& how) {
  const size_t channels = factors.size();
  const QuantScheme scheme{
      .kind = SchemeKind::int4, .group = how.block, .symmetric = how.symmetric, .words = false};
  const std::vector<int64_t> sizes = {static_cast<int64_t>(outputs.outputs),
                                      static_cast<int64_t>(channels)};
  WeightQuantizer quantizer(scheme, rounding, sizes);
  const auto block = static_cast<size_t>(how.block);
  std::vector<float> scaled(channels);
  std::vector<GroupParameters> groups;
  std::vector<int8_t> codes(channels);
  std::vector<float> back(channels);
  double sum = 0;
  for (size_t output = 0; output < outputs.outputs; ++output) {
    const float* const weights = outputs.weights.data() + output * channels;
    for (size_t j = 0; j < channels; ++j) scaled[j] = weights[j] * factors[j];
    const auto row = static_cast<int64_t>(output);
    quantizer.choose(row, scaled.data());
    quantizer.parameters(row, groups);
    for (size_t g = 0; g < groups.size(); ++g) {
      const size_t begin = g * block;
      const size_t count = std::min(block, channels - begin);
      quant_kernels().encode(scaled.data() + begin, count, groups[g], codes.data() + begin);
      quant_kernels().decode(codes.data() + begin, count, groups[g], back.data() + begin);
    }
    for (size_t j = 0; j < channels; ++j) back[j] = back[j] / factors[j] - weights[j];
    for (size_t begin = 0; begin + channels <= rows.size(); begin += channels) {
      float product = 0;
      for (size_t j = 0; j < channels; ++j) product += rows[begin + j] * back[j];
      sum += static_cast<double>(product) * product;
    }
  }
  return sum;
}

/// Makes what gives an activation give it times other factors.
class Folder {
 public:
  explicit Folder(Document& document) : document_(document) {
    for (const std::string& name : document.output_names()) visible_.insert(name);
    for (size_t i = 0; i < document.nodes.size(); ++i) {
      const DocNode& node = document.nodes[i];
      for (const std::string& name : node.inputs) ++readers_[name];
      visible_.insert(node.inner_names.begin(), node.inner_names.end());
      for (const std::string& name : node.outputs) makers_[name] = i;
    }
  }

  /// Whether it was done. READERS are those that want the new VALUE.
  bool fold(const std::string& value, size_t readers, const std::vector<float>& factors) {
    if (!can_fold(value, readers, factors.size())) return false;
    change(value, factors);
    return true;
  }

 private:
  const DocTensor* vector(const std::string& name, size_t channels) const {
    const DocTensor* const tensor = document_.find_tensor(name);
    const bool fits = is_single_or_half(tensor) && tensor->data->count() == channels &&
                      static_cast<size_t>(tensor->sizes.back()) == channels;
    return fits ? tensor : nullptr;
  }
  const DocTensor* matrix(const std::string& name, size_t dimension, size_t channels) const {
    const DocTensor* const tensor = document_.find_tensor(name);
    const bool fits = is_single_or_half(tensor) && tensor->sizes.size() == 2 &&
                      static_cast<size_t>(tensor->sizes[dimension]) == channels;
    return fits ? tensor : nullptr;
  }
  static size_t output_dimension(const DocNode& gemm) {
    return gemm.integer("transB", 0) != 0 ? 0 : 1;
  }
  /// Which input of an Add or a Mul is a constant, a number for each channel; 2 for none.
  size_t constant_input(const DocNode& node, size_t channels) const {
    if (vector(node.input(0), channels) != nullptr) return 0;
    return vector(node.input(1), channels) != nullptr ? 1 : 2;
  }

  bool can_fold(const std::string& value, size_t readers, size_t channels) const {
    const auto maker = makers_.find(value);
    const auto read = readers_.find(value);
    if (maker == makers_.end() || read == readers_.end() || read->second != readers ||
        visible_.contains(value))
      return false;
    const DocNode& node = document_.nodes[maker->second];
    // A scale with a number for each channel is that of the last dimension, wherever the norm
    // begins.
    if (node.is("LayerNormalization")) {
      return vector(node.input(1), channels) != nullptr &&
             (node.input(2).empty() || vector(node.input(2), channels) != nullptr);
    }
    if (node.is("Gemm")) {
      return matrix(node.input(1), output_dimension(node), channels) != nullptr &&
             (node.input(2).empty() || vector(node.input(2), channels) != nullptr);
    }
    if (node.is("MatMul")) return matrix(node.input(1), 1, channels) != nullptr;
    if (node.is("Mul")) return constant_input(node, channels) < 2;
    if (node.is("Add")) {
      const size_t constant = constant_input(node, channels);
      return constant < 2 && can_fold(node.input(1 - constant), 1, channels);
    }
    return node.is("Relu") && can_fold(node.input(0), 1, channels);
  }

  /// Requires: can_fold().
  void change(const std::string& value, const std::vector<float>& factors) {
    DocNode& node = document_.nodes[makers_.at(value)];
    if (node.is("LayerNormalization")) {
      scale_last(node, 1, factors);
      if (!node.input(2).empty()) scale_last(node, 2, factors);
    } else if (node.is("Gemm")) {
      scale(node, 1, output_dimension(node), factors);
      if (!node.input(2).empty()) scale_last(node, 2, factors);
    } else if (node.is("MatMul")) {
      scale(node, 1, 1, factors);
    } else if (node.is("Relu")) {
      change(node.input(0), factors);
    } else {
      const size_t constant = constant_input(node, factors.size());
      scale_last(node, constant, factors);
      if (node.is("Add")) change(node.input(1 - constant), factors);
    }
  }

  void scale_last(DocNode& node, size_t input, const std::vector<float>& factors) {
    scale(node, input, document_.find_tensor(node.input(input))->sizes.size() - 1, factors);
  }

  /// A constant that others read too stays theirs.
  void scale(DocNode& node, size_t input, size_t dimension, const std::vector<float>& factors) {
    DocTensor& tensor = *document_.find_tensor(node.input(input));
    DataRef data = scaled_along(tensor.data, dimension, factors);
    const bool alone = readers_[tensor.name] == 1 && !visible_.contains(tensor.name);
    if (alone) {
      tensor.data = std::move(data);
      return;
    }
    --readers_[tensor.name];
    node.inputs[input] = document_.add_tensor(tensor.name + "_scaled", std::move(data));
    readers_[node.inputs[input]] = 1;
  }

  Document& document_;
  std::map<std::string, size_t, std::less<>> readers_;
  std::map<std::string, size_t, std::less<>> makers_;
  std::set<std::string, std::less<>> visible_;
};

}  // namespace

std::vector<ScaledInput> find_scaled_inputs(const Document& document,
                                            const std::set<std::string, std::less<>>& weights) {
  std::vector<ScaledInput> out;
  std::map<std::string, size_t, std::less<>> places;
  for (const WeightUses& weight : find_weights(document)) {
    if (!weights.contains(weight.tensor) || weight.is_visible) continue;
    const std::string& activation = document.nodes[weight.uses.front().node].input(0);
    const bool plain = std::ranges::all_of(weight.uses, [&](const WeightUse& use) {
      return (use.role == Role::matmul || use.role == Role::gemm) &&
             use.channels == weight.uses.front().channels &&
             document.nodes[use.node].input(0) == activation;
    });
    if (!plain || document.find_tensor(activation) != nullptr) continue;
    const auto [place, is_new] = places.emplace(activation, out.size());
    if (is_new) out.push_back({activation, {}, {}});
    ScaledInput& input = out[place->second];
    input.weights.push_back({weight.tensor, weight.uses.front().channels});
    for (const WeightUse& use : weight.uses) input.nodes.push_back(use.node);
  }
  return out;
}

Result<std::vector<float>> smooth_factors(const Document& document, const ScaledInput& input,
                                          const ChannelStats& stats, std::optional<double> alpha) {
  const std::vector<float> sizes = sizes_of(stats);
  MLC_TRY(const WeightChannels weights, weight_channels(document, input, sizes.size()));
  if (alpha) return smooth_with(sizes, weights.largest, *alpha);
  constexpr int kSteps = 20;
  std::vector<std::vector<float>> candidates = {std::vector<float>(sizes.size(), 1)};
  for (int step = 0; step <= kSteps; ++step)
    candidates.push_back(smooth_with(sizes, weights.largest, static_cast<double>(step) / kSteps));
  MLC_TRY(const std::vector<double> noise,
          rounding_noise(document, input, stats, weights, candidates));
  const auto best = static_cast<size_t>(std::ranges::min_element(noise) - noise.begin());
  return best == 0 ? std::vector<float>() : candidates[best];
}

Result<AwqChoice> awq_factors(const Document& document, const ScaledInput& input,
                              const ChannelStats& stats, const QuantOptions& how) {
  const size_t channels = stats.channels();
  const std::vector<double> means = stats.mean_size();
  MLC_TRY(const SomeOutputs outputs, some_outputs(document, input, channels));
  constexpr size_t kPowers = 21;
  constexpr std::array kRoundings = {Rounding::mse, Rounding::rtn};
  std::vector<std::vector<float>> factors(kPowers);
  for (size_t i = 0; i < kPowers; ++i)
    factors[i] = powers_of(means, static_cast<double>(i) / (kPowers - 1));
  std::vector<double> errors(kPowers * kRoundings.size());
  MLC_CHECK(parallel_for(errors.size(), how.threads, [&](size_t i) -> Status {
    errors[i] = rounding_error(outputs, stats.kept_rows(), factors[i % kPowers],
                               kRoundings[i / kPowers], how);
    return {};
  }));
  const auto best = static_cast<size_t>(std::ranges::min_element(errors) - errors.begin());
  AwqChoice out;
  out.rounding = kRoundings[best / kPowers];
  if (best % kPowers != 0) out.factors = std::move(factors[best % kPowers]);
  return out;
}

Status scale_inputs(Document& document, const std::vector<ScaledInput>& inputs,
                    const std::vector<std::vector<float>>& factors, InputScaling& out) {
  Folder folder(document);
  NodeBuilder builder(document);
  std::map<size_t, std::vector<DocNode>> before;  // nodes, by index
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (factors[i].empty()) continue;
    const ScaledInput& input = inputs[i];
    std::vector<float> inverse = factors[i];
    for (float& factor : inverse) factor = 1 / factor;
    if (folder.fold(input.activation, input.nodes.size(), inverse)) {
      ++out.folded;
    } else {
      const auto channels = static_cast<int64_t>(inverse.size());
      // What is multiplied has the type of the weights.
      const DType dtype = document.find_tensor(input.weights.front().name)->data->dtype;
      const std::string name = document.add_tensor(
          input.activation + "_factors", tensor_of(std::move(inverse), {channels}, dtype));
      const size_t first = *std::ranges::min_element(input.nodes);
      const std::string scaled =
          builder.add(before[first], "Mul", {input.activation, name}, input.activation + "_scaled");
      for (const size_t node : input.nodes) document.nodes[node].inputs[0] = scaled;
      ++out.multiplied;
    }
    for (const ScaledWeight& weight : input.weights) {
      DocTensor& tensor = *document.find_tensor(weight.name);
      tensor.data =
          scaled_along(tensor.data, weight.channels == Channels::last ? 0 : 1, factors[i]);
    }
  }
  std::vector<DocNode> nodes;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    if (const auto found = before.find(i); found != before.end())
      std::ranges::move(found->second, std::back_inserter(nodes));
    nodes.push_back(std::move(document.nodes[i]));
  }
  document.nodes = std::move(nodes);
  document.drop_unused_tensors();
  document.drop_unused_value_info();
  return {};
}

}  // namespace mlc::onnx
