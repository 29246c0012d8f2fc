"""Operators by family, each as a program of torch.export: what test_export_families.py turns into ONNX."""

import dataclasses
import functools
import math
import typing
import zipfile

import torch
import torch.ao.quantization.fx._decomposed  # pylint: disable=unused-import
import torch.nn.functional as F
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch import nn

import vision_operators  # pylint: disable=unused-import

BATCH = torch.export.Dim("batch", min=1, max=64)
STEPS = torch.export.Dim("steps", min=2, max=40)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def rename_operators(path, names):
    """Other operators in the program that torch.export.save wrote to PATH."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            if name.endswith("models/model.json"):
                for old, new in names.items():
                    assert f'"{old}"'.encode() in content
                    content = content.replace(f'"{old}"'.encode(), f'"{new}"'.encode())
            archive.writestr(name, content)


@dataclasses.dataclass
class Case:
    """MODULE on INPUTS; DYNAMIC as torch.export takes it, for each input. OPS: ONNX operators that must be there,
    WITHOUT: that must not. MORE: other inputs to compare on. VERIFY: whether mlc's own random inputs suit it. DECOMPOSE: whether the
    program is decomposed first. REFUSED: words of the reason why ONNX has no form for it. EXPECTED: the same for operators that have no
    kernel on the CPU."""
    module: typing.Any
    inputs: tuple
    dynamic: tuple | None = None
    ops: tuple = ()
    without: tuple = ()
    more: tuple = ()
    verify: bool = True
    decompose: bool = False
    refused: str = ""
    expected: typing.Any = None
    renamed: dict | None = None
    atol: float = 1e-5

    def program(self):
        module = self.module if isinstance(self.module, nn.Module) else Function(self.module)
        dynamic = self.dynamic
        if dynamic is not None and not isinstance(self.module, nn.Module):
            dynamic = (tuple(dynamic),)
        elif dynamic is not None and isinstance(self.module, Layers):
            dynamic = (dynamic[0], tuple(dynamic[1:])) if len(dynamic) > 1 else dynamic
        program = torch.export.export(module.eval(), self.inputs, dynamic_shapes=dynamic, strict=False)
        return program.run_decompositions() if self.decompose else program

    def save(self, path):
        torch.export.save(self.program(), path)
        if self.renamed:
            rename_operators(path, self.renamed)


def randn(*sizes, seed=0):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


class Layers(nn.Module):
    """A recurrent layer, with its first states as inputs or without them."""

    def __init__(self, kind, *args, **kwargs):
        super().__init__()
        torch.manual_seed(0)
        self.inner = kind(*args, **kwargs)

    def forward(self, x, *states):
        return self.inner(x, (states if len(states) > 1 else states[0]) if states else None)


class Cells(nn.Module):
    """All cells, each as one step and as three."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.bare = nn.LSTMCell(4, 5), nn.LSTMCell(4, 5, bias=False)
        self.gru, self.tanh, self.relu = nn.GRUCell(4, 5), nn.RNNCell(4, 5), nn.RNNCell(4, 5, nonlinearity="relu")

    def forward(self, x, h, c):
        state = (h, c)
        for _ in range(3):
            state = self.lstm(x, state)
        return state, self.bare(x, (h, c)), self.gru(x, self.gru(x, h)), self.tanh(x, h), self.relu(x, h), self.gru(x[0], h[0])


class DnnLayer(nn.Module):
    """One direction of an LSTM as oneDNN runs it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.LSTM(4, 5)

    def forward(self, x, c):
        return torch.ops.aten.mkldnn_rnn_layer(x, *self.inner.all_weights[0], c, c * 2, True, [], 2, 5, 1, True, False, False, False)[:3]


def fused_cell(x, y, c):
    return torch.ops.aten._thnn_fused_lstm_cell(x, y, c, x[0], y[0])[:2]


def fused_cell_by_parts(x, y, c):
    i, f, g, o = (x + y + x[0] + y[0]).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class Packed(nn.Module):
    """Recurrent layers of packed sequences, as traces have them. torch.export cannot follow these operators, so that the program is
    made of stand-ins, which are given their names back when it is saved (RENAMED)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True)
        self.gru = nn.GRU(10, 5)

    def forward(self, x, lengths):
        data, sizes = torch.ops.packed.pack_padded_sequence(x, lengths, True)
        start = torch.zeros(4, 3, 5)
        data, h, c = torch.ops.packed.lstm(data, sizes, [start, start], self.lstm._flat_weights, True, 2, 0.0, False, True)
        data, last = torch.ops.packed.gru(data * 2, sizes, start[:1], self.gru._flat_weights, True, 1, 0.0, False, False)
        return torch.ops.packed.pad_packed_sequence(data, sizes, True, -1.0, 6), h, c, last


PACKED = torch.library.Library("packed", "DEF")
RENAMED = {"pack_padded_sequence": "_pack_padded_sequence.default", "pad_packed_sequence": "_pad_packed_sequence.default",
           "lstm": "lstm.data", "gru": "gru.data"}
RENAMED = {f"torch.ops.packed.{old}.default": f"torch.ops.aten.{new}" for old, new in RENAMED.items()}


def renamed(*names):
    return {f"torch.ops.packed.{name}.default": f"torch.ops.aten.{name}.default" for name in names}


def define_packed():
    def pack(x, lengths, _):
        return x.new_empty(torch.library.get_ctx().new_dynamic_size(), x.shape[2]), lengths.new_empty(6)

    def lstm(data, _, states, *__):
        return data.new_empty(data.shape[0], 10), torch.empty_like(states[0]), torch.empty_like(states[0])

    layers = "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional"
    for schema, real, fake in (
            ("pack_padded_sequence(Tensor input, Tensor lengths, bool batch_first) -> (Tensor, Tensor)",
             torch.ops.aten._pack_padded_sequence, pack),
            ("pad_packed_sequence(Tensor data, Tensor batch_sizes, bool batch_first, Scalar padding_value, int total_length)"
             " -> (Tensor, Tensor)", torch.ops.aten._pad_packed_sequence,
             lambda data, sizes, *_: (data.new_empty(3, 6, 5), sizes.new_empty(3))),
            (f"lstm(Tensor data, Tensor batch_sizes, Tensor[] hx, {layers}) -> (Tensor, Tensor, Tensor)", torch.ops.aten.lstm.data, lstm),
            (f"gru(Tensor data, Tensor batch_sizes, Tensor hx, {layers}) -> (Tensor, Tensor)", torch.ops.aten.gru.data,
             lambda data, _, state, *__: (data.new_empty(data.shape[0], 5), torch.empty_like(state))),
            ("fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> Tensor",
             torch.fake_quantize_per_tensor_affine, lambda x, *_: torch.empty_like(x)),
            ("fake_quantize_per_tensor_affine_cachemask(Tensor self, float scale, int zero_point, int quant_min, int quant_max)"
             " -> (Tensor, Tensor)", torch.ops.aten.fake_quantize_per_tensor_affine_cachemask,
             lambda x, *_: (torch.empty_like(x), torch.empty_like(x, dtype=torch.bool))),
            ("fake_quantize_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max)"
             " -> Tensor", torch.fake_quantize_per_channel_affine, lambda x, *_: torch.empty_like(x)),
            ("cov(Tensor self, *, int correction=1) -> Tensor", lambda x, correction=1: torch.cov(x, correction=correction),
             lambda x, correction=1: x.new_empty(() if x.dim() == 1 else (x.shape[0], x.shape[0]))),
            ("corrcoef(Tensor self) -> Tensor", torch.corrcoef, lambda x: x.new_empty(() if x.dim() == 1 else (x.shape[0], x.shape[0])))):
        PACKED.define(schema)
        name = schema[:schema.index("(")]
        PACKED.impl(name, real, "CPU")
        torch.library.register_fake("packed::" + name, fake, lib=PACKED)


define_packed()

def numbers(x, t):
    """Arithmetic on a number that is known at run time only."""
    n = t.item()
    torch._check(n >= 1)
    torch._check(n < 20)
    more = n * 2 + 1
    a = x * (n / 2) + torch.sym_max(n, 3) + torch.sym_min(n, 2) + n % 3 + n // 2 - (-n)
    b = x * torch.sym_float(n) + torch.sym_ite(n > 3, 1, 2) + math.trunc(n / 2)
    s = x.sum().item()
    return a, b, x * (x.shape[0] / 3), torch.zeros(more, x.shape[0]), x * s + (s * 2) + s / 3 - (s - 1) * (s + n)


def interpolate(**kwargs):
    return lambda x: F.interpolate(x, **kwargs)


def resized(*sizes):
    """Every mode of two dimensions of space, to each of SIZES and by scales."""
    def run(x):
        out = []
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
            out += [F.interpolate(x, size, mode=mode) for size in sizes]
            out += [F.interpolate(x, scale_factor=scale, mode=mode) for scale in (2, 1.7, 0.3, (2.3, 0.5))]
        for mode in ("bilinear", "bicubic"):
            out += [F.interpolate(x, size, mode=mode, align_corners=True) for size in sizes]
            out += [F.interpolate(x, scale_factor=1.5, mode=mode, align_corners=True)]
            out += [F.interpolate(x, size, mode=mode, antialias=True) for size in sizes]
            out += [F.interpolate(x, scale_factor=0.4, mode=mode, antialias=True)]
        return out + [F.interpolate(x, scale_factor=1.5, mode="bilinear", recompute_scale_factor=True)]
    return run


def resized_other(x, y, z):
    """One and three dimensions of space, and bytes."""
    out = []
    for mode in ("nearest", "nearest-exact", "linear"):
        out += [F.interpolate(x, 9, mode=mode), F.interpolate(x, scale_factor=1.7, mode=mode)]
    for mode in ("nearest", "nearest-exact", "trilinear"):
        out += [F.interpolate(y, (3, 9, 4), mode=mode), F.interpolate(y, scale_factor=1.7, mode=mode)]
    out += [F.interpolate(x, 9, mode="linear", align_corners=True), F.interpolate(y, 5, mode="trilinear", align_corners=True)]
    return out + [F.interpolate(z, (9, 4), mode="nearest")]


def resized_like(x, y):
    return [F.interpolate(x, y.shape[2:], mode=mode) for mode in ("nearest", "bilinear", "bicubic")] + [
        F.interpolate(x, (x.shape[2] * 2, x.shape[3] // 2), mode="bilinear")]


def sampled(x, grid):
    return [F.grid_sample(x, grid, mode, padding, align) for mode in ("bilinear", "nearest", "bicubic")
            for padding in ("zeros", "border", "reflection") for align in (True, False)]


def sampled_3d(x, grid):
    return [F.grid_sample(x, grid, mode, padding, align) for mode in ("bilinear", "nearest")
            for padding in ("zeros", "border", "reflection") for align in (True, False)]


def affine_grids(theta):
    out = [F.affine_grid(theta, (theta.shape[0], 3, 4, 5), align) for align in (True, False)]
    out += [F.affine_grid(theta, (theta.shape[0], 3, 1, 5), True)]
    wide = torch.cat([theta, theta[:, :1]], 1)
    return out + [F.affine_grid(torch.cat([wide, wide[:, :, :1]], 2), (theta.shape[0], 3, 2, 4, 5), align) for align in (True, False)]


def boxes(count, seed=0):
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * 12 - 1
    return torch.cat([corners.amin(1), corners.amax(1) + 1], 1)


def regions(x, rois):
    vision = torch.ops.torchvision
    return (vision.roi_align(x, rois, 0.5, 3, 2, -1, True), vision.roi_align(x, rois, 1.0, 2, 3, 2, False),
            vision.ps_roi_align(x, rois, 0.5, 2, 2, 2)[0], vision.ps_roi_align(x, rois, 1.0, 2, 1, -1)[0],
            vision.roi_pool(x, rois, 0.7, 3, 2)[0])


def deformed(x, weight, offset, mask, bias):
    conv = torch.ops.torchvision.deform_conv2d
    return conv(x, weight, offset, mask, bias, 1, 2, 1, 0, 1, 1, 1, 2, True), conv(
        x, weight[:, :2], offset, mask, bias, 1, 2, 1, 0, 1, 1, 2, 2, False)


def unfolded(x):
    return F.unfold(x, 3), F.unfold(x, (2, 3), (1, 2), (1, 0), (2, 1)), F.unfold(x[0], 2, stride=2)


def folded(x, y):
    return F.fold(x, (5, 6), (2, 2), 1, 0, 2 - 1), F.fold(y, (7, 8), (3, 2), (2, 1), (1, 0), (2, 2)), F.fold(x[0], (5, 6), 2)


def unpooled(x, y):
    out = []
    for size, kwargs in ((2, {}), (3, {"stride": 2, "padding": 1})):
        pooled, index = F.max_pool2d(x, size, return_indices=True, **kwargs)
        out.append(F.max_unpool2d(pooled, index, size, output_size=x.shape[2:], **kwargs))
    pooled, index = F.max_pool3d(y, 2, return_indices=True)
    line, places = F.max_pool1d(x[:, :, 0], 2, return_indices=True)
    return out + [F.max_unpool3d(pooled, index, 2), F.max_unpool1d(line, places, 2)]


class Bags(nn.Module):
    """Bags of every mode: by offsets, as rows of indices, with weights, with padding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(10, 4))

    def forward(self, ids, flat, offsets, weights):
        bag = functools.partial(F.embedding_bag, weight=self.table)
        out = [bag(ids, mode=mode) for mode in ("sum", "mean", "max")]
        out += [bag(flat, offsets=offsets, mode=mode) for mode in ("sum", "mean", "max")]
        out += [bag(flat, offsets=offsets, mode="sum", per_sample_weights=weights), bag(ids, mode="mean", padding_idx=3)]
        return out + [bag(flat, offsets=offsets, mode=mode, padding_idx=1, include_last_offset=True) for mode in ("sum", "mean")]


def distances(x, y):
    out = [torch.cdist(x, y, p) for p in (0.0, 1.0, 2.0, 3.0, math.inf)] + [torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")]
    out += [torch.cdist(x, torch.cat([y] * 12, 1)), F.pairwise_distance(x, y[:, :1]), F.pairwise_distance(x, x, 3, keepdim=True)]
    out += [F.cosine_similarity(x, y[:, :1], dim=2), F.cosine_similarity(x, x + 1), torch.dist(x, y[:, :1], 1.5)]
    return out + [F.pdist(y[0]), F.pdist(y[0], 1), F.normalize(x), F.normalize(x, 1, -1)]


def matrices(x, y):
    """X: square matrices of size 3; Y: 5x3."""
    norm, out = torch.linalg.norm, []
    out += [torch.linalg.matrix_norm(y, order) for order in ("fro", 1, -1, math.inf, -math.inf)]
    out += [norm(y), norm(y, 1, -1), norm(y, "fro", (0, 1)), norm(y[0], 1), norm(y, math.inf, (2, 0), True), torch.linalg.matrix_norm(x, 1, (1, 0))]
    out += [torch.linalg.det(x), x.det(), torch.logdet(x @ x.mT), *torch.linalg.slogdet(x), *torch.slogdet(x)]
    out += [torch.linalg.inv(x), torch.inverse(x[:, :2, :2]), torch.linalg.inv(x[:, :1, :1]), *torch.linalg.inv_ex(x), x.matrix_power(5)]
    out += [x[0].trace(), y[0].long().trace(), torch.cross(x, y[:, :3], -1), torch.linalg.cross(x, y[:, :3], dim=1), torch.linalg.cross(x, y[:, :1])]
    return out + [torch.linalg.multi_dot([y[0], x[0], x[1]]), torch.linalg.vecdot(y, y + 1), torch.inner(y, x), torch.inner(y[0, 0], x[0, 0])]


REDUCTIONS = ("none", "mean", "sum")


def losses(x, y, target):
    """TARGET holds 0 and 1."""
    signs, out = target * 2 - 1, []
    for reduction in REDUCTIONS:
        for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.poisson_nll_loss):
            out.append(loss(x, y, reduction=reduction))
        out += [F.smooth_l1_loss(x, y, reduction=reduction, beta=0.3), F.huber_loss(x, y, reduction=reduction, delta=0.3)]
        out += [F.binary_cross_entropy(x.sigmoid(), target, reduction=reduction), F.binary_cross_entropy(target, target, y.abs(), reduction=reduction)]
        out.append(F.binary_cross_entropy_with_logits(x * 10, target, reduction=reduction))
        out.append(F.binary_cross_entropy_with_logits(x, y.sigmoid(), y.abs(), pos_weight=x[0].abs(), reduction=reduction))
        out += [F.kl_div(x, target * y.abs(), reduction=reduction), F.kl_div(x, y, reduction=reduction, log_target=True)]
        out += [F.soft_margin_loss(x * 9, signs, reduction=reduction), F.margin_ranking_loss(x, y, signs, 0.2, reduction=reduction)]
        out += [F.hinge_embedding_loss(x, signs, reduction=reduction), F.cosine_embedding_loss(x, y, signs[:, 0], 0.1, reduction=reduction)]
        out += [F.triplet_margin_loss(x, y, target, swap=True, reduction=reduction), F.triplet_margin_loss(x, y, target, 0.5, 1, reduction=reduction)]
        out.append(F.poisson_nll_loss(y.abs(), (x * 3).abs(), log_input=False, full=True, reduction=reduction))
    return out


def class_losses(x, target, pixels, labels, weight):
    out = []
    for reduction in REDUCTIONS:
        for kwargs in ({}, {"weight": weight}, {"ignore_index": 2}, {"weight": weight, "ignore_index": 2}):
            out += [F.nll_loss(x, target, reduction=reduction, **kwargs), F.nll_loss(pixels, labels, reduction=reduction, **kwargs)]
            out += [F.cross_entropy(x, target, reduction=reduction, label_smoothing=s, **kwargs) for s in (0, 0.1)]
            out.append(F.cross_entropy(pixels, labels, reduction=reduction, label_smoothing=0.1, **kwargs))
        out += [F.cross_entropy(x, x.softmax(1), weight, reduction=reduction, label_smoothing=s) for s in (0, 0.1)]
        out.append(F.cross_entropy(pixels, pixels.softmax(1), reduction=reduction))
    out += [F.pairwise_distance(labels[0], labels[1]), F.triplet_margin_loss(labels[0], labels[1], labels[0] + 3)]
    out += [F.cosine_embedding_loss(labels[0] + 1, labels[1], target[:2].sign()), F.poisson_nll_loss(labels, labels[0], full=True)]
    return out + [F.nll_loss(x[0], target[0]), F.cross_entropy(x[0], target[0])]


def searches(x, borders, lists, ids):
    out = [torch.searchsorted(borders, x), torch.searchsorted(borders, x, right=True), torch.searchsorted(lists.sort(-1).values, x, side="right")]
    out += [torch.searchsorted(lists, x, sorter=lists.argsort(-1)), torch.searchsorted(borders, 0.1), torch.bucketize(ids, borders)]
    out += [torch.bucketize(x, borders, right=True, out_int32=True), torch.bucketize(ids, ids[0].sort().values)]
    return out + [torch.histc(x, 7, -1, 1), torch.histc(x, 5), torch.histc(x * 0 + 3, 4)]


def uniques(ids, x):
    out = [*torch.unique(ids, return_inverse=True, return_counts=True), torch.unique(x), *torch.unique(ids, dim=0, return_inverse=True)]
    out += [*torch.unique_consecutive(ids, return_inverse=True, return_counts=True), torch.unique(ids.int()), torch.unique(ids > 1)]
    return out + [*torch.unique_consecutive(ids, return_inverse=True, return_counts=True, dim=1), torch.unique_consecutive(x)]


def bins(ids, weights):
    return torch.bincount(ids), torch.bincount(ids, weights), torch.bincount(ids, minlength=20), torch.bincount(ids, weights.double(), 3)


def quantiles(x, q):
    out = [torch.quantile(x, 0.3), torch.quantile(x, q), torch.quantile(x, q, 0), torch.quantile(x, 0.6, 1, True)]
    out += [torch.quantile(x, q, 1, True, interpolation=how) for how in ("lower", "higher", "nearest", "midpoint")]
    gaps = torch.where(x > 0.5, math.nan, x)
    out += [torch.nanmedian(gaps), *torch.nanmedian(gaps, 1), *torch.nanmedian(gaps, 0, True), torch.quantile(gaps, 0.3, 1)]
    return out + [torch.mode((x * 2).round())[0], torch.mode((x * 2).long(), 0, True)[0], torch.mode((x * 2).int(), 1)[0], torch.mode(x.round(), 0)[1], *torch.nanmedian((x * 9).long(), 0)]


def running(x, ids):
    out = [x.cumprod(0), x.cumprod(-1), ids.cumprod(1), x.logcumsumexp(1), (x * 100).logcumsumexp(0)]
    for values in (x, ids, ids.int(), ids.byte(), ids > 1):
        for dim in (0, -1):
            out += [*torch.cummax(values, dim), *torch.cummin(values, dim)]
    out += [torch.trapz(x), torch.trapezoid(x, dx=0.3, dim=0), torch.trapezoid(x, x.exp()), torch.trapezoid(x, x[0], dim=1)]
    return out + [torch.cumulative_trapezoid(x), torch.cumulative_trapezoid(x, x[0].exp())]


HEIGHT = torch.export.Dim("height", min=2, max=64)
WIDTH = torch.export.Dim("width", min=2, max=64)
WIDE = torch.export.Dim("width", min=6, max=64)
IMAGES = {0: BATCH, 2: HEIGHT, 3: WIDTH}

class Unrecorded(nn.Module):
    """Parts that run in another mode: their blocks become part of the program."""

    def forward(self, x):
        with torch.no_grad():
            y = x * 2
            z = y + 1
        with torch.autocast("cpu", enabled=False):
            z = z @ z.mT
        return y.sum(-1) + z.mean(-1) + 1


class While(nn.Module):
    def forward(self, x, n):
        return while_loop(lambda i, a, b: (i < n) & (a.sum() < 900), lambda i, a, b: (i + 1, a * 2 + x[:1], a - 1), (n * 0, x, x - 1))


class Scan(nn.Module):
    def forward(self, x, h, w):
        return scan(lambda state, row: ((state + row) / 2, state * row + w), h, x, dim=0)


def rare(x, ids):
    out = [ids << 2, ids >> 1, ids.byte() << 3, torch.bitwise_left_shift(ids, ids.abs() % 5), torch.bitwise_right_shift(ids, ids.abs() % 3)]
    ends = torch.where(x > 1, math.inf, torch.where(x < -1, -math.inf, x))
    out += [torch.isneginf(ends), torch.isposinf(ends), torch.isposinf(ids), torch.signbit(x), torch.sinc(ids), torch.sinc(x)]
    out += [torch.special.xlog1py(x.relu(), x.abs()), torch.special.entr(x), torch.special.entr(x.relu()), torch.logaddexp2(x, ends)]
    out += [torch.ldexp(x, ids[:, :4]), torch.float_power(x.abs(), 1.5), torch.float_power(ids, 2), torch.special.ndtr(x)]
    out += [torch._weight_norm(x, x[:, :1], 0), torch._weight_norm(x, x[:1], 1), torch.norm_except_dim(x, 2, 1)]
    return out + [torch.ops.aten._weight_norm_interface(x, x[:1], 1)]


def assembled(x, line, ids):
    out = [torch.diag(line), torch.diag(line, 2), torch.diag(line, -1), torch.diag(x), torch.diag(x, 1), torch.diag(x, -1), torch.diagflat(x, 1)]
    out += [torch.diag_embed(x), torch.diag_embed(x, 1), torch.diag_embed(x, -2), torch.diag_embed(x, 1, 0, 2), torch.diag_embed(ids > 1)]
    out += [torch.block_diag(x, line, x[:1]), torch.kron(x, line), torch.kron(x, x[:, :2]), torch.tensordot(x, x, ([1], [1]))]
    out += [torch.tensordot(x.reshape(-1, 2, 2), x.reshape(-1, 2, 2), ([1, 2], [2, 1])), torch.cartesian_prod(line, line)]
    out += [torch.column_stack([x, x[:, 0]]), torch.vander(line, 3)]
    out += [torch.vander(ids[0], increasing=True), torch.linalg.vander(line)]
    return out + [x.put(ids[:1].abs() % 4, line[:4]), x.put(ids[:1].abs() % 4, line[:4], True)]


def covariances(x):
    stand_in = torch.ops.packed
    return stand_in.cov(x), stand_in.cov(x[0]), stand_in.cov(x, correction=0), stand_in.corrcoef(x), stand_in.corrcoef(x[0])


def quantized(x, scales, zeros):
    """What PT2E's flow writes: whole and narrow grids of several integers, by number, by tensor, by channel."""
    q, out = torch.ops.quantized_decomposed, []
    for low, high, dtype, zero in ((0, 255, torch.uint8, 100), (-128, 127, torch.int8, -3), (-127, 127, torch.int8, 0), (0, 127, torch.uint8, 64),
                                   (-32768, 32767, torch.int16, 7), (-2**31, 2**31 - 1, torch.int32, 0)):
        whole = q.quantize_per_tensor(x, 0.013, zero, low, high, dtype)
        out += [whole, q.dequantize_per_tensor(whole, 0.013, zero, low, high, dtype)]
    for axis, size in ((0, 3), (1, 4)):
        whole = q.quantize_per_channel(x, scales[:size], zeros[:size], axis, -127, 127, torch.int8)
        out += [whole, q.dequantize_per_channel(whole, scales[:size], zeros[:size], axis, -127, 127, torch.int8)]
    scale, zero = q.choose_qparams.tensor(x, -128, 127, 1e-5, torch.int8)
    whole = q.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
    out += [scale, zero, whole, q.dequantize_per_tensor.tensor(whole, scale, zero, -128, 127, torch.int8)]
    return out + list(q.choose_qparams_symmetric.tensor(x, -127, 127, 1e-5, torch.int8))


def simulated(x, scales, zeros):
    fake, out = torch.ops.packed, []
    for zero, low, high in ((0, -128, 127), (7, 0, 255), (3, -8, 7), (9, -600, 600)):
        out.append(fake.fake_quantize_per_tensor_affine(x, 0.01, zero, low, high))
    out += [fake.fake_quantize_per_channel_affine(x, scales, zeros, 1, low, high) for low, high in ((-128, 127), (0, 15))]
    return out + list(fake.fake_quantize_per_tensor_affine_cachemask(x, 0.01, 3, 0, 255))


class Rotary(nn.Module):
    """Rotary embedding with complex numbers, a table of them in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("turns", torch.polar(torch.ones(9, 2), torch.arange(18.0).reshape(9, 2)))

    def forward(self, x):
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[:x.shape[1]].reshape(1, x.shape[1], 1, -1)).flatten(3).type_as(x)


def complex_numbers(x, y):
    a, b = torch.complex(x, y), torch.view_as_complex(torch.stack([y, x * 2], -1))
    made = [a + b, a - b, a * b, a / b, 2 - a, a * 2, x * a, a / y, torch.polar(x, y), a.conj().resolve_conj(), a.exp(), 1 / a, a @ b.mT, -a]
    made += [a.reshape(-1), a.transpose(0, 1), a[1:], torch.cat([a, b]), torch.stack([a, b], -1), a.sum(0), a.mean(-1), a.unsqueeze(0)]
    made += [a.flip(0), a[:, torch.tensor([1, 0])], a.expand(2, -1, -1), a + x, a + 1]
    made += [a * 1j, 1j - a, x + 2j, (1 - 2j) * x, x / 0.5j, x.double() * 0.1j, x.double() + a, 1j * torch.arange(3)]
    return [torch.view_as_real(one) for one in made] + [
        torch.view_as_real(x.to(torch.complex64) + a), a.abs(), a.angle(), a.real, (a * b).imag, x.angle()]


def spectra(x):
    fft, real = torch.fft, torch.view_as_real
    z = torch.complex(x, x.flip(-1))
    out = [real(one.resolve_conj()) for one in (fft.rfft(x), fft.fft(x), fft.fft(z), fft.ifft(z, norm="ortho"), fft.rfft(x, 5, 0, "forward"), fft.fft(z, 12, 1),
                                 fft.fft2(z), fft.rfft2(x, norm="ortho"), fft.fftn(z), fft.ifft2(z), fft.rfftn(x), fft.ifftn(z, norm="forward"),
                                 fft.ihfft(x), fft.ihfftn(x, norm="ortho"), fft.fftshift(z), fft.ifftshift(z, 1))]
    out += [fft.hfft(z), fft.hfft(x, 9, 1, "forward"), fft.hfft2(z), fft.hfftn(z, norm="ortho"), fft.fftshift(x), fft.ifftshift(x, 0)]
    return out + [fft.irfft(fft.rfft(x)), fft.irfft(fft.rfft(x), 7), fft.irfft2(fft.rfft2(x)), fft.irfftn(fft.rfftn(x)), fft.irfft(z, norm="ortho")]


def turned_fill(x):
    y = x.clone()
    y.T.index_fill_(0, torch.tensor([2]), 1.5)
    return y


def functions_of_probabilities(x):
    """At ordinary numbers, near zeros and poles, where digits get lost, and at the ends."""
    inf, nan = float("inf"), float("nan")
    more = torch.tensor([0, -0.0, 1, 2, 1.0001, 1.9999, 0.5, 1e-6, -1e-6, -0.5, -3, -3.25, 7.99, 8, 60.5, 1e4, 1e30, inf, -inf, nan])
    y, p = torch.cat([x.reshape(-1) * 5, more]), torch.cat([x.reshape(-1), torch.tensor([0, 1, -1, 0.999, -0.9999999, 1e-8, 2, nan])]).clamp(-2, 2)
    return torch.lgamma(y), torch.digamma(y.clamp(min=-100)), torch.mvlgamma(x.abs() + 2, 3), torch.erfinv(p), torch.special.ndtri(p), torch.lgamma(y.double())


def spectra_of_any_length(x):
    fft, real = torch.fft, torch.view_as_real
    z = torch.complex(x, x.flip(-1))
    same = [fft.irfft(fft.rfft(x), n=x.shape[1]), fft.irfft(fft.rfft(x, norm="ortho"), n=x.shape[1], norm="ortho"), fft.fftn(x, dim=(0, 1)).real, fft.hfft(z, norm="forward")]
    return same + [fft.irfft(z), fft.rfft(x, 5).abs(), fft.rfft(x, 80).abs(), fft.irfft(fft.rfft(x), 6)] + [
        real(one.resolve_conj()) for one in (fft.rfft(x), fft.ifft(z), fft.fft(z, norm="ortho"), fft.rfft2(x, norm="forward"), fft.fft(z, n=2 * x.shape[1]), fft.ihfft(x))]


def spectrograms(x):
    window = torch.hann_window(16)
    out = [torch.stft(x, 16, window=window, return_complex=True), torch.stft(x, 16, 5, 12, torch.hamming_window(12), False, return_complex=True),
           torch.stft(x[0], 16, 4, normalized=True, onesided=False, return_complex=True)]
    back = [torch.istft(out[0], 16, window=window), torch.istft(out[0], 16, window=window, length=40), torch.istft(out[0][0], 16, 4, window=window)]
    return [torch.view_as_real(one) for one in out] + [out[0].abs().square()] + back


def vectors(x, v, w, batched):
    weight = torch.arange(24.0).reshape(4, 6)
    return (x.t() @ v, torch.mv(x.t(), v), torch.addmv(w, x.t(), v), batched.transpose(1, 2) @ v, w @ x.t(), x @ w, v @ v,
            torch.nn.functional.relu(x.t()) @ v, weight.t() @ v, w @ batched.transpose(1, 2), batched.double().mT @ v.double())


def grouped(x, w, offs, stacked):
    """Products of groups of rows, of columns, of what is summed over, and of whole matrices."""
    x, w, stacked = x.bfloat16(), w.bfloat16(), stacked.bfloat16()  # which torch.export wants; small integers stay exact
    parts = (F.grouped_mm(x, w, offs=offs), F.grouped_mm(stacked, x, offs=offs), F.grouped_mm(x.t().contiguous(), x, offs=offs),
             F.grouped_mm(stacked, w))
    return tuple(one.float() for one in parts)


def ceil_pools(x):
    return (F.max_pool2d(x, 3, 2, ceil_mode=True), F.max_pool2d(x, 3, 2, 1, ceil_mode=True), F.avg_pool2d(x, 3, 2, ceil_mode=True),
            F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            F.max_pool2d(x, 2, ceil_mode=True, return_indices=True), F.max_pool2d(x, 2, (1, 3), dilation=3, ceil_mode=True),
            F.avg_pool1d(x[:, 0], 5, 3, 2, ceil_mode=True), F.max_pool2d(x[0], 3, 2, ceil_mode=True))


def means(x):
    return (x.mean(0), x.mean(), x.mean((0, 1), keepdim=True), x.var(0, correction=0), torch.std_mean(x, 0), torch.cat([x, x]).mean(0),
            x[:, :0].mean(1))


def least_integers(x, y):
    least = torch.tensor([-(2**63), 7, -7])
    divisor = torch.tensor([-1, 2, -3])
    z, w = x.int(), y.int()
    return (torch.remainder(x, y), x // y, torch.remainder(least, divisor) + y, least // divisor + y, torch.remainder(x, -1), x // -1,
            torch.remainder(z, w), z // w, torch.remainder(x.to(torch.int8), y.to(torch.int8)), torch.fmod(x, y))


ENDS = torch.tensor([2**63 - 1, -(2**63 - 1), 2**63 - 2, -(2**63 - 3), 9, -9, 0])


def quotients_at_the_ends(x, y):
    """A dividend less its remainder has no room in its type there."""
    ends = [x // y, x // 7, x // -6, x // (y * 3), torch.div(x, 5, rounding_mode="floor"), x // torch.tensor([1, 2, 3, 4, 5, 6, 7])]
    z = (x // 2**32).int()  # the same of 32 bits
    return [*ends, z // y.int(), z // 7, z // -6, (x // 2**56).to(torch.int8) // 7]


def few(*sizes):
    """Small integers."""
    return (randn(*sizes) * 2).round().clamp(-4, 4)


LEAST = (torch.tensor([-(2**63), 9, -7]), torch.tensor([-1, -1, 3]))


CASES = {
    "lstm": Case(Layers(nn.LSTM, 4, 5, num_layers=2, bidirectional=True, batch_first=True), (randn(3, 7, 4),), ({0: BATCH},),
                 ("LSTM", "LSTM"), more=((randn(1, 7, 4),),)),
    "lstm states": Case(Layers(nn.LSTM, 4, 5), (randn(7, 3, 4), randn(1, 3, 5), randn(1, 3, 5, seed=1)),
                        ({1: BATCH}, {1: BATCH}, {1: BATCH}), ("LSTM",)),
    "lstm unbatched": Case(Layers(nn.LSTM, 4, 5, bias=False), (randn(7, 4),), None, ("LSTM",)),
    "lstm proj": Case(Layers(nn.LSTM, 4, 5, num_layers=2, bidirectional=True, proj_size=3), (randn(7, 2, 4),), ({1: BATCH},), ("LSTM", "LSTM")),
    "lstm proj states": Case(Layers(nn.LSTM, 4, 5, num_layers=2, bidirectional=True, proj_size=3),
                             (randn(7, 3, 4), randn(4, 3, 3), randn(4, 3, 5, seed=1)), ({1: BATCH}, {1: BATCH}, {1: BATCH}), ("LSTM", "LSTM")),
    "lstm proj alone": Case(Layers(nn.LSTM, 4, 5, bias=False, batch_first=True, proj_size=2), (randn(3, 7, 4), randn(1, 3, 2), randn(1, 3, 5, seed=1)),
                            ({0: BATCH}, {1: BATCH}, {1: BATCH}), ("LSTM",)),
    "lstm decomposed": Case(Layers(nn.LSTM, 4, 5, num_layers=2, bidirectional=True), (randn(7, 3, 4),), decompose=True),
    "lstm wide": Case(Layers(nn.LSTM, 300, 300), (randn(5, 2, 300),), ops=("LSTM",), without=("Concat", "Split", "Slice")),
    "lstm double": Case(Layers(nn.LSTM, 4, 5).double(), (randn(5, 2, 4).double(),), ops=("LSTM",)),
    "gru": Case(Layers(nn.GRU, 4, 5, num_layers=2, bidirectional=True), (randn(7, 3, 4), randn(4, 3, 5)),
                ({1: BATCH}, {1: BATCH}), ("GRU", "GRU")),
    "gru batch first": Case(Layers(nn.GRU, 4, 5, batch_first=True, bias=False), (randn(3, 7, 4),), ({0: BATCH},), ("GRU",)),
    "gru double": Case(Layers(nn.GRU, 4, 5).double(), (randn(5, 2, 4).double(),), ops=("GRU",)),
    "gru decomposed": Case(Layers(nn.GRU, 4, 5), (randn(4, 3, 4),), decompose=True),
    "rnn": Case(Layers(nn.RNN, 4, 5, num_layers=3), (randn(3, 7, 4),), ({1: BATCH},), ("RNN", "RNN", "RNN")),
    "rnn relu": Case(Layers(nn.RNN, 4, 5, bidirectional=True, nonlinearity="relu"), (randn(3, 7, 4), randn(2, 7, 5)),
                     ({1: BATCH}, {1: BATCH}), ("RNN",)),
    "cells": Case(Cells(), (randn(2, 4), randn(2, 5), randn(2, 5)), ({0: BATCH}, {0: BATCH}, {0: BATCH})),
    "fused cell": Case(fused_cell, (randn(3, 20), randn(3, 20, seed=1), randn(3, 5)), ({0: BATCH}, {0: BATCH}, {0: BATCH}),
                       verify=False, expected=fused_cell_by_parts),
    "mkldnn layer": Case(DnnLayer(), (randn(7, 3, 4), randn(3, 5)), ({1: BATCH}, {0: BATCH}), ("LSTM",)),
    "packed": Case(Packed(), (randn(3, 6, 4), torch.tensor([6, 4, 2])), None, ("LSTM", "LSTM", "GRU"), verify=False, renamed=RENAMED,
                   more=((randn(3, 6, 4, seed=1), torch.tensor([6, 6, 1])),)),
    "numbers": Case(numbers, (randn(3, 4), torch.tensor(5)), ({0: BATCH}, {}), verify=False,
                    more=((randn(1, 4), torch.tensor(2)), (randn(7, 4), torch.tensor(7)))),
    "resize": Case(resized((9, 4), (3, 17), (1, 1)), (randn(2, 3, 7, 6),), ({0: BATCH},), ("Resize",)),
    "resize dynamic": Case(interpolate(scale_factor=2.0, mode="bilinear"), (randn(2, 3, 7, 6),), (IMAGES,), ("Resize",), ("Shape",),
                           more=((randn(1, 3, 5, 9),),)),
    "resize dynamic align": Case(interpolate(scale_factor=1.5, mode="bicubic", align_corners=True), (randn(2, 3, 8, 6),), (IMAGES,),
                                 ("Resize",), more=((randn(1, 3, 4, 10),),)),
    # PyTorch copies where a size stays as it is: 4 rows times 1.2 are 4 rows.
    "resize that stays": Case(lambda x: [F.interpolate(x, scale_factor=(1.2, 1.7), mode=mode) for mode in ("bilinear", "bicubic")],
                              (randn(1, 2, 4, 6),), None, ("Resize",)),
    "resize that stays sometimes": Case(interpolate(scale_factor=1.3, mode="bilinear"), (randn(2, 3, 7, 6),), (IMAGES,), ("Resize",),
                                        more=((randn(1, 3, 3, 7),), (randn(2, 3, 5, 2),))),
    # At 4 and 7 it stays as it is, and does not from 20 on.
    "resize that stays here": Case(interpolate(scale_factor=1.05, mode="bilinear"), (randn(2, 3, 4, 7),), (IMAGES,), ("Resize",),
                                   more=((randn(1, 3, 25, 19),), (randn(2, 3, 40, 20),))),
    "resize other": Case(resized_other, (randn(2, 3, 7), randn(2, 3, 4, 6, 5), torch.arange(2 * 3 * 7 * 6).reshape(2, 3, 7, 6).byte()),
                         ({0: BATCH}, {0: BATCH}, {}), ("Resize",)),
    "resize bytes": Case(interpolate(size=(9, 4), mode="bilinear"), (torch.arange(126).reshape(1, 3, 7, 6).byte(),), refused="bytes"),
    "resize nearest": Case(lambda x: [F.interpolate(x, size, mode=mode) for mode in ("nearest", "nearest-exact")
                                      for size in ((8, 8), (41, 6), (3, 11))], (randn(1, 2, 14, 26),), None, ("Gather",)),
    "resize nearest twice": Case(interpolate(scale_factor=2.0), (randn(2, 3, 7, 6),), (IMAGES,), ("Resize",), ("Gather",)),
    "resize like": Case(resized_like, (randn(2, 3, 6, 7), randn(2, 1, 9, 4)), ({0: BATCH, 2: HEIGHT, 3: WIDE}, {2: STEPS, 3: torch.export.Dim("columns", min=2, max=9)}),
                        ("Resize",) * 3, more=((randn(1, 3, 5, 7), randn(2, 1, 3, 8)),)),
    "grid sample": Case(sampled, (randn(2, 3, 7, 6), randn(2, 4, 5, 2)), ({0: BATCH}, {0: BATCH}), ("GridSample",) * 18),
    "grid sample 3d": Case(sampled_3d, (randn(2, 3, 4, 7, 6), randn(2, 3, 4, 5, 3)), ({0: BATCH}, {0: BATCH}), ("GridSample",) * 12),
    "grid sample both": Case(lambda x, grid, y, other: (F.grid_sample(x, grid), F.grid_sample(y, other), F.grid_sample(x, grid, "bicubic")),
                             (randn(2, 3, 7, 6), randn(2, 4, 5, 2), randn(2, 3, 4, 7, 6), randn(2, 3, 4, 5, 3))),
    "affine grid": Case(affine_grids, (randn(2, 2, 3),), ({0: BATCH},)),
    "nms": Case(lambda boxes, scores: torch.ops.torchvision.nms(boxes, scores, 0.3), (boxes(20), randn(20)), ({0: STEPS}, {0: STEPS}),
                ("NonMaxSuppression",), verify=False, more=((boxes(31, 1), randn(31)), (boxes(2, 1), randn(2)))),
    "regions": Case(regions, (randn(2, 4, 9, 8), torch.cat([torch.tensor([[0.0], [1.0], [1.0]]), boxes(3)], 1)),
                    ({0: BATCH}, {0: STEPS}), ("RoiAlign", "RoiAlign", "MaxRoiPool"), verify=False),
    "deform conv": Case(deformed, (randn(2, 4, 5, 7), randn(6, 4, 3, 2), randn(2, 24, 5, 3), randn(2, 12, 5, 3), randn(6)),
                        ({0: BATCH}, None, {0: BATCH}, {0: BATCH}, None), ("DeformConv", "DeformConv"), verify=False),
    "unfold": Case(unfolded, (randn(2, 3, 7, 8),), ({0: BATCH, 2: torch.export.Dim("height", min=5, max=64), 3: WIDE},), ("Gather",),
                   more=((randn(1, 3, 5, 9),),)),
    "fold": Case(folded, (randn(2, 12, 20), randn(2, 12, 12)), ({0: BATCH}, {0: BATCH}), ("Col2Im",) * 3),
    "unpool": Case(unpooled, (randn(2, 3, 6, 8), randn(2, 3, 4, 4, 6)), ({0: BATCH}, {0: BATCH})),
    "ceil pools": Case(ceil_pools, (randn(2, 3, 11, 12),), ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},),
                       ("MaxPool",) * 5, verify=False, more=tuple((randn(1, 3, 7 + i, 14 - i),) for i in range(7))),
    "vectors": Case(vectors, (randn(4, 6), randn(4), randn(6), randn(2, 4, 6)), None, ("MatMul",)),
    "grouped": Case(grouped, (few(8, 8), few(4, 8, 16), torch.tensor([2, 2, 5, 8]).int(), few(4, 3, 8)), None, ("Split", "Concat"), ("Loop",),
                    verify=False, more=((few(8, 8).flip(0), few(4, 8, 16), torch.tensor([0, 8, 8, 8]).int(), few(4, 3, 8)),)),
    "means": Case(means, (randn(5, 3),), ({0: torch.export.Dim("rows", min=0, max=64)},), without=("ReduceMean",), more=((randn(0, 3),), (randn(1, 3),))),
    "means of something": Case(lambda x: (x.mean(0), x.mean(1)), (randn(5, 3),), ({0: BATCH},), ("ReduceMean", "ReduceMean"), ("Div",)),
    "least integers": Case(least_integers, LEAST, None, verify=False, more=((torch.tensor([5, -8, 7]), torch.tensor([3, 5, -2])),)),
    "quotients at the ends": Case(quotients_at_the_ends, (ENDS, torch.tensor([7, -6, 6, -7, 2, -2, 5])), None,
                                  more=((ENDS.flip(0), torch.tensor([-3, 11, -1, 1, 9, 8, -13])),)),
    "lp pool": Case(lambda x: (F.lp_pool2d(x, 2, 3), F.lp_pool1d(x[0], 2, 2)), (randn(2, 3, 7, 8),), ({0: BATCH},)),
    "fractional pool": Case(nn.FractionalMaxPool2d(2, output_size=3), (randn(2, 3, 7, 8),), refused="at random"),
    "bags": Case(Bags(), (torch.tensor([[1, 2, 3], [3, 3, 0]]), torch.tensor([1, 2, 3, 1, 7, 9]), torch.tensor([0, 0, 2, 5]), randn(6)),
                 ({0: BATCH}, {0: STEPS}, {0: torch.export.Dim("bags", min=3, max=20)}, {0: STEPS}), ("ScatterND",), verify=False,
                 more=((torch.tensor([[1, 0, 3]]), torch.tensor([9, 1, 1]), torch.tensor([0, 1, 3]), randn(3)),)),
    "distances": Case(distances, (randn(2, 4, 3), randn(2, 5, 3, seed=1)), ({0: BATCH}, {0: BATCH}), atol=1e-4),
    "matrices": Case(matrices, (randn(2, 3, 3, seed=3), randn(2, 5, 3)), None, ("Det",), atol=1e-4),
    "singular values": Case(lambda x: torch.linalg.matrix_norm(x, "nuc"), (randn(3, 3),), refused="singular values"),
    "wide inverse": Case(torch.linalg.inv, (randn(4, 4),), refused="3x3"),
    "losses": Case(losses, (randn(3, 4), randn(3, 4, seed=1), (randn(3, 4, seed=2) > 0).float()), ({0: BATCH}, {0: BATCH}, {0: BATCH}),
                   verify=False, more=((randn(5, 4), randn(5, 4, seed=1), torch.ones(5, 4)),)),
    "class losses": Case(class_losses, (randn(3, 5), torch.tensor([2, 0, 4]), randn(2, 5, 2, 3),
                                        torch.tensor([[[1, 2, 0], [4, 3, 2]], [[2, 2, 1], [0, 3, 3]]]), randn(5).abs()),
                         ({0: BATCH}, {0: BATCH}, None, None, None), verify=False),
    "searches": Case(searches, (randn(3, 4), randn(6).sort().values, randn(3, 5), torch.tensor([[0, 1, -2, 5], [1, 1, 0, 7]])),
                     ({0: BATCH}, {}, {0: BATCH}, {}), ("ScatterElements",), verify=False),
    "uniques": Case(uniques, (torch.tensor([[1, 1, 0, 0], [3, 3, 3, 3], [1, 1, 0, 0]]), torch.tensor([2.0, 2, 1, 1, 2])), ({0: BATCH}, {0: STEPS}),
                    ("Unique", "Compress"), verify=False, more=((torch.tensor([[5, 5, 1, 1]]), torch.tensor([0.5, 0.5])),)),
    "bins": Case(bins, (torch.tensor([1, 5, 2, 5]), randn(4)), ({0: STEPS}, {0: STEPS}), ("ScatterElements",) * 4, verify=False,
                 more=((torch.tensor([7, 0]), randn(2)),)),
    "quantiles": Case(quantiles, (randn(3, 5), torch.tensor([0.0, 0.25, 0.7, 1.0])), ({0: BATCH}, {}), ("TopK",), verify=False,
                      more=((randn(4, 5, seed=4), torch.tensor([0.1, 0.9, 0.5, 0.5])),)),
    "running": Case(running, (randn(3, 5), torch.tensor([[1, 4, 2, 4, 0], [3, 3, 3, 1, 5]])), ({0: BATCH}, {0: torch.export.Dim("rows", min=1, max=9)})),
    "unrecorded": Case(Unrecorded(), (randn(3, 4),), ({0: BATCH},), ("MatMul",)),
    "while": Case(While(), (randn(3, 4).abs(), torch.tensor(4)), ({0: BATCH}, {}), ("Loop",), verify=False,
                  more=((randn(2, 4).abs(), torch.tensor(0)), (randn(2, 4).abs(), torch.tensor(30)))),
    "scan": Case(Scan(), (randn(5, 4), randn(4), randn(4, seed=1)), None, ("Scan",), verify=False),
    "rare": Case(rare, (randn(3, 4), torch.tensor([[5, -7, 0, 2], [1, 3, -2, 9], [4, 0, 0, -1]])), None, verify=False,
                 more=((randn(3, 4, seed=5), torch.tensor([[1, 2, 3, 4], [-9, 8, 7, 6], [0, 0, 1, 1]])),)),
    "assembled": Case(assembled, (randn(3, 4), randn(5), torch.tensor([[5, 7, 0, 2], [1, 3, 2, 9]])), None,
                      verify=False, more=((randn(3, 4, seed=5), randn(5), torch.tensor([[5, 7, 0, 2], [1, 3, 2, 9]])),)),
    "covariances": Case(covariances, (randn(3, 4),), ({0: BATCH},), verify=False, more=((randn(5, 4),),), renamed=renamed("cov", "corrcoef")),
    "strided copies": Case(lambda x: (turned_fill(x), torch.complex(x, x * 2).conj().imag * 1), (randn(3, 4),), None, decompose=True, verify=False),
    "sizes as a tensor": Case(lambda x: torch.tensor([x.size(0), x.size(1)]) + x.sum().long(), (randn(3, 5),), ({0: BATCH},)),
    "filled diagonals": Case(lambda x: [x.clone().fill_diagonal_(0.5), x[:, :2].clone().fill_diagonal_(1, wrap=True), x[:2].clone().fill_diagonal_(2, wrap=True),
                                        torch.zeros(3, 3, 3).fill_diagonal_(7), (x > 0).fill_diagonal_(True)],
                             (randn(7, 4),), None),
    "functions of probabilities": Case(functions_of_probabilities, (randn(3, 4),), None),
    "no function": Case(lambda x: (torch.i0(x), torch.igamma(x, x), torch.polygamma(1, x)), (randn(3).abs(),), refused="no exact form"),
    "no solution": Case(lambda x: torch.linalg.cholesky(x @ x.mT), (randn(3, 3),), refused="factors or solves"),
    "quantized": Case(quantized, (randn(3, 4), torch.tensor([0.01, 0.02, 0.013, 0.5]), torch.tensor([0, 3, 1, -2])), None,
                      ("QuantizeLinear", "DequantizeLinear"), verify=False),
    "simulated": Case(simulated, (randn(3, 4), torch.tensor([0.01, 0.02, 0.013, 0.5]), torch.tensor([0, 3, 1, 2]).int()), ({0: BATCH}, {}, {}),
                      ("QuantizeLinear",) * 6 + ("DequantizeLinear",) * 6, verify=False, renamed=renamed(
                          "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fake_quantize_per_tensor_affine_cachemask")),
    "rotary": Case(Rotary(), (randn(2, 5, 3, 4),), ({0: BATCH, 1: torch.export.Dim("seq", min=2, max=8)},), more=((randn(1, 8, 3, 4),),)),
    "complex numbers": Case(complex_numbers, (randn(3, 4), randn(3, 4, seed=1)), None, atol=1e-4),
    "spectra": Case(spectra, (randn(3, 8),), None, ("MatMul",), atol=1e-4),
    "spectra decomposed": Case(spectra, (randn(3, 9),), None, ("MatMul",), decompose=True, atol=1e-4),
    "spectra batched": Case(lambda x: (torch.fft.rfft(x).abs(), torch.fft.irfft(torch.fft.rfft(x, norm="ortho"), 6)), (randn(3, 6),), ({0: BATCH},)),
    "spectrograms": Case(spectrograms, (randn(2, 64),), ({0: BATCH},), ("Conv", "ConvTranspose"), atol=1e-4),
    "spectra of any length": Case(spectra_of_any_length, (randn(3, 8),), ({0: BATCH, 1: torch.export.Dim("time", min=8, max=64)},), ("Mod", "Cos", "Sin"),
                                  atol=1e-4, more=((randn(2, 9),), (randn(1, 33),))),
    "complex output": Case(torch.fft.rfft, (randn(6),), refused="view_as_real"),
    "complex input": Case(lambda x: x.abs(), (torch.complex(randn(3), randn(3)),), refused="view_as_real", verify=False),
}
