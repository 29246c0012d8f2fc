#include "mlc/torch/functional.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <torch/csrc/jit/frontend/resolver.h>

namespace mlc::torch_module {
namespace {

struct Function {
  std::string_view name;
  std::string_view arguments;  // behind the first, `input`
  std::string_view result;
};

constexpr auto kFunctions = std::to_array<Function>({
    {"relu", "inplace: bool = False", "torch.relu(input)"},
    {"relu6", "inplace: bool = False", "torch.relu6(input)"},
    {"silu", "inplace: bool = False", "torch.silu(input)"},
    {"mish", "inplace: bool = False", "torch.mish(input)"},
    {"selu", "inplace: bool = False", "torch.selu(input)"},
    {"hardswish", "inplace: bool = False", "torch.hardswish(input)"},
    {"hardsigmoid", "inplace: bool = False", "torch.hardsigmoid(input)"},
    {"hardtanh", "min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False",
     "torch.hardtanh(input, min_val, max_val)"},
    {"elu", "alpha: float = 1.0, inplace: bool = False", "torch.elu(input, alpha)"},
    {"celu", "alpha: float = 1.0, inplace: bool = False", "torch.celu(input, alpha)"},
    {"leaky_relu", "negative_slope: float = 0.01, inplace: bool = False",
     "torch.leaky_relu(input, negative_slope)"},
    {"threshold", "threshold: float, value: float, inplace: bool = False",
     "torch.threshold(input, threshold, value)"},
    {"logsigmoid", "", "torch.log_sigmoid(input)"},
    {"softsign", "", "input / (torch.abs(input) + 1)"},
    {"tanhshrink", "", "input - torch.tanh(input)"},
    {"softmin", "dim: int", "torch.softmax(-input, dim)"},
    {"dropout", "p: float = 0.5, training: bool = True, inplace: bool = False",
     "torch.dropout(input, p, training)"},
    {"dropout1d", "p: float = 0.5, training: bool = True, inplace: bool = False",
     "torch.feature_dropout(input, p, training)"},
    {"dropout2d", "p: float = 0.5, training: bool = True, inplace: bool = False",
     "torch.feature_dropout(input, p, training)"},
    {"dropout3d", "p: float = 0.5, training: bool = True, inplace: bool = False",
     "torch.feature_dropout(input, p, training)"},
    {"embedding", "weight: Tensor, padding_idx: Optional[int] = None",
     "torch.embedding(weight, input)"},
    {"batch_norm",
     "running_mean: Optional[Tensor], running_var: Optional[Tensor], "
     "weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, training: bool = False, "
     "momentum: float = 0.1, eps: float = 1e-05",
     "torch.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, "
     "False)"},
    {"instance_norm",
     "running_mean: Optional[Tensor] = None, running_var: Optional[Tensor] = None, "
     "weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, "
     "use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-05",
     "torch.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, "
     "momentum, eps, False)"},
    {"normalize", "p: float = 2.0, dim: int = 1, eps: float = 1e-12",
     "input / torch.linalg_vector_norm(input, p, [dim], True).clamp_min(eps)"},
});

constexpr auto kAdvice = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"interpolate", "a module of type Upsample does the same"},
    {"upsample", "a module of type Upsample does the same"},
    {"embedding_bag", "a module of type EmbeddingBag does the same"},
    {"grid_sample", "torch.grid_sampler takes the modes as numbers"},
    {"unfold", "torch.im2col does the same"},
    {"fold", "torch.col2im does the same"},
    {"lp_pool2d", "a module of type LPPool2d does the same"},
    {"max_pool2d_with_indices", "torch.max_pool2d_with_indices does the same"},
    {"multi_head_attention_forward", "a module of type MultiheadAttention does the same"},
});

std::string source_of(const Function& one) {
  return "def " + std::string(one.name) + "(input: Tensor" + (one.arguments.empty() ? "" : ", ") +
         std::string(one.arguments) + ") -> Tensor:\n  return " + std::string(one.result) + "\n";
}

}  // namespace

const std::vector<std::string>& functional_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Function& one : kFunctions) names.emplace_back(one.name);
    return names;
  }();
  return kNames;
}

void define_functions(torch::jit::CompilationUnit& unit, const std::string& source) {
  for (const Function& one : kFunctions) {
    if (source.find("." + std::string(one.name)) == std::string::npos) continue;
    const c10::QualifiedName prefix(kFunctionalPrefix);
    if (unit.find_function(c10::QualifiedName(prefix, std::string(one.name))) != nullptr) continue;
    unit.define(prefix, source_of(one), torch::jit::nativeResolver(), nullptr);
  }
}

std::string advice_against(const std::string& name) {
  const auto row =
      std::ranges::find(kAdvice, name, &std::pair<std::string_view, std::string_view>::first);
  return row == kAdvice.end() ? std::string() : std::string(row->second);
}

}  // namespace mlc::torch_module
