#include "mlc/onnx/narrow.h"

#include "mlc/base/text.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/finish.h"
#include "mlc/onnx/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace mlc::onnx {
namespace {

constexpr double kLargest = 65504;
constexpr double kMeansInfinity = 1e30;
/// From here on the nearest number of float16 is infinity.
constexpr double kOverflow = 65520;
/// The smallest number of float16 that has all its 11 bits.
constexpr double kSmallestNormal = 6.103515625e-05;

// Computed in float32. ONNX has some of them (NonMaxSuppression) for float32 only.
constexpr std::string_view kWide[] = {
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Bernoulli",
    "BatchNormalization",
    "Cos",
    "Cosh",
    "CumSum",
    "DFT",
    "DequantizeLinear",
    "Det",
    "Exp",
    "EyeLike",
    "GridSample",
    "GroupNormalization",
    "If",
    "Log",
    "Loop",
    "MeanVarianceNormalization",
    "Mod",
    "Multinomial",
    "NonMaxSuppression",
    "Pow",
    "QuantizeLinear",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Resize",
    "RoiAlign",
    "STFT",
    "Scan",
    "Sin",
    "Sinh",
    "Sqrt",
    "Tan",
    "TopK",
    "DynamicQuantizeLinear",
    "ConstantOfShape",
};

// Worth their own float16 even where only float32 is made of what they give.
constexpr std::string_view kHeavy[] = {"Conv", "ConvTranspose",      "Einsum", "GRU", "Gemm",
                                       "LSTM", "LayerNormalization", "MatMul", "RNN", "Softmax"};

bool is_any_of(std::string_view op, std::span<const std::string_view> ops) {
  return std::ranges::find(ops, op) != ops.end();
}

bool is_float(const Value* value) {
  return value != nullptr && value->type.dtype == DType::f32;
}

template <class Each>
void for_each_subgraph(const Node& node, Each each) {
  for (const Attribute& attribute : node.attributes) {
    if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attribute.value)) each(**graph);
  }
}

/// The name under which kernels.h knows NODE.
std::string kernel_name(const Node& node) {
  const AttributeValue* reduction = node.find("reduction");
  if (reduction == nullptr || !node.op.starts_with("Scatter")) return node.op;
  std::string how = std::get<std::string>(*reduction);
  if (how == "none" || how.empty()) return node.op;
  how[0] = static_cast<char>(how[0] - 'a' + 'A');
  return node.op + how;
}

struct Extent {
  double largest = 0;   // of those that are finite
  double smallest = 0;  // of those that are not 0; 0 where there are none
};

Result<Extent> extent_of(const TensorData& data) {
  MLC_TRY(const Buffer buffer, data.produce());
  Extent out;
  for (size_t at = 0; at + sizeof(float) <= buffer.bytes.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, buffer.bytes.data() + at, sizeof(float));
    const double size = std::fabs(static_cast<double>(value));
    if (size == 0 || !std::isfinite(size)) continue;
    out.largest = std::max(out.largest, size);
    if (out.smallest == 0 || size < out.smallest) out.smallest = size;
  }
  return out;
}

/// DATA in float16, its finite numbers within what that reaches: what stands for infinity, as in
/// masks, within half of it, so that two of them, or one and a score, are no infinity.
DataRef clamped(const DataRef& data) {
  auto array = array_of(*data);
  if (!array) return nullptr;
  for (double& value : array->doubles) {
    if (!std::isfinite(value)) continue;
    const double most = std::fabs(value) > kMeansInfinity ? kLargest / 2 : kLargest;
    value = std::clamp(value, -most, most);
  }
  array->dtype = DType::f16;
  auto out = std::const_pointer_cast<TensorData>(data_of(*array));
  out->key = data->key;
  return out;
}

class Narrowing {
 public:
  explicit Narrowing(Model& model) : model_(model) {}

  Status choose();
  Status rewrite();
  NarrowFacts facts() && { return std::move(facts_); }

 private:
  Status look_at_constants();
  bool must_be_wide(const Node& node) const;
  bool divides_by_wide(const Node& node) const;
  bool only_prepares_wide(const Node& node) const;
  bool reads_weights(const Node& node) const;
  void note_readers();
  void note_readers(const Graph& graph, const Node* reader);
  Result<Value*> in(Value* value, DType dtype, const Node& reader);
  Value* cast(Value* value, DType dtype, const Node& reader);
  Result<Value*> widened(Value* value, const Node& reader);
  Status widen_captured(Graph& graph, const Node& reader);
  Status widen_node(Node& node);
  Status narrow_node(Node& node);

  Model& model_;
  std::unordered_set<const Node*> wide_;
  /// The nodes of the main graph that read a value; null: an output of the graph.
  std::unordered_map<const Value*, std::vector<const Node*>> readers_;
  std::unordered_map<const Value*, Extent> constants_;
  std::unordered_set<const Value*> narrowed_;         // made in float16 now
  std::unordered_map<const Value*, Value*> aliases_;  // of casts that change nothing now
  std::map<std::pair<const Value*, DType>, Value*> versions_;
  std::vector<Node*> made_;
  NarrowFacts facts_;
};

void Narrowing::note_readers(const Graph& graph, const Node* reader) {
  for (const Node* node : graph.nodes) {
    const Node* who = reader == nullptr ? node : reader;
    for (const Value* input : node->inputs) {
      if (input != nullptr) readers_[input].push_back(who);
    }
    for_each_subgraph(*node, [&](const Graph& inner) { note_readers(inner, who); });
  }
  for (const GraphOutput& output : graph.outputs) readers_[output.value].push_back(reader);
}

void Narrowing::note_readers() {
  note_readers(model_.graph, nullptr);
}

Status Narrowing::look_at_constants() {
  std::set<std::string> too_large;
  for (const auto& [value, readers] : readers_) {
    if (!is_float(value) || value->data == nullptr) continue;
    MLC_TRY_CTX(const Extent extent, extent_of(*value->data),
                "tensor " + printable(value->data->key));
    constants_.emplace(value, extent);
    if (extent.largest >= kOverflow && !value->data->key.empty()) {
      too_large.insert(value->data->key);
    }
  }
  facts_.too_large.assign(too_large.begin(), too_large.end());
  return {};
}

bool Narrowing::must_be_wide(const Node& node) const {
  if (!node.domain.empty() || is_any_of(node.op, kWide)) return true;
  if (kernel_dtype(kernel_name(node), DType::f16) != DType::f16) return true;
  for (const Value* input : node.inputs) {
    const auto found = constants_.find(input);
    if (found == constants_.end()) continue;
    const auto& [value, extent] = *found;
    if (extent.largest >= kOverflow && !value->data->key.empty()) return true;
    // An epsilon; what is no single number has small ones among others.
    if (value->data->count() == 1 && extent.largest != 0 && extent.largest < kSmallestNormal) {
      return true;
    }
  }
  return false;
}

bool Narrowing::divides_by_wide(const Node& node) const {
  if (node.op != "Div" || node.inputs.size() != 2 || !is_float(node.inputs[1])) return false;
  const Node* below = node.inputs[1]->producer;
  return below != nullptr && wide_.contains(below);
}

bool Narrowing::reads_weights(const Node& node) const {
  constexpr uint64_t kMany = 4096;
  return std::ranges::any_of(node.inputs, [](const Value* input) {
    return is_float(input) && input->data != nullptr && input->data->count() >= kMany;
  });
}

/// Whether everything that NODE gives goes into nodes that are wide.
bool Narrowing::only_prepares_wide(const Node& node) const {
  if (is_any_of(node.op, kHeavy) || reads_weights(node)) return false;
  if (std::ranges::none_of(node.outputs, is_float)) return false;
  return std::ranges::all_of(node.outputs, [&](const Value* output) {
    const auto found = readers_.find(output);
    return found == readers_.end() || std::ranges::all_of(found->second, [&](const Node* reader) {
             return reader != nullptr && wide_.contains(reader);
           });
  });
}

Status Narrowing::choose() {
  note_readers();
  MLC_CHECK(look_at_constants());
  const auto& nodes = model_.graph.nodes;
  for (const Node* node : nodes) {
    if (must_be_wide(*node)) wide_.insert(node);
  }
  for (size_t before = 0; before != wide_.size();) {
    before = wide_.size();
    for (const Node* node : nodes) {
      if (divides_by_wide(*node)) wide_.insert(node);
    }
    for (auto at = nodes.rbegin(); at != nodes.rend(); ++at) {
      if (only_prepares_wide(**at)) wide_.insert(*at);
    }
  }
  return {};
}

Value* Narrowing::cast(Value* value, DType dtype, const Node& reader) {
  Node* made = model_.new_node();
  made->op = "Cast";
  made->inputs = {value};
  made->attributes = {{"to", int64_t{info(dtype).onnx}}};
  made->origin = reader.origin;
  made->source = reader.source;
  Value* out = model_.new_value({dtype, value->type.sizes});
  out->producer = made;
  made->outputs = {out};
  made_.push_back(made);
  ++facts_.casts;
  return out;
}

/// VALUE, which is float32 or float16, as READER wants it.
Result<Value*> Narrowing::in(Value* value, DType dtype, const Node& reader) {
  if (value->type.dtype == dtype) return value;
  Value*& out = versions_[{value, dtype}];
  if (out != nullptr) return out;
  if (value->data != nullptr) {
    const auto extent = constants_.find(value);
    const bool clamps =
        dtype == DType::f16 && extent != constants_.end() && extent->second.largest >= kLargest;
    DataRef data = clamps ? clamped(value->data) : cast_data(value->data, dtype);
    if (data == nullptr) return internal_error("a constant cannot be made smaller");
    out = model_.new_value({dtype, value->type.sizes});
    out->data = std::move(data);
  } else {
    out = cast(value, dtype, reader);
  }
  return out;
}

/// What VALUE has become, in float32 where it was that before.
Result<Value*> Narrowing::widened(Value* value, const Node& reader) {
  if (!narrowed_.contains(value)) return value;
  const auto alias = aliases_.find(value);
  return in(alias == aliases_.end() ? value : alias->second, DType::f32, reader);
}

/// Nodes of a graph within READER see float32, whatever is around them.
Status Narrowing::widen_captured(Graph& graph, const Node& reader) {
  for (Node* node : graph.nodes) {
    for (Value*& input : node->inputs) {
      if (input == nullptr) continue;
      MLC_TRY(input, widened(input, reader));
    }
    Status status;
    for_each_subgraph(*node, [&](Graph& inner) {
      if (status.ok()) status = widen_captured(inner, reader);
    });
    MLC_CHECK(std::move(status));
  }
  for (GraphOutput& output : graph.outputs) {
    MLC_TRY(output.value, widened(output.value, reader));
  }
  return {};
}

Status Narrowing::widen_node(Node& node) {
  bool has_floats = std::ranges::any_of(node.outputs, is_float);
  for (Value*& input : node.inputs) {
    if (input == nullptr) continue;
    MLC_TRY(input, widened(input, node));
    has_floats = has_floats || is_float(input);
  }
  if (has_floats) ++facts_.wide_nodes;
  Status status;
  for_each_subgraph(node, [&](Graph& inner) {
    if (status.ok()) status = widen_captured(inner, node);
  });
  return status;
}

Status Narrowing::narrow_node(Node& node) {
  const bool is_cast = node.op == "Cast";
  bool has_floats = std::ranges::any_of(node.outputs, is_float);
  for (Value*& input : node.inputs) {
    const auto alias = aliases_.find(input);
    if (alias != aliases_.end()) input = alias->second;
    // Dropped numbers are dropped by either cast.
    if (is_cast || !is_float(input)) continue;
    has_floats = true;
    MLC_TRY(input, in(input, DType::f16, node));
  }
  for (Value* output : node.outputs) {
    if (!is_float(output)) continue;
    output->type.dtype = DType::f16;
    narrowed_.insert(output);
  }
  if (is_cast && narrowed_.contains(node.outputs[0])) {
    node.attributes = {{"to", int64_t{info(DType::f16).onnx}}};
    if (node.inputs[0]->type.dtype == DType::f16) aliases_.emplace(node.outputs[0], node.inputs[0]);
  } else if (has_floats) {
    ++facts_.narrow_nodes;
  }
  return {};
}

Status Narrowing::rewrite() {
  std::vector<Node*> old;
  old.swap(model_.graph.nodes);
  std::vector<Node*>& nodes = model_.graph.nodes;
  const auto take_casts = [&] {
    nodes.insert(nodes.end(), made_.begin(), made_.end());
    made_.clear();
  };
  for (Node* node : old) {
    MLC_CHECK(wide_.contains(node) ? widen_node(*node) : narrow_node(*node));
    take_casts();
    nodes.push_back(node);
  }
  const Node end;
  for (GraphOutput& output : model_.graph.outputs) {
    MLC_TRY(output.value, widened(output.value, end));
    take_casts();
  }
  return {};
}

/// Replaces VALUES in GRAPH and all within it.
void replace(Graph& graph, const std::unordered_map<const Value*, Value*>& values) {
  for (Node* node : graph.nodes) {
    for (Value*& input : node->inputs) {
      if (const auto found = values.find(input); found != values.end()) input = found->second;
    }
    for_each_subgraph(*node, [&](Graph& inner) { replace(inner, values); });
  }
}

/// Weights in bfloat16, with a cast behind each.
NarrowFacts store_narrow(Model& model, DType dtype) {
  constexpr uint64_t kLeast = 1024;  // elements; smaller ones are not worth a node
  std::unordered_map<const Value*, Value*> values;
  std::vector<Node*> casts;
  const auto uses = count_uses(model);
  // In the order of the model, which does not depend on addresses.
  for (const Value& value : model.values) {
    if (!is_float(&value) || value.data == nullptr || !uses.contains(&value)) continue;
    if (value.data->count() < kLeast) continue;
    Value* small = model.new_value({dtype, value.type.sizes});
    small->data = cast_data(value.data, dtype);
    Node* cast = model.new_node();
    cast->op = "Cast";
    cast->inputs = {small};
    cast->attributes = {{"to", int64_t{info(DType::f32).onnx}}};
    Value* out = model.new_value(value.type);
    out->producer = cast;
    cast->outputs = {out};
    casts.push_back(cast);
    values.emplace(&value, out);
  }
  replace(model.graph, values);
  model.graph.nodes.insert(model.graph.nodes.begin(), casts.begin(), casts.end());
  NarrowFacts facts;
  facts.casts = casts.size();
  facts.wide_nodes = model.graph.nodes.size() - casts.size();
  return facts;
}

}  // namespace

Result<NarrowFacts> narrow_floats(Model& model, DType dtype) {
  if (dtype != DType::f16) return store_narrow(model, dtype);
  Narrowing work(model);
  MLC_CHECK(work.choose());
  MLC_CHECK(work.rewrite());
  remove_unused(model);
  return std::move(work).facts();
}

}  // namespace mlc::onnx
