"""export-onnx of PyTorch's quantised tensors: pairs of QuantizeLinear and DequantizeLinear that round as PyTorch does."""

import collections
import re

import numpy as np
import onnx
import pytest
import torch
import torch.ao.quantization as tq
import torch.ao.quantization.fx._decomposed  # pylint: disable=unused-import
import torch.ao.quantization.quantize_fx
from torch import nn
from torch.nn import functional as F

import test_quantize_torchscript as made_by_mlc
from cpu import WIDTH, needs_whole_sums
from test_export_onnx import export, run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]
Q = torch.ops.quantized
STEP = 0.05
ONES, TENTHS, TWOS = torch.ones(6) * 1.3, torch.ones(6) * 0.1, torch.ones(6) * 2


def channels(*sizes, axis=0):
    """A weight of int8 with a scale for each channel."""
    weight = torch.randn(sizes)
    scales = weight.abs().transpose(0, axis).flatten(1).amax(1) / 127
    return torch.quantize_per_channel(weight, scales, torch.zeros(len(scales), dtype=torch.long), axis, torch.qint8)


def whole(*sizes, zero=0):
    return torch.quantize_per_tensor(torch.randn(sizes), 0.02, zero, torch.qint8)


def rows():
    table = torch.randn(30, 8)
    scales = (table.amax(1) - table.amin(1)) / 255
    return torch.quantize_per_channel(table, scales, -table.amin(1) / scales, 0, torch.quint8)


class OnBytes(nn.Module):
    """What FUNCTION makes of bytes, as floats; with what it is to take besides."""

    def __init__(self, function, packed=None):
        super().__init__()
        self.function, self.packed = function, packed

    def forward(self, x):
        x = torch.quantize_per_tensor(x, STEP, 100, torch.quint8)
        return (self.function(x) if self.packed is None else self.function(x, self.packed, 0.2, 120)).dequantize()


class Plain(OnBytes):
    def forward(self, x):
        return self.function(x) if self.packed is None else self.function(x, self.packed)


def layer(prepack, function, weight, *geometry):
    bias = torch.randn(weight.size(1) if "transpose" in str(prepack) else weight.size(0))
    return lambda: OnBytes(function, prepack(weight(), bias, *geometry) if callable(weight) else prepack(weight, bias, *geometry))


def conv(name, weight, *geometry):
    prepack = getattr(Q, name.removesuffix("_relu") + "_prepack")
    return lambda: layer(prepack, getattr(Q, name), weight(), *geometry)()


IMAGE, ROW = (2, 6, 9, 9), (4, 33)
OPERATORS = {
    "conv1d": (conv("conv1d", lambda: channels(8, 6, 3), [2], [1], [1], 1), (2, 6, 9)),
    "conv1d_relu": (conv("conv1d_relu", lambda: channels(8, 3, 3), [1], [1], [2], 2), (2, 6, 9)),
    "conv2d": (conv("conv2d", lambda: channels(8, 6, 3, 3), [1, 1], [1, 1], [1, 1], 1), IMAGE),
    "conv2d_relu": (conv("conv2d_relu", lambda: whole(8, 6, 3, 3), [2, 1], [1, 0], [1, 1], 1), IMAGE),
    "conv3d": (conv("conv3d", lambda: channels(8, 6, 2, 2, 2), [1, 1, 1], [1, 0, 1], [1, 1, 1], 1), (2, 6, 4, 5, 6)),
    "conv_transpose1d": (conv("conv_transpose1d", lambda: whole(6, 8, 3), [2], [1], [1], [1], 1), (2, 6, 9)),
    "conv_transpose2d": (conv("conv_transpose2d", lambda: whole(6, 8, 3, 3), [2, 2], [1, 1], [1, 1], [1, 1], 1), (2, 6, 5, 4)),
    # Where oneDNN computes it, without an output padding, PyTorch gives something else than its floats do.
    "conv_transpose3d": (conv("conv_transpose3d", lambda: whole(6, 4, 3, 3, 3), [2] * 3, [1] * 3, [1] * 3, [1] * 3, 1), (2, 6, 3, 4, 3)),
    "linear": (lambda: layer(Q.linear_prepack, Q.linear, channels(8, 16))(), (9, 16)),
    "linear_relu": (lambda: layer(Q.linear_prepack, Q.linear_relu, whole(8, 16))(), (9, 16)),
    "linear of three dimensions": (lambda: layer(Q.linear_prepack, Q.linear, whole(8, 16))(), (2, 9, 16)),
    "linear without a bias": (lambda: OnBytes(Q.linear, Q.linear_prepack(channels(8, 16), None)), (9, 16)),
    "linear with a zero point": (lambda: layer(Q.linear_prepack, Q.linear, whole(8, 16, zero=3))(), (9, 16)),
    "linear_dynamic": (lambda: Plain(Q.linear_dynamic, Q.linear_prepack(whole(8, 16), torch.randn(8))), (9, 16)),
    "linear_relu_dynamic": (lambda: Plain(Q.linear_relu_dynamic, Q.linear_prepack(channels(8, 16), torch.randn(8))), (2, 9, 16)),
    "linear_dynamic of 7 bits": (lambda: Plain(lambda x, p: Q.linear_dynamic(x, p, True), Q.linear_prepack(whole(8, 16), None)), (9, 16)),
    "add": (lambda: OnBytes(lambda x: Q.add(x, x, 0.07, 80)), ROW),
    "add_relu": (lambda: OnBytes(lambda x: Q.add_relu(x, x, 0.07, 80)), ROW),
    "add_scalar": (lambda: OnBytes(lambda x: Q.add_scalar(x, 0.7)), ROW),
    "add_scalar_relu": (lambda: OnBytes(lambda x: Q.add_scalar_relu(x, -0.7)), ROW),
    "mul": (lambda: OnBytes(lambda x: Q.mul(x, x, 0.07, 80)), ROW),
    "mul_relu": (lambda: OnBytes(lambda x: Q.mul_relu(x, x, 0.07, 80)), ROW),
    "mul_scalar": (lambda: OnBytes(lambda x: Q.mul_scalar(x, 1.7)), ROW),
    "matmul": (lambda: OnBytes(lambda x: Q.matmul(x, x.transpose(1, 2), 0.1, 128)), (2, 6, 9)),
    "cat": (lambda: OnBytes(lambda x: Q.cat([x, x], 1, 0.07, 80)), ROW),
    "cat_relu": (lambda: OnBytes(lambda x: Q.cat_relu([x, x], 1, 0.07, 80)), ROW),
    "aten cat": (lambda: OnBytes(lambda x: torch.cat([x, x], 1)), ROW),
    "relu": (lambda: OnBytes(torch.relu), IMAGE),
    "relu_": (lambda: OnBytes(torch.relu_), IMAGE),
    "relu6": (lambda: OnBytes(Q.relu6), IMAGE),
    "hardtanh": (lambda: OnBytes(lambda x: F.hardtanh(x, -0.51, 0.72)), IMAGE),
    "clamp": (lambda: OnBytes(lambda x: Q.clamp(x, -0.3, 0.5)), IMAGE),
    "threshold": (lambda: OnBytes(lambda x: Q.threshold(x, 0.32, 0.1)), IMAGE),
    "elu": (lambda: OnBytes(lambda x: Q.elu(x, 0.03, 50, 1.0, 1.0, 1.0)), IMAGE),
    "celu": (lambda: OnBytes(lambda x: Q.celu(x, 0.03, 50, 1.5)), IMAGE),
    "leaky_relu": (lambda: OnBytes(lambda x: Q.leaky_relu(x, 0.1, False, 0.03, 50)), IMAGE),
    "prelu": (lambda: OnBytes(lambda x: Q.prelu(x, torch.quantize_per_tensor(torch.tensor([0.3]), 0.01, 0, torch.quint8), 0.1, 128)), IMAGE),
    "sigmoid": (lambda: OnBytes(torch.sigmoid), IMAGE),
    "sigmoid of a scale": (lambda: OnBytes(lambda x: Q.sigmoid(x, 0.004, 3)), IMAGE),
    "tanh": (lambda: OnBytes(torch.tanh), IMAGE),
    "hardsigmoid": (lambda: OnBytes(F.hardsigmoid), IMAGE),
    "hardswish": (lambda: OnBytes(lambda x: Q.hardswish(x, 0.03, 20)), IMAGE),
    "softmax": (lambda: OnBytes(lambda x: Q.softmax(x, 1, 0.004, 3)), ROW),
    "batch_norm2d": (lambda: OnBytes(lambda x: Q.batch_norm2d(x, ONES, TENTHS, ONES, TWOS, 1e-5, 0.03, 100)), IMAGE),
    "batch_norm2d_relu": (lambda: OnBytes(lambda x: Q.batch_norm2d_relu(x, ONES, TENTHS, ONES, TWOS, 1e-5, 0.03, 100)), IMAGE),
    "layer_norm": (lambda: OnBytes(lambda x: Q.layer_norm(x, [9], None, None, 1e-5, 0.03, 100)), IMAGE),
    "group_norm": (lambda: OnBytes(lambda x: Q.group_norm(x, 3, ONES, TENTHS, 1e-5, 0.03, 100)), IMAGE),
    "instance_norm": (lambda: OnBytes(lambda x: Q.instance_norm(x, ONES, TENTHS, 1e-5, 0.03, 100)), IMAGE),
    "max_pool2d": (lambda: OnBytes(lambda x: F.max_pool2d(x, 2)), IMAGE),
    "avg_pool2d": (lambda: OnBytes(lambda x: F.avg_pool2d(x, 3)), IMAGE),
    "adaptive_avg_pool2d": (lambda: OnBytes(lambda x: F.adaptive_avg_pool2d(x, 3)), IMAGE),
    "mean": (lambda: OnBytes(lambda x: x.mean([2, 3])), IMAGE),
    "nearest": (lambda: OnBytes(lambda x: F.interpolate(x, scale_factor=2.0)), IMAGE),
    "bilinear": (lambda: OnBytes(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")), IMAGE),
    "views": (lambda: OnBytes(lambda x: x.transpose(1, 2).reshape(x.shape[0], -1)[:, 1:4].unsqueeze(1)), IMAGE),
    "chunks": (lambda: OnBytes(lambda x: Q.add(*x.chunk(2, 1), 0.07, 80)), IMAGE),
    "padding": (lambda: OnBytes(lambda x: F.pad(x, [1, 1, 1, 1], "reflect")), IMAGE),
    "int8": (lambda: Plain(lambda x: torch.quantize_per_tensor(x, 0.01, -3, torch.qint8).dequantize()), ROW),
    "int32": (lambda: Plain(lambda x: torch.quantize_per_tensor(x, 0.001, 0, torch.qint32).dequantize()), ROW),
    "channels": (lambda: Plain(lambda x: torch.quantize_per_channel(
        x, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1, 2, 3]), 1, torch.qint8).dequantize()), (2, 3, 5)),
    "tensors as scales": (lambda: Plain(lambda x: torch.quantize_per_tensor(
        x, torch.tensor(0.02), torch.tensor(7), torch.quint8).dequantize()), ROW),
    "integers": (lambda: Plain(lambda x: torch.quantize_per_tensor(x, STEP, 9, torch.quint8).int_repr()), ROW),
    "embedding_byte": (lambda: Plain(lambda x, p: Q.embedding_byte(p, x), Q.embedding_bag_prepack(rows())), (3, 7)),
    "embedding_bag_byte": (lambda: Plain(lambda x, p: Q.embedding_bag_byte(
        p, x, None, False, 0, False, None, None, False), Q.embedding_bag_prepack(rows())), (3, 7)),
    "embedding_bag_byte with offsets": (lambda: Plain(lambda x, p: Q.embedding_bag_byte(
        p, x.flatten(), torch.arange(x.shape[0]) * 2, False, 0, False, None, None, False), Q.embedding_bag_prepack(rows())), (3, 2)),
}


CUT = ("conv1d_relu", "conv_transpose3d", "linear_dynamic")  # their sums of products of bytes are large


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_whole_sums if name in CUT else ()) for name in OPERATORS])
def test_an_operator_on_bytes_rounds_as_in_pytorch(mlc, tmp_path, name):
    torch.manual_seed(0)
    make, sizes = OPERATORS[name]
    module = make().eval()
    ids = name.startswith("embedding")
    x = torch.randint(0, 30, sizes) if ids else torch.randn(sizes)
    traced = torch.jit.trace(module, x)
    traced.save(tmp_path / "model.pt")
    spec = f"x:{'i64' if ids else 'f32'}[batch={sizes[0]},{','.join(map(str, sizes[1:]))}]{'=0..29' if ids else ''}"
    mlc.ok("export-onnx", "model.pt", "-o", "model.onnx", "--input", spec)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    for batch in {sizes[0], sizes[0] + 1} if "offsets" not in name else {sizes[0]}:
        x = torch.randint(0, 30, (batch, *sizes[1:])) if ids else torch.randn(batch, *sizes[1:])
        wanted = traced(x).numpy()
        found, = run(tmp_path / "model.onnx", x)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        # What lies between two steps may go to either: of these numbers, few do.
        step = 0.2001 if "conv" in name or "linear" in name else 0.1001
        off = np.abs(found.astype(float) - wanted)
        assert off.max() <= step and (off > 1e-5).mean() <= 0.15, (off.max(), (off > 1e-5).mean())


class Static(nn.Module):
    """Layers, a residual, a concatenation, pools: what torch.ao quantises statically."""

    def __init__(self, explicit):
        super().__init__()
        self.c1, self.b1, self.r1 = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
        self.c2 = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.pool, self.mean = nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)
        self.fc1, self.fc2 = nn.Linear(128, 32), nn.Linear(32, 10)
        self.explicit = explicit
        if explicit:
            self.add, self.mul, self.cat = nn.quantized.FloatFunctional(), nn.quantized.FloatFunctional(), nn.quantized.FloatFunctional()
            self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()

    def forward(self, x):
        if self.explicit:
            x = self.quant(x)
        x = self.r1(self.b1(self.c1(x)))
        y = self.c2(x)
        if self.explicit:
            x = self.pool(self.add.add_relu(x, y))
            x = self.cat.cat([x, self.mul.mul(x, x)], 1)
        else:
            x = self.pool(F.relu(x + y))
            x = torch.cat([x, x * x], 1)
        x = self.fc2(torch.relu(self.fc1(torch.flatten(self.mean(x), 1))))
        return self.dequant(x) if self.explicit else x


def eager():
    model = tq.fuse_modules(Static(True).eval(), [["c1", "b1", "r1"]])
    model.qconfig = tq.get_default_qconfig("x86")
    tq.prepare(model, inplace=True)
    for _ in range(4):
        model(torch.randn(4, 3, 16, 16))
    return tq.convert(model)


def fx():
    example = torch.randn(4, 3, 16, 16)
    model = tq.quantize_fx.prepare_fx(Static(False).eval(), tq.get_default_qconfig_mapping("x86"), (example,))
    for _ in range(4):
        model(torch.randn(4, 3, 16, 16))
    return tq.quantize_fx.convert_fx(model)


def fused(path):
    """What ONNX Runtime makes of the model, by operator."""
    import onnxruntime  # pylint: disable=import-outside-toplevel
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(path) + ".fused", 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return collections.Counter(node.op_type for node in onnx.load(str(path) + ".fused").graph.node)


@pytest.mark.parametrize("how", ["traced", "scripted"])
@pytest.mark.parametrize("make", [eager, fx])
def test_a_statically_quantised_net_runs_on_integer_kernels(mlc, tmp_path, make, how):
    torch.manual_seed(0)
    model = make()
    module = torch.jit.script(model) if how == "scripted" else torch.jit.trace(model, torch.randn(2, 3, 16, 16))
    module.save(tmp_path / "net.pt")
    out = mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", "x:f32[batch=2,3,16,16]").stdout
    assert "or 0.1 of the largest |a|, as the model rounds to bytes" in out
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = {one.name: one.data_type for one in graph.initializer}
    assert all(kinds[f"{name}.weight"] == onnx.TensorProto.INT8 for name in ("c1", "c2", "fc1", "fc2"))
    assert sum(kind == onnx.TensorProto.INT32 for kind in kinds.values()) == 4  # biases
    found = fused(tmp_path / "net.onnx")
    assert found["QLinearConv"] == 2 and found["QGemm"] == 2 and not {"Conv", "Gemm", "MatMul", "Add", "Mul"} & set(found)
    for batch in (1, 7):
        x = torch.randn(batch, 3, 16, 16)
        wanted, got = module(x).numpy(), run(tmp_path / "net.onnx", x)[0]
        assert np.abs(got - wanted).max() <= 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_a_dynamically_quantised_net_is_as_near_as_floats(mlc, tmp_path, how):
    torch.manual_seed(0)
    config = {nn.Linear: tq.default_dynamic_qconfig, nn.Embedding: tq.float_qparams_weight_only_qconfig}
    ids = torch.randint(0, 300, (2, 7))
    if how == "scripted":
        module = torch.jit.script(tq.quantize_dynamic(made_by_mlc.Encoder().eval(), config))
    else:
        net = nn.Sequential(nn.Embedding(300, 64), nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 10, bias=False)).eval()
        module = torch.jit.trace(tq.quantize_dynamic(net, config), ids)
    name = module.forward.schema.arguments[1].name
    module.save(tmp_path / "net.pt")
    mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", f"{name}:i64[batch=2,seq=7]=0..299")
    assert fused(tmp_path / "net.onnx")["MatMulIntegerToFloat"] >= 2
    for shape in ((1, 3), (4, 9)):
        ids = torch.randint(0, 300, shape)
        wanted, got = module(ids).detach().numpy(), run(tmp_path / "net.onnx", ids)[0]
        off = np.abs(got - wanted)
        # Floats before a layer differ in their last bits, which now and then rounds to another byte.
        assert off.max() <= 0.02 * np.abs(wanted).max() and np.median(off) < 1e-5


@pytest.mark.parametrize("form", ["static", "dynamic"])
def test_what_mlc_quantised_becomes_onnx(mlc, tmp_path, form):
    torch.manual_seed(0)
    net = made_by_mlc.Net if form == "static" else made_by_mlc.Encoder
    torch.jit.script(net().eval()).save(tmp_path / "net.pt")
    np.save(tmp_path / "calib.npy", torch.randn(8, 3, 32, 32).numpy())
    given = ("--calib", "calib.npy") if form == "static" else made_by_mlc.IDS
    mlc.ok("quantize", "net.pt", "-o", "small.pt", "--torchscript", form, "--min-elements", "1", *WIDTH, *given)
    spec = "image:f32[batch=2,3,32,32]" if form == "static" else "ids:i64[batch=2,seq=7]=0..299"
    mlc.ok("export-onnx", "small.pt", "-o", "small.onnx", "--input", spec)
    found = fused(tmp_path / "small.onnx")
    assert found["QLinearConv"] == 6 if form == "static" else found["MatMulIntegerToFloat"] >= 3
    module = torch.jit.load(tmp_path / "small.pt")
    x = torch.randn(3, 3, 32, 32) if form == "static" else torch.randint(0, 300, (3, 5))
    wanted, got = module(x).detach().numpy(), run(tmp_path / "small.onnx", x)[0]
    assert np.abs(got - wanted).max() <= 0.03 * np.abs(wanted).max()


class Branches(nn.Module):
    """A layer on bytes in a branch and in a loop, each with the scale of the rest."""

    def __init__(self):
        super().__init__()
        self.packed = Q.linear_prepack(channels(8, 8), torch.randn(8))

    def forward(self, x):
        x = torch.quantize_per_tensor(x, 0.1, 128, torch.quint8)
        for _ in range(x.size(0)):
            x = torch.ops.quantized.linear(x, self.packed, 0.1, 128)
        if bool(x.dequantize().sum() > 0):
            x = torch.ops.quantized.linear(x, self.packed, 0.1, 128)
        return x.dequantize()


@needs_whole_sums
def test_bytes_in_branches_and_loops(mlc, tmp_path):
    torch.manual_seed(0)
    module = torch.jit.script(Branches())
    module.save(tmp_path / "net.pt")
    mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", "x:f32[batch=2,8]")
    for batch in (1, 4):
        x = torch.randn(batch, 8)
        wanted, got = module(x).numpy(), run(tmp_path / "net.onnx", x)[0]
        assert np.abs(got - wanted).max() <= 0.1001


class TwoScales(nn.Module):
    def forward(self, x):
        a = torch.quantize_per_tensor(x, 0.1, 128, torch.quint8)
        if bool(x.sum() > 0):
            a = torch.quantize_per_tensor(x, 0.2, 128, torch.quint8)
        return torch.relu(a).dequantize()


class Chosen(nn.Module):
    def forward(self, x):
        return torch.quantize_per_tensor(x, float(x.abs().max()) / 127, 128, torch.quint8).dequantize()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 8)

    def forward(self, x):
        return self.lstm(x.unsqueeze(0))[0]


@pytest.mark.parametrize("module,words", [
    (TwoScales, "a branch that hangs on values and gives quantised tensors of two scales"),
    (Chosen, "aten::quantize_per_tensor, which gives a quantised tensor whose scale hangs on values"),
    (lambda: tq.quantize_dynamic(Recurrent().eval(), {nn.LSTM}), "aten::quantized_lstm"),
])
def test_what_has_no_pair_is_refused_by_name(mlc, tmp_path, module, words):
    torch.jit.script(module()).save(tmp_path / "net.pt")
    result = mlc("export-onnx", "net.pt", "-o", "net.onnx", "--input", "x:f32[batch=2,8]")
    assert result.rc == 4 and words in result.stderr and "then quantise the ONNX file" in result.stderr, result.stderr
    assert not (tmp_path / "net.onnx").exists()


D = torch.ops.quantized_decomposed


class Exported(nn.Module):
    """A convolution and a linear layer as torchao's export flow leaves them: int8 weights, floats between pairs."""

    def __init__(self):
        super().__init__()
        for name, weight in (("conv", channels(8, 6, 3, 3)), ("fc", channels(5, 8))):
            self.register_buffer(name, weight.int_repr())
            self.register_buffer(name + "_scale", weight.q_per_channel_scales().float())
            self.register_buffer(name + "_zero", weight.q_per_channel_zero_points())
        self.register_buffer("steps", torch.randint(-9999, 9999, (5,), dtype=torch.int32))

    def weight(self, name):
        return D.dequantize_per_channel(
            getattr(self, name), getattr(self, name + "_scale"), getattr(self, name + "_zero"), 0, -127, 127, torch.int8)

    def forward(self, x):
        x = self.pair(x, 0.05, 3)
        x = self.pair(F.conv2d(x, self.weight("conv"), None, 2).relu(), 0.1, -128)
        bias = D.dequantize_per_channel(
            self.steps, self.fc_scale * 0.1, torch.zeros(5, dtype=torch.long), 0, -2**31, 2**31 - 1, torch.int32)
        return self.pair(F.linear(x.mean((2, 3)), self.weight("fc"), bias), 0.2, 10)

    @staticmethod
    def pair(x, scale, zero):
        x = D.quantize_per_tensor(x, scale, zero, -128, 127, torch.int8)
        return D.dequantize_per_tensor(x, scale, zero, -128, 127, torch.int8)


class ByThemselves(nn.Module):
    """As the same flow quantises in each run."""

    def __init__(self):
        super().__init__()
        self.register_buffer("fc", channels(5, 6).int_repr())

    def forward(self, x):
        scale, zero = D.choose_qparams.tensor(x, -128, 127, 1e-7, torch.int8)
        codes = D.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
        floats = D.dequantize_per_tensor.tensor(codes, scale, zero, -128, 127, torch.int8)
        return floats @ D.dequantize_per_tensor(self.fc, 0.02, 0, -127, 127, torch.int8).t(), torch._int_mm(codes, self.fc.t())


@pytest.mark.parametrize("module,sizes", [(Exported, (20, 6, 9, 9)), (ByThemselves, (20, 6))])
def test_programs_of_the_export_flow(mlc, tmp_path, module, sizes):
    torch.manual_seed(0)
    model, x = module(), torch.randn(sizes)
    export(tmp_path / "net.pt2", model, (x,), ({0: torch.export.Dim("batch", min=18, max=64)},))
    # LibTorch has these operators in Python only.
    assert "operators that LibTorch does not have" in mlc.ok("export-onnx", "net.pt2", "-o", "net.onnx").stderr
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = collections.Counter(one.data_type for one in graph.initializer if list(one.dims))
    assert kinds[onnx.TensorProto.INT32] == (module is Exported) and kinds[onnx.TensorProto.INT8] >= 1
    for batch in (18, 33):
        x = torch.randn(batch, *sizes[1:])
        wanted = model(x)
        for one, got in zip(wanted if isinstance(wanted, tuple) else [wanted], run(tmp_path / "net.onnx", x)):
            off = np.abs(got.astype(float) - one.numpy())
            assert off.max() <= (0.2001 if module is Exported else 1e-4) and (off > 1e-4).mean() < 0.02


def test_a_tolerance_that_is_given_counts_for_bytes_too(mlc, tmp_path):
    torch.manual_seed(0)
    torch.jit.trace(OPERATORS["prelu"][0](), torch.randn(IMAGE)).save(tmp_path / "net.pt")
    given = ("export-onnx", "net.pt", "-o", "net.onnx", "--input", "x:f32[batch=2,6,9,9]")
    result = mlc(*given, "--atol", "1e-5")
    assert result.rc == 1 and "beyond the tolerance" in result.stderr
    mlc.ok(*given)


def test_list_ops_has_what_a_capture_says_with_others(mlc, root):
    rows_ = re.findall(r'\{"((?:quantized|aten)::\w+)", "', (root / "lib/mlc/torch/quantized_rows.cpp").read_text())
    listed = {one["name"] for one in mlc.ok("export-onnx", "--list-ops", "--json").json["operators"]}
    assert len(rows_) > 50 and set(rows_) <= listed
    assert {one for one in listed if one.startswith("quantized::")} <= set(rows_)
