#include "mlc/torch/layer_sites.h"

#include <array>
#include <set>
#include <string_view>

#include <c10/util/irange.h>
#include <torch/csrc/jit/ir/constants.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

std::optional<at::Tensor> constant_tensor(const Value* value) {
  const auto known = torch::jit::toIValue(value);
  if (!known || !known->isTensor() || !known->toTensor().defined()) return std::nullopt;
  return known->toTensor();
}

bool is_none(const Value* value) {
  const auto known = torch::jit::toIValue(value);
  return known && known->isNone();
}

bool is_one(const Value* value) {
  const auto known = torch::jit::toIValue(value);
  if (!known) return false;
  return known->isInt() ? known->toInt() == 1 : known->isDouble() && known->toDouble() == 1;
}

std::optional<std::vector<int64_t>> constant_ints(const Value* value) {
  const auto known = torch::jit::toIValue(value);
  if (!known || !known->isIntList()) return std::nullopt;
  return known->toIntVector();
}

bool is_float_matrix(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat && tensor.dim() >= 2;
}

/// Sets the bias of SITE; false where it is neither a constant nor missing.
bool take_bias(const Value* value, LayerSite& site) {
  if (is_none(value)) return true;
  site.bias = constant_tensor(value);
  return site.bias && site.bias->dim() == 1 && site.bias->scalar_type() == at::kFloat &&
         site.bias->size(0) == site.weight.size(0);
}

bool read_linear(const Node& node, LayerSite& site) {
  const auto weight = constant_tensor(node.input(1));
  if (!weight || weight->dim() != 2) return false;
  site.kind = LayerKind::linear;
  site.weight = *weight;
  site.argument = 0;
  return take_bias(node.input(2), site);
}

/// bias + x @ w
bool read_addmm(const Node& node, LayerSite& site) {
  const auto weight = constant_tensor(node.input(2));
  if (!weight || weight->dim() != 2 || !is_one(node.input(3)) || !is_one(node.input(4)))
    return false;
  site.kind = LayerKind::linear;
  site.weight = weight->t();
  site.argument = 1;
  return take_bias(node.input(0), site);
}

bool read_matmul(const Node& node, LayerSite& site) {
  const auto weight = constant_tensor(node.input(1));
  if (!weight || weight->dim() != 2) return false;
  site.kind = LayerKind::linear;
  site.weight = weight->t();
  site.argument = 0;
  return true;
}

/// Arguments STRIDE to DILATION are the fourth to the sixth of every convolution.
bool read_geometry(const Node& node, const Value* groups, LayerSite& site) {
  const auto weight = constant_tensor(node.input(1));
  const auto stride = constant_ints(node.input(3));
  const auto padding = constant_ints(node.input(4));
  const auto dilation = constant_ints(node.input(5));
  const auto count = torch::jit::toIValue(groups);
  if (!weight || !stride || !padding || !dilation || !count || !count->isInt()) return false;
  if (weight->dim() != 3 && weight->dim() != 4) return false;
  site.kind = weight->dim() == 3 ? LayerKind::conv1d : LayerKind::conv2d;
  site.weight = *weight;
  site.argument = 0;
  site.stride = *stride;
  site.padding = *padding;
  site.dilation = *dilation;
  site.groups = count->toInt();
  return take_bias(node.input(2), site);
}

bool read_conv(const Node& node, LayerSite& site) {
  return read_geometry(node, node.input(6), site);
}

/// As traces have it, with `transposed` before the padding of outputs.
bool read_any_conv(const Node& node, LayerSite& site) {
  const auto transposed = torch::jit::toIValue(node.input(6));
  if (!transposed || !transposed->isBool() || transposed->toBool()) return false;
  return read_geometry(node, node.input(8), site);
}

bool read_embedding(const Node& node, LayerSite& site) {
  const auto weight = constant_tensor(node.input(0));
  if (!weight || weight->dim() != 2) return false;
  site.kind = LayerKind::embedding;
  site.weight = *weight;
  site.argument = 1;
  return true;
}

struct Reader {
  std::string_view op;
  size_t inputs;  // that it has at least
  size_t weight;  // which of them is the weight
  bool (*read)(const Node&, LayerSite&);
};
constexpr std::array<Reader, 7> kReaders = {{
    {"aten::linear", 3, 1, read_linear},
    {"aten::addmm", 5, 2, read_addmm},
    {"aten::matmul", 2, 1, read_matmul},
    {"aten::conv1d", 7, 1, read_conv},
    {"aten::conv2d", 7, 1, read_conv},
    {"aten::_convolution", 9, 1, read_any_conv},
    {"aten::embedding", 2, 0, read_embedding},
}};

/// Every floating tensor of two or more dimensions that VALUE is, alone or in a list.
std::vector<at::Tensor> weights_in(const Value* value) {
  std::vector<at::Tensor> out;
  const auto add = [&out](const at::Tensor& tensor) {
    if (tensor.defined() && tensor.is_floating_point() && tensor.dim() >= 2) out.push_back(tensor);
  };
  const auto known = torch::jit::toIValue(value);
  if (!known) return out;
  if (known->isTensor()) add(known->toTensor());
  if (known->isTensorList()) {
    for (const at::Tensor& tensor : known->toTensorVector()) add(tensor);
  }
  return out;
}

class Finder {
 public:
  explicit Finder(const WeightNames& names) : names_(names) {}

  void walk(Block* block) {
    for (Node* node : block->nodes()) {
      for (Block* inner : node->blocks()) walk(inner);
      if (!is_layer(*node)) keep(*node);
    }
  }

  FoundLayers found() { return std::move(found_); }

 private:
  bool is_layer(Node& node) {
    for (const Reader& reader : kReaders) {
      if (node.kind().toQualString() != reader.op || node.inputs().size() < reader.inputs) continue;
      LayerSite site;
      if (!reader.read(node, site) || !is_float_matrix(site.weight)) return false;
      site.node = &node;
      site.name = named(names_.of(*node.input(reader.weight), site.weight), node);
      found_.layers.push_back(std::move(site));
      return true;
    }
    return false;
  }

  /// NAME, or, without one, what NODE is and its place among such: "aten::linear 3".
  std::string named(std::string name, const Node& node) {
    if (!name.empty()) return name;
    const std::string op = node.kind().toQualString();
    return op + " " + std::to_string(++nameless_[op]);
  }

  void keep(const Node& node) {
    for (const Value* input : node.inputs()) {
      for (const at::Tensor& weight : weights_in(input)) {
        if (!kept_.insert(weight.const_data_ptr()).second) continue;
        const bool is_float = weight.scalar_type() == at::kFloat;
        found_.kept.push_back(
            {named(names_.of(*input, weight), node),
             is_float ? "read by " + std::string(node.kind().toQualString()) : "not float32",
             weight.nbytes()});
      }
    }
  }

  const WeightNames& names_;
  FoundLayers found_;
  std::set<const void*> kept_;
  std::map<std::string, size_t> nameless_;
};

}  // namespace

WeightNames::WeightNames(const torch::jit::Module& module) {
  const auto add = [this](const auto& named) {
    if (!named.value.defined() || !named.value.has_storage() || named.value.numel() == 0) return;
    const auto* const begin = static_cast<const char*>(named.value.const_data_ptr());
    names_.emplace(begin, std::pair(named.value.nbytes(), named.name));
  };
  for (const auto& named : module.named_parameters()) add(named);
  for (const auto& named : module.named_buffers()) add(named);
}

std::string WeightNames::of(const Value& constant, const at::Tensor& tensor) const {
  const auto* const begin = static_cast<const char*>(tensor.const_data_ptr());
  auto found = names_.upper_bound(begin);
  if (found != names_.begin()) {
    --found;
    const auto& [bytes, name] = found->second;
    if (found->first == begin) return name;
    if (begin < found->first + bytes) return name + ", part";
  }
  // freeze() names constants for the attributes they were, and folded ones "_fused_bn".
  std::string name = constant.debugName();
  if (!name.starts_with("self.")) return "";
  name.erase(0, 5);
  const size_t folded = name.find("_fused_bn");
  if (folded != name.npos) name.erase(folded);
  return name;
}

FoundLayers find_layers(Block* block, const WeightNames& names) {
  Finder finder(names);
  finder.walk(block);
  return finder.found();
}

}  // namespace mlc::torch_module
