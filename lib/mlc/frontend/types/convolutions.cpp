// Conv1d-3d and ConvTranspose1d-3d. Weights are (out, in / groups, kernel...), those of transposed
// ones (in, out / groups, kernel...).
#include "mlc/frontend/module_types.h"

#include <numeric>

namespace mlc::arch {
namespace {

size_t spatial_dims(const LeafBuilder& leaf) {
  return static_cast<size_t>(leaf.type()[leaf.type().size() - 2] - '0');
}

Status check_groups(const LeafBuilder& leaf) {
  for (const std::string_view name : {"in_channels", "out_channels"}) {
    if (leaf.integer(name) % leaf.integer("groups") != 0) {
      return leaf.error(name, std::string(name) + " " + leaf.literal(name) +
                                  " is not divisible by groups " + leaf.literal("groups"));
    }
  }
  return {};
}

/// The weight and the bias. FIRST, SECOND: its channel dimensions.
void add_tensors(LeafBuilder& leaf, int64_t first, int64_t second) {
  Ints shape = {first, second};
  for (const int64_t size : leaf.ints("kernel_size")) shape.push_back(size);
  const int64_t fan_in =
      std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, saturating_mul);
  leaf.parameter("weight", std::move(shape), uniform_for(fan_in));
  if (leaf.flag("bias")) {
    leaf.parameter("bias", {leaf.integer("out_channels")}, uniform_for(fan_in));
  } else {
    leaf.none("bias");
  }
}

/// What is added on both sides of each dimension, first dimension first.
std::vector<std::pair<int64_t, int64_t>> paddings(const LeafBuilder& leaf) {
  std::vector<std::pair<int64_t, int64_t>> out;
  const auto* word = std::get_if<std::string>(&leaf.value("padding"));
  for (size_t i = 0; i < leaf.ints("kernel_size").size(); ++i) {
    if (word == nullptr) {
      const int64_t both = leaf.ints("padding")[i];
      out.emplace_back(both, both);
      continue;
    }
    const int64_t total =
        *word == "valid" ? 0
                         : saturating_mul(leaf.ints("dilation")[i],
                                          std::max<int64_t>(leaf.ints("kernel_size")[i] - 1, 0));
    out.emplace_back(total / 2, total - total / 2);
  }
  return out;
}

Status build_convolution(LeafBuilder& leaf) {
  MLC_CHECK(check_groups(leaf));
  add_tensors(leaf, leaf.integer("out_channels"),
              leaf.integer("in_channels") / leaf.integer("groups"));
  const auto* word = std::get_if<std::string>(&leaf.value("padding"));
  if (word != nullptr && *word == "same") {
    for (const int64_t stride : leaf.ints("stride")) {
      if (stride != 1) return leaf.error("padding", "padding: same needs stride 1");
    }
  }
  Ints before;
  Ints around;  // last dimension first, as torch.pad counts
  bool symmetric = true;
  for (const auto& [left, right] : paddings(leaf)) {
    before.push_back(left);
    around.insert(around.begin(), {left, right});
    symmetric = symmetric && left == right;
  }
  std::string input = "input";
  std::string padding = symmetric ? python_literal(before) : "\"same\"";
  if (leaf.text("padding_mode") != "zeros") {
    const std::string mode = leaf.literal("padding_mode");
    input = "torch.pad(input, " + python_literal(around) + ", " + mode + ")";
    padding = python_literal(Ints(before.size(), 0));
  }
  leaf.forward_expression("torch.conv" + std::to_string(spatial_dims(leaf)) + "d(" + input +
                          ", self.weight, self.bias, {stride}, " + padding +
                          ", {dilation}, {groups})");
  return {};
}

Status build_transposed(LeafBuilder& leaf) {
  MLC_CHECK(check_groups(leaf));
  add_tensors(leaf, leaf.integer("in_channels"),
              leaf.integer("out_channels") / leaf.integer("groups"));
  leaf.forward_expression("torch.conv_transpose" + std::to_string(spatial_dims(leaf)) +
                          "d(input, self.weight, self.bias, {stride}, {padding}, "
                          "{output_padding}, {groups}, {dilation})");
  return {};
}

// N: the digit for the sizes of the kernel.
#define MLC_CONVOLUTION(N)                                                                      \
  "in_channels: pos, out_channels: pos, kernel_size: size" N ", stride: size" N                 \
  " = 1, padding: size" N "|{same valid} = 0, dilation: size" N                                 \
  " = 1, groups: pos = 1, bias: bool = True, padding_mode: {zeros reflect replicate circular} " \
  "= zeros, dtype: dtype? = None"
#define MLC_TRANSPOSED(N)                                                       \
  "in_channels: pos, out_channels: pos, kernel_size: size" N ", stride: size" N \
  " = 1, padding: size" N " = 0, output_padding: size" N                        \
  " = 0, groups: pos = 1, bias: bool = True, dilation: size" N                  \
  " = 1, padding_mode: {zeros} = zeros, dtype: dtype? = None"

constexpr ModuleType kRows[] = {
    {"Conv1d", MLC_CONVOLUTION("1"), "", build_convolution},
    {"Conv2d", MLC_CONVOLUTION("2"), "", build_convolution},
    {"Conv3d", MLC_CONVOLUTION("3"), "", build_convolution},
    {"ConvTranspose1d", MLC_TRANSPOSED("1"), "", build_transposed},
    {"ConvTranspose2d", MLC_TRANSPOSED("2"), "", build_transposed},
    {"ConvTranspose3d", MLC_TRANSPOSED("3"), "", build_transposed},
};

}  // namespace

std::span<const ModuleType> convolution_types() {
  return kRows;
}

}  // namespace mlc::arch
