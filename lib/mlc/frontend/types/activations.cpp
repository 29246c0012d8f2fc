// Activations, softmaxes and dropouts. An expression of a row with `inplace` begins with the
// operator that has a variant with _.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

Status build_prelu(LeafBuilder& leaf) {
  leaf.parameter("weight", {leaf.integer("num_parameters")}, full(leaf.number("init")));
  leaf.forward_expression("torch.prelu(input, self.weight)");
  return {};
}

Status build_hardtanh(LeafBuilder& leaf) {
  if (!(leaf.number("max_val") > leaf.number("min_val"))) {
    return leaf.error("max_val",
                      leaf.filled("max_val ({max_val}) must be greater than min_val ({min_val})"));
  }
  const std::string name = leaf.flag("inplace") ? "torch.hardtanh_" : "torch.hardtanh";
  leaf.forward_expression(name + "(input, {min_val}, {max_val})");
  return {};
}

/// Without dim, PyTorch chooses by the rank of the input.
std::string softmax_dim(const LeafBuilder& leaf) {
  if (!leaf.is_none("dim")) return leaf.literal("dim");
  return "0 if input.dim() == 0 or input.dim() == 1 or input.dim() == 3 else 1";
}

Status build_softmax(LeafBuilder& leaf) {
  leaf.forward_expression("torch.softmax(input, " + softmax_dim(leaf) + ")");
  return {};
}

Status build_softmin(LeafBuilder& leaf) {
  leaf.forward_expression("torch.softmax(-input, " + softmax_dim(leaf) + ")");
  return {};
}

Status build_log_softmax(LeafBuilder& leaf) {
  leaf.forward_expression("torch.log_softmax(input, " + softmax_dim(leaf) + ")");
  return {};
}

constexpr std::string_view kInplace = "inplace: bool = False";
constexpr std::string_view kAlpha = "alpha: float = 1.0, inplace: bool = False";
constexpr std::string_view kLambd = "lambd: float = 0.5";
constexpr std::string_view kDim = "dim: int? = None";
constexpr std::string_view kDropout = "p: float = 0.5, inplace: bool = False";
constexpr std::string_view kFeatureDropout = "torch.feature_dropout(input, {p}, self.training)";

constexpr ModuleType kRows[] = {
    {"ReLU", kInplace, "torch.relu(input)"},
    {"ReLU6", kInplace, "torch.relu6(input)"},
    {"LeakyReLU", "negative_slope: float = 0.01, inplace: bool = False",
     "torch.leaky_relu(input, {negative_slope})"},
    {"PReLU", "num_parameters: pos = 1, init: float = 0.25, dtype: dtype? = None", "", build_prelu},
    {"RReLU", "lower: float = 0.125, upper: float = 0.3333333333333333, inplace: bool = False",
     "torch.rrelu(input, {lower}, {upper}, self.training)"},
    {"ELU", kAlpha, "torch.elu(input, {alpha})"},
    {"CELU", kAlpha, "torch.celu(input, {alpha})"},
    {"SELU", kInplace, "torch.selu(input)"},
    {"GELU", "approximate: {none tanh} = none", "torch.gelu(input, approximate={approximate})"},
    {"SiLU", kInplace, "torch.silu(input)"},
    {"Mish", kInplace, "torch.mish(input)"},
    {"Hardswish", kInplace, "torch.hardswish(input)"},
    {"Hardsigmoid", kInplace, "torch.hardsigmoid(input)"},
    {"Hardtanh", "min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False", "",
     build_hardtanh},
    {"Hardshrink", kLambd, "torch.hardshrink(input, {lambd})"},
    {"Softshrink", kLambd, "torch.softshrink(input, {lambd})"},
    {"Softplus", "beta: float = 1.0, threshold: float = 20.0",
     "torch.softplus(input, {beta}, {threshold})"},
    {"Softsign", "", "input / (torch.abs(input) + 1)"},
    {"Tanhshrink", "", "input - torch.tanh(input)"},
    {"Threshold", "threshold: float, value: float, inplace: bool = False",
     "torch.threshold(input, {threshold}, {value})"},
    {"Sigmoid", "", "torch.sigmoid(input)"},
    {"LogSigmoid", "", "torch.log_sigmoid(input)"},
    {"Tanh", "", "torch.tanh(input)"},
    {"GLU", "dim: int = -1", "torch.glu(input, {dim})"},
    {"Softmax", kDim, "", build_softmax},
    {"Softmin", kDim, "", build_softmin},
    {"LogSoftmax", kDim, "", build_log_softmax},
    {"Softmax2d", "", "torch.softmax(input, -3)"},
    {"Dropout", kDropout, "torch.dropout(input, {p}, self.training)"},
    {"Dropout1d", kDropout, kFeatureDropout},
    {"Dropout2d", kDropout, kFeatureDropout},
    {"Dropout3d", kDropout, kFeatureDropout},
    {"AlphaDropout", kDropout, "torch.alpha_dropout(input, {p}, self.training)"},
    {"FeatureAlphaDropout", kDropout, "torch.feature_alpha_dropout(input, {p}, self.training)"},
};

}  // namespace

std::span<const ModuleType> activation_types() {
  return kRows;
}

}  // namespace mlc::arch
