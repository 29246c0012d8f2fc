// Max, average, adaptive and power-average pooling. A stride that is not given is the kernel size.
#include "mlc/frontend/module_types.h"

#include <cmath>
#include <numeric>

namespace mlc::arch {
namespace {

std::string dims(const LeafBuilder& leaf) {
  return leaf.type().substr(leaf.type().size() - 2);  // "2d"
}

std::string stride(const LeafBuilder& leaf) {
  return leaf.literal(leaf.is_none("stride") ? "kernel_size" : "stride");
}

Status build_max(LeafBuilder& leaf) {
  const std::string arguments = leaf.filled("(input, {kernel_size}, ") + stride(leaf) +
                                leaf.filled(", {padding}, {dilation}, {ceil_mode})");
  const std::string name = "return torch.max_pool" + dims(leaf);
  if (leaf.flag("return_indices")) {
    leaf.forward("input: Tensor", "Tuple[Tensor, Tensor]", name + "_with_indices" + arguments);
  } else {
    leaf.forward("input: Tensor", "Tensor", name + arguments);
  }
  return {};
}

Status build_average(LeafBuilder& leaf) {
  const std::string divisor = dims(leaf) == "1d" ? "" : ", {divisor_override}";
  leaf.forward_expression("torch.avg_pool" + dims(leaf) + "(input, {kernel_size}, " + stride(leaf) +
                          ", {padding}, {ceil_mode}, {count_include_pad}" + divisor + ")");
  return {};
}

/// The output size as source text; null keeps the size of the input.
std::string adaptive_size(const LeafBuilder& leaf) {
  const Ints& sizes = leaf.ints("output_size");
  std::string out = "[";
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0) out += ", ";
    out += sizes[i] == kNoneInList ? "input.size(-" + std::to_string(sizes.size() - i) + ")"
                                   : std::to_string(sizes[i]);
  }
  return out + "]";
}

Status build_adaptive_average(LeafBuilder& leaf) {
  leaf.forward_expression("torch.adaptive_avg_pool" + dims(leaf) + "(input, " +
                          adaptive_size(leaf) + ")");
  return {};
}

Status build_adaptive_max(LeafBuilder& leaf) {
  const std::string call =
      "torch.adaptive_max_pool" + dims(leaf) + "(input, " + adaptive_size(leaf) + ")";
  if (leaf.flag("return_indices")) {
    leaf.forward("input: Tensor", "Tuple[Tensor, Tensor]", "return " + call);
  } else {
    leaf.forward("input: Tensor", "Tensor", "values, indices = " + call + "\nreturn values");
  }
  return {};
}

Status build_power(LeafBuilder& leaf) {
  const Ints& kernel = leaf.ints("kernel_size");
  const double norm = leaf.number("norm_type");
  const std::string window = "{kernel_size}, " + stride(leaf);
  const Ints zeros(kernel.size(), 0);
  const Ints ones(kernel.size(), 1);
  if (std::isinf(norm)) {
    const std::string sign = norm > 0 ? "" : "-";
    leaf.forward_expression(sign + "torch.max_pool" + dims(leaf) + "(" + sign +
                            "torch.abs(input), " + window + ", " + python_literal(zeros) + ", " +
                            python_literal(ones) + ", {ceil_mode})");
    return {};
  }
  if (norm == 0) return leaf.error("norm_type", "norm_type must not be 0");
  const int64_t count = std::accumulate(kernel.begin(), kernel.end(), int64_t{1}, saturating_mul);
  leaf.forward("input: Tensor", "Tensor",
               leaf.filled("means = torch.avg_pool" + dims(leaf) +
                           "(torch.pow(input, {norm_type})"
                           ", " +
                           window + ", " + python_literal(zeros) +
                           ", {ceil_mode})\n"
                           "means = torch.sign(means) * torch.relu(torch.abs(means))\n"
                           "return torch.pow(means * " +
                           std::to_string(count) + ", " + python_literal(1.0 / norm) + ")"));
  return {};
}

#define MLC_MAX(N)                                                                              \
  "kernel_size: size" N ", stride: size" N "? = None, padding: size" N " = 0, dilation: size" N \
  " = 1, return_indices: bool = False, ceil_mode: bool = False"
#define MLC_AVERAGE(N)                                                 \
  "kernel_size: size" N ", stride: size" N "? = None, padding: size" N \
  " = 0, ceil_mode: bool = False, count_include_pad: bool = True"
#define MLC_POWER(N) \
  "norm_type: float, kernel_size: size" N ", stride: size" N "? = None, ceil_mode: bool = False"
constexpr std::string_view kDivisor2 = MLC_AVERAGE("2") ", divisor_override: pos? = None";
constexpr std::string_view kDivisor3 = MLC_AVERAGE("3") ", divisor_override: pos? = None";
#define MLC_ADAPTIVE_MAX(N) "output_size: keep" N ", return_indices: bool = False"

constexpr ModuleType kRows[] = {
    {"MaxPool1d", MLC_MAX("1"), "", build_max},
    {"MaxPool2d", MLC_MAX("2"), "", build_max},
    {"MaxPool3d", MLC_MAX("3"), "", build_max},
    {"AvgPool1d", MLC_AVERAGE("1"), "", build_average},
    {"AvgPool2d", kDivisor2, "", build_average},
    {"AvgPool3d", kDivisor3, "", build_average},
    {"AdaptiveAvgPool1d", "output_size: keep1", "", build_adaptive_average},
    {"AdaptiveAvgPool2d", "output_size: keep2", "", build_adaptive_average},
    {"AdaptiveAvgPool3d", "output_size: keep3", "", build_adaptive_average},
    {"AdaptiveMaxPool1d", MLC_ADAPTIVE_MAX("1"), "", build_adaptive_max},
    {"AdaptiveMaxPool2d", MLC_ADAPTIVE_MAX("2"), "", build_adaptive_max},
    {"AdaptiveMaxPool3d", MLC_ADAPTIVE_MAX("3"), "", build_adaptive_max},
    {"LPPool1d", MLC_POWER("1"), "", build_power},
    {"LPPool2d", MLC_POWER("2"), "", build_power},
    {"LPPool3d", MLC_POWER("3"), "", build_power},
};

}  // namespace

std::span<const ModuleType> pool_types() {
  return kRows;
}

}  // namespace mlc::arch
