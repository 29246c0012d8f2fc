"""export-onnx --dtype: half the bytes, the same answers as PyTorch in float32 as far as 11 bits tell."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 2000)

    def forward(self, image):
        return self.head(torch.relu(self.norm(self.conv(image))).mean((2, 3)))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def export(path, model, inputs, shapes=None):
    with torch.no_grad():
        torch.export.save(torch.export.export(model.eval(), inputs, dynamic_shapes=shapes, strict=False), path)


def run(path, *inputs):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, [np.asarray(one) for one in inputs])))


def kinds(model):
    return {one.name: onnx.TensorProto.DataType.Name(one.data_type) for one in model.graph.initializer}


@pytest.mark.parametrize("dtype, stored", [("fp16", "FLOAT16"), ("bf16", "BFLOAT16")])
def test_half_the_bytes_and_float32_outside(mlc, valid, tmp_path, dtype, stored):
    torch.manual_seed(0)
    net, image = Net(), torch.randn(2, 3, 16, 16)
    export(tmp_path / "net.pt2", net, (image,), {"image": {0: torch.export.Dim("batch", min=1, max=64)}})
    whole = mlc.ok("export-onnx", "net.pt2", "-o", "net.onnx", "--json").json
    answer = mlc.ok("export-onnx", "net.pt2", "-o", "half.onnx", "--dtype", dtype, "--json").json
    valid(answer, "export-onnx")
    assert answer["dtype"]["name"] == dtype and answer["verified"] and answer["folded_norms"] == 1
    assert answer["initializer_bytes"] < 0.55 * whole["initializer_bytes"]
    model = onnx.load(tmp_path / "half.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [one.type.tensor_type.elem_type for one in [*model.graph.input, *model.graph.output]] == [1, 1]
    assert kinds(model)["head.weight"] == stored
    for batch in (1, 5):
        image = torch.randn(batch, 3, 16, 16)
        np.testing.assert_allclose(run(tmp_path / "half.onnx", image)[0], net(image).detach(), atol=5e-3)
    mlc.ok("export-onnx", "net.pt2", "-o", "again.onnx", "--dtype", dtype)
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "half.onnx").read_bytes()


def test_torchscript_and_given_tolerance(mlc, tmp_path):
    torch.manual_seed(0)
    torch.jit.trace(Net().eval(), torch.randn(2, 3, 16, 16)).save(tmp_path / "net.pt")
    given = ["--input", "image:f32[batch=2,3,16,16]", "--dtype", "fp16"]
    mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", *given)
    result = mlc("export-onnx", "net.pt", "-o", "strict.onnx", *given, "--atol", "1e-9", "--rtol", "0")
    assert result.rc == 1 and not (tmp_path / "strict.onnx").exists()


ROW = torch.linspace(-4, 4, 64).reshape(4, 16)
# What float16 alone gets wrong: the function, and an input that shows it.
HARD = {
    "squares_beyond_65504": (lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6), ROW * 500),
    "sums_beyond_65504": (lambda x: x / x.sum(-1, keepdim=True), ROW.abs() * 6000 + 1),
    "exponentials": (lambda x: torch.log(torch.exp(x).sum(-1, keepdim=True)).expand(4, 16), ROW * 10),
    "epsilon_of_a_zero_row": (lambda x: F.normalize(x, dim=-1), torch.cat([ROW[:3], torch.zeros(1, 16)])),
    "epsilon_of_a_variance": (lambda x: (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-12),
                              ROW * 1e-3),
    "angles": (lambda x: torch.sin((torch.arange(4096.0, 4100.0)[:, None] + 0.3) * (0.1 + torch.arange(16.0) / 8)) + x, ROW),
    "angles_of_positions": (lambda x: torch.cos(x.argmax(-1, keepdim=True) * 811.7 + torch.zeros_like(x)), ROW),
    "cumulative_sums": (lambda x: torch.cumsum(x, 1), torch.full((4, 512), 0.7)),
    "variance_far_from_zero": (lambda x: F.layer_norm(x, (16,)), ROW + 100),
}


@pytest.mark.parametrize("name", HARD)
def test_what_float16_alone_gets_wrong(mlc, tmp_path, name):
    function, x = HARD[name]
    export(tmp_path / "p.pt2", Function(function), (x,))
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "--dtype", "fp16", "--no-verify")
    (found,) = run(tmp_path / "p.onnx", x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, function(x), rtol=1e-2, atol=1e-2)


def test_masked_rows_stay_numbers(mlc, tmp_path):
    """-3.4e38 is -inf in float16, and a row of that has no softmax."""
    least = torch.finfo(torch.float32).min

    def masked(x):
        return F.softmax(x + torch.where(x > 0, 0.0, least), -1), F.softmax(x + (x < 9) * least + (x > -9) * least, -1)

    export(tmp_path / "p.pt2", Function(masked), (ROW,))
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "--dtype", "fp16", "--no-verify")
    one, two = run(tmp_path / "p.onnx", ROW)
    np.testing.assert_allclose(one[2:], masked(ROW)[0][2:], atol=1e-2)
    for rows in (one, two):  # those in which nothing is left have no right answer but one
        np.testing.assert_allclose(rows.sum(-1), np.ones(4), atol=1e-2)


def test_weights_that_float16_does_not_reach_stay_and_are_named(mlc, valid, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16, bias=False))
    with torch.no_grad():
        net[0].weight[3, 3] = 1e6
        net[1].weight.mul_(1e-3)
    export(tmp_path / "net.pt2", net, (torch.randn(2, 16),))
    result = mlc.ok("export-onnx", "net.pt2", "-o", "net.onnx", "--dtype", "fp16", "--json", "--no-verify")
    assert result.json["dtype"]["too_large"] == ["0.weight"] and "0.weight" in result.stderr
    valid(result.json, "export-onnx")
    types = kinds(onnx.load(tmp_path / "net.onnx"))
    assert types == {"0.weight": "FLOAT", "0.bias": "FLOAT", "1.weight": "FLOAT16"}


def test_control_flow_keeps_float32_inside(mlc, tmp_path):
    def choose(x):
        y = torch.relu(x) + 1
        return torch.cond(y.sum() > 20, lambda a: a * 2, lambda a: a - 1, (y,))

    x = torch.ones(4, 16)
    export(tmp_path / "p.pt2", Function(choose), (x,))
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "--dtype", "fp16")
    onnx.checker.check_model(str(tmp_path / "p.onnx"), full_check=True)
    for given in (x, -x):
        np.testing.assert_allclose(run(tmp_path / "p.onnx", given)[0], choose(given))


def test_outputs_of_other_types_stay(mlc, tmp_path):
    def several(x, i):
        return x, i + 1, x > 0, x.double() * 2, x.half() + 1, x.half().float() * 3

    inputs = (ROW, torch.arange(4))
    export(tmp_path / "p.pt2", Function(several), inputs)
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "--dtype", "fp16", "--no-verify")
    onnx.checker.check_model(str(tmp_path / "p.onnx"), full_check=True)
    for ours, theirs in zip(run(tmp_path / "p.onnx", *inputs), several(*inputs), strict=True):
        assert ours.dtype == theirs.numpy().dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-3)


@pytest.mark.parametrize("suffix", ["pt2", "pt"])
def test_a_program_in_float16_becomes_float32(mlc, tmp_path, suffix):
    # A .pt2 was refused, and nothing else could be read back to be verified.
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4)).eval().half()
    x = torch.randn(2, 8)
    path = tmp_path / f"half.{suffix}"
    if suffix == "pt2":
        torch.export.save(torch.export.export(net, (x.half(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)), path)
    else:
        torch.jit.trace(net, x.half()).save(path)
    given = [] if suffix == "pt2" else ["--input", "input:f32[batch=2,8]"]
    answer = mlc.ok("export-onnx", path, "-o", "full.onnx", "--dtype", "fp32", *given, "--json").json
    assert answer["verified"]
    model = onnx.load(tmp_path / "full.onnx")
    assert {one.data_type for one in model.graph.initializer if one.dims} == {onnx.TensorProto.FLOAT}
    np.testing.assert_allclose(run(tmp_path / "full.onnx", x)[0], net.float()(x).detach(), rtol=1e-5, atol=1e-6)


class Moved(torch.nn.Module):
    """Products of what a Transpose has moved the batch of."""

    def __init__(self):
        super().__init__()
        self.lstm, self.fc = torch.nn.LSTM(4, 6, batch_first=True), torch.nn.Linear(6, 7)

    def forward(self, x):
        y = self.fc(self.lstm(x)[0])
        t = x.transpose(0, 1)
        return y, torch.bmm(t, t.transpose(1, 2)), x.permute(1, 2, 0) @ x.transpose(0, 1).softmax(-1)[:, :1, :1].expand(-1, x.size(0), 3)


@pytest.mark.parametrize("half", [True, False])
def test_float16_behind_a_moved_batch_killed_onnx_runtime(mlc, tmp_path, half):
    torch.manual_seed(0)
    model, x = Moved().eval(), torch.randn(2, 5, 4)
    torch.jit.trace(model.half() if half else model, x.half() if half else x).save(str(tmp_path / "m.pt"))
    name = "f16" if half else "f32"
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", f"x:{name}[b=2,t=5,4]", *(() if half else ("--dtype", "fp16")))


class Best(torch.nn.Module):
    """Scores that differ by less than weights of float16 can tell."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.rand(8, 1) + 1e-5 * torch.randn(8, 50))

    def forward(self, x):
        y = x @ self.w
        return y, y.argmax(-1)


def test_places_of_nearly_equal_scores_had_no_hint(mlc, tmp_path):
    torch.manual_seed(0)
    torch.jit.trace(Best(), torch.rand(64, 8)).save(str(tmp_path / "m.pt"))
    args = ["export-onnx", "m.pt", "-o", "m.onnx", "--dtype", "fp16", "--input", "x:f32[64,8]"]
    said = mlc(*args)
    assert said.rc == 1 and "nearly equal numbers change places" in said.stderr, said.stderr
    mlc.ok(*args, "--atol", "50")
