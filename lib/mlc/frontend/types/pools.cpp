// Max, average, adaptive, power-average and fractional pooling, and undoing max pooling. A stride
// that is not given is the kernel size.
#include "mlc/frontend/module_types.h"

#include <algorithm>
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
  const bool has_divisor = dims(leaf) != "1d";
  if (has_divisor && !leaf.is_none("divisor_override") && leaf.integer("divisor_override") == 0) {
    return leaf.error("divisor_override", "divisor_override must not be 0");
  }
  const std::string divisor = has_divisor ? ", {divisor_override}" : "";
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

/// forward(input, indices, output_size): without output_size the smallest that the kernel allows.
Status build_unpool(LeafBuilder& leaf) {
  const size_t rank = leaf.ints("kernel_size").size();
  const std::string n = std::to_string(rank);
  const std::string call = rank == 1
                               ? "torch.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), "
                                 "[size[0], 1]).squeeze(-1)"
                           : rank == 2 ? "torch.max_unpool2d(input, indices, size)"
                                       : "torch.max_unpool3d(input, indices, size, steps, padding)";
  leaf.forward(
      "input: Tensor, indices: Tensor, output_size: Optional[List[int]] = None", "Tensor",
      leaf.filled("kernel = {kernel_size}\nsteps = ") + stride(leaf) +
          leaf.filled("\npadding = {padding}\n") + "size = [(input.size(i - " + n +
          ") - 1) * steps[i] - 2 * padding[i] + kernel[i] for i in range(" + n +
          ")]\n"
          "if output_size is not None:\n"
          "    wanted = output_size if len(output_size) != " +
          n + " + 2 else output_size[2:]\n    assert len(wanted) == " + n +
          ", \"output_size needs one number for each spatial dimension\"\n"
          "    for i in range(" +
          n +
          "):\n        assert wanted[i] > size[i] - steps[i] and wanted[i] < size[i] + steps[i], "
          "\"output_size is more than a stride away from what the kernel gives\"\n"
          "    size = wanted\nreturn " +
          call);
  return {};
}

/// Draws where the windows lie from the generator, also in evaluation mode, as PyTorch does.
Status build_fractional(LeafBuilder& leaf) {
  const size_t rank = leaf.ints("kernel_size").size();
  const std::string n = std::to_string(rank);
  const bool by_size = !leaf.is_none("output_size");
  if (by_size == !leaf.is_none("output_ratio")) {
    return leaf.error(
        by_size ? "output_ratio" : "output_size",
        "give output_size or output_ratio, not " + std::string(by_size ? "both" : "none"));
  }
  const std::string size =
      by_size ? leaf.filled("{output_size}")
              : "[int(float(input.size(i - " + n + ")) * ratio[i]) for i in range(" + n + ")]";
  std::string ratio;
  if (!by_size) {
    std::vector<double> each = std::get<std::vector<double>>(leaf.value("output_ratio"));
    if (each.size() == 1) each.assign(rank, each[0]);
    const bool between = std::ranges::all_of(each, [](double one) { return one > 0 && one < 1; });
    if (each.size() != rank || !between) {
      return leaf.error("output_ratio", "output_ratio must be one number between 0 and 1, or " + n);
    }
    ratio = "ratio = " + python_literal(each) + "\n";
  }
  const bool indices = leaf.flag("return_indices");
  leaf.forward("input: Tensor", indices ? "Tuple[Tensor, Tensor]" : "Tensor",
               ratio + "size = " + size + "\nbatch = 1 if input.dim() == " + n +
                   " + 1 else input.size(0)\n"
                   "samples = torch.rand([batch, input.size(-1 - " +
                   n + "), " + n +
                   "], dtype=input.dtype, device=input.device)\n"
                   "values, indices = torch.fractional_max_pool" +
                   dims(leaf) +
                   leaf.filled("(input, {kernel_size}, size, samples)\nreturn values") +
                   (indices ? ", indices" : ""));
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
constexpr std::string_view kDivisor2 = MLC_AVERAGE("2") ", divisor_override: int? = None";
constexpr std::string_view kDivisor3 = MLC_AVERAGE("3") ", divisor_override: int? = None";
#define MLC_UNPOOL(N) "kernel_size: size" N ", stride: size" N "? = None, padding: size" N " = 0"
#define MLC_FRACTIONAL(N)                       \
  "kernel_size: size" N ", output_size: size" N \
  "? = None, output_ratio: floats? = None, "    \
  "return_indices: bool = False"
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
    {"MaxUnpool1d", MLC_UNPOOL("1"), "", build_unpool},
    {"MaxUnpool2d", MLC_UNPOOL("2"), "", build_unpool},
    {"MaxUnpool3d", MLC_UNPOOL("3"), "", build_unpool},
    {"FractionalMaxPool2d", MLC_FRACTIONAL("2"), "", build_fractional},
    {"FractionalMaxPool3d", MLC_FRACTIONAL("3"), "", build_fractional},
    {"LPPool1d", MLC_POWER("1"), "", build_power},
    {"LPPool2d", MLC_POWER("2"), "", build_power},
    {"LPPool3d", MLC_POWER("3"), "", build_power},
};

}  // namespace

std::span<const ModuleType> pool_types() {
  return kRows;
}

}  // namespace mlc::arch
