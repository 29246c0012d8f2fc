#include "mlc/onnx_quant/static_qdq.h"

#include "mlc/base/text.h"
#include "mlc/onnx_edit/numbers.h"
#include "mlc/onnx_quant/constant_floats.h"
#include "mlc/onnx_quant/node_builder.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

namespace mlc::onnx {
namespace {

constexpr int kLargestCode = 127;
constexpr int kLargestReduced = 63;
// A bias must fit 32 bits in units of scale_x * scale_w; a channel of tiny weights would not let
// it.
constexpr float kLargestBias = 1 << 30;

/// Names of the initializers that say how an activation is stored.
struct ScaleNames {
  std::string scale;
  std::string zero_point;
};

/// A weight as bytes, and its names: of its initializers and, with its dimensions exchanged or not,
/// behind DequantizeLinear.
struct StoredWeight {
  std::shared_ptr<const ChannelWeight> weight;
  bool own_scales = true;  // no bias wanted others
  std::string codes;
  std::string scale;
  std::string zero_point;
  std::map<bool, std::string> floats;  // by whether it is turned
};

class StaticRewriter {
 public:
  StaticRewriter(Document& document, const StaticPlan& plan,
                 const std::map<std::string, ByteScale>& scales, const QuantOptions& options)
      : document_(document),
        plan_(plan),
        scales_(scales),
        options_(options),
        target_(row_of(options.target)),
        builder_(document) {}

  Result<QuantReport> run();
  /// Weights by row that tables can share.
  std::map<std::string, StoredCodes, std::less<>> stored_rows() const;

 private:
  Status rewrite_node(size_t i, std::vector<DocNode>& out);
  Result<StoredWeight*> stored_weight(const DocNode& node, const std::string& name, bool first,
                                      const std::vector<float>& least);
  void store(const DocTensor& tensor, bool first, StoredWeight& weight);
  const std::string& floats_of(const std::string& name, bool first, bool turned,
                               StoredWeight& weight, std::vector<DocNode>& out);
  Status give_weights(DocNode& node, const std::string& weight, std::vector<DocNode>& out);
  Result<std::vector<float>> bias_of(const DocNode& node) const;
  bool is_half(const std::string& name) const;
  std::string bias_codes(const DocNode& node, const std::vector<float>& bias,
                         const std::vector<float>& scales, float input_scale,
                         std::vector<DocNode>& out);
  void add_layer(const DocNode& node, const DocTensor& tensor, const ChannelWeight& weight);
  const ScaleNames& names_of(const std::string& activation);
  /// What readers of ACTIVATION get: the name that it has behind DequantizeLinear.
  void round_trip(const std::string& activation, const std::string& source,
                  std::vector<DocNode>& out);
  void after(const std::string& name, std::vector<DocNode>& out);

  Document& document_;
  const StaticPlan& plan_;
  const std::map<std::string, ByteScale>& scales_;
  const QuantOptions& options_;
  const Int8TargetRow& target_;
  NodeBuilder builder_;
  QuantReport report_;
  std::map<std::string, ScaleNames> scale_names_;
  std::map<std::pair<std::string, bool>, StoredWeight> weights_;  // name, channels first
  std::deque<StoredWeight> others_;  // of the same weights, where a bias needs other scales
  std::map<std::string, std::string> dequantized_;  // by activation
  std::set<std::string, std::less<>> from_bytes_;   // activations that such an operator gives
  std::set<std::string, std::less<>> visible_;
  std::set<std::string, std::less<>> read_as_floats_;  // by nodes that stay, or from outside
  std::set<std::string, std::less<>> retyped_;         // that are float32 under their old name
};

const ScaleNames& StaticRewriter::names_of(const std::string& activation) {
  const std::string& root = plan_.root(activation);
  const auto [place, is_new] = scale_names_.try_emplace(root);
  if (!is_new) return place->second;
  const ByteScale scale = scales_.at(root);
  place->second.scale =
      document_.add_tensor(root + "_scale", numbers<float>(DType::f32, {scale.scale}, {}));
  place->second.zero_point =
      document_.add_tensor(root + "_zero_point",
                           target_.symmetric ? numbers<int8_t>(DType::i8, {0}, {})
                                             : numbers<uint8_t>(DType::u8, {scale.zero_point}, {}));
  return place->second;
}

/// Whether the constant NAME is float16.
bool StaticRewriter::is_half(const std::string& name) const {
  return document_.find_tensor(name)->dtype() == DType::f16;
}

/// SOURCE is ACTIVATION in float32, which may be another name of it.
void StaticRewriter::round_trip(const std::string& activation, const std::string& source,
                                std::vector<DocNode>& out) {
  const ScaleNames& names = names_of(activation);
  const std::string codes = builder_.add(
      out, "QuantizeLinear", {source, names.scale, names.zero_point}, activation + "_quantized");
  const bool halved = plan_.halves.contains(activation);
  if (source == activation || halved) {
    const std::string made =
        builder_.add(out, "DequantizeLinear", {codes, names.scale, names.zero_point},
                     activation + "_dequantized");
    dequantized_[activation] = made;
    // Under its own name it stays what it was, for who computes with it in floats.
    if (halved && from_bytes_.contains(activation) && read_as_floats_.contains(activation))
      builder_.add_narrow(out, made, activation);
    return;
  }
  builder_.add_as(out, "DequantizeLinear", {codes, names.scale, names.zero_point}, activation,
                  activation + "_dequantized");
  dequantized_[activation] = activation;
}

/// NAME was just made: where it becomes bytes, that happens here.
void StaticRewriter::after(const std::string& name, std::vector<DocNode>& out) {
  if (!plan_.activations.contains(name) || from_bytes_.contains(name)) return;
  const bool halved = plan_.halves.contains(name);
  round_trip(name,
             halved ? builder_.add_cast(out, name, info(DType::f32).onnx, name + "_float") : name,
             out);
}

Result<std::vector<float>> StaticRewriter::bias_of(const DocNode& node) const {
  if (node.input(2).empty() || node.is("MatMul")) return std::vector<float>();
  return read_floats(*document_.find_tensor(node.input(2))->data);
}

std::string StaticRewriter::bias_codes(const DocNode& node, const std::vector<float>& bias,
                                       const std::vector<float>& scales, float input_scale,
                                       std::vector<DocNode>& out) {
  std::vector<int32_t> codes;
  std::vector<float> units;
  for (size_t i = 0; i < bias.size(); ++i) {
    units.push_back(input_scale * scales[i]);
    const double code = std::nearbyint(static_cast<double>(bias[i]) / units.back());
    constexpr double kMost = std::numeric_limits<int32_t>::max();
    codes.push_back(static_cast<int32_t>(std::clamp(code, -kMost, kMost)));
  }
  const std::string name = node.input(2);
  const auto count = static_cast<int64_t>(bias.size());
  const std::string stored =
      document_.add_tensor(name + "_quantized", numbers(DType::i32, std::move(codes), {count}));
  const std::string unit =
      document_.add_tensor(name + "_scale", numbers(DType::f32, std::move(units), {count}));
  std::string made = builder_.add(out, "DequantizeLinear", {stored, unit}, name + "_dequantized");
  out.back().attributes.push_back(document_.attribute("axis", 0));
  return made;
}

void StaticRewriter::add_layer(const DocNode& node, const DocTensor& tensor,
                               const ChannelWeight& weight) {
  QuantizedLayer layer;
  layer.weight = tensor.name;
  layer.nodes = {node.name.empty() ? node.op : node.name};
  layer.scheme = "int8";
  layer.sizes = tensor.sizes;
  layer.facts = weight.facts();
  layer.bytes_before = tensor.data->byte_size();
  layer.bytes_after = tensor.data->count() + weight.scales().size() * (sizeof(float) + 1);
  report_.layers.push_back(std::move(layer));
}

/// The weight NAME of NODE, which several may read. Its bias needs scales of at least LEAST.
Result<StoredWeight*> StaticRewriter::stored_weight(const DocNode& node, const std::string& name,
                                                    bool first, const std::vector<float>& least) {
  const DocTensor tensor = *document_.find_tensor(name);
  StoredWeight& stored = weights_[{name, first}];
  const bool is_new = !stored.weight;
  if (is_new) {
    MLC_TRY(stored.weight,
            ChannelWeight::make(tensor, first ? Channels::first : Channels::last,
                                options_.reduce_range ? kLargestReduced : kLargestCode,
                                options_.threads));
    const uint64_t wrong = stored.weight->facts().not_finite;
    if (wrong > 0)
      return conflict("it has " + plural(wrong, "weight") + " that are not finite",
                      "--exclude keeps it as it is");
  }
  const auto& scales = stored.weight->scales();
  const bool too_fine = std::ranges::any_of(
      least, [&, i = size_t{0}](float one) mutable { return one > scales[i++]; });
  StoredWeight* to = &stored;
  if (!is_new && too_fine) {
    to = &others_.emplace_back();
    to->weight = stored.weight;
  }
  if (too_fine) {
    to->weight = to->weight->with_least_scales(least);
    to->own_scales = false;
  }
  if (!to->codes.empty()) return to;
  add_layer(node, tensor, *to->weight);
  store(tensor, first, *to);
  return to;
}

/// Adds the initializers of WEIGHT, which is that of TENSOR.
void StaticRewriter::store(const DocTensor& tensor, bool first, StoredWeight& weight) {
  const int64_t rows = weight.weight->facts().rows;
  weight.codes =
      document_.add_tensor(tensor.name + "_quantized", weight.weight->codes(tensor.sizes, !first));
  weight.scale = document_.add_tensor(tensor.name + "_scale", weight.weight->scale_data({rows}));
  weight.zero_point = document_.add_tensor(
      tensor.name + "_zero_point",
      numbers(DType::i8, std::vector<int8_t>(static_cast<size_t>(rows), 0), {rows}));
}

/// What stands for WEIGHT in the graph. ONNX Runtime computes a Transpose of codes once, and makes
/// a product of bytes of MatMul right behind DequantizeLinear; others want that right behind codes.
const std::string& StaticRewriter::floats_of(const std::string& name, bool first, bool turned,
                                             StoredWeight& weight, std::vector<DocNode>& out) {
  std::string& made = weight.floats[turned];
  if (!made.empty()) return made;
  const bool before = turned && options_.target == Int8Target::onnxruntime;
  std::string codes = weight.codes;
  if (before) codes = builder_.add(out, "Transpose", {codes}, name + "_columns");
  made = builder_.add(out, "DequantizeLinear", {codes, weight.scale, weight.zero_point},
                      name + "_dequantized");
  out.back().attributes.push_back(document_.attribute("axis", first != before ? 0 : 1));
  if (turned && !before) made = builder_.add(out, "Transpose", {made}, name + "_turned");
  return made;
}

std::map<std::string, StoredCodes, std::less<>> StaticRewriter::stored_rows() const {
  std::map<std::string, StoredCodes, std::less<>> out;
  for (const auto& [key, stored] : weights_) {
    const auto& [name, first] = key;
    if (first && stored.own_scales && !stored.codes.empty())
      out.emplace(name, StoredCodes{stored.weight, stored.codes});
  }
  return out;
}

/// Gives NODE its WEIGHT in whole numbers, and a bias of such where the target reads it.
Status StaticRewriter::give_weights(DocNode& node, const std::string& weight,
                                    std::vector<DocNode>& out) {
  std::vector<float> bias;
  if (!target_.float_bias) {
    MLC_TRY(bias, bias_of(node));
  } else if (!node.input(2).empty() && is_half(node.input(2))) {
    node.inputs[2] = builder_.widened(node.input(2));
  }
  const bool turned = weight != node.input(1);
  const bool first = turned || node.is("Conv") || node.integer("transB", 0) != 0;
  const float input_scale = scales_.at(plan_.root(node.input(0))).scale;
  std::vector<float> least;
  for (const float one : bias) least.push_back(std::abs(one) / (input_scale * kLargestBias));
  MLC_TRY(StoredWeight* const stored, stored_weight(node, weight, first, least));
  const std::string& floats = floats_of(weight, first, turned, *stored, out);
  if (!bias.empty())
    node.inputs[2] = bias_codes(node, bias, stored->weight->scales(), input_scale, out);
  node.inputs[1] = floats;
  return {};
}

Status StaticRewriter::rewrite_node(size_t i, std::vector<DocNode>& out) {
  const bool computes = plan_.nodes.contains(i);
  const std::string weight = computes ? plan_.weight(document_, i) : "";
  DocNode node = std::move(document_.nodes[i]);
  const bool weighted = computes && (node.is("Conv") || node.is("Gemm") || node.is("MatMul"));
  if (weighted) MLC_CHECK_CTX(give_weights(node, weight, out), "tensor " + printable(weight));
  for (std::string& input : node.inputs) {
    const auto found = dequantized_.find(input);
    // Floats that are there anyway are better than floats of bytes.
    const bool floats = from_bytes_.contains(input) && !plan_.halves.contains(input);
    if (found != dequantized_.end() && (computes || floats)) input = found->second;
  }
  const std::vector<std::string> outputs = node.outputs;
  const auto relu = plan_.folded.find(i);
  if (!computes) {
    out.push_back(std::move(node));
    for (const std::string& output : outputs) after(output, out);
    return {};
  }
  const std::string activation =
      relu == plan_.folded.end() ? outputs[0] : document_.nodes[relu->second].outputs[0];
  const bool halved = plan_.halves.contains(activation);
  if (!plan_.activations.contains(activation)) {
    if (halved) node.outputs[0] = document_.unused_name(activation + "_float");
    const std::string made = node.outputs[0];
    out.push_back(std::move(node));
    if (halved) builder_.add_narrow(out, made, activation);
    return {};
  }
  from_bytes_.insert(activation);
  // Who reads the name from outside gets what comes behind DequantizeLinear.
  const bool hidden = !visible_.contains(activation) && !halved;
  const std::string source = hidden ? activation : document_.unused_name(activation + "_float");
  // Codes without a sign clip at zero by themselves.
  const bool clips = relu != plan_.folded.end() && target_.symmetric;
  if (!clips) node.outputs[0] = source;
  out.push_back(std::move(node));
  if (clips) {
    if (halved) retyped_.insert(outputs[0]);
    DocNode& clip = out.emplace_back(std::move(document_.nodes[relu->second]));
    for (size_t k = 1; halved && k < clip.inputs.size(); ++k) {
      if (!clip.inputs[k].empty()) clip.inputs[k] = builder_.widened(clip.inputs[k]);
    }
    clip.outputs[0] = source;
  }
  round_trip(activation, source, out);
  return {};
}

Result<QuantReport> StaticRewriter::run() {
  visible_.insert(document_.output_names().begin(), document_.output_names().end());
  for (const DocNode& node : document_.nodes)
    visible_.insert(node.inner_names.begin(), node.inner_names.end());
  read_as_floats_ = visible_;
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    const DocNode& node = document_.nodes[i];
    if (!plan_.nodes.contains(i)) read_as_floats_.insert(node.inputs.begin(), node.inputs.end());
  }
  std::set<size_t> gone;
  for (const auto& [node, relu] : plan_.folded) gone.insert(relu);
  std::vector<DocNode> out;
  const std::vector<std::string> inputs = document_.input_names();
  for (const std::string& input : inputs) after(input, out);
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    if (!gone.contains(i)) MLC_CHECK(rewrite_node(i, out));
  }
  document_.nodes = std::move(out);
  document_.drop_unused_tensors();
  document_.drop_unused_value_info();
  document_.drop_value_info(retyped_);
  return std::move(report_);
}

/// Adds what is told of tables to LAYERS. One that is a layer's weight too is told of once.
void add_tables(std::vector<QuantizedLayer> tables, const QuantOptions& options,
                std::vector<QuantizedLayer>& layers) {
  for (QuantizedLayer& table : tables) {
    const auto tied = options.stored.contains(table.weight)
                          ? std::ranges::find(layers, table.weight, &QuantizedLayer::weight)
                          : layers.end();
    if (tied == layers.end()) {
      layers.push_back(std::move(table));
      continue;
    }
    tied->scheme = "int8 table, tied";
    std::ranges::move(table.nodes, std::back_inserter(tied->nodes));
    tied->bytes_after += static_cast<uint64_t>(table.facts.rows) * sizeof(float);
  }
}

}  // namespace

Result<QuantReport> quantize_static(Document& document, const StaticPlan& plan,
                                    const std::map<std::string, ByteScale>& scales,
                                    const QuantOptions& options) {
  StaticRewriter layers(document, plan, scales, options);
  MLC_TRY(QuantReport report, layers.run());
  QuantOptions rest = options;
  rest.stored = layers.stored_rows();
  rest.form = QuantForm::static_qdq;
  rest.min_elements = std::max(rest.min_elements, QuantOptions().min_elements);
  MLC_TRY(QuantReport tables, quantize_weights(document, rest));
  add_tables(std::move(tables.layers), rest, report.layers);
  for (KeptWeight& kept : tables.kept) {
    if (const auto why = plan.kept.find(kept.weight); why != plan.kept.end()) {
      kept.reason = why->second.text;
      kept.chosen = why->second.chosen;
    }
    report.kept.push_back(std::move(kept));
  }
  report.overridable = std::move(tables.overridable);
  return report;
}

}  // namespace mlc::onnx
