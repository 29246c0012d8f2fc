#include "mlc/onnx_quant/static_plan.h"

#include "mlc/base/text.h"
#include "mlc/onnx_quant/constant_floats.h"
#include "mlc/onnx_quant/weight_uses.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

/// What stands between operators with weights. Those that share move elements and nothing more.
struct Between {
  std::string_view op;
  bool shares_scale;
};
constexpr std::array kBetween = {Between{"MaxPool", true},      Between{"Reshape", true},
                                 Between{"Flatten", true},      Between{"Transpose", true},
                                 Between{"Squeeze", true},      Between{"Unsqueeze", true},
                                 Between{"AveragePool", false}, Between{"GlobalAveragePool", false},
                                 Between{"Concat", false}};

const Between* between(const DocNode& node) {
  const auto row =
      std::ranges::find_if(kBetween, [&](const Between& each) { return node.is(each.op); });
  return row == kBetween.end() || node.outputs.size() != 1 ? nullptr : &*row;
}

class Planner {
 public:
  Planner(const Document& document, const QuantOptions& options)
      : document_(document), options_(options) {}

  StaticPlan run();

 private:
  bool is_constant(const std::string& name) const { return document_.find_tensor(name) != nullptr; }
  /// Why a node with weights computes in floats; empty where it does not.
  KeptReason why_float(const DocNode& node) const;
  bool has_weights(const DocNode& node) const;
  /// The second operand of NODE, before a Transpose that MatMul reads.
  const std::string& weight_of(const DocNode& node) const;
  bool is_table(const DocNode& node, const std::string& weight) const;
  const DocNode* float_reader(const std::string& weight) const;
  void index();
  void choose_weighted();
  void choose_between();
  void drop_useless();
  void fold_activation(size_t i);
  bool feeds_bytes(const std::string& name) const;
  std::vector<std::string> data_inputs(const DocNode& node) const;
  void collect();

  const Document& document_;
  const QuantOptions& options_;
  std::map<std::string, std::vector<size_t>, std::less<>> readers_;
  std::set<std::string, std::less<>> visible_;
  std::map<std::string, std::string, std::less<>> turned_;  // what Transposes make: of what
  std::set<std::string, std::less<>> bytes_;                // what nodes that were chosen give
  std::set<size_t> weighted_;
  StaticPlan plan_;
};

const std::string& Planner::weight_of(const DocNode& node) const {
  const auto turned = node.is("MatMul") ? turned_.find(node.input(1)) : turned_.end();
  return turned == turned_.end() ? node.input(1) : turned->second;
}

bool Planner::has_weights(const DocNode& node) const {
  const bool right = node.is("Conv") || node.is("Gemm") || node.is("MatMul");
  if (!right || node.outputs.size() != 1) return false;
  const DocTensor* const weight = document_.find_tensor(weight_of(node));
  return weight != nullptr && weight->data && weight->sizes.size() >= 2 &&
         weight->data->count() > 0 && !is_constant(node.input(0));
}

/// Whether NODE looks up rows of WEIGHT, and may do so in bytes.
bool Planner::is_table(const DocNode& node, const std::string& weight) const {
  const std::vector<std::string_view> names = {weight, node.name};
  return node.is("Gather") && node.input(0) == weight && options_.embeddings &&
         node.integer("axis", 0) == 0 && document_.find_tensor(weight)->sizes.size() == 2 &&
         options_.why_kept(names).text.empty();
}

/// A node that would go on to read WEIGHT in floats: the file would hold it twice.
const DocNode* Planner::float_reader(const std::string& weight) const {
  for (const size_t i : readers_.at(weight)) {
    const DocNode& node = document_.nodes[i];
    if (is_table(node, weight) || (has_weights(node) && weight_of(node) == weight)) continue;
    if (!node.is("Transpose") || !turned_.contains(node.outputs[0])) return &node;
    const auto behind = readers_.find(node.outputs[0]);
    if (behind == readers_.end()) continue;
    for (const size_t k : behind->second) {
      const DocNode& reader = document_.nodes[k];
      if (!has_weights(reader) || weight_of(reader) != weight) return &reader;
    }
  }
  return nullptr;
}

KeptReason Planner::why_float(const DocNode& node) const {
  const DocTensor& weight = *document_.find_tensor(weight_of(node));
  const std::string& bias = node.input(2);
  const DocTensor* const added = document_.find_tensor(bias);
  const std::vector<std::string_view> names = {weight.name, node.name};
  if (KeptReason reason = options_.why_kept(names); !reason.text.empty()) return reason;
  if (visible_.contains(weight.name)) return {"read by inner graphs, or an output", false};
  if (const DocNode* const other = float_reader(weight.name))
    return {other->op + " reads it too, in floats", false};
  if (!is_single_or_half(&weight)) {
    const auto dtype = weight.dtype();
    return {fmt::format("of {}, {}", dtype ? info(*dtype).torch : "another type", kOtherFloats),
            false};
  }
  if (!bias.empty() && !is_single_or_half(added)) return {"a bias that is not constant", false};
  if (node.is("MatMul") && weight.sizes.size() != 2) return {"a batch of matrices", false};
  if (node.is("Gemm") &&
      (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1 || node.real("beta", 1) != 1))
    return {"a Gemm with factors", false};
  const int64_t channels =
      node.is("Conv") || node.integer("transB", 0) != 0 ? weight.sizes[0] : weight.sizes[1];
  if (added != nullptr && static_cast<int64_t>(added->data->count()) != channels)
    return {"a bias of another shape", false};
  if (static_cast<int64_t>(weight.data->count()) < options_.min_elements &&
      !options_.choice_of(names))
    return {fmt::format("small: {}", plural(weight.data->count(), "weight")), true};
  return {};
}

void Planner::index() {
  turned_ = turned_constants(document_);
  visible_.insert(document_.output_names().begin(), document_.output_names().end());
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    const DocNode& node = document_.nodes[i];
    for (const std::string& input : node.inputs) readers_[input].push_back(i);
    visible_.insert(node.inner_names.begin(), node.inner_names.end());
  }
}

void Planner::choose_weighted() {
  std::vector<size_t> all;
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    if (has_weights(document_.nodes[i])) all.push_back(i);
  }
  for (const size_t i : all) {
    const DocNode& node = document_.nodes[i];
    KeptReason why = why_float(node);
    const bool is_end = i == all.front() || i == all.back();
    if (why.text.empty() && options_.float_ends && is_end && all.size() > 2)
      why = {i == all.front() ? "the first layer" : "the last layer", true};
    if (!why.text.empty()) {
      plan_.kept.emplace(weight_of(node), std::move(why));
      continue;
    }
    if (weight_of(node) != node.input(1)) plan_.turned.emplace(i, weight_of(node));
    weighted_.insert(i);
    plan_.nodes.insert(i);
  }
  // A weight is bytes for all that read it, or for none.
  for (const size_t i : all) {
    if (plan_.kept.contains(weight_of(document_.nodes[i]))) {
      weighted_.erase(i);
      plan_.nodes.erase(i);
    }
  }
}

/// Whether one of those that read NAME computes with bytes.
bool Planner::feeds_bytes(const std::string& name) const {
  const auto found = readers_.find(name);
  return found != readers_.end() &&
         std::ranges::any_of(found->second, [&](size_t i) { return plan_.nodes.contains(i); });
}

/// Notes the Relu or the Clip from 0 on behind node I, whose only reader it is.
void Planner::fold_activation(size_t i) {
  const std::string& output = document_.nodes[i].outputs[0];
  const auto found = readers_.find(output);
  if (found == readers_.end() || found->second.size() != 1 || visible_.contains(output)) return;
  const size_t reader = found->second.front();
  const DocNode& node = document_.nodes[reader];
  bool clips = node.is("Relu");
  if (node.is("Clip") && node.input(0) == output) {
    const DocTensor* const least = document_.find_tensor(node.input(1));
    if (is_single_or_half(least) && least->data->count() == 1) {
      const auto value = read_floats(*least->data);
      clips = value.ok() && value->front() == 0 &&
              (node.input(2).empty() || is_constant(node.input(2)));
    }
  }
  if (clips) plan_.folded.emplace(i, reader);
}

std::vector<std::string> Planner::data_inputs(const DocNode& node) const {
  if (node.is("Add") || node.is("Concat")) return node.inputs;
  return {node.input(0)};
}

/// In the order of the graph: what reads nothing but bytes can give bytes.
void Planner::choose_between() {
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    const DocNode& node = document_.nodes[i];
    const bool is_weighted = weighted_.contains(i);
    if (!is_weighted && !between(node) && !node.is("Add")) continue;
    if (!is_weighted) {
      const auto inputs = data_inputs(node);
      const bool ready = std::ranges::all_of(
          inputs, [&](const std::string& name) { return bytes_.contains(name); });
      if (!ready) continue;
      plan_.nodes.insert(i);
    }
    // MatMul gives floats, to which its bias is added; Gemm only where bytes are wanted.
    if (node.is("MatMul")) continue;
    fold_activation(i);
    bytes_.insert(plan_.output(document_, i));
  }
}

/// Takes away what gives bytes to none that computes with them, from the end on.
void Planner::drop_useless() {
  const std::vector<size_t> all(plan_.nodes.begin(), plan_.nodes.end());
  for (size_t k = all.size(); k-- > 0;) {
    const size_t i = all[k];
    const DocNode& node = document_.nodes[i];
    const std::string& output = plan_.output(document_, i);
    if (node.is("MatMul") || node.is("Conv") || node.is("Add") || feeds_bytes(output)) continue;
    plan_.folded.erase(i);
    bytes_.erase(output);
    if (!node.is("Gemm")) plan_.nodes.erase(i);
  }
}

void Planner::collect() {
  for (const size_t i : plan_.nodes) {
    const DocNode& node = document_.nodes[i];
    const DocTensor* const weight = document_.find_tensor(weight_of(node));
    const bool is_half = weighted_.contains(i) ? weight->dtype() == DType::f16
                                               : plan_.halves.contains(node.input(0));
    if (is_half) plan_.halves.insert({node.input(0), node.outputs[0], plan_.output(document_, i)});
    for (const std::string& input : data_inputs(node)) plan_.activations.insert(input);
    const std::string& output = plan_.output(document_, i);
    if (bytes_.contains(output)) plan_.activations.insert(output);
    const Between* const row = between(node);
    if (row != nullptr && row->shares_scale) plan_.same_scale.emplace(output, node.input(0));
  }
}

StaticPlan Planner::run() {
  index();
  choose_weighted();
  choose_between();
  drop_useless();
  collect();
  return std::move(plan_);
}

}  // namespace

const std::string& StaticPlan::root(const std::string& name) const {
  const std::string* out = &name;
  for (auto found = same_scale.find(*out); found != same_scale.end(); found = same_scale.find(*out))
    out = &found->second;
  return *out;
}

const std::string& StaticPlan::weight(const Document& document, size_t i) const {
  const auto found = turned.find(i);
  return found == turned.end() ? document.nodes[i].input(1) : found->second;
}

std::vector<std::string> StaticPlan::observed() const {
  std::set<std::string> out;
  for (const std::string& name : activations) out.insert(root(name));
  return {out.begin(), out.end()};
}

const std::string& StaticPlan::output(const Document& document, size_t i) const {
  const auto relu = folded.find(i);
  return document.nodes[relu == folded.end() ? i : relu->second].outputs[0];
}

StaticPlan plan_static(const Document& document, const QuantOptions& options) {
  return Planner(document, options).run();
}

}  // namespace mlc::onnx
