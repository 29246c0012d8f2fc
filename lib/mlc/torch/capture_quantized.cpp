// Quantised tensors of PyTorch: in the graph they are the floats that their integers stand for,
// behind an operator that rounds to them. So everything that takes them takes floats, and a
// lowering finds pairs of QuantizeLinear and DequantizeLinear around it. The lanes hold them as
// they are: what is the scale of a result, they say.
#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/quantized_rows.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace mlc::torch_module {

using c10::IValue;
using ir::Expr;
using torch::jit::Node;

/// Integers that stand for floats.
struct Capturer::Codes {
  at::Tensor integers;
  at::Tensor floats;  // that they stand for
  at::Tensor scales;  // float32: one, or one for each channel
  at::Tensor zeros;   // int64, of the same shape
  int64_t axis = -1;  // -1: one scale for all
};

/// What a layer has packed.
struct Capturer::Packed {
  IValue object;
  std::string name;
  at::Tensor weight;  // quantised
  std::optional<at::Tensor> bias;
};

namespace {

/// Operators whose results are values of their input, or the zero that every scale has: they need
/// no rounding.
constexpr std::array<std::string_view, 47> kKeepsValues = {"alias",
                                                           "amax",
                                                           "amin",
                                                           "as_strided",
                                                           "channel_shuffle",
                                                           "chunk",
                                                           "clone",
                                                           "contiguous",
                                                           "detach",
                                                           "dropout",
                                                           "dropout_",
                                                           "expand",
                                                           "expand_as",
                                                           "flatten",
                                                           "flip",
                                                           "index",
                                                           "index_select",
                                                           "max",
                                                           "max_pool1d",
                                                           "max_pool2d",
                                                           "max_pool3d",
                                                           "min",
                                                           "movedim",
                                                           "narrow",
                                                           "permute",
                                                           "pixel_shuffle",
                                                           "pixel_unshuffle",
                                                           "relu_",
                                                           "repeat",
                                                           "reshape",
                                                           "reshape_as",
                                                           "roll",
                                                           "select",
                                                           "slice",
                                                           "split",
                                                           "split_with_sizes",
                                                           "squeeze",
                                                           "stack",
                                                           "t",
                                                           "tensor_split",
                                                           "to",
                                                           "transpose",
                                                           "unbind",
                                                           "unflatten",
                                                           "unsqueeze",
                                                           "view",
                                                           "view_as"};

struct Range {
  at::ScalarType type;
  int64_t low;
  int64_t high;
  DType dtype;
};
constexpr std::array kRanges = std::to_array<Range>({
    {at::kQUInt8, 0, 255, DType::u8},
    {at::kQInt8, -128, 127, DType::i8},
    {at::kQInt32, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(),
     DType::i32},
});

const Range* range_of(at::ScalarType type) {
  const auto* const found = std::ranges::find(kRanges, type, &Range::type);
  return found == kRanges.end() ? nullptr : found;
}

bool is_per_tensor(const at::Tensor& one) {
  return one.qscheme() == at::kPerTensorAffine || one.qscheme() == at::kPerTensorSymmetric;
}

/// Whether the integers of A and B stand for the same floats.
bool same_scale(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_quantized() != b.is_quantized()) return false;
  if (!a.is_quantized()) return true;
  if (a.scalar_type() != b.scalar_type() || is_per_tensor(a) != is_per_tensor(b)) return false;
  if (is_per_tensor(a)) return a.q_scale() == b.q_scale() && a.q_zero_point() == b.q_zero_point();
  return a.q_per_channel_axis() == b.q_per_channel_axis() &&
         a.q_per_channel_scales().equal(b.q_per_channel_scales()) &&
         a.q_per_channel_zero_points().equal(b.q_per_channel_zero_points());
}

/// What the operator NAME says of the layer that PACKED holds.
std::vector<IValue> ask(const std::string& name, const IValue& packed) {
  torch::jit::Stack stack = {packed};
  c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), "").callBoxed(&stack);
  return stack;
}

/// The name of a layer's weights: that of the module which packed them.
std::string layer_name(std::string path) {
  for (const std::string_view packed : {"_packed_weight", "_packed_params", "_packed_params"}) {
    if (!path.ends_with(packed)) continue;
    path.resize(path.size() - packed.size());
    if (path.ends_with('.')) path.pop_back();
  }
  return path.empty() ? "weight" : path + ".weight";
}

/// A copy: what packed tables say of their rows lies in memory of the table.
at::Tensor own(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.to(type, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor float_lane(const at::Tensor& one) {
  return one.defined() && one.is_quantized() ? one.dequantize() : one;
}

/// ITEM with floats in the lanes of its tensors.
Item as_floats(const Item& item) {
  if (const TensorItem* tensor = item.tensor()) {
    auto out = std::make_shared<TensorItem>(*tensor);
    for (at::Tensor& lane : out->lanes) lane = float_lane(lane);
    return out;
  }
  if (const auto* list = item.as<ListRef>()) {
    auto out = std::make_shared<ListItem>(**list);
    for (Item& one : out->items) one = as_floats(one);
    return out;
  }
  return item;
}

Item integers(const std::vector<int64_t>& numbers, ir::Symbols& symbols) {
  return lift(IValue(numbers), c10::ListType::ofInts(), symbols);
}

std::string name_of(const Node& node) {
  return node.kind().toQualString();
}

}  // namespace

Result<DType> graph_dtype(const at::Tensor& tensor) {
  if (tensor.is_quantized()) return DType::f32;
  return dtype_of(tensor.scalar_type());
}

bool have_one_scale(const TensorItem& a, const TensorItem& b) {
  const at::Tensor& first = real_lane(a);
  const auto fits = [&](const at::Tensor& one) {
    return !one.defined() || !first.defined() || same_scale(first, one);
  };
  return std::ranges::all_of(a.lanes, fits) && std::ranges::all_of(b.lanes, fits);
}

/// A node that stands before all others, as it takes nothing but weights.
TensorRef Capturer::prepend(ir::OpName op, std::vector<ir::Argument> arguments,
                            const at::Tensor& floats, const Node& node) {
  ir::Graph& graph = out_.program.graph;
  ir::TensorType type{DType::f32, std::vector<Expr>()};
  for (const int64_t size : floats.sizes()) type.sizes->push_back(symbols().constant(size));
  const auto& nodes = graph.body().nodes();
  ir::Node* made = nodes.empty() ? graph.append(graph.body(), std::move(op), std::move(arguments),
                                                {type}, origin(node))
                                 : graph.insert_before(nodes.front(), std::move(op),
                                                       std::move(arguments), {type}, origin(node));
  auto out = std::make_shared<TensorItem>();
  out->value = made->output(0);
  out->lanes.assign(lanes(), floats);
  return out;
}

/// CODES as weights called NAME and the floats that they stand for.
TensorRef Capturer::from_codes(const Codes& codes, const std::string& name, const Node& node) {
  const auto dtype = *dtype_of(codes.integers.scalar_type());
  const auto* const range = std::ranges::find(kRanges, dtype, &Range::dtype);
  const auto number = [this](int64_t value) { return ir::Attribute(symbols().constant(value)); };
  std::vector<ir::Argument> arguments = {{"input", constant(codes.integers, name)->value}};
  const bool many = codes.axis >= 0;
  if (many) {
    arguments.push_back({"scales", constant(codes.scales, name + "_scale")->value});
    arguments.push_back({"zero_points", constant(codes.zeros, name + "_zero_point")->value});
    arguments.push_back({"axis", number(codes.axis)});
  } else {
    arguments.push_back({"scale", codes.scales.item<double>()});
    arguments.push_back({"zero_point", number(codes.zeros.item<int64_t>())});
  }
  arguments.push_back({"quant_min", number(range->low)});
  arguments.push_back({"quant_max", number(range->high)});
  arguments.push_back({"dtype", dtype});
  return prepend(
      {"quantized_decomposed", many ? "dequantize_per_channel" : "dequantize_per_tensor", ""},
      std::move(arguments), codes.floats, node);
}

Capturer::Codes Capturer::codes_of(const at::Tensor& tensor) {
  Codes out;
  out.integers = tensor.int_repr().contiguous();
  out.floats = tensor.dequantize().contiguous();
  if (is_per_tensor(tensor)) {
    out.scales = at::scalar_tensor(tensor.q_scale(), at::kDouble);
    out.zeros = at::scalar_tensor(tensor.q_zero_point(), at::kLong);
  } else {
    out.scales = own(tensor.q_per_channel_scales(), at::kFloat);
    out.zeros = own(tensor.q_per_channel_zero_points(), at::kLong);
    out.axis = tensor.q_per_channel_axis();
  }
  return out;
}

/// VALUE, which is float, rounded to the integers of LANES: what a quantised tensor is in the
/// graph.
Result<Item> Capturer::on_grid(ir::Value* value, const std::vector<at::Tensor>& lanes, Node& node) {
  const auto first = std::ranges::find_if(lanes, [](const auto& one) { return one.defined(); });
  const bool one_scale = std::ranges::all_of(
      lanes, [&](const at::Tensor& one) { return !one.defined() || same_scale(*first, one); });
  const Range* const range = range_of(first->scalar_type());
  if (!one_scale || range == nullptr || first->qscheme() == at::kPerChannelAffineFloatQParams) {
    MLC_CHECK(refuse(
        node, name_of(node) + ", which gives a quantised tensor whose " +
                  (one_scale ? "integers mlc does not know" : "scale hangs on values or sizes")));
    return Item(Missing{});
  }
  const auto number = [this](int64_t one) { return ir::Attribute(symbols().constant(one)); };
  std::vector<ir::Argument> arguments = {{"self", value}};
  const bool many = !is_per_tensor(*first);
  if (many) {
    const Codes codes = codes_of(*first);
    arguments.push_back({"scale", constant(codes.scales, "scale")->value});
    arguments.push_back({"zero_point", constant(codes.zeros, "zero_point")->value});
    arguments.push_back({"axis", number(codes.axis)});
  } else {
    arguments.push_back({"scale", first->q_scale()});
    arguments.push_back({"zero_point", number(first->q_zero_point())});
  }
  arguments.push_back({"quant_min", number(range->low)});
  arguments.push_back({"quant_max", number(range->high)});
  MLC_TRY(TensorRef out,
          append_tensor(
              {"aten",
               many ? "fake_quantize_per_channel_affine" : "fake_quantize_per_tensor_affine", ""},
              std::move(arguments), lanes, *value->tensor()->sizes, node));
  return Item(std::move(out));
}

/// What NODE gave, where its results are quantised and may lie between the integers.
Result<Item> Capturer::rounded(const Item& result, Node& node) {
  const TensorItem* tensor = result.tensor();
  if (tensor == nullptr || !real_lane(*tensor).defined() || !real_lane(*tensor).is_quantized()) {
    return result;
  }
  const std::string_view name = node.kind().toUnqualString();
  if (std::ranges::find(kKeepsValues, name) != kKeepsValues.end()) return result;
  if (name.ends_with('_')) {
    MLC_CHECK(refuse(node, name_of(node) + ", which writes into a quantised tensor"));
    return Item(Missing{});
  }
  return on_grid(tensor->value, tensor->lanes, node);
}

/// Runs the function NAME of floats in the place of NODE and returns what it gives.
Result<Item> Capturer::with_floats(const std::string& name, const Items& inputs, Node& node) {
  MLC_CHECK(in_place_of(node, quantized_function(name), inputs));
  return get(node.output());
}

Result<std::optional<Capturer::Packed>> Capturer::unpacked(const Call& call, size_t argument,
                                                           const std::string& op) {
  const auto* owner =
      argument < call.inputs.size() ? call.inputs[argument].as<ObjectRef>() : nullptr;
  if (owner == nullptr) {
    MLC_CHECK(refuse(call.node, name_of(call.node) + " with weights that it does not hold"));
    return std::optional<Packed>();
  }
  const IValue& object = (*owner)->object;
  auto& known = packed_[object.toObject().get()];
  if (known == nullptr) {
    const std::vector<IValue> parts = ask(op, object);
    known = std::make_shared<Packed>();
    known->object = object;
    known->name = layer_name((*owner)->path);
    known->weight = parts.at(0).toTensor();
    if (parts.size() > 1 && parts[1].isTensor() && parts[1].toTensor().defined()) {
      known->bias = parts[1].toTensor();
    }
  }
  const auto scheme = known->weight.is_quantized() ? known->weight.qscheme() : at::kPerTensorAffine;
  const bool table = scheme == at::kPerChannelAffineFloatQParams;
  const bool fits = range_of(known->weight.scalar_type()) != nullptr &&
                    (!table || known->weight.scalar_type() == at::kQUInt8);
  if (!fits) {
    MLC_CHECK(refuse(call.node, name_of(call.node) + " with weights of another type than int8"));
    return std::optional<Packed>();
  }
  return std::optional<Packed>(*known);
}

/// The bias of a layer with WEIGHT, as integers of 32 bits where its input X has a scale and they
/// can hold it: what runtimes want beside quantised weights.
Item Capturer::bias_of(const Packed& layer, const Codes& weight, const TensorItem& x,
                       const Node& node) {
  if (!layer.bias) return {};
  const std::string name =
      layer.name.substr(0, layer.name.size() - std::string_view("weight").size()) + "bias";
  const at::Tensor& lane = real_lane(x);
  const at::Tensor bias = layer.bias->to(at::kFloat).contiguous();
  if (!lane.is_quantized() || !is_per_tensor(lane)) return constant(bias, name);
  TensorRef& known = biases_[{layer.object.toObject().get(), lane.q_scale()}];
  if (known != nullptr) return known;
  Codes codes;
  codes.scales = (weight.scales.to(at::kDouble) * lane.q_scale()).to(at::kFloat);
  const at::Tensor steps = (bias.to(at::kDouble) / codes.scales.to(at::kDouble)).round();
  constexpr double kMost = 1 << 30;
  if (!steps.isfinite().all().item<bool>() || (steps.abs() > kMost).any().item<bool>()) {
    return known = constant(bias, name);
  }
  codes.integers = steps.to(at::kInt);
  codes.floats = (steps * codes.scales.to(at::kDouble)).to(at::kFloat);
  codes.zeros = at::zeros(codes.scales.sizes(), at::kLong);
  if (weight.axis >= 0) codes.axis = 0;
  return known = from_codes(codes, name, node);
}

/// The weight of a layer, which CHANGED has put into the shape that the operator on floats takes.
TensorRef Capturer::weight_of_layer(const Packed& layer, const Codes& changed, const Node& node) {
  TensorRef& known = layer_weights_[layer.object.toObject().get()];
  if (known == nullptr) known = from_codes(changed, layer.name, node);
  return known;
}

/// X rounded to integers that hold all of it, chosen when the program runs.
Result<TensorRef> Capturer::rounded_as_it_is(const TensorRef& x, bool reduced, const Node& node) {
  ir::Graph& graph = out_.program.graph;
  const auto number = [this](int64_t one) { return ir::Attribute(symbols().constant(one)); };
  const ir::Argument low{"quant_min", number(0)};
  const ir::Argument high{"quant_max", number(255)};
  const ir::Argument type{"dtype", DType::u8};
  const ir::TensorType one{DType::f32, std::vector<Expr>()};
  ir::Node* chosen =
      graph.append(*block_, {"quantized_decomposed", "choose_qparams", "tensor"},
                   {{"input", x->value},
                    low,
                    {"quant_max", number(reduced ? 127 : 255)},
                    {"eps", static_cast<double>(std::numeric_limits<float>::min())},
                    type},
                   {one, ir::TensorType{DType::i64, std::vector<Expr>()}}, origin(node));
  const ir::Argument scale{"scale", chosen->output(0)};
  const ir::Argument zero{"zero_point", chosen->output(1)};
  const auto& sizes = x->value->tensor()->sizes;
  ir::Node* codes = graph.append(*block_, {"quantized_decomposed", "quantize_per_tensor", "tensor"},
                                 {{"input", x->value}, scale, zero, low, high, type},
                                 {ir::TensorType{DType::u8, sizes}}, origin(node));
  return append_tensor({"quantized_decomposed", "dequantize_per_tensor", "tensor"},
                       {{"input", codes->output(0)}, scale, zero, low, high, type}, x->lanes,
                       *sizes, node);
}

Result<Item> Capturer::quantized_linear(const Call& call, const QuantizedRow& row) {
  MLC_TRY(const auto layer, unpacked(call, 1, "quantized::linear_unpack"));
  if (!layer) return Item(Missing{});
  Codes weight = codes_of(layer->weight);
  weight.integers = weight.integers.t().contiguous();
  weight.floats = weight.floats.t().contiguous();
  if (weight.axis >= 0) weight.axis = 1 - weight.axis;
  TensorRef x = *as_floats(call.inputs[0]).as<TensorRef>();
  if (row.is_dynamic) {
    const bool* reduced = call.inputs.size() > 2 ? call.inputs[2].as<bool>() : nullptr;
    MLC_TRY(x, rounded_as_it_is(x, reduced != nullptr && *reduced, call.node));
  }
  const TensorRef w = weight_of_layer(*layer, weight, call.node);
  const Item bias = bias_of(*layer, weight, *call.inputs[0].tensor(), call.node);
  const bool flat = x->value->tensor()->sizes->size() == 2;
  const char* const name = bias.is_none() ? "linear" : flat ? "addmm" : "linear_bias";
  return with_floats(name, {x, w, bias}, call.node);
}

Result<Item> Capturer::quantized_conv(const Call& call, const QuantizedRow& row) {
  const std::string function(row.function);
  MLC_TRY(const auto layer, unpacked(call, 1, "quantized::" + function + "_unpack"));
  if (!layer) return Item(Missing{});
  const size_t count = function.ends_with("1d") ? 1 : function.ends_with("2d") ? 2 : 3;
  const std::string prefix = count == 3 ? "quantized::conv3d_" : "quantized::conv2d_";
  Items inputs = {as_floats(call.inputs[0])};
  const Codes weight = codes_of(layer->weight);
  inputs.emplace_back(weight_of_layer(*layer, weight, call.node));
  inputs.push_back(bias_of(*layer, weight, *call.inputs[0].tensor(), call.node));
  for (const char* what : {"stride", "padding", "output_padding", "dilation"}) {
    std::vector<int64_t> numbers = ask(prefix + what, layer->object).at(0).toIntVector();
    // Layers along one dimension are packed as if they had two.
    if (numbers.size() > count) numbers.erase(numbers.begin());
    inputs.push_back(integers(numbers, symbols()));
  }
  inputs.emplace_back(symbols().constant(ask(prefix + "groups", layer->object).at(0).toInt()));
  return with_floats(function, inputs, call.node);
}

// A row is q * scale + offset, and both hang on the row: no DequantizeLinear has such zero points.
Result<Item> Capturer::quantized_embedding(const Call& call, const QuantizedRow& row) {
  MLC_TRY(const auto layer, unpacked(call, 0, "quantized::embedding_bag_unpack"));
  if (!layer) return Item(Missing{});
  const at::Tensor scales = own(layer->weight.q_per_channel_scales(), at::kFloat);
  const at::Tensor zeros = own(layer->weight.q_per_channel_zero_points(), at::kFloat);
  auto& known = tables_[layer->object.toObject().get()];
  if (known.empty()) {
    known = {constant(layer->weight.int_repr().contiguous(), layer->name),
             constant(scales.unsqueeze(1).contiguous(), layer->name + "_scale"),
             constant((-zeros * scales).unsqueeze(1).contiguous(), layer->name + "_offset")};
  }
  Items inputs = known;
  if (row.function == "embedding") {
    inputs.push_back(call.inputs[1]);
    return with_floats("embedding", inputs, call.node);
  }
  // indices, offsets, scale_grad_by_freq, mode, pruned_weights, per_sample_weights,
  // compressed_indices_mapping, include_last_offset
  const auto* pruned = call.inputs.at(5).as<bool>();
  if (pruned == nullptr || *pruned) {
    MLC_CHECK(refuse(call.node, name_of(call.node) + " of a table with rows left out"));
    return Item(Missing{});
  }
  MLC_TRY(const Item table, with_floats("table", inputs, call.node));
  if (has_missing(table)) return table;
  const Item& weights = call.inputs.at(6);
  const bool bags = sizes_of(*call.inputs[1].tensor()).size() == 2;
  if (!bags) {
    return with_floats(
        "embedding_bag",
        {table, call.inputs[1], call.inputs[2], call.inputs[4], weights, call.inputs.at(8)},
        call.node);
  }
  return with_floats(weights.is_none() ? "embedding_bags" : "weighted_embedding_bags",
                     {table, call.inputs[1], weights}, call.node);
}

Result<Item> Capturer::quantized_values(const Call& call, const QuantizedRow& row) {
  Items inputs;
  for (const int8_t at : row.arguments) {
    if (at < 0) break;
    const auto index = static_cast<size_t>(at);
    // Arguments that have their default may be absent in programs of older versions.
    if (index >= call.inputs.size()) {
      MLC_CHECK(refuse(call.node, name_of(call.node) + " with fewer arguments than it has today"));
      return Item(Missing{});
    }
    inputs.push_back(as_floats(call.inputs[index]));
  }
  std::string function(row.function);
  if (function == "add" || function == "mul") {
    if (inputs[0].tensor() == nullptr) std::swap(inputs[0], inputs[1]);
    if (inputs[1].tensor() == nullptr) function += "_number";
  }
  return with_floats(function, inputs, call.node);
}

/// Questions about quantised tensors, and what leaves them. False: it is none.
Result<bool> Capturer::leave_grid(const Call& call) {
  const std::string_view name = call.node.kind().toQualString();
  if (name == "aten::dequantize") {
    set(call.node.output(), as_floats(call.inputs[0]));
    return true;
  }
  const TensorItem* x = call.inputs.empty() ? nullptr : call.inputs[0].tensor();
  if (x == nullptr || !real_lane(*x).is_quantized() || !is_per_tensor(real_lane(*x))) return false;
  const at::Tensor& one = real_lane(*x);
  if (name == "aten::q_scale") {
    set(call.node.output(), one.q_scale());
  } else if (name == "aten::q_zero_point") {
    set(call.node.output(), symbols().constant(one.q_zero_point()));
  } else if (name == "aten::int_repr") {
    const Range* const range = range_of(one.scalar_type());
    if (range == nullptr) return false;
    std::vector<at::Tensor> lanes;
    for (const at::Tensor& lane : x->lanes) {
      lanes.push_back(lane.defined() ? lane.int_repr() : lane);
    }
    const auto number = [this](int64_t n) { return ir::Attribute(symbols().constant(n)); };
    MLC_TRY(TensorRef out, append_tensor({"quantized_decomposed", "quantize_per_tensor", ""},
                                         {{"input", x->value},
                                          {"scale", one.q_scale()},
                                          {"zero_point", number(one.q_zero_point())},
                                          {"quant_min", number(range->low)},
                                          {"quant_max", number(range->high)},
                                          {"dtype", range->dtype}},
                                         std::move(lanes), sizes_of(*x), call.node));
    set(call.node.output(), std::move(out));
  } else {
    return false;
  }
  return true;
}

/// Whether CALL may choose a scale by what it computes: one run does not tell.
bool Capturer::may_choose_scale(const Call& call) const {
  return lanes() == 1 &&
         std::any_of(call.inputs.begin() + 1, call.inputs.end(), [](const Item& item) {
           if (item.as<DynamicRef>() != nullptr) return true;
           const TensorItem* tensor = item.tensor();
           return tensor != nullptr && !real_lane(*tensor).is_quantized() &&
                  (tensor->value->kind() == ir::ValueKind::output ||
                   tensor->value->kind() == ir::ValueKind::input);
         });
}

Result<bool> Capturer::quantized(const Call& call) {
  MLC_TRY(const bool left, leave_grid(call));
  if (left) return true;
  const QuantizedRow* const row = find_quantized(call.node.kind().toQualString());
  if (row == nullptr || call.inputs.empty() || call.node.outputs().size() != 1) return false;
  const bool many = call.node.output()->type()->kind() != c10::TypeKind::TensorType;
  if (many) return false;
  if (may_choose_scale(call)) {
    return give_up(CaptureStop::more_lanes, internal_error("a scale may hang on values"));
  }
  MLC_TRY(const auto results, run_lanes(call));
  std::vector<at::Tensor> lanes;
  for (const auto& one : results) lanes.push_back(one.empty() ? at::Tensor() : one[0].toTensor());
  using Make = Result<Item> (Capturer::*)(const Call&, const QuantizedRow&);
  constexpr std::array<Make, 4> kMakers = {&Capturer::quantized_values, &Capturer::quantized_linear,
                                           &Capturer::quantized_conv,
                                           &Capturer::quantized_embedding};
  MLC_TRY(Item made, (this->*kMakers.at(static_cast<size_t>(row->kind)))(call, *row));
  if (row->with_relu && !made.is_missing()) {
    MLC_TRY(made, with_floats("relu", {made}, call.node));
  }
  const auto* tensor = made.as<TensorRef>();
  if (tensor == nullptr) {
    set(call.node.output(), Missing{});
    return true;
  }
  const auto first = std::ranges::find_if(lanes, [](const auto& one) { return one.defined(); });
  if (first != lanes.end() && first->is_quantized()) {
    MLC_TRY(Item on, on_grid((*tensor)->value, lanes, call.node));
    set(call.node.output(), std::move(on));
    return true;
  }
  auto out = std::make_shared<TensorItem>(**tensor);
  out->lanes = std::move(lanes);
  set(call.node.output(), std::move(out));
  return true;
}

}  // namespace mlc::torch_module
