// BatchNorm, InstanceNorm, LayerNorm, GroupNorm, RMSNorm, LocalResponseNorm.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

/// weight of ones and bias of zeros, or None for what is absent.
void add_affine(LeafBuilder& leaf, bool affine, const Ints& shape) {
  if (affine) {
    leaf.parameter("weight", shape, full(1));
  } else {
    leaf.none("weight");
  }
  if (affine && leaf.flag("bias")) {
    leaf.parameter("bias", shape, full(0));
  } else {
    leaf.none("bias");
  }
}

/// The running statistics, or None; whether there are any.
bool add_running_stats(LeafBuilder& leaf) {
  const Ints shape = {leaf.integer("num_features")};
  if (leaf.flag("track_running_stats")) {
    leaf.buffer("running_mean", shape, full(0));
    leaf.buffer("running_var", shape, full(1));
    leaf.counter("num_batches_tracked");
    return true;
  }
  for (const char* name : {"running_mean", "running_var", "num_batches_tracked"}) leaf.none(name);
  return false;
}

/// The 2 of BatchNorm2d; 0 for SyncBatchNorm, which takes any number of dimensions.
int spatial_dims(const LeafBuilder& leaf) {
  const char digit = leaf.type()[leaf.type().size() - 2];
  return digit >= '1' && digit <= '3' ? digit - '0' : 0;
}

/// Refuses an input that has neither FEWEST nor MOST dimensions, in PyTorch's words.
std::string require_rank(int fewest, int most) {
  const std::string low = std::to_string(fewest);
  const std::string high = std::to_string(most);
  const bool one = fewest == most;
  return require_text("input.dim() == " + low + (one ? "" : " or input.dim() == " + high),
                      "\"expected " + low + (one ? "" : "D or " + high) +
                          "D input (got \" + str(input.dim()) + \"D input)\"");
}

/// Refuses a mean over one element: WHAT of the tensor NAME, whose sizes from dimension 2 on count,
/// and the first one where ACROSS_BATCH.
std::string require_several(const std::string& name, bool across_batch, const std::string& what) {
  return "sizes = " + name + ".size()\ncount = " + (across_batch ? "sizes[0]" : "1") +
         "\nfor i in range(2, len(sizes)):\n    count = count * sizes[i]\n" +
         require_text("count != 1", "\"Expected more than 1 " + what +
                                        " when training, got input size torch.Size(\" + "
                                        "str(sizes) + \")\"");
}

/// The call of FUNCTION with the tensor NAME.
std::string running_call(const LeafBuilder& leaf, const std::string& function,
                         const std::string& name, const std::string& uses_batch) {
  const std::string momentum = leaf.is_none("momentum") ? "0.0" : "{momentum}";
  return leaf.filled(function + "(" + name +
                     ", self.weight, self.bias, self.running_mean, self.running_var, " +
                     uses_batch + ", " + momentum + ", {eps}, True)");
}

Status build_batch_norm(LeafBuilder& leaf) {
  add_affine(leaf, leaf.flag("affine"), {leaf.integer("num_features")});
  const bool running = add_running_stats(leaf);
  const int spatial = spatial_dims(leaf);
  std::string body = spatial == 0 ? require_text("input.dim() >= 2",
                                                 "\"expected at least 2D input (got \" + "
                                                 "str(input.dim()) + \"D input)\"")
                                  : require_rank(spatial == 1 ? 2 : spatial + 2, spatial + 2);
  if (!running) body += require_several("input", true, "value per channel");
  leaf.forward(
      "input: Tensor", "Tensor",
      body + "return " +
          running_call(leaf, "torch.batch_norm", "input", running ? "self.training" : "True"));
  return {};
}

// An input without a batch is a batch of one.
Status build_instance_norm(LeafBuilder& leaf) {
  add_affine(leaf, leaf.flag("affine"), {leaf.integer("num_features")});
  const bool running = add_running_stats(leaf);
  const int most = spatial_dims(leaf) + 2;
  const std::string has_batch = "input.dim() == " + std::to_string(most);
  std::string body = require_rank(most - 1, most) + "x = input if " + has_batch +
                     " else torch.unsqueeze(input, 0)\n";
  if (!running) body += require_several("x", false, "spatial element");
  body +=
      "y = " + running_call(leaf, "torch.instance_norm", "x", running ? "self.training" : "True") +
      "\nreturn y if " + has_batch + " else torch.squeeze(y, 0)";
  leaf.forward("input: Tensor", "Tensor", body);
  return {};
}

Status build_layer_norm(LeafBuilder& leaf) {
  add_affine(leaf, leaf.flag("elementwise_affine"), leaf.ints("normalized_shape"));
  leaf.forward_expression(
      "torch.layer_norm(input, {normalized_shape}, self.weight, self.bias, {eps}, True)");
  return {};
}

Status build_group_norm(LeafBuilder& leaf) {
  if (leaf.integer("num_channels") % leaf.integer("num_groups") != 0) {
    return leaf.error("num_channels", leaf.filled("num_channels {num_channels} is not divisible by "
                                                  "num_groups {num_groups}"));
  }
  add_affine(leaf, leaf.flag("affine"), {leaf.integer("num_channels")});
  leaf.forward_expression(
      "torch.group_norm(input, {num_groups}, self.weight, self.bias, {eps}, True)");
  return {};
}

Status build_rms_norm(LeafBuilder& leaf) {
  if (leaf.flag("elementwise_affine")) {
    leaf.parameter("weight", leaf.ints("normalized_shape"), full(1));
  } else {
    leaf.none("weight");
  }
  leaf.forward_expression("torch.rms_norm(input, {normalized_shape}, self.weight, {eps})");
  return {};
}

// The mean of the squares of SIZE neighbouring channels, channels beyond the edge being zero.
Status build_local_response(LeafBuilder& leaf) {
  const int64_t size = leaf.integer("size");
  const std::string around = python_literal(Ints{0, 0, size / 2, (size - 1) / 2});
  leaf.forward("input: Tensor", "Tensor",
               leaf.filled("squares = torch.unsqueeze(torch.flatten(input * input, 2), 1)\n"
                           "squares = torch.constant_pad_nd(squares, " +
                           around +
                           ", 0.0)\n"
                           "means = torch.avg_pool2d(squares, [{size}, 1], [1, 1])\n"
                           "means = torch.reshape(torch.squeeze(means, 1), input.shape)\n"
                           "return input / torch.pow(means * {alpha} + {k}, {beta})"));
  return {};
}

constexpr std::string_view kBatchNorm =
    "num_features: pos, eps: float = 1e-05, momentum: float? = 0.1, affine: bool = True, "
    "track_running_stats: bool = True, bias: bool = True, dtype: dtype? = None";
constexpr std::string_view kInstanceNorm =
    "num_features: pos, eps: float = 1e-05, momentum: float = 0.1, affine: bool = False, "
    "track_running_stats: bool = False, bias: bool = True, dtype: dtype? = None";

constexpr ModuleType kRows[] = {
    {"BatchNorm1d", kBatchNorm, "", build_batch_norm},
    {"BatchNorm2d", kBatchNorm, "", build_batch_norm},
    {"BatchNorm3d", kBatchNorm, "", build_batch_norm},
    {"SyncBatchNorm", kBatchNorm, "", build_batch_norm},  // one process: a batch norm
    {"InstanceNorm1d", kInstanceNorm, "", build_instance_norm},
    {"InstanceNorm2d", kInstanceNorm, "", build_instance_norm},
    {"InstanceNorm3d", kInstanceNorm, "", build_instance_norm},
    {"LayerNorm",
     "normalized_shape: size, eps: float = 1e-05, elementwise_affine: bool = True, "
     "bias: bool = True, dtype: dtype? = None",
     "", build_layer_norm},
    {"GroupNorm",
     "num_groups: pos, num_channels: pos, eps: float = 1e-05, affine: bool = True, "
     "bias: bool = True, dtype: dtype? = None",
     "", build_group_norm},
    {"RMSNorm",
     "normalized_shape: size, eps: float? = None, elementwise_affine: bool = True, "
     "dtype: dtype? = None",
     "", build_rms_norm},
    {"LocalResponseNorm", "size: pos, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0",
     "", build_local_response},
};

}  // namespace

std::span<const ModuleType> norm_types() {
  return kRows;
}

}  // namespace mlc::arch
