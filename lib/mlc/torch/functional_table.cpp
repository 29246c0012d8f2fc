// Semantics are those of torch.nn.functional 2.13 where it is called with `reduction` and without
// the deprecated size_average and reduce, which are no arguments here. Wrong values raise where the
// operator below would take them silently.
#include "mlc/torch/functional_table.h"

#include <array>

namespace mlc::torch_module {
namespace {

// `inplace` changes what later lines read from the input, so it is more than a matter of memory.
#define MLC_IN_PLACE(NAME, MORE) \
  "torch." NAME "_(input" MORE ") if inplace else torch." NAME "(input" MORE ")"
#define MLC_LOSS "input: Tensor, target: Tensor"
#define MLC_REDUCTION "reduction: str = 'mean'"
#define MLC_REDUCED "F._reduction(reduction)"
#define MLC_UNREDUCED "F._reduce(loss, reduction)"
constexpr std::string_view kInplace = "input: Tensor, inplace: bool = False";
constexpr std::string_view kAlpha = "input: Tensor, alpha: float = 1.0, inplace: bool = False";
constexpr std::string_view kDropout =
    "input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False";
constexpr std::string_view kOffDropout =
    "input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False";
constexpr std::string_view kFeatureDropout = MLC_IN_PLACE("feature_dropout", ", p, training");

#define MLC_POOLED(N, POWER)                                             \
  "input: Tensor, norm_type: " POWER ", kernel_size: BroadcastingList" N \
  "[int], "                                                              \
  "stride: Optional[BroadcastingList" N "[int]] = None, ceil_mode: bool = False"
#define MLC_UNPOOLED(N)                                                              \
  "input: Tensor, indices: Tensor, kernel_size: BroadcastingList" N                  \
  "[int], "                                                                          \
  "stride: Optional[BroadcastingList" N "[int]] = None, padding: BroadcastingList" N \
  "[int] = 0, "                                                                      \
  "output_size: Optional[List[int]] = None"
#define MLC_ADAPTIVE(N) "input: Tensor, output_size: BroadcastingList" N "[int]"
#define MLC_FRACTIONAL(N)                          \
  "input: Tensor, kernel_size: BroadcastingList" N \
  "[int], "                                        \
  "output_size: Optional[BroadcastingList" N       \
  "[int]] = None, "                                \
  "output_ratio: Optional[BroadcastingList" N      \
  "[float]] = None, "                              \
  "return_indices: bool = False, _random_samples: Optional[Tensor] = None"
#define MLC_FRACTIONAL_BODY(N)                                     \
  "size = F._fractional_size(input, output_size, output_ratio, " N \
  ")\n"                                                            \
  "if _random_samples is None:\n"                                  \
  "    batch = 1 if input.dim() == " N                             \
  " + 1 else input.size(0)\n"                                      \
  "    samples = torch.rand([batch, input.size(-1 - " N "), " N    \
  "], dtype=input.dtype, "                                         \
  "device=input.device)\n"                                         \
  "else:\n"                                                        \
  "    samples = _random_samples\n"                                \
  "return torch.fractional_max_pool" N "d(input, kernel_size, size, samples)"
constexpr std::string_view kPair = "Tuple[Tensor, Tensor]";

#define MLC_RESIZED(SIZE, SCALE)           \
  "input: Tensor, size: Optional[" SIZE    \
  "] = None, "                             \
  "scale_factor: Optional[" SCALE          \
  "] = None, mode: str = 'nearest', "      \
  "align_corners: Optional[bool] = None, " \
  "recompute_scale_factor: Optional[bool] = None, antialias: bool = False"
#define MLC_RESIZE(SIZE, SCALE)            \
  "F._interpolate(input, " SIZE ", " SCALE \
  ", mode, align_corners, recompute_scale_factor, antialias)"

constexpr std::string_view kInterpolate =
    R"(n = input.dim() - 2
if n < 1 or n > 3:
    raise ValueError("interpolate takes inputs of 3, 4 or 5 dimensions")
if (size is None) == (scale is None):
    raise ValueError("interpolate takes either size or scale_factor")
smooth = mode == "linear" or mode == "bilinear" or mode == "bicubic" or mode == "trilinear"
if not smooth and align_corners is not None:
    raise ValueError("align_corners goes with linear, bilinear, bicubic and trilinear only")
if antialias and not ((mode == "bilinear" or mode == "bicubic") and n == 2):
    raise ValueError("antialias goes with bilinear and bicubic on 4 dimensions only")
aligned = False
if align_corners is not None:
    aligned = align_corners
out: Optional[List[int]] = None
factors: Optional[List[float]] = None
if size is not None:
    if recompute is not None and recompute:
        raise ValueError("recompute_scale_factor goes with scale_factor only")
    out = size if len(size) != 1 else [size[0] for _ in range(n)]
    if len(out) != n:
        raise ValueError("size needs one number, or one for each spatial dimension")
elif scale is not None:
    each = scale if len(scale) != 1 else [scale[0] for _ in range(n)]
    if len(each) != n:
        raise ValueError("scale_factor needs one number, or one for each spatial dimension")
    if mode == "area" or (recompute is not None and recompute):
        out = [int(math.floor(float(input.size(i + 2)) * each[i])) for i in range(n)]
    else:
        factors = each
if mode == "area":
    assert out is not None
    if n == 1:
        return torch.adaptive_avg_pool1d(input, out)
    if n == 2:
        return torch.adaptive_avg_pool2d(input, out)
    return torch.adaptive_avg_pool3d(input, out)
if mode == "nearest":
    if n == 1:
        return torch.upsample_nearest1d(input, out, factors)
    if n == 2:
        return torch.upsample_nearest2d(input, out, factors)
    return torch.upsample_nearest3d(input, out, factors)
if mode == "nearest-exact":
    if n == 1:
        return torch._upsample_nearest_exact1d(input, out, factors)
    if n == 2:
        return torch._upsample_nearest_exact2d(input, out, factors)
    return torch._upsample_nearest_exact3d(input, out, factors)
if mode == "linear" and n == 1:
    return torch.upsample_linear1d(input, out, aligned, factors)
if mode == "bilinear" and n == 2:
    if antialias:
        return torch._upsample_bilinear2d_aa(input, out, aligned, factors)
    return torch.upsample_bilinear2d(input, out, aligned, factors)
if mode == "bicubic" and n == 2:
    if antialias:
        return torch._upsample_bicubic2d_aa(input, out, aligned, factors)
    return torch.upsample_bicubic2d(input, out, aligned, factors)
if mode == "trilinear" and n == 3:
    return torch.upsample_trilinear3d(input, out, aligned, factors)
raise ValueError("interpolate has no mode " + mode + " for inputs of that rank"))";

constexpr std::string_view kGridSample =
    R"(modes = {"bilinear": 0, "nearest": 1, "bicubic": 2}
paddings = {"zeros": 0, "border": 1, "reflection": 2}
if mode not in modes:
    raise ValueError("grid_sample has no mode " + mode)
if padding_mode not in paddings:
    raise ValueError("grid_sample has no padding_mode " + padding_mode)
aligned = False
if align_corners is not None:
    aligned = align_corners
return torch.grid_sampler(input, grid, modes[mode], paddings[padding_mode], aligned))";

constexpr std::string_view kEmbeddingBag =
    R"(modes = {"sum": 0, "mean": 1, "max": 2}
if mode not in modes:
    raise ValueError("embedding_bag has no mode " + mode)
bags = input
begins = offsets
weights = per_sample_weights
last = include_last_offset
if input.dim() == 2:
    last = False
    if offsets is not None:
        raise ValueError("offsets go with inputs of one dimension only")
    begins = torch.arange(0, input.numel(), input.size(1), dtype=input.dtype, device=input.device)
    bags = input.reshape(-1)
    if weights is not None:
        weights = weights.reshape(-1)
if begins is None:
    raise ValueError("inputs of one dimension need offsets")
if max_norm is not None:
    torch.embedding_renorm_(weight, bags, max_norm, norm_type)
return torch.embedding_bag(weight, bags, begins, scale_grad_by_freq, modes[mode], sparse, weights, last, padding_idx)[0])";

constexpr std::string_view kUnpoolSize =
    R"(plain = [(input.size(i - n) - 1) * stride[i] - 2 * padding[i] + kernel[i] for i in range(n)]
if wanted is None:
    return plain
size = wanted if len(wanted) != n + 2 else wanted[2:]
if len(size) != n:
    raise ValueError("output_size needs one number for each spatial dimension")
for i in range(n):
    if size[i] <= plain[i] - stride[i] or size[i] >= plain[i] + stride[i]:
        raise ValueError("output_size is more than a stride away from what the kernel gives")
return size)";

#define MLC_UNPOOL_STEPS(N)                                           \
  "steps = kernel_size\nif stride is not None:\n    steps = stride\n" \
  "size = F._unpool_size(input, kernel_size, steps, padding, output_size, " N ")\n"
#define MLC_POWER_STEPS "steps = kernel_size\nif stride is not None:\n    steps = stride\n"
#define MLC_POWER(N, ZEROS, COUNT)                                                             \
  MLC_POWER_STEPS "means = torch.avg_pool" N                                                   \
                  "d(torch.pow(input, norm_type), kernel_size, steps, " ZEROS                  \
                  ", ceil_mode)\n"                                                             \
                  "return torch.pow(torch.sign(means) * torch.relu(torch.abs(means)) * " COUNT \
                  ", 1.0 / norm_type)"
#define MLC_POWER_1 MLC_POWER("1", "[0]", "kernel_size[0]")
#define MLC_POWER_2 MLC_POWER("2", "[0, 0]", "(kernel_size[0] * kernel_size[1])")
#define MLC_POWER_3 \
  MLC_POWER("3", "[0, 0, 0]", "(kernel_size[0] * kernel_size[1] * kernel_size[2])")

constexpr auto kFunctions = std::to_array<Function>({
    // Activations.
    {"relu", kInplace, MLC_IN_PLACE("relu", "")},
    {"relu6", kInplace, MLC_IN_PLACE("relu6", "")},
    {"silu", kInplace, MLC_IN_PLACE("silu", "")},
    {"mish", kInplace, MLC_IN_PLACE("mish", "")},
    {"selu", kInplace, MLC_IN_PLACE("selu", "")},
    {"hardswish", kInplace, MLC_IN_PLACE("hardswish", "")},
    {"hardsigmoid", kInplace, MLC_IN_PLACE("hardsigmoid", "")},
    {"hardtanh",
     "input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False",
     MLC_IN_PLACE("hardtanh", ", min_val, max_val")},
    {"elu", kAlpha, MLC_IN_PLACE("elu", ", alpha")},
    {"celu", kAlpha, MLC_IN_PLACE("celu", ", alpha")},
    {"leaky_relu", "input: Tensor, negative_slope: float = 0.01, inplace: bool = False",
     MLC_IN_PLACE("leaky_relu", ", negative_slope")},
    {"rrelu",
     "input: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, "
     "training: bool = False, inplace: bool = False",
     MLC_IN_PLACE("rrelu", ", lower, upper, training")},
    {"threshold", "input: Tensor, threshold: float, value: float, inplace: bool = False",
     MLC_IN_PLACE("threshold", ", threshold, value")},
    {"logsigmoid", "input: Tensor", "torch.log_sigmoid(input)"},
    {"softsign", "input: Tensor", "input / (torch.abs(input) + 1)"},
    {"tanhshrink", "input: Tensor", "input - torch.tanh(input)"},
    {"softmin", "input: Tensor, dim: int", "torch.softmax(-input, dim)"},
    {"gumbel_softmax",
     "logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1",
     R"(noise = -torch.empty_like(logits).exponential_().log()
soft = torch.softmax((logits + noise) / tau, dim)
if not hard:
    return soft
index = soft.max(dim, keepdim=True)[1]
return torch.zeros_like(logits).scatter_(dim, index, 1.0))"},

    // Dropout.
    {"dropout", kDropout, MLC_IN_PLACE("dropout", ", p, training")},
    {"dropout1d", kDropout, kFeatureDropout},
    {"dropout2d", kDropout, kFeatureDropout},
    {"dropout3d", kDropout, kFeatureDropout},
    {"alpha_dropout", kOffDropout, MLC_IN_PLACE("alpha_dropout", ", p, training")},
    {"feature_alpha_dropout", kOffDropout, MLC_IN_PLACE("feature_alpha_dropout", ", p, training")},

    // Embeddings.
    {"embedding",
     "input: Tensor, weight: Tensor, padding_idx: Optional[int] = None, "
     "max_norm: Optional[float] = None, norm_type: float = 2.0, "
     "scale_grad_by_freq: bool = False, sparse: bool = False",
     R"(if max_norm is not None:
    torch.embedding_renorm_(weight, input.contiguous(), max_norm, norm_type)
return torch.embedding(weight, input))"},
    {"embedding_bag",
     "input: Tensor, weight: Tensor, offsets: Optional[Tensor] = None, "
     "max_norm: Optional[float] = None, norm_type: float = 2.0, "
     "scale_grad_by_freq: bool = False, mode: str = 'mean', sparse: bool = False, "
     "per_sample_weights: Optional[Tensor] = None, include_last_offset: bool = False, "
     "padding_idx: Optional[int] = None",
     kEmbeddingBag},

    // Normalisation.
    {"batch_norm",
     "input: Tensor, running_mean: Optional[Tensor], running_var: Optional[Tensor], "
     "weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, training: bool = False, "
     "momentum: float = 0.1, eps: float = 1e-05",
     "torch.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, "
     "False)"},
    {"instance_norm",
     "input: Tensor, running_mean: Optional[Tensor] = None, "
     "running_var: Optional[Tensor] = None, "
     "weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, "
     "use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-05",
     "torch.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, "
     "momentum, eps, False)"},
    {"normalize", "input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12",
     "input / torch.linalg_vector_norm(input, p, [dim], True).clamp_min(eps)"},
    {"local_response_norm",
     "input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0",
     R"(if input.dim() < 3:
    raise ValueError("local_response_norm takes inputs of 3 dimensions and more")
squares = (input * input).unsqueeze(1)
if input.dim() == 3:
    padded = torch.pad(squares, [0, 0, size // 2, (size - 1) // 2])
    sums = torch.avg_pool2d(padded, [size, 1], [1, 1]).squeeze(1)
else:
    sizes = list(input.size())
    flat = squares.view([sizes[0], 1, sizes[1], sizes[2], -1])
    padded = torch.pad(flat, [0, 0, 0, 0, size // 2, (size - 1) // 2])
    sums = torch.avg_pool3d(padded, [size, 1, 1], [1, 1, 1]).squeeze(1).view(sizes)
return input / torch.pow(sums * alpha + k, beta))"},

    // Pooling.
    {"adaptive_max_pool1d", MLC_ADAPTIVE("1"), "torch.adaptive_max_pool1d(input, output_size)[0]"},
    {"adaptive_max_pool2d", MLC_ADAPTIVE("2"), "torch.adaptive_max_pool2d(input, output_size)[0]"},
    {"adaptive_max_pool3d", MLC_ADAPTIVE("3"), "torch.adaptive_max_pool3d(input, output_size)[0]"},
    {"adaptive_max_pool1d_with_indices", MLC_ADAPTIVE("1"),
     "torch.adaptive_max_pool1d(input, output_size)", kPair},
    {"adaptive_max_pool2d_with_indices", MLC_ADAPTIVE("2"),
     "torch.adaptive_max_pool2d(input, output_size)", kPair},
    {"adaptive_max_pool3d_with_indices", MLC_ADAPTIVE("3"),
     "torch.adaptive_max_pool3d(input, output_size)", kPair},
    {"lp_pool1d", MLC_POOLED("1", "float"), MLC_POWER_1},
    {"lp_pool1d", MLC_POOLED("1", "int"), MLC_POWER_1},
    {"lp_pool2d", MLC_POOLED("2", "float"), MLC_POWER_2},
    {"lp_pool2d", MLC_POOLED("2", "int"), MLC_POWER_2},
    {"lp_pool3d", MLC_POOLED("3", "float"), MLC_POWER_3},
    {"lp_pool3d", MLC_POOLED("3", "int"), MLC_POWER_3},
    {"_unpool_size",
     "input: Tensor, kernel: List[int], stride: List[int], padding: List[int], "
     "wanted: Optional[List[int]], n: int",
     kUnpoolSize, "List[int]"},
    {"max_unpool1d", MLC_UNPOOLED("1"),
     MLC_UNPOOL_STEPS("1") "return torch.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), "
                           "[size[0], 1]).squeeze(-1)"},
    {"max_unpool2d", MLC_UNPOOLED("2"),
     MLC_UNPOOL_STEPS("2") "return torch.max_unpool2d(input, indices, size)"},
    {"max_unpool3d", MLC_UNPOOLED("3"),
     MLC_UNPOOL_STEPS("3") "return torch.max_unpool3d(input, indices, size, steps, padding)"},
    {"_fractional_size",
     "input: Tensor, size: Optional[List[int]], ratio: Optional[List[float]], n: int",
     R"(if size is not None:
    return size
if ratio is None:
    raise ValueError("fractional_max_pool takes output_size or output_ratio")
return [int(float(input.size(i - n)) * ratio[i]) for i in range(n)])",
     "List[int]"},
    {"fractional_max_pool2d_with_indices", MLC_FRACTIONAL("2"), MLC_FRACTIONAL_BODY("2"), kPair},
    {"fractional_max_pool3d_with_indices", MLC_FRACTIONAL("3"), MLC_FRACTIONAL_BODY("3"), kPair},
    {"fractional_max_pool2d", MLC_FRACTIONAL("2"),
     "F.fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio, True, "
     "_random_samples)[0]"},
    {"fractional_max_pool3d", MLC_FRACTIONAL("3"),
     "F.fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio, True, "
     "_random_samples)[0]"},

    // Images.
    {"_interpolate",
     "input: Tensor, size: Optional[List[int]], scale: Optional[List[float]], mode: str, "
     "align_corners: Optional[bool], recompute: Optional[bool], antialias: bool",
     kInterpolate},
    {"interpolate", MLC_RESIZED("int", "float"),
     MLC_RESIZE("None if size is None else [size]",
                "None if scale_factor is None else [scale_factor]")},
    {"interpolate", MLC_RESIZED("List[int]", "float"),
     MLC_RESIZE("size", "None if scale_factor is None else [scale_factor]")},
    {"interpolate", MLC_RESIZED("int", "int"),
     MLC_RESIZE("None if size is None else [size]",
                "None if scale_factor is None else [float(scale_factor)]")},
    {"interpolate", MLC_RESIZED("List[int]", "List[float]"), MLC_RESIZE("size", "scale_factor")},
    {"interpolate", MLC_RESIZED("List[int]", "List[int]"),
     MLC_RESIZE("size", "None if scale_factor is None else [float(one) for one in scale_factor]")},
    {"grid_sample",
     "input: Tensor, grid: Tensor, mode: str = 'bilinear', padding_mode: str = 'zeros', "
     "align_corners: Optional[bool] = None",
     kGridSample},
    {"affine_grid", "theta: Tensor, size: List[int], align_corners: Optional[bool] = None",
     "torch.affine_grid_generator(theta, size, False if align_corners is None else align_corners)"},
    {"unfold",
     "input: Tensor, kernel_size: BroadcastingList2[int], dilation: BroadcastingList2[int] = 1, "
     "padding: BroadcastingList2[int] = 0, stride: BroadcastingList2[int] = 1",
     "torch.im2col(input, kernel_size, dilation, padding, stride)"},
    {"fold",
     "input: Tensor, output_size: BroadcastingList2[int], kernel_size: BroadcastingList2[int], "
     "dilation: BroadcastingList2[int] = 1, padding: BroadcastingList2[int] = 0, "
     "stride: BroadcastingList2[int] = 1",
     "torch.col2im(input, output_size, kernel_size, dilation, padding, stride)"},

    // Losses.
    {"_reduction", "reduction: str",
     R"(if reduction == "none":
    return 0
if reduction == "mean":
    return 1
if reduction == "sum":
    return 2
raise ValueError("reduction is none, mean or sum, not " + reduction))",
     "int"},
    {"_reduce", "loss: Tensor, reduction: str",
     R"(how = F._reduction(reduction)
if how == 0:
    return loss
return loss.mean() if how == 1 else loss.sum())"},
    {"l1_loss", MLC_LOSS ", " MLC_REDUCTION, "torch.l1_loss(input, target, " MLC_REDUCED ")"},
    {"mse_loss", MLC_LOSS ", " MLC_REDUCTION, "torch.mse_loss(input, target, " MLC_REDUCED ")"},
    {"smooth_l1_loss", MLC_LOSS ", " MLC_REDUCTION ", beta: float = 1.0",
     "torch.smooth_l1_loss(input, target, " MLC_REDUCED ", beta)"},
    {"huber_loss", MLC_LOSS ", " MLC_REDUCTION ", delta: float = 1.0",
     "torch.huber_loss(input, target, " MLC_REDUCED ", delta)"},
    {"soft_margin_loss", MLC_LOSS ", " MLC_REDUCTION,
     "torch.soft_margin_loss(input, target, " MLC_REDUCED ")"},
    {"multilabel_margin_loss", MLC_LOSS ", " MLC_REDUCTION,
     "torch.multilabel_margin_loss(input, target, " MLC_REDUCED ")"},
    {"multilabel_soft_margin_loss", MLC_LOSS ", weight: Optional[Tensor] = None, " MLC_REDUCTION,
     R"(loss = -(target * torch.log_sigmoid(input) + (1 - target) * torch.log_sigmoid(-input))
if weight is not None:
    loss = loss * weight
loss = loss.sum(-1) / input.size(-1)
return )" MLC_UNREDUCED},
    {"multi_margin_loss",
     MLC_LOSS ", p: int = 1, margin: float = 1.0, weight: Optional[Tensor] = None, " MLC_REDUCTION,
     "torch.multi_margin_loss(input, target, p, margin, weight, " MLC_REDUCED ")"},
    {"hinge_embedding_loss", MLC_LOSS ", margin: float = 1.0, " MLC_REDUCTION,
     "torch.hinge_embedding_loss(input, target, margin, " MLC_REDUCED ")"},
    {"margin_ranking_loss",
     "input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, " MLC_REDUCTION,
     "torch.margin_ranking_loss(input1, input2, target, margin, " MLC_REDUCED ")"},
    {"cosine_embedding_loss",
     "input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, " MLC_REDUCTION,
     "torch.cosine_embedding_loss(input1, input2, target, margin, " MLC_REDUCED ")"},
    {"triplet_margin_loss",
     "anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, "
     "eps: float = 1e-06, swap: bool = False, " MLC_REDUCTION,
     "torch.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, " MLC_REDUCED
     ")"},
    {"binary_cross_entropy", MLC_LOSS ", weight: Optional[Tensor] = None, " MLC_REDUCTION,
     "torch.binary_cross_entropy(input, target, weight, " MLC_REDUCED ")"},
    {"binary_cross_entropy_with_logits",
     MLC_LOSS ", weight: Optional[Tensor] = None, " MLC_REDUCTION
              ", pos_weight: Optional[Tensor] = None",
     "torch.binary_cross_entropy_with_logits(input, target, weight, pos_weight, " MLC_REDUCED ")"},
    {"cross_entropy",
     MLC_LOSS ", weight: Optional[Tensor] = None, ignore_index: int = -100, " MLC_REDUCTION
              ", label_smoothing: float = 0.0",
     "torch.cross_entropy_loss(input, target, weight, " MLC_REDUCED
     ", ignore_index, label_smoothing)"},
    {"nll_loss",
     MLC_LOSS ", weight: Optional[Tensor] = None, ignore_index: int = -100, " MLC_REDUCTION,
     "torch.nll_loss_nd(input, target, weight, " MLC_REDUCED ", ignore_index)"},
    {"kl_div", MLC_LOSS ", " MLC_REDUCTION ", log_target: bool = False",
     R"(if reduction != "batchmean":
    return torch.kl_div(input, target, F._reduction(reduction), log_target=log_target)
loss = torch.kl_div(input, target, 2, log_target=log_target)
return loss / input.size(0) if input.dim() > 0 else loss)"},
    {"poisson_nll_loss",
     MLC_LOSS ", log_input: bool = True, full: bool = False, eps: float = 1e-08, " MLC_REDUCTION,
     "torch.poisson_nll_loss(input, target, log_input, full, eps, " MLC_REDUCED ")"},
    {"gaussian_nll_loss",
     MLC_LOSS ", var: Tensor, full: bool = False, eps: float = 1e-06, " MLC_REDUCTION,
     R"(spread = var
if var.dim() == input.dim() - 1:
    spread = var.unsqueeze(-1)
if bool((spread < 0).any()):
    raise ValueError("var has negative values")
spread = spread.clamp_min(eps)
loss = 0.5 * (torch.log(spread) + (input - target) ** 2 / spread)
if full:
    loss = loss + 0.5 * math.log(2 * math.pi)
return )" MLC_UNREDUCED},
    {"ctc_loss",
     "log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, "
     "blank: int = 0, " MLC_REDUCTION ", zero_infinity: bool = False",
     "torch.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, " MLC_REDUCED
     ", zero_infinity)"},
    {"ctc_loss",
     "log_probs: Tensor, targets: Tensor, input_lengths: List[int], target_lengths: List[int], "
     "blank: int = 0, " MLC_REDUCTION ", zero_infinity: bool = False",
     "torch.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, " MLC_REDUCED
     ", zero_infinity)"},
});

#define MLC_NORM "keepdim: bool = False, dtype: Optional[int] = None"
constexpr auto kTorchFunctions = std::to_array<Function>({
    // The operator that TorchScript takes first pads nothing: it has no center.
    {"stft",
     "input: Tensor, n_fft: int, hop_length: Optional[int] = None, win_length: Optional[int] = "
     "None, window: Optional[Tensor] = None, center: bool = True, pad_mode: str = 'reflect', "
     "normalized: bool = False, onesided: Optional[bool] = None, return_complex: Optional[bool] = "
     "None, align_to_window: Optional[bool] = None",
     "torch.ops.aten.stft(input, n_fft, hop_length, win_length, window, center=center, "
     "pad_mode=pad_mode, normalized=normalized, onesided=onesided, return_complex=return_complex, "
     "align_to_window=align_to_window)"},
    {"norm", "input: Tensor, p: float = 2.0, dim: Optional[List[int]] = None, " MLC_NORM,
     "torch.linalg_vector_norm(input, p, dim, keepdim, dtype=dtype)"},
    {"norm", "input: Tensor, dim: int, p: float = 2.0, " MLC_NORM,
     "torch.linalg_vector_norm(input, p, [dim], keepdim, dtype=dtype)"},
    {"norm", "input: Tensor, p: str, dim: Optional[List[int]] = None, " MLC_NORM,
     R"(if p == "fro" and (dim is None or len(dim) <= 2):
    return torch.linalg_vector_norm(input, 2.0, dim, keepdim, dtype=dtype)
dims = list(range(input.dim())) if dim is None else dim
return torch.linalg_matrix_norm(input, p, dims, keepdim, dtype=dtype))"},
    {"norm", "input: Tensor, p: str, dim: int, " MLC_NORM,
     R"(if p == "fro":
    return torch.linalg_vector_norm(input, 2.0, [dim], keepdim, dtype=dtype)
return torch.linalg_matrix_norm(input, p, [dim], keepdim, dtype=dtype))"},
    {"tensordot", "a: Tensor, b: Tensor, dims: int = 2",
     R"(if dims < 0 or dims > min(a.dim(), b.dim()):
    raise ValueError("tensordot takes 0 dims and more, and no more than its tensors have")
return torch.ops.aten.tensordot(a, b, list(range(-dims, 0)), list(range(dims))))"},
    {"tensordot", "a: Tensor, b: Tensor, dims: Tuple[List[int], List[int]]",
     "torch.ops.aten.tensordot(a, b, dims[0], dims[1])"},
    {"tensordot", "a: Tensor, b: Tensor, dims: List[List[int]]",
     "torch.ops.aten.tensordot(a, b, dims[0], dims[1])"},
});

constexpr auto kTransformerFunctions = std::to_array<Function>({
    {"generate_square_subsequent_mask",
     "sz: int, device: Optional[Device] = None, dtype: Optional[int] = None",
     "torch.triu(torch.full([sz, sz], float('-inf'), dtype=dtype, device=device), 1)"},
});

constexpr std::string_view kInterpolates = "F.interpolate does the same";
constexpr auto kAdvice = std::to_array<Advice>({
    {"upsample", kInterpolates},
    {"upsample_nearest", "F.interpolate(x, ..., mode='nearest') does the same"},
    {"upsample_bilinear",
     "F.interpolate(x, ..., mode='bilinear', align_corners=True) does the same"},
    {"multi_head_attention_forward", "a module of type MultiheadAttention does the same"},
    {"triplet_margin_with_distance_loss",
     "functions are no values here: write torch.clamp_min(d(a, p) - d(a, n) + margin, 0).mean()"},
    {"linear_cross_entropy", "F.cross_entropy(F.linear(x, weight, bias), target) does the same"},
    {"grouped_mm", "write a loop over the groups with torch.mm"},
    {"scaled_mm", "multiply by the scales and call torch.mm"},
    {"scaled_grouped_mm", "multiply by the scales and loop over the groups with torch.mm"},
});

}  // namespace

std::span<const Function> functions() {
  return kFunctions;
}

std::span<const Function> torch_functions() {
  return kTorchFunctions;
}

std::span<const Function> transformer_functions() {
  return kTransformerFunctions;
}

std::span<const Advice> advice() {
  return kAdvice;
}

}  // namespace mlc::torch_module
