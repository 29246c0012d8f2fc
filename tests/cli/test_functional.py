"""torch.nn.functional in the forward of an architecture: every public function works as in PyTorch or is refused with advice."""

import ast
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning")]

GENERATOR = torch.Generator().manual_seed(11)


def rand(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def ids(high, *shape):
    return torch.randint(0, high, shape, generator=GENERATOR)


# What the calls below may name.
VALUES = {
    "x": rand(4, 6), "y": rand(4, 6), "z": rand(4, 6), "line": rand(2, 4, 9), "image": rand(2, 4, 8, 10), "volume": rand(2, 3, 6, 5, 7),
    "p": rand(4, 6).sigmoid(), "q": rand(4, 6).softmax(1), "w": rand(6).abs() + 0.1, "labels": ids(6, 4), "pixels": ids(4, 2, 8, 10),
    "sign": torch.tensor([1.0, -1.0, 1.0, -1.0]), "signs": torch.where(rand(4, 6) > 0, 1.0, -1.0), "var": rand(4, 6).abs() + 0.2,
    "bits": (rand(4, 6) > 0).float(), "some": torch.tensor([[3, 0, -1, 2, 1, 5]] * 4), "counts": ids(5, 4, 6).float(),
    "w5": rand(5, 6), "b5": rand(5), "tokens": ids(9, 2, 3), "flat": ids(9, 7), "table": rand(9, 5), "begins": torch.tensor([0, 2, 2, 5]),
    "k1": rand(3, 4, 3), "k2": rand(3, 4, 3, 2), "k3": rand(2, 3, 2, 2, 2), "t1": rand(4, 3, 3), "t2": rand(4, 3, 3, 2), "t3": rand(3, 2, 2, 2, 2),
    "mean4": rand(4), "var4": rand(4).abs() + 0.5, "w4": rand(4), "b4": rand(4), "wide": rand(2, 4, 10), "w3": rand(5, 6, 6),
    "grid": rand(2, 5, 3, 2) * 0.7, "grid3": rand(2, 4, 3, 2, 3) * 0.7, "theta": rand(2, 2, 3), "theta3": rand(2, 3, 4),
    "query": rand(2, 2, 5, 4), "keys": rand(2, 2, 7, 4), "log_probs": rand(9, 2, 5).log_softmax(2), "targets": ids(4, 2, 3) + 1,
    "long": torch.tensor([9, 7]), "short": torch.tensor([3, 2]), "tbc": rand(7, 2, 4), "ktbc": rand(3, 4, 5), "bag_weights": rand(2, 3),
    "columns": rand(2, 12, 42), "samples": rand(2, 4, 2).sigmoid(), "samples3": rand(2, 3, 3).sigmoid(), "indices": torch.arange(0, 9, 2).repeat(2, 4, 1),
    "halves": rand(2, 4, 5), "places": (torch.arange(0, 80, 2).reshape(4, 10)).repeat(2, 4, 1, 1)[:, :, :4, :5],
    "quarter": rand(2, 4, 4, 5), "cubes": rand(1, 1, 2, 2, 2), "corners": torch.tensor([0, 3, 13, 15, 21, 40, 50, 63]).reshape(1, 1, 2, 2, 2),
}

CALLS = """
adaptive_avg_pool1d(line, 3)
adaptive_avg_pool2d(image, (3, 2))
adaptive_avg_pool3d(volume, [2, 2, 3])
adaptive_max_pool1d(line, 3)
max_pool1d(line, 3, return_indices=True)
max_pool2d(image, 2, return_indices=True)
max_pool2d(image, 2, return_indices=False)
max_pool3d(volume, 2, return_indices=True)
adaptive_max_pool1d(line, 3, return_indices=True)
adaptive_max_pool2d(image, 3, return_indices=True)
adaptive_max_pool2d(image, 3, return_indices=False)
adaptive_max_pool2d(image, 3)
adaptive_max_pool2d(image, (3, 2))
adaptive_max_pool3d(volume, 2)
adaptive_max_pool1d_with_indices(line, 3)
adaptive_max_pool2d_with_indices(image, [3, 2])
adaptive_max_pool3d_with_indices(volume, 2)
affine_grid(theta, [2, 4, 5, 6])
affine_grid(theta, [2, 4, 5, 6], align_corners=True)
affine_grid(theta3, [2, 1, 3, 4, 5], align_corners=False)
alpha_dropout(x)
alpha_dropout(x, 0.3, training=False)
avg_pool1d(line, 3)
avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
avg_pool3d(volume, 2)
batch_norm(line, mean4, var4)
batch_norm(image, mean4, var4, w4, b4, eps=0.1)
bilinear(x, y, w3, b5)
binary_cross_entropy(p, q)
binary_cross_entropy(p, q, weight=w, reduction='none')
binary_cross_entropy_with_logits(x, q)
binary_cross_entropy_with_logits(x, q, reduction='sum', pos_weight=w)
celu(x, 0.5)
channel_shuffle(image, 2)
conv1d(line, k1, stride=2)
conv2d(image, k2, padding='same')
conv2d(image, k2, None, (2, 1), [1, 0])
conv3d(volume, k3)
conv_tbc(tbc, ktbc, b5, 1)
conv_transpose1d(line, t1, stride=2)
conv_transpose2d(image, t2, padding=1)
conv_transpose3d(volume, t3)
cosine_embedding_loss(x, y, sign, margin=0.1)
cosine_embedding_loss(x, y, sign, reduction='none')
cosine_similarity(x, y)
cosine_similarity(x, y, dim=0)
cross_entropy(x, labels)
cross_entropy(x, q)
cross_entropy(x, labels, weight=w, ignore_index=2, reduction='sum', label_smoothing=0.1)
cross_entropy(image, pixels, reduction='none')
ctc_loss(log_probs, targets, long, short)
ctc_loss(log_probs, targets, [9, 7], [3, 2], reduction='none', zero_infinity=True)
dropout(x, 0.5, training=False)
dropout1d(line, 0.5, False)
dropout2d(image, 0.5, training=False)
dropout3d(volume, 0.5, training=False)
elu(x)
elu(x, alpha=0.3)
embedding(tokens, table)
embedding(tokens, table, padding_idx=0)
embedding(tokens, table.clone(), max_norm=1.0)
embedding_bag(tokens, table)
embedding_bag(flat, table, begins)
embedding_bag(flat, table, begins, mode='max')
embedding_bag(tokens, table, mode='sum', per_sample_weights=bag_weights)
embedding_bag(tokens, table, mode='sum', padding_idx=3)
embedding_bag(flat, table, offsets=begins, include_last_offset=True)
embedding_bag(tokens, table, include_last_offset=True)
embedding_bag(tokens, table.clone(), max_norm=1.0, norm_type=1.0)
feature_alpha_dropout(image)
fold(columns, (7, 9), (2, 3), padding=0)
fold(columns, output_size=(7, 9), kernel_size=[2, 3])
fractional_max_pool2d(image, 3, output_size=(4, 5), _random_samples=samples)
fractional_max_pool2d(image, 2, output_ratio=(0.5, 0.5), _random_samples=samples)
fractional_max_pool2d(image, (1, 2), output_size=(8, 9))
fractional_max_pool2d(image, 3, output_size=(4, 5), return_indices=True, _random_samples=samples)
fractional_max_pool2d_with_indices(image, 3, output_size=4, _random_samples=samples)
fractional_max_pool3d(volume, 2, output_size=3, _random_samples=samples3)
fractional_max_pool3d_with_indices(volume, 2, output_size=(3, 2, 4), _random_samples=samples3)
gaussian_nll_loss(x, y, var)
gaussian_nll_loss(x, y, var, full=True, reduction='none')
gaussian_nll_loss(x, y, var[:, 0], reduction='sum')
gelu(x)
gelu(x, approximate='tanh')
glu(x)
glu(x, dim=0)
grid_sample(image, grid)
grid_sample(image, grid, mode='nearest', padding_mode='border', align_corners=True)
grid_sample(image, grid, 'bicubic', 'reflection', False)
grid_sample(volume, grid3)
group_norm(image, 2)
group_norm(image, 2, w4, b4, 0.1)
hardshrink(x)
hardshrink(x, 0.2)
hardsigmoid(x)
hardswish(x)
hardtanh(x)
hardtanh(x, min_val=-0.3, max_val=0.5)
hinge_embedding_loss(x, signs, margin=0.5)
hinge_embedding_loss(x, signs, reduction='none')
huber_loss(x, y)
huber_loss(x, y, reduction='sum', delta=0.4)
instance_norm(image)
instance_norm(image, mean4, var4, w4, b4, use_input_stats=False)
interpolate(image, size=5)
interpolate(image, size=(5, 6))
interpolate(image, size=image.shape[2:])
interpolate(line, scale_factor=2)
interpolate(image, scale_factor=2.5)
interpolate(image, scale_factor=(1.5, 2.0))
interpolate(image, scale_factor=[2, 3], mode='bilinear')
interpolate(image, None, 2, 'bilinear', True)
interpolate(image, scale_factor=1.7, mode='bicubic', align_corners=False, recompute_scale_factor=True)
interpolate(line, size=[20], mode='linear')
interpolate(volume, size=(4, 4, 4), mode='trilinear', align_corners=True)
interpolate(volume, scale_factor=2, mode='nearest-exact')
interpolate(image, size=3, mode='nearest-exact')
interpolate(image, size=(3, 4), mode='area')
interpolate(line, scale_factor=0.4, mode='area')
interpolate(image, size=(3, 4), mode='bilinear', antialias=True)
interpolate(image, size=(13, 4), mode='bicubic', antialias=True, align_corners=True)
kl_div(torch.log(q), p)
kl_div(torch.log(q), p, reduction='batchmean')
kl_div(torch.log(q), torch.log(p), reduction='none', log_target=True)
l1_loss(x, y)
l1_loss(x, y, reduction='none')
layer_norm(x, [6])
layer_norm(x, (6,), w, None, 0.1)
leaky_relu(x)
leaky_relu(x, 0.2)
linear(x, w5)
linear(x, w5, b5)
local_response_norm(image, 3)
local_response_norm(line, 2, alpha=0.1, beta=0.5, k=2.0)
local_response_norm(volume, 2)
log_softmax(x, dim=1)
log_softmax(x, 1, dtype=torch.float64)
logsigmoid(x)
lp_pool1d(line, 2.0, 3)
lp_pool1d(line, 2, 3)
lp_pool2d(image, 3, 2)
lp_pool2d(image, 3.0, 2)
lp_pool2d(image, 1.5, (2, 3), stride=2, ceil_mode=True)
lp_pool3d(volume, 2.0, 2)
margin_ranking_loss(x, y, signs)
margin_ranking_loss(x, y, signs, margin=0.5, reduction='sum')
max_pool1d(line, 3)
max_pool2d(image, kernel_size=3, stride=2, padding=1)
max_pool3d(volume, 2)
max_pool1d_with_indices(line, 3)
max_pool2d_with_indices(image, 2, 2)
max_pool3d_with_indices(volume, 2)
max_unpool1d(halves, indices, 2)
max_unpool1d(halves, indices, 2, output_size=[11])
max_unpool2d(quarter, places, 2)
max_unpool2d(quarter, places, 2, 2, 0, [2, 4, 9, 10])
max_unpool2d(quarter, places, (2, 2), stride=(2, 2), output_size=(9, 11))
max_unpool3d(cubes, corners, 2)
max_unpool3d(cubes, corners, 2, stride=2, padding=0, output_size=(4, 5, 4))
mish(x)
mse_loss(x, y)
mse_loss(x, y, reduction='sum')
multi_margin_loss(x, labels)
multi_margin_loss(x, labels, p=2, margin=0.7, weight=w, reduction='none')
multilabel_margin_loss(x, some)
multilabel_margin_loss(x, some, reduction='none')
multilabel_soft_margin_loss(x, bits)
multilabel_soft_margin_loss(x, bits, weight=w, reduction='none')
native_channel_shuffle(image, 2)
nll_loss(x, labels)
nll_loss(x, labels, weight=w, ignore_index=1, reduction='none')
nll_loss(image, pixels)
normalize(x)
normalize(x, p=1.0, dim=0)
one_hot(labels)
one_hot(labels, 9)
one_hot(tokens, num_classes=10)
pad(x, (1, 2))
pad(x, [1, 2, 0, 1], value=3.0)
pad(image, (1, 2, 3, 1), mode='reflect')
pad(image, (1, 2, 3, 1), 'replicate')
pad(line, (3, 2), mode='circular')
pairwise_distance(x, y)
pairwise_distance(x, y, p=1.0, keepdim=True)
pdist(x)
pixel_shuffle(image, 2)
pixel_unshuffle(image, 2)
poisson_nll_loss(x, counts)
poisson_nll_loss(p, counts, log_input=False, full=True, reduction='none')
prelu(image, w4)
relu(x)
relu6(x * 8)
rms_norm(x, [6])
rms_norm(x, [6], w, 0.1)
rrelu(x)
rrelu(x, 0.2, 0.3, training=False)
scaled_dot_product_attention(query, keys, keys)
scaled_dot_product_attention(query, query, query, is_causal=True, scale=0.3)
selu(x)
sigmoid(x)
silu(x)
smooth_l1_loss(x, y)
smooth_l1_loss(x, y, reduction='none', beta=0.3)
soft_margin_loss(x, signs)
soft_margin_loss(x, signs, reduction='sum')
softmax(x, dim=1)
softmax(x, -1, dtype=torch.float64)
softmin(x, dim=0)
softplus(x)
softplus(x, beta=2, threshold=1)
softshrink(x)
softsign(x)
tanh(x)
tanhshrink(x)
threshold(x, 0.1, 20.0)
triplet_margin_loss(x, y, z)
triplet_margin_loss(x, y, z, margin=0.5, p=1.0, swap=True, reduction='none')
unfold(image, 3)
unfold(image, (2, 3), padding=1, stride=2)
celu_(x.clone())
elu_(x.clone())
hardtanh_(x.clone())
leaky_relu_(x.clone())
relu_(x.clone())
rrelu_(x.clone())
selu_(x.clone())
threshold_(x.clone(), 0.1, 20.0)
""".split("\n")[1:-1]

BUFFERS = {"one": {"shape": [1]}}  # a checkpoint has at least one tensor

# Text that PyTorch's own function would not take, or random numbers that come in another order.
RANDOM = ["gumbel_softmax(x)", "gumbel_softmax(x, tau=0.5, hard=True, dim=0)", "alpha_dropout(x, 0.3, training=True)",
          "dropout(x, 0.3)", "fractional_max_pool2d(image, 2, output_size=(3, 4))", "rrelu(x, training=True)"]

REFUSED = {
    "grouped_mm(x, y)": "torch.mm",
    "linear_cross_entropy(x, y, z)": "F.cross_entropy",
    "multi_head_attention_forward(x, y, z)": "MultiheadAttention",
    "scaled_grouped_mm(x, y)": "torch.mm",
    "scaled_mm(x, y)": "torch.mm",
    "triplet_margin_with_distance_loss(x, y, z)": "torch.clamp_min",
    "upsample(image, 5)": "F.interpolate",
    "upsample_bilinear(image, 5)": "align_corners=True",
    "upsample_nearest(image, 5)": "mode='nearest'",
    "relu6x(x)": "did you mean F.relu6?",
    "interpolte(x)": "did you mean F.interpolate?",
    "mse_loss(x, y, size_average=True)": "mse_loss(Tensor input, Tensor target, str reduction",
}

# Public by name only: they serve torch.nn.functional itself.
INTERNAL = {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
            "has_torch_function_variadic"}


def function_of(call):
    return call.split("(")[0]


def names_of(call):
    return sorted({node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)} & set(VALUES))


def architecture(calls, arguments):
    head = f"def forward(self, {', '.join(f'{name}: Tensor' for name in arguments)}):"
    body = [f"  r{i} = F.{call}" for i, call in enumerate(calls)]
    returned = ", ".join(f"r{i}" for i in range(len(calls)))
    text = "\n".join([head, *body, f"  return {returned}"])
    return yaml.safe_dump({"mlc": "architecture/1", "buffers": BUFFERS, "forward": text}, width=10_000)


def run(mlc, calls, folder, *options):
    """What the calls give: one {name: array} for all."""
    arguments = sorted({name for call in calls for name in names_of(call)})
    torch.save({"one": torch.zeros(1)}, folder / "one.pt")
    (folder / "a.yaml").write_text(architecture(calls, arguments))
    np.savez(folder / "in.npz", **{name: VALUES[name].numpy() for name in arguments})
    inputs = [text for name in arguments for text in ("--input", f"{name}=@{folder}/in.npz")]
    return mlc("run", folder / "one.pt", "--arch", folder / "a.yaml", *inputs, "-o", folder / "out.npz", *options)


def flat(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """{call: [tensor, ...]} of all CALLS in one run."""
    from conftest import Mlc

    folder = tmp_path_factory.mktemp("functional")
    result = run(Mlc(folder), CALLS, folder)
    assert result.rc == 0, result.stderr
    archive = np.load(folder / "out.npz")
    out = {call: [] for call in CALLS}
    for name in archive.files:
        out[CALLS[int(name.split(".")[1])]].append(torch.as_tensor(archive[name]))
    return out


def evaluate(call):
    values = {name: VALUES[name].clone() for name in names_of(call)}
    with torch.no_grad():
        return flat(eval("F." + call, {"F": F, "torch": torch, "math": math, **values}))  # pylint: disable=eval-used


@pytest.mark.parametrize("call", CALLS)
def test_function_gives_what_pytorch_gives(found, call):
    for ours, theirs in zip(found[call], evaluate(call), strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("call", RANDOM)
def test_random_function_draws_as_pytorch_does(mlc, tmp_path, call):
    result = run(mlc, [call], tmp_path, "--seed", 7)
    assert result.rc == 0, result.stderr
    torch.manual_seed(7)
    archive = np.load(tmp_path / "out.npz")
    torch.testing.assert_close([torch.as_tensor(archive[name]) for name in archive.files], evaluate(call))


@pytest.mark.parametrize("call", REFUSED)
def test_function_that_does_not_work_is_refused_with_advice(mlc, tmp_path, call):
    result = run(mlc, [call], tmp_path)
    assert result.rc == 2 and REFUSED[call] in result.stderr, result.stderr
    assert "a.yaml:" in result.stderr and "__torch__" not in result.stderr


@pytest.mark.parametrize(("call", "said"), [
    ("interpolate(image, size=3, mode='bilinar')", "no mode bilinar"),
    ("interpolate(image)", "either size or scale_factor"),
    ("interpolate(image, scale_factor=(2.0, 2.0, 2.0))", "one for each spatial dimension"),
    ("grid_sample(image, grid, padding_mode='wrap')", "no padding_mode wrap"),
    ("mse_loss(x, y, reduction='avg')", "not avg"),
    ("embedding_bag(flat, table)", "need offsets"),
    ("max_unpool1d(halves, indices, 2, output_size=[20])", "more than a stride away"),
])
def test_wrong_value_is_told_in_a_sentence(mlc, tmp_path, call, said):
    result = run(mlc, [call], tmp_path)
    assert result.rc == 2 and said in result.stderr, result.stderr


def test_no_function_is_forgotten():
    public = {name for name in dir(F) if not name.startswith("_") and name[0].islower() and callable(getattr(F, name))
              and not isinstance(getattr(F, name), type)}
    here = {function_of(call) for call in [*CALLS, *RANDOM, *REFUSED]}
    assert public - INTERNAL - here == set()


@pytest.mark.parametrize("function", ["relu", "relu6", "silu", "mish", "selu", "hardswish", "hardsigmoid", "hardtanh", "elu", "celu",
                                      "leaky_relu", "rrelu"])
def test_inplace_is_seen_by_later_lines(mlc, tmp_path, function):
    """`F.relu(x, inplace=True)` without using what it returns is a way to write x = F.relu(x)."""
    (tmp_path / "a.yaml").write_text("mlc: architecture/1\nbuffers: {one: {shape: [1]}}\nforward: |\n  def forward(self, x):\n"
                                     f"    F.{function}(x, inplace=True)\n    return x\n")
    torch.save({"one": torch.zeros(1)}, tmp_path / "one.pt")
    np.save(tmp_path / "x.npy", VALUES["x"].numpy())
    mlc.ok("run", "one.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.npz")
    torch.testing.assert_close(torch.as_tensor(np.load(tmp_path / "out.npz")["output"]), getattr(F, function)(VALUES["x"]))
