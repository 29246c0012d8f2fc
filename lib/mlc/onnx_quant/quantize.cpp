#include "mlc/onnx_quant/quantize.h"

#include "mlc/base/text.h"
#include "mlc/onnx_edit/raise_opset.h"
#include "mlc/onnx_quant/constant_floats.h"
#include "mlc/onnx_quant/node_builder.h"
#include "mlc/onnx_quant/weight_uses.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr int kLargestCode = 127;
constexpr int kLargestReduced = 63;  // of 7 bits
constexpr int64_t kFloatCode = 1;    // onnx.TensorProto.DataType
constexpr int32_t kUint4Code = 21;
constexpr int32_t kInt4Code = 22;

/// The least opset that has the operators of a form: DynamicQuantizeLinear came with 11, scales by
/// channel with 13, blocks and four bits with 21.
struct FormRow {
  QuantForm form;
  std::string_view name;
  int64_t opset;
};
constexpr std::array kForms = {
    FormRow{QuantForm::dynamic, "dynamic", 11}, FormRow{QuantForm::weight_only, "weight-only", 13},
    FormRow{QuantForm::int4, "int4", 13}, FormRow{QuantForm::static_qdq, "static", 13},
    FormRow{QuantForm::int4_qdq, "int4-qdq", 21}};

const FormRow& row_of(QuantForm form) {
  return kForms[static_cast<size_t>(form)];
}

/// What happens to a weight.
enum class Way : uint8_t { multiply_bytes, dequantize, blocks };

/// How nodes that compute in float32 get and give their values.
enum class Ends : uint8_t {
  plain,  // as they are
  cast,   // from float16, and to it again
};

std::string title(const DocNode& node) {
  return node.name.empty() ? node.op : node.name;
}

class Rewriter {
 public:
  Rewriter(Document& document, const QuantOptions& options)
      : document_(document), options_(options), builder_(document) {}

  Result<QuantReport> run();

 private:
  KeptReason why_kept(const WeightUses& weight) const;
  std::string why_kept(const WeightUse& use, const DocTensor& tensor) const;
  bool makes_floats(const DocTensor& tensor) const;
  std::vector<std::string_view> names_of(const WeightUses& weight) const;
  Way way_of(const WeightUses& weight) const;
  void keep(const WeightUses& weight, KeptReason reason);
  bool has_gain(const WeightUses& weight) const;
  bool wants_bytes(const WeightUses& weight) const;
  Status quantize(const WeightUses& weight);
  Result<std::shared_ptr<const ChannelWeight>> channel_weight(const WeightUses& weight) const;
  Status by_channel(const WeightUses& weight, Way way);
  Result<std::shared_ptr<const BlockWeight>> block_weight(const WeightUses& weight) const;
  DType scale_type(const WeightUses& weight, const BlockWeight& made) const;
  std::string dequantize_blocks(const WeightUses& weight, const BlockWeight& made, uint64_t& bytes);
  Status by_block(const WeightUses& weight);
  void add_layer(const WeightUses& weight, std::string scheme, const WeightFacts& facts,
                 uint64_t bytes);
  void look_up(const WeightUse& use, const std::string& codes, const std::string& scales,
               Ends ends);
  void multiply(const WeightUse& use, const std::string& codes, const std::string& scales,
                Ends ends);
  void multiply_blocks(const WeightUse& use, const BlockWeight& weight,
                       const std::array<std::string, 3>& parts, Ends ends);
  void widen_reader(const WeightUse& use, const std::string& weight);
  std::string input_of(const std::string& value, Ends ends);
  std::string result_of(const DocNode& node, Ends ends);
  void give(const DocNode& node, const std::string& result, std::vector<DocNode>& to);
  std::string added_bias(const DocNode& node, Ends ends);
  void put_together();

  Document& document_;
  const QuantOptions& options_;
  NodeBuilder builder_;
  QuantReport report_;
  std::vector<DocNode> head_;                            // what comes before all other nodes
  std::map<size_t, std::vector<DocNode>> replacements_;  // of nodes, by index
  std::map<std::string, std::string> dequantized_;       // weights, and what their readers get
  std::set<std::string, std::less<>> retyped_;           // values that become float32
};

std::vector<std::string_view> Rewriter::names_of(const WeightUses& weight) const {
  std::vector<std::string_view> out = {weight.tensor};
  for (const WeightUse& use : weight.uses) out.push_back(document_.nodes[use.node].name);
  return out;
}

/// Whether TENSOR can be bytes that become floats again before any operator reads them.
bool Rewriter::makes_floats(const DocTensor& tensor) const {
  const bool multiplies =
      options_.form == QuantForm::dynamic || options_.form == QuantForm::static_qdq;
  return !multiplies && tensor.dtype() == DType::f32;
}

/// Why USE cannot have a quantised TENSOR; empty where it can.
std::string Rewriter::why_kept(const WeightUse& use, const DocTensor& tensor) const {
  const DocNode& node = document_.nodes[use.node];
  const bool is_dynamic = options_.form == QuantForm::dynamic;
  const bool in_floats = use.role == Role::other || use.role == Role::stack;
  if (options_.form == QuantForm::static_qdq && use.role != Role::table && !in_floats) {
    const bool computes = use.role == Role::deconv || use.role == Role::recurrent;
    return fmt::format("of {}, {}", printable(node.op),
                       computes ? "which computes in floats" : "whose operands are constants");
  }
  switch (use.role) {
    case Role::table:
      return "";
    case Role::conv:
    case Role::deconv:
      return is_dynamic ? "a convolution, which dynamic quantisation makes slower" : "";
    case Role::recurrent:
      if (makes_floats(tensor)) return "";
      return fmt::format("of {}, which computes in floats", node.op);
    case Role::stack:
      if (makes_floats(tensor)) return "";
      [[fallthrough]];
    case Role::other:
      return fmt::format("read by {}, which needs floats", printable(node.op));
    case Role::matmul:
    case Role::gemm:
      break;
  }
  const int64_t rows = use.channels == Channels::first ? tensor.sizes[0] : tensor.sizes[1];
  const int64_t columns = static_cast<int64_t>(tensor.data->count()) / rows;
  if (is_dynamic && columns < options_.min_columns)
    return fmt::format("multiplies rows of only {}", columns);
  const bool scaled = node.real("beta", 1) != 1 && node.inputs.size() > 2;
  const DocTensor* const bias = scaled ? document_.find_tensor(node.input(2)) : nullptr;
  const bool stays =
      options_.form == QuantForm::weight_only || options_.form == QuantForm::int4_qdq;
  if (!stays && scaled && !is_single_or_half(bias)) return "a Gemm that scales what it adds";
  return "";
}

KeptReason Rewriter::why_kept(const WeightUses& weight) const {
  const DocTensor& tensor = *document_.find_tensor(weight.tensor);
  const auto names = names_of(weight);
  if (KeptReason reason = options_.why_kept(names); !reason.text.empty()) return reason;
  if (weight.has(Role::table) && !options_.embeddings) return {"an embedding", true};
  if (weight.is_visible) return {"read by inner graphs, or an output", false};
  const bool is_small = static_cast<int64_t>(tensor.data->count()) < options_.min_elements &&
                        !options_.choice_of(names) && !options_.stored.contains(weight.tensor);
  // Floats that are stored narrow and cast where they are read are weights of others too.
  const bool multiplied = std::ranges::any_of(weight.uses, [&](const WeightUse& use) {
    return use.role != Role::other || document_.nodes[use.node].is("Cast");
  });
  if (!is_small && multiplied && !is_single_or_half(&tensor))
    return {fmt::format("of {}, {}", info(*tensor.dtype()).torch, kOtherFloats), false};
  for (const WeightUse& use : weight.uses) {
    if (std::string reason = why_kept(use, tensor); !reason.empty()) return {reason, false};
    if (use.channels != weight.uses.front().channels) return {"read along both dimensions", false};
  }
  if (is_small) return {fmt::format("small: {}", plural(tensor.data->count(), "weight")), true};
  return has_gain(weight) ? KeptReason() : KeptReason{std::string(kNoGain), false};
}

/// Whether WEIGHT takes fewer bytes in the way that it would get: rows of few weights do not, for
/// each has its scales.
bool Rewriter::has_gain(const WeightUses& weight) const {
  const DocTensor& tensor = *document_.find_tensor(weight.tensor);
  const auto count = static_cast<int64_t>(tensor.data->count());
  const int64_t rows =
      weight.uses.front().channels == Channels::first ? tensor.sizes[0] : tensor.sizes[1];
  const int64_t columns = rows > 0 ? count / rows : 0;
  int64_t bytes = columns + static_cast<int64_t>(sizeof(float));
  if (way_of(weight) == Way::blocks) {
    const int64_t blocks = (columns + options_.block - 1) / options_.block;
    bytes = blocks * (options_.block / 2 + static_cast<int64_t>(sizeof(float)) + 1);
  }
  return bytes < columns * static_cast<int64_t>(element_bytes(tensor.data->dtype));
}

/// Where the form has blocks.
bool Rewriter::wants_bytes(const WeightUses& weight) const {
  return options_.bytes.contains(weight.tensor) ||
         options_.choice_of(names_of(weight)) == WeightChoice::bytes;
}

Way Rewriter::way_of(const WeightUses& weight) const {
  const bool multiplied = weight.has(Role::matmul) || weight.has(Role::gemm);
  if (options_.form == QuantForm::weight_only || !multiplied) return Way::dequantize;
  // What is an embedding too is stored once, in bytes.
  if (options_.form == QuantForm::dynamic || weight.has(Role::table)) return Way::multiply_bytes;
  const bool filters = weight.has(Role::conv) || weight.has(Role::deconv);
  // Floats made of bytes in every run would be slower than floats by far.
  if (wants_bytes(weight) && !filters && options_.form == QuantForm::int4)
    return Way::multiply_bytes;
  const bool by_channel = filters || wants_bytes(weight);
  return by_channel ? Way::dequantize : Way::blocks;
}

void Rewriter::keep(const WeightUses& weight, KeptReason reason) {
  report_.kept.push_back({weight.tensor, title(document_.nodes[weight.uses.front().node]),
                          std::move(reason.text),
                          document_.find_tensor(weight.tensor)->data->byte_size(), reason.chosen});
}

void Rewriter::add_layer(const WeightUses& weight, std::string scheme, const WeightFacts& facts,
                         uint64_t bytes) {
  QuantizedLayer& layer = report_.layers.emplace_back();
  const DocTensor& tensor = *document_.find_tensor(weight.tensor);
  layer.weight = weight.tensor;
  for (const WeightUse& use : weight.uses) layer.nodes.push_back(title(document_.nodes[use.node]));
  layer.scheme = std::move(scheme);
  layer.sizes = tensor.sizes;
  layer.facts = facts;
  layer.bytes_before = tensor.data->byte_size();
  layer.bytes_after = bytes;
}

std::string Rewriter::input_of(const std::string& value, Ends ends) {
  return ends == Ends::cast ? builder_.widened(value) : value;
}

/// Under which name the nodes that stand for NODE have their result in float32.
std::string Rewriter::result_of(const DocNode& node, Ends ends) {
  return ends == Ends::cast ? document_.unused_name(node.outputs[0] + "_float") : node.outputs[0];
}

/// Lets what reads NODE have RESULT.
void Rewriter::give(const DocNode& node, const std::string& result, std::vector<DocNode>& to) {
  if (result != node.outputs[0]) builder_.add_narrow(to, result, node.outputs[0]);
}

/// Replaces an embedding: codes and scale of the rows, which are multiplied.
void Rewriter::look_up(const WeightUse& use, const std::string& codes, const std::string& scales,
                       Ends ends) {
  const DocNode node = document_.nodes[use.node];
  std::vector<DocNode>& to = replacements_[use.node];
  const std::string base = title(node);
  const std::string picked = builder_.add(to, "Gather", {codes, node.input(1)}, base + "_codes");
  const std::string scale = builder_.add(to, "Gather", {scales, node.input(1)}, base + "_scale");
  const std::string real = builder_.add_cast(to, picked, kFloatCode, base + "_float");
  const std::string result = result_of(node, ends);
  builder_.add_as(to, "Mul", {real, scale}, result, base);
  give(node, result, to);
}

/// What a Gemm adds to its product; empty for nothing.
std::string Rewriter::added_bias(const DocNode& node, Ends ends) {
  if (!node.is("Gemm") || node.input(2).empty()) return {};
  const float beta = node.real("beta", 1);
  if (beta == 1) return input_of(node.input(2), ends);
  const DataRef made = scaled(document_.find_tensor(node.input(2))->data, beta);
  return document_.add_tensor(node.outputs[0] + "_bias", ends == Ends::cast ? widened(made) : made);
}

/// Replaces MatMul or Gemm with a multiplication of bytes.
void Rewriter::multiply(const WeightUse& use, const std::string& codes, const std::string& scales,
                        Ends ends) {
  const DocNode node = document_.nodes[use.node];
  std::vector<DocNode>& to = replacements_[use.node];
  const std::string base = title(node);
  const Activation in = builder_.dynamic_activation(input_of(node.input(0), ends));
  const std::string sum =
      builder_.add(to, "MatMulInteger", {in.codes, codes, in.zero_point}, base + "_sum");
  const std::string real = builder_.add_cast(to, sum, kFloatCode, base + "_float");
  const std::string scale = builder_.add(to, "Mul", {in.scale, scales}, base + "_scale");
  const std::string bias = added_bias(node, ends);
  const std::string result = result_of(node, ends);
  if (bias.empty()) {
    builder_.add_as(to, "Mul", {real, scale}, result, base);
  } else {
    const std::string product = builder_.add(to, "Mul", {real, scale}, base + "_product");
    builder_.add_as(to, "Add", {product, bias}, result, base);
  }
  give(node, result, to);
}

/// Lets a node compute in float32, as one of its weights, WEIGHT, is now.
void Rewriter::widen_reader(const WeightUse& use, const std::string& weight) {
  constexpr size_t kWeight =
      1;  // which input it is, of all that read weights otherwise than tables
  const DocNode& node = document_.nodes[use.node];
  DocNode wide = node;
  for (size_t i = 0; i < wide.inputs.size(); ++i) {
    if (i != kWeight && !wide.inputs[i].empty()) wide.inputs[i] = builder_.widened(wide.inputs[i]);
  }
  if (use.through_transpose) {
    retyped_.insert(wide.inputs[kWeight]);
  } else {
    wide.inputs[kWeight] = dequantized_.at(weight);
  }
  wide.outputs[0] = result_of(node, Ends::cast);
  std::vector<DocNode>& to = replacements_[use.node];
  const std::string result = wide.outputs[0];
  to.push_back(std::move(wide));
  give(node, result, to);
}

void Rewriter::multiply_blocks(const WeightUse& use, const BlockWeight& weight,
                               const std::array<std::string, 3>& parts, Ends ends) {
  constexpr int64_t kBytes = 4;  // accuracy_level: activations become int8, which VNNI multiplies
  const DocNode node = document_.nodes[use.node];
  std::vector<DocNode>& to = replacements_[use.node];
  const std::string bias = added_bias(node, ends);
  const std::string result = result_of(node, ends);
  const std::string output =
      bias.empty() ? result : document_.unused_name(title(node) + "_product");
  DocNode made;
  made.op = "MatMulNBits";
  made.domain = kMicrosoft;
  made.name = node.name.empty() ? builder_.node_name(title(node), made.op) : node.name;
  made.inputs = {input_of(node.input(0), ends), parts[0], parts[1]};
  if (!parts[2].empty()) made.inputs.push_back(parts[2]);
  made.outputs = {output};
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string_view, int64_t>>{
           {"K", weight.facts().columns},
           {"N", weight.facts().rows},
           {"accuracy_level", kBytes},
           {"bits", 4},
           {"block_size", options_.block}}) {
    made.attributes.push_back(document_.attribute(name, value));
  }
  to.push_back(std::move(made));
  document_.state_tensor(output, document_.find_tensor(parts[1])->data->dtype);
  if (!bias.empty()) builder_.add_as(to, "Add", {output, bias}, result, title(node) + "_bias");
  give(node, result, to);
}

/// WEIGHT in bytes by channel, as a layer has it already where one does.
Result<std::shared_ptr<const ChannelWeight>> Rewriter::channel_weight(
    const WeightUses& weight) const {
  if (const auto stored = options_.stored.find(weight.tensor); stored != options_.stored.end())
    return stored->second.weight;
  return ChannelWeight::make(*document_.find_tensor(weight.tensor), weight.uses.front().channels,
                             options_.reduce_range ? kLargestReduced : kLargestCode,
                             options_.threads);
}

Status Rewriter::by_channel(const WeightUses& weight, Way way) {
  const DocTensor tensor = *document_.find_tensor(weight.tensor);
  const Channels channels = weight.uses.front().channels;
  MLC_TRY(const auto made, channel_weight(weight));
  const WeightFacts& facts = made->facts();
  if (facts.not_finite > 0) {
    keep(weight, {plural(facts.not_finite, "weight") + " not finite", false});
    return {};
  }
  const std::string& name = weight.tensor;
  const Ends ends = tensor.dtype() == DType::f16 ? Ends::cast : Ends::plain;
  const bool has_table = weight.has(Role::table);
  const int64_t rows = facts.rows;
  std::string codes;  // as they lie in the file
  if (const auto stored = options_.stored.find(name); stored != options_.stored.end()) {
    codes = stored->second.name;
  } else if (has_table || way == Way::dequantize) {
    codes = document_.add_tensor(name + "_quantized",
                                 made->codes(tensor.sizes, channels == Channels::last));
  }
  std::string table_scales;
  if (has_table) table_scales = document_.add_tensor(name + "_scale", made->scale_data({rows, 1}));
  std::string factors;  // what matrices are multiplied with
  std::string scales;   // in one dimension
  std::map<float, std::string> scaled;
  uint64_t bytes = static_cast<uint64_t>(rows) * static_cast<uint64_t>(facts.columns);
  if (has_table) bytes += static_cast<uint64_t>(rows) * sizeof(float);
  for (const WeightUse& use : weight.uses) {
    if (use.role == Role::table) {
      look_up(use, codes, table_scales, ends);
      continue;
    }
    const DocNode& node = document_.nodes[use.node];
    const float alpha =
        way == Way::multiply_bytes && use.role == Role::gemm ? node.real("alpha", 1) : 1;
    std::string& scale = scaled[alpha];
    if (scale.empty()) {
      scale = document_.add_tensor(name + "_scale", made->scale_data({rows}, alpha));
      bytes += static_cast<uint64_t>(rows) * sizeof(float);
    }
    if (way == Way::dequantize) {
      std::string& output = dequantized_[name];
      if (output.empty()) {
        output = builder_.add(head_, "DequantizeLinear", {codes, scale}, name + "_dequantized");
        head_.back().attributes.push_back(
            document_.attribute("axis", channels == Channels::last ? 1 : 0));
      }
      if (ends == Ends::cast) widen_reader(use, name);
      continue;
    }
    if (factors.empty() && has_table) {
      factors = builder_.add(head_, "Transpose", {codes}, name + "_columns");
    } else if (factors.empty()) {
      factors = document_.add_tensor(name + "_quantized", made->codes({facts.columns, rows}, true));
    }
    multiply(use, factors, scale, ends);
  }
  const bool only_table = has_table && weight.uses.size() == 1;
  add_layer(weight,
            only_table  ? "int8 table"
            : has_table ? "int8 table, tied"
                        : "int8",
            facts, bytes);
  return {};
}

Result<std::shared_ptr<const BlockWeight>> Rewriter::block_weight(const WeightUses& weight) const {
  std::shared_ptr<const BlockWeight> unknown;
  auto& made = options_.known_blocks == nullptr ? unknown : (*options_.known_blocks)[weight.tensor];
  if (!made) {
    const auto own = options_.roundings.find(weight.tensor);
    MLC_TRY(made,
            BlockWeight::make(*document_.find_tensor(weight.tensor), weight.uses.front().channels,
                              options_.block, options_.symmetric,
                              own == options_.roundings.end() ? options_.rounding : own->second,
                              options_.threads));
  }
  return made;
}

/// Of what type scales of blocks are: of that of the weight, which the product then has too, where
/// they are no smaller than its numbers.
DType Rewriter::scale_type(const WeightUses& weight, const BlockWeight& made) const {
  const bool is_half = document_.find_tensor(weight.tensor)->dtype() == DType::f16;
  return is_half && made.has_half_scales() ? DType::f16 : DType::f32;
}

/// The weight in DequantizeLinear, which any number of nodes may read.
std::string Rewriter::dequantize_blocks(const WeightUses& weight, const BlockWeight& made,
                                        uint64_t& bytes) {
  constexpr int64_t kIrOfFourBits = 10;
  const std::string& name = weight.tensor;
  const bool rows_last = weight.uses.front().channels == Channels::last;
  std::vector<std::string> inputs;
  const auto add = [&](std::string_view suffix, const DataRef& data,
                       std::optional<PackedType> packed) {
    bytes += data->byte_size();
    inputs.push_back(
        document_.add_tensor(fmt::format("{}{}", name, suffix), data, std::move(packed)));
  };
  const int32_t element = made.symmetric() ? kInt4Code : kUint4Code;
  const int64_t rows = made.facts().rows;
  const int64_t columns = made.facts().columns;
  const auto sizes = [&](int64_t along) {
    return rows_last ? std::vector<int64_t>{along, rows} : std::vector<int64_t>{rows, along};
  };
  add("_quantized", made.flat_codes(rows_last), PackedType{element, sizes(columns)});
  add("_scale", made.flat_scales(sizes(made.blocks()), rows_last, scale_type(weight, made)),
      std::nullopt);
  if (!made.symmetric())
    add("_zero_point", made.flat_zeros(rows_last), PackedType{element, sizes(made.blocks())});
  std::string output =
      builder_.add(head_, "DequantizeLinear", std::move(inputs), name + "_dequantized");
  head_.back().attributes.push_back(document_.attribute("axis", rows_last ? 0 : 1));
  head_.back().attributes.push_back(document_.attribute("block_size", options_.block));
  document_.raise_ir_version(kIrOfFourBits);
  return output;
}

Status Rewriter::by_block(const WeightUses& weight) {
  MLC_TRY(const auto made, block_weight(weight));
  if (made->facts().not_finite > 0) {
    keep(weight, {plural(made->facts().not_finite, "weight") + " not finite", false});
    return {};
  }
  const std::string scheme = fmt::format("int4:g{}", options_.block);
  const DType type = scale_type(weight, *made);
  const Ends ends =
      document_.find_tensor(weight.tensor)->dtype() == type ? Ends::plain : Ends::cast;
  if (options_.form == QuantForm::int4_qdq) {
    uint64_t bytes = 0;
    dequantized_[weight.tensor] = dequantize_blocks(weight, *made, bytes);
    for (const WeightUse& use : weight.uses) {
      if (ends == Ends::cast) widen_reader(use, weight.tensor);
    }
    add_layer(weight, scheme, made->facts(), bytes);
    return {};
  }
  std::array<DataRef, 3> data = {made->nbits_codes(), made->nbits_scales(type), nullptr};
  if (!options_.symmetric) data[2] = made->nbits_zeros();
  constexpr std::array<std::string_view, 3> kSuffixes = {"_quantized", "_scale", "_zero_point"};
  std::array<std::string, 3> parts;
  uint64_t bytes = 0;
  for (size_t i = 0; i < data.size(); ++i) {
    if (!data[i]) continue;
    bytes += data[i]->byte_size();
    parts[i] = document_.add_tensor(fmt::format("{}{}", weight.tensor, kSuffixes[i]), data[i]);
  }
  for (const WeightUse& use : weight.uses) {
    // Gemm's alpha is 1 in all that PyTorch makes; another one would need scales of its own.
    multiply_blocks(use, *made, parts, ends);
  }
  add_layer(weight, scheme, made->facts(), bytes);
  document_.import_domain(kMicrosoft, 1);
  return {};
}

Status Rewriter::quantize(const WeightUses& weight) {
  if (KeptReason reason = why_kept(weight); !reason.text.empty()) {
    keep(weight, std::move(reason));
    return {};
  }
  Way way = way_of(weight);
  const bool scaled = std::ranges::any_of(weight.uses, [&](const WeightUse& use) {
    return document_.nodes[use.node].real("alpha", 1) != 1;
  });
  if (way == Way::blocks && scaled && options_.form == QuantForm::int4) way = Way::multiply_bytes;
  if (way == Way::blocks) return by_block(weight);
  const size_t before = report_.layers.size();
  MLC_CHECK(by_channel(weight, way));
  const bool multiplied = weight.has(Role::matmul) || weight.has(Role::gemm);
  if (report_.layers.size() > before)
    report_.layers.back().fallback =
        has_blocks(options_.form) && multiplied && !wants_bytes(weight);
  return {};
}

void Rewriter::put_together() {
  std::vector<DocNode> out = std::move(head_);
  for (const std::string& input : document_.input_names()) builder_.take_made(input, out);
  for (const DocTensor& tensor : document_.tensors) builder_.take_made(tensor.name, out);
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    const std::vector<std::string> outputs = document_.nodes[i].outputs;
    if (const auto made = replacements_.find(i); made != replacements_.end()) {
      std::ranges::move(made->second, std::back_inserter(out));
    } else {
      DocNode& node = out.emplace_back(std::move(document_.nodes[i]));
      for (std::string& input : node.inputs) {
        if (const auto found = dequantized_.find(input); found != dequantized_.end())
          input = found->second;
      }
    }
    for (const std::string& output : outputs) builder_.take_made(output, out);
  }
  document_.nodes = std::move(out);
  drop_dead_nodes(document_);
  document_.drop_unused_tensors();
  document_.drop_unused_value_info();
  document_.drop_value_info(retyped_);
}

Result<QuantReport> Rewriter::run() {
  const FormRow& form = row_of(options_.form);
  if (document_.opset() < form.opset && form.opset <= kRaisedOpset)
    MLC_CHECK(raise_opset(document_));
  if (document_.opset() < form.opset) {
    return unsupported(fmt::format("opset {} has no operators for {} quantisation, which needs {}",
                                   document_.opset(), form.name, form.opset),
                       fmt::format("export the model again with a newer opset, as --opset {}",
                                   std::max<int64_t>(form.opset, 17)));
  }
  report_.overridable = document_.fix_overridable();
  MLC_CHECK(document_.lift_constants());
  skip_identities(document_);
  MLC_CHECK(split_slices(document_));
  for (const WeightUses& weight : find_weights(document_)) {
    MLC_CHECK_CTX(quantize(weight), "tensor " + printable(weight.tensor));
  }
  put_together();
  return std::move(report_);
}

}  // namespace

std::string_view to_string(QuantForm form) {
  return row_of(form).name;
}

Result<QuantReport> quantize_weights(Document& document, const QuantOptions& options) {
  return Rewriter(document, options).run();
}

}  // namespace mlc::onnx
