"""export-onnx of scripted models that take numbers: inputs of the ONNX model, or named as part of it."""

import onnx
import pytest
import torch
from torch import Tensor, nn

from test_export_onnx import given, run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


class Scale(nn.Module):
    def forward(self, x: Tensor, k: int, f: float):
        return x * k + f, x.size(0) * k


class Rounds(nn.Module):
    def forward(self, x: Tensor, n: int):
        for i in range(n):
            x = x * 2 + i
        return x


class Size(nn.Module):
    def forward(self, x: Tensor, k: int):
        return x.new_zeros(x.size(0), k), torch.arange(k), x[:, :k]


class Place(nn.Module):
    def forward(self, x: Tensor, k: int):
        return x[:, k] + k, x[:, k:]


class Flag(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor, flag: bool, k: int, scale: float):
        if flag and k > 2:
            return self.a(x) * scale
        return self.b(x) + k


class Default(nn.Module):
    def forward(self, x: Tensor, k: int = 3):
        return x * k


class Axis(nn.Module):
    def forward(self, x: Tensor, dim: int, k: int):
        return torch.cumsum(x, dim) * k


class Swap(nn.Module):
    def forward(self, x: Tensor, dim: int):
        return x.transpose(0, dim)


class Step(nn.Module):
    """A loop that lengthens its input, whose rounds are unrolled only where their number is known."""

    def forward(self, ids: Tensor, n: int):
        for _ in range(n):
            ids = torch.cat([ids, (ids[:, -1:] + 1) % 20], 1)
        return ids


X = torch.linspace(-2, 2, 12).view(3, 4)
KEPT = {  # the model, its inputs, others to compare at
    "scale": (Scale(), ["x:f32[b=2,4]", "k:i64[]=2", "f:f64[]=0.5"], [(X, 7, 0.25), (X, 0, -1.0), (X, -3, 2.0)]),
    "rounds": (Rounds(), ["x:f32[b=2,4]", "n:i64[]=2"], [(X, 5), (X, 1), (X, 0)]),
    "size": (Size(), ["x:f32[b=2,9]", "k:i64[]=3"], [(torch.randn(3, 9), 5), (torch.randn(3, 9), 1)]),
    "flag": (Flag(), ["x:f32[b=2,4]", "flag:bool[]=1", "k:i64[]=2", "scale:f32[]=0.5"],
             [(X, True, 5, 0.25), (X, False, 5, 0.25), (X, True, 1, 2.0)]),
    "default": (Default(), ["x:f32[b=2,4]", "k:i64[]=5"], [(X, 7)]),
    "range": (Place(), ["x:f32[b=2,9]", "k:i64[]=1..8"], [(torch.randn(3, 9), 8), (torch.randn(3, 9), 1)]),
    "one name": (Scale(), ["x:f32[k=2,4]", "k:i64[]=3", "f:f32[]=1"], [(X, 7, 0.25)]),
}


@pytest.mark.parametrize("name", sorted(KEPT))
def test_numbers_of_a_script_were_part_of_the_model_without_a_word(mlc, tmp_path, name):
    model, inputs, others = KEPT[name]
    torch.jit.script(model.eval()).save(tmp_path / "m.pt")
    answer = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(inputs), "--json").json
    assert answer["frozen"] == []
    assert [one["name"] for one in answer["inputs"]] == [one.split(":")[0] for one in inputs]
    for values in others:
        want = model(*values)
        want = want if isinstance(want, tuple) else (want,)
        numbers = [torch.tensor(one, dtype=torch.float32 if isinstance(one, float) else None)
                   for one in values[1:]]
        got = run(tmp_path / "m.onnx", values[0], *numbers)
        for a, b in zip(got, want, strict=True):
            assert torch.allclose(torch.as_tensor(a), torch.as_tensor(b), atol=1e-5), (values, a, b)


def test_a_number_is_tried_at_another_value(mlc, tmp_path):
    torch.jit.script(Flag().eval()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(KEPT["flag"][1]))
    for case in ("seed 0, flag=false", "seed 0, k=3", "seed 0, scale=0.75"):
        assert case in result.stdout
    props = {one.key: one.value for one in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert props["mlc.sizes"] == "b=1.., k=1.." and "mlc.frozen" not in props


def frozen(path):
    return {one.key: one.value for one in onnx.load(path).metadata_props}["mlc.frozen"]


def test_an_axis_that_is_a_number_is_named_as_frozen(mlc, tmp_path):
    # k stays an input.
    torch.jit.script(Axis().eval()).save(tmp_path / "m.pt")
    inputs = given(["x:f32[b=2,4]", "dim:i64[]=1", "k:i64[]=2"])
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *inputs)
    assert 'argument "dim" is 1 in the model and no input of it: aten::cumsum' in result.stderr
    assert "frozen   dim = 1" in result.stdout and frozen(tmp_path / "m.onnx") == "dim = 1"
    got = run(tmp_path / "m.onnx", X, torch.tensor(5))
    assert torch.allclose(torch.tensor(got[0]), torch.cumsum(X, 1) * 5)
    answer = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "-f", *inputs, "--no-verify", "--json").json
    assert answer["frozen"] == [{"name": "dim", "value": "1"}]


def test_a_default_was_frozen_without_a_word(mlc, tmp_path):
    torch.jit.script(Default().eval()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,4]"]))
    assert "frozen   k = 3" in result.stdout and frozen(tmp_path / "m.onnx") == "k = 3"
    assert torch.allclose(torch.tensor(run(tmp_path / "m.onnx", X)[0]), X * 3)


def test_a_number_that_no_operator_of_onnx_takes_is_frozen(mlc, tmp_path):
    # It runs at all values that were given, and Transpose wants to know the axis.
    torch.jit.script(Swap().eval()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,4,5]", "dim:i64[]=1..2"]))
    assert "is 1 in the model" in result.stderr or "is 2 in the model" in result.stderr
    assert "dim = " in frozen(tmp_path / "m.onnx")


def test_a_number_that_is_a_place_wants_a_range(mlc, tmp_path):
    torch.jit.script(Place().eval()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,9]", "k:i64[]=8"]))
    assert "index 10 out of range" in result.stderr or "index 9 out of range" in result.stderr
    assert "in a range that the model takes, as k:i64[]=1..8, it may stay an input" in result.stderr
    assert frozen(tmp_path / "m.onnx") == "k = 8"


def test_a_negative_number_is_named_as_frozen(mlc, tmp_path):
    torch.jit.script(Axis().eval()).save(tmp_path / "m.pt")
    inputs = given(["x:f32[b=2,4]", "dim:i64[]=-1", "k:i64[]=2"])
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *inputs)
    assert "frozen   dim = -1" in result.stdout and 'argument "dim" is -1 in the model' in result.stderr


def test_rounds_that_lengthen_their_input_are_unrolled(mlc, tmp_path):
    torch.jit.script(Step().eval()).save(tmp_path / "m.pt")
    inputs = given(["ids:i64[b=2,s=3]=0..19", "n:i64[]=4"])
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *inputs)
    ids = torch.randint(0, 20, (3, 5))
    if "frozen   n = 4" in result.stdout:
        assert 'argument "n" is 4 in the model' in result.stderr
        got = run(tmp_path / "m.onnx", ids)
    else:
        got = run(tmp_path / "m.onnx", ids, torch.tensor(4))
    assert torch.equal(torch.tensor(got[0]), Step()(ids, 4))


def test_a_pt2_names_the_numbers_that_torch_export_froze(mlc, tmp_path):
    program = torch.export.export(Default().eval(), (X, 7))
    torch.export.save(program, tmp_path / "m.pt2")
    result = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert "frozen   k = 7" in result.stdout and frozen(tmp_path / "m.onnx") == "k = 7"
    dynamic = torch.export.export(Default().eval(), (X, 7), dynamic_shapes=({0: torch.export.Dim.AUTO}, torch.export.Dim.DYNAMIC))
    torch.export.save(dynamic, tmp_path / "d.pt2")
    result = mlc.ok("export-onnx", "d.pt2", "-o", "d.onnx")
    assert "seed 0, k=8" in result.stdout and "frozen" not in result.stdout


class Clamp(nn.Module):
    def forward(self, t: Tensor):
        return t.clamp(0, 3600), t.clamp(min=-5), t.clamp(max=7), t.clamp(0, 4102444800), t.clamp(9, 2), torch.relu(t), t.sign(), \
            torch.maximum(t, t.flip(0)), torch.minimum(t, t.flip(0)), t.amax(0), t.amin(-1), t.view(2, -1).amax(1), t.view(2, -1).max(1)[0]


def test_large_integers_were_clamped_by_their_lower_bits(mlc, tmp_path):
    torch.jit.script(Clamp()).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["t:i64[n=4..64]=0..1000000000"]))
    values = torch.tensor([2500000000, -2500000000, 5, 2**40, -2**40, 4102444801, 0, -3, 2**53 + 1, 2**63 - 1, -2**63, 9])
    for got, want in zip(run(tmp_path / "m.onnx", values), Clamp()(values), strict=True):
        assert torch.equal(torch.tensor(got), want)


class Quotients(nn.Module):
    def forward(self, x, y):
        return x // 0.1, x % 0.1, x // y, x % y, torch.div(x, 2, rounding_mode="floor"), torch.remainder(x, -0.3)


@pytest.mark.parametrize("how", ["trace", "pt2"])
def test_floor_division_of_floats_rounded_the_quotient_up_first(mlc, tmp_path, how):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([1.0, 6, -6, 0.3, -0.3, 5, -5, inf, 7, 0, 3e7, -2.5, nan, 0.0, 16777217, 1e-30])
    y = torch.tensor([0.1, 0.1, 0.1, 0.1, -0.1, inf, inf, 2, 0, 0, 1, 0.5, 1, -3, -1, 3.0])
    save(how, Quotients(), (x, y), tmp_path / "m")
    mlc.ok("export-onnx", "m", "-o", "m.onnx", *(given(["x:f32[16]", "y:f32[16]"]) if how == "trace" else ()))
    for got, want in zip(run(tmp_path / "m.onnx", x, y), Quotients()(x, y), strict=True):
        assert torch.equal(torch.tensor(got).nan_to_num(12345), want.nan_to_num(12345)), (got, want)


def save(how, model, args, path):
    if how == "pt2":
        with path.open("wb") as file:
            torch.export.save(torch.export.export(model, args), file)
    else:
        getattr(torch.jit, how)(model, *((args,) if how == "trace" else ())).save(str(path))


class Floats(nn.Module):
    def forward(self, x):
        return x * 2, 3.5, x.sum().item(), x.size(0) / 2


@pytest.mark.parametrize("how", ["script", "pt2"])
def test_floats_of_python_among_outputs_were_float32(mlc, tmp_path, how):
    x = torch.randn(7, 3)
    save(how, Floats(), (x,), tmp_path / "m")
    mlc.ok("export-onnx", "m", "-o", "m.onnx", *(given(["x:f32[7,3]"]) if how == "script" else ()))
    got = run(tmp_path / "m.onnx", x)
    assert [one.dtype for one in got[1:]] == ["float64"] * 3 and got[1:2] + got[3:] == [3.5, 3.5]


class Narrow(nn.Module):
    def forward(self, x):
        return x.to(torch.float8_e4m3fn).float(), x.to(torch.float8_e5m2).float()


@pytest.mark.parametrize("how", ["trace", "pt2"])
def test_bytes_that_are_floats_need_opset_19(mlc, tmp_path, how):
    x = torch.randn(7, 3) * 100
    save(how, Narrow(), (x,), tmp_path / "m")
    shape = given(["x:f32[7,3]"]) if how == "trace" else ()
    assert "19 (Cast needs it)" in mlc.ok("export-onnx", "m", "-o", "m.onnx", *shape).stdout
    for got, want in zip(run(tmp_path / "m.onnx", x), Narrow()(x), strict=True):
        assert torch.equal(torch.tensor(got), want)


class Second(nn.Module):
    """Operators under the names that torch.export leaves them."""

    def forward(self, x):
        y = x.abs() + 0.1
        return [torch.absolute(x), torch.arctan2(x, y), torch.arcsin(x / 9), torch.special.erf(x), torch.special.gammaln(y), torch.special.log_softmax(x, 1),
                torch.special.xlogy(x, y), torch.special.round(x), torch.special.logit(y / 9), torch.special.multigammaln(y + 2, 2)]


def test_second_names_of_operators_were_not_known(mlc, tmp_path):
    x = torch.randn(4, 5)
    save("pt2", Second(), (x,), tmp_path / "m")
    mlc.ok("export-onnx", "m", "-o", "m.onnx")
    for got, want in zip(run(tmp_path / "m.onnx", x), Second()(x), strict=True):
        torch.testing.assert_close(torch.tensor(got), want, atol=1e-5, rtol=1e-4)
