#include "mlc/torch/quantized_rows.h"

#include <algorithm>
#include <span>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/frontend/resolver.h>

namespace mlc::torch_module {
namespace {

// Weights of linear layers are given transposed: what a product of matrices takes.
constexpr const char* kSource = R"(
def relu(x: Tensor):
  return torch.relu(x)
def add(a: Tensor, b: Tensor):
  return torch.add(a, b)
def add_number(a: Tensor, b: number):
  return torch.add(a, b)
def mul(a: Tensor, b: Tensor):
  return torch.mul(a, b)
def mul_number(a: Tensor, b: number):
  return torch.mul(a, b)
def matmul(a: Tensor, b: Tensor):
  return torch.matmul(a, b)
def cat(all: List[Tensor], dim: int):
  return torch.cat(all, dim)
def addmm(x: Tensor, w: Tensor, b: Tensor):
  return torch.addmm(b, x, w)
def linear(x: Tensor, w: Tensor, b: Optional[Tensor]):
  return torch.matmul(x, w)
def linear_bias(x: Tensor, w: Tensor, b: Tensor):
  return torch.add(torch.matmul(x, w), b)
def conv1d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv1d(x, w, b, s, p, d, g)
def conv2d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv2d(x, w, b, s, p, d, g)
def conv3d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv3d(x, w, b, s, p, d, g)
def conv_transpose1d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv_transpose1d(x, w, b, s, p, o, g, d)
def conv_transpose2d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv_transpose2d(x, w, b, s, p, o, g, d)
def conv_transpose3d(x: Tensor, w: Tensor, b: Optional[Tensor], s: List[int], p: List[int], o: List[int], d: List[int], g: int):
  return torch.conv_transpose3d(x, w, b, s, p, o, g, d)
def batch_norm(x: Tensor, w: Optional[Tensor], b: Optional[Tensor], mean: Tensor, var: Tensor, eps: float):
  return torch.batch_norm(x, w, b, mean, var, False, 0.0, eps, False)
def layer_norm(x: Tensor, shape: List[int], w: Optional[Tensor], b: Optional[Tensor], eps: float):
  return torch.layer_norm(x, shape, w, b, eps, False)
def group_norm(x: Tensor, groups: int, w: Optional[Tensor], b: Optional[Tensor], eps: float):
  return torch.group_norm(x, groups, w, b, eps, False)
def instance_norm(x: Tensor, w: Optional[Tensor], b: Optional[Tensor], eps: float):
  return torch.instance_norm(x, w, b, None, None, True, 0.0, eps, False)
def max_pool1d(x: Tensor, kernel: List[int], s: List[int], p: List[int], d: List[int], ceil: bool):
  return torch.max_pool1d(x, kernel, s, p, d, ceil)
def max_pool2d(x: Tensor, kernel: List[int], s: List[int], p: List[int], d: List[int], ceil: bool):
  return torch.max_pool2d(x, kernel, s, p, d, ceil)
def elu(x: Tensor, alpha: number, scale: number, input_scale: number):
  return torch.elu(x, alpha, scale, input_scale)
def celu(x: Tensor, alpha: number):
  return torch.celu(x, alpha)
def leaky_relu(x: Tensor, slope: number):
  return torch.leaky_relu(x, slope)
def prelu(x: Tensor, weight: Tensor):
  return torch.prelu(x, weight)
def hardswish(x: Tensor):
  return torch.hardswish(x)
def sigmoid(x: Tensor):
  return torch.sigmoid(x)
def softmax(x: Tensor, dim: int):
  return torch.softmax(x, dim)
def threshold(x: Tensor, threshold: number, value: number):
  return torch.threshold(x, threshold, value)
def clamp(x: Tensor, low: Optional[number], high: Optional[number]):
  return torch.clamp(x, low, high)
def relu6(x: Tensor):
  return torch.relu6(x)
def alias(x: Tensor):
  return x
def embedding(codes: Tensor, scales: Tensor, offsets: Tensor, ids: Tensor):
  rows = torch.mul(torch.to(torch.embedding(codes, ids), 6), torch.embedding(scales, ids))
  return torch.add(rows, torch.embedding(offsets, ids))
def table(codes: Tensor, scales: Tensor, offsets: Tensor):
  return torch.add(torch.mul(torch.to(codes, 6), scales), offsets)
def embedding_bag(table: Tensor, ids: Tensor, starts: Tensor, mode: int, weights: Optional[Tensor], last: bool):
  out, a, b, c = torch.embedding_bag(table, ids, starts, False, mode, False, weights, last)
  return out
def embedding_bags(table: Tensor, ids: Tensor, weights: Optional[Tensor]):
  return torch.sum(torch.embedding(table, ids), 1)
def weighted_embedding_bags(table: Tensor, ids: Tensor, weights: Tensor):
  return torch.sum(torch.mul(torch.embedding(table, ids), torch.unsqueeze(weights, -1)), 1)
)";

constexpr auto kLinear = QuantizedKind::linear;
constexpr auto kConv = QuantizedKind::conv;
constexpr auto kValues = QuantizedKind::values;

constexpr std::array<int8_t, 6> first(int8_t count) {
  std::array<int8_t, 6> out = {-1, -1, -1, -1, -1, -1};
  for (int8_t i = 0; i < count; ++i) out.at(static_cast<size_t>(i)) = i;
  return out;
}

// In the order of the alphabet.
constexpr QuantizedRow kRows[] = {
    {"aten::quantize_per_channel", "alias", kValues, first(1)},
    {"aten::quantize_per_tensor", "alias", kValues, first(1)},
    {"aten::quantized_batch_norm", "batch_norm", kValues, first(6)},
    {"quantized::add", "add", kValues, first(2)},
    {"quantized::add_relu", "add", kValues, first(2), true},
    {"quantized::add_scalar", "add", kValues, first(2)},
    {"quantized::add_scalar_relu", "add", kValues, first(2), true},
    {"quantized::batch_norm", "batch_norm", kValues, first(6)},
    {"quantized::batch_norm1d", "batch_norm", kValues, first(6)},
    {"quantized::batch_norm1d_relu", "batch_norm", kValues, first(6), true},
    {"quantized::batch_norm2d", "batch_norm", kValues, first(6)},
    {"quantized::batch_norm2d_relu", "batch_norm", kValues, first(6), true},
    {"quantized::batch_norm3d", "batch_norm", kValues, first(6)},
    {"quantized::batch_norm3d_relu", "batch_norm", kValues, first(6), true},
    {"quantized::batch_norm_relu", "batch_norm", kValues, first(6), true},
    {"quantized::cat", "cat", kValues, first(2)},
    {"quantized::cat_relu", "cat", kValues, first(2), true},
    {"quantized::celu", "celu", kValues, {0, 3, -1}},
    {"quantized::clamp", "clamp", kValues, first(3)},
    {"quantized::conv1d", "conv1d", kConv},
    {"quantized::conv1d_relu", "conv1d", kConv, first(0), true},
    {"quantized::conv2d", "conv2d", kConv},
    {"quantized::conv2d_relu", "conv2d", kConv, first(0), true},
    {"quantized::conv3d", "conv3d", kConv},
    {"quantized::conv3d_relu", "conv3d", kConv, first(0), true},
    {"quantized::conv_transpose1d", "conv_transpose1d", kConv},
    {"quantized::conv_transpose2d", "conv_transpose2d", kConv},
    {"quantized::conv_transpose3d", "conv_transpose3d", kConv},
    {"quantized::dropout", "alias", kValues, first(1)},
    {"quantized::elu", "elu", kValues, {0, 3, 4, 5, -1}},
    {"quantized::embedding_bag_byte", "embedding_bag", QuantizedKind::embedding},
    {"quantized::embedding_byte", "embedding", QuantizedKind::embedding},
    {"quantized::group_norm", "group_norm", kValues, first(5)},
    {"quantized::hardswish", "hardswish", kValues, first(1)},
    {"quantized::instance_norm", "instance_norm", kValues, first(4)},
    {"quantized::layer_norm", "layer_norm", kValues, first(5)},
    {"quantized::leaky_relu", "leaky_relu", kValues, first(2)},
    {"quantized::linear", "linear", kLinear},
    {"quantized::linear_dynamic", "linear", kLinear, first(0), false, true},
    {"quantized::linear_relu", "linear", kLinear, first(0), true},
    {"quantized::linear_relu_dynamic", "linear", kLinear, first(0), true, true},
    {"quantized::matmul", "matmul", kValues, first(2)},
    {"quantized::max_pool1d", "max_pool1d", kValues, first(6)},
    {"quantized::max_pool2d", "max_pool2d", kValues, first(6)},
    {"quantized::mul", "mul", kValues, first(2)},
    {"quantized::mul_relu", "mul", kValues, first(2), true},
    {"quantized::mul_scalar", "mul", kValues, first(2)},
    {"quantized::mul_scalar_relu", "mul", kValues, first(2), true},
    {"quantized::prelu", "prelu", kValues, first(2)},
    {"quantized::relu6", "relu6", kValues, first(1)},
    {"quantized::sigmoid", "sigmoid", kValues, first(1)},
    {"quantized::softmax", "softmax", kValues, first(2)},
    {"quantized::threshold", "threshold", kValues, first(3)},
};
static_assert(std::ranges::is_sorted(kRows, {}, &QuantizedRow::name));

}  // namespace

const QuantizedRow* find_quantized(std::string_view name) {
  const auto* const found = std::ranges::lower_bound(kRows, name, {}, &QuantizedRow::name);
  return found == std::end(kRows) || found->name != name ? nullptr : found;
}

torch::jit::Graph& quantized_function(const std::string& name) {
  static torch::jit::CompilationUnit unit;
  static const bool defined = [] {
    unit.define(std::nullopt, kSource, torch::jit::nativeResolver(), nullptr);
    return true;
  }();
  static_cast<void>(defined);
  torch::jit::Function& function = unit.get_function(c10::QualifiedName(name));
  function.ensure_defined();
  return *torch::jit::toGraphFunction(function).graph();
}

}  // namespace mlc::torch_module
