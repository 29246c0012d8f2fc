"""Models captured as graphs: run by themselves they give what the models give, at other sizes too."""

import re
import subprocess
import warnings

import pytest
import torch
from torch import Tensor, nn

from capture_models import CASES, SEQUENCE, TRACED
from conftest import BINARY
from original_models import ORIGINALS
from test_example_architectures import FOLDER, original

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore")]
TOOL = BINARY.parent / "capture_check"
LARGE = {"bert_base", "gpt2", "vgg11", "vit_b_32", "resnet50"}  # hundreds of megabytes, and like others


def check(tmp_path, model, inputs, sizes=(), architecture=None):
    """Exit code, graph and messages of a capture that is compared at SIZES."""
    command = [TOOL, model]
    for one in inputs:
        command += ["--input", one]
    for one in sizes:
        command += ["--at", one]
    if architecture is not None:
        command += ["--arch", architecture]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def scripted(tmp_path, module):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module().eval()).save(tmp_path / "model.pt")
    return "model.pt"


def traced(tmp_path, module, *examples):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module().eval(), examples).save(tmp_path / "model.pt")
    return "model.pt"


@pytest.mark.parametrize("name", CASES)
def test_scripted_module_runs_as_a_graph(tmp_path, name):
    module, inputs, sizes = CASES[name]
    rc, out, err = check(tmp_path, scripted(tmp_path, module), inputs, sizes)
    assert rc == 0, out + err
    assert out.count("# same") >= len(sizes)


@pytest.mark.parametrize("name", TRACED)
def test_traced_module_runs_as_a_graph(tmp_path, name):
    module, inputs, sizes = CASES[name]
    examples = [torch.rand(shape) for shape in TRACED[name]]
    rc, out, err = check(tmp_path, traced(tmp_path, module, *examples), inputs, sizes)
    assert rc == 0, out + err


@pytest.mark.parametrize("name", sorted(set(ORIGINALS) - LARGE))
def test_architecture_runs_as_a_graph(tmp_path, name):
    model, examples = original(name), ORIGINALS[name][1]
    torch.save(model.state_dict(), tmp_path / "model.pt")
    rc, out, err = check(tmp_path, "model.pt", [], ["batch=3"], FOLDER / f"{name}.yaml")
    assert rc == 0, out + err
    assert examples
    shown = set(re.findall(r"(?:parameter|buffer) %(?:\"([^\"]+)\"|(\S+)):", out))
    assert {one or other for one, other in shown} <= set(model.state_dict())


def lines(out, op):
    return [line.strip() for line in out.splitlines() if f" {op}(" in line]


def test_sizes_are_expressions(tmp_path):
    module, inputs, _ = CASES["Pyramid"]
    out = check(tmp_path, scripted(tmp_path, module), inputs)[1]
    assert "f32[batch, 4, (h + 1)//2, (w + 1)//2] = aten::conv2d(" in out
    assert "f32[batch, 4, (h + 1)//2 + 3, (w + 1)//2 + 3] = aten::" in out
    assert "symbol u" not in out


def test_sizes_of_loops_and_values(tmp_path):
    module, inputs, _ = CASES["Growing"]
    out = check(tmp_path, scripted(tmp_path, module), inputs)[1]
    assert "f32[batch, seq + 1, 4] = prim::Loop(trips=seq, condition=true," in out
    module, inputs, _ = CASES["Counts"]
    out = check(tmp_path, scripted(tmp_path, module), inputs)[1]
    assert re.search(r"i64\[u\d+, 3\] = aten::nonzero", out)


def test_places_are_those_of_python(tmp_path):
    out = check(tmp_path, traced(tmp_path, CASES["Classifier"][0], torch.rand(2, 1, 8, 8)), CASES["Classifier"][1])[1]
    assert lines(out, "aten::convolution")[0].endswith('@ "conv" "_conv_forward (conv.py:560)"')
    assert len(lines(out, "aten::dropout")) == 0
    assert lines(out, "aten::view")[0].split("=", 1)[1].startswith(" aten::view(self=%2, size=[batch, 256])")


def test_declared_fixed_sizes_are_numbers_and_unroll_loops(tmp_path):
    module, _, _ = CASES["Steps"]
    rc, out, err = check(tmp_path, scripted(tmp_path, module), ["x:f32[batch=2,3,4]"], ["batch=4"])
    assert rc == 0, err
    assert "prim::Loop" not in out
    assert len(lines(out, "aten::tanh")) == 3


def test_a_known_branch_is_taken_and_an_assert_dropped(tmp_path):
    out = check(tmp_path, scripted(tmp_path, CASES["Asserts"][0]), SEQUENCE)[1]
    assert "prim::If" not in out and out.count(" = aten::") == 1
    module = CASES["BranchOnSize"][0]
    assert "prim::If" in check(tmp_path, scripted(tmp_path, module), SEQUENCE)[1]
    out = check(tmp_path, scripted(tmp_path, module), ["x:f32[batch=2,seq=6..9,4]"])[1]
    assert "prim::If" not in out and "aten::mul" in out


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.table.weight
        self.spare = nn.Linear(2, 2)

    def forward(self, ids):
        return self.head(self.table(ids))


def test_tied_weights_are_one_and_unused_ones_none(tmp_path):
    rc, out, err = check(tmp_path, scripted(tmp_path, Tied), ["ids:i64[batch=2,seq=3]"], ["batch=1,seq=7"])
    assert rc == 0, err
    assert re.findall(r"parameter (%\S+):", out) == ["%table.weight"]
    assert out.count("%table.weight") == 3


class Fixed(nn.Module):
    def forward(self, x):
        return x.reshape(2, 24)


def test_a_size_that_a_trace_fixed_is_named(tmp_path):
    path = traced(tmp_path, Fixed, torch.rand(2, 6, 4))
    rc, _, err = check(tmp_path, path, SEQUENCE)
    assert rc == 3
    assert "the model runs at batch = 2 and seq = 6 only: aten::reshape: shape '[2, 24]' is invalid" in err
    assert "at forward (test_capture.py:" in err
    assert "declare it fixed: --input 'x:f32[2,6,4]'" in err
    assert check(tmp_path, path, ["x:f32[2,6,4]"], ["batch=2"])[0] == 0


class OnlySix(nn.Module):
    def forward(self, x):
        if x.size(1) != 6:
            raise ValueError("only six")
        return x + 1


def test_a_size_that_the_model_demands_is_named(tmp_path):
    rc, _, err = check(tmp_path, scripted(tmp_path, OnlySix), SEQUENCE)
    assert rc == 3 and "seq = 6 only: the model refuses the inputs: only six" in err
    assert "6,4]'" in err


class ManyReasons(nn.Module):
    def forward(self, x):
        parts = [x]
        if bool(x.sum() > 0):
            parts.append(x)
        found = {1: x}
        if bool(x.sum() > 1):
            found[2] = x
        return parts[0] + found[1]


def test_all_reasons_are_told(tmp_path):
    rc, _, err = check(tmp_path, scripted(tmp_path, ManyReasons), SEQUENCE)
    assert rc == 3 and err.count("changes how many elements a list or dictionary has") == 2
    assert "if bool(x.sum() > 0): (test_capture.py:" in err and "if bool(x.sum() > 1): (test_capture.py:" in err


class Appends(nn.Module):
    def forward(self, x):
        parts: list[Tensor] = []
        for i in range(x.size(1)):
            parts.append(x[:, i] * i)
        return torch.stack(parts, 1)


def test_a_list_that_a_loop_fills_is_stacked_by_the_loop(tmp_path):
    rc, out, err = check(tmp_path, scripted(tmp_path, Appends), SEQUENCE, ["batch=3,seq=1", "seq=9"])
    assert rc == 0, err
    assert "f32[seq, batch, 4] = prim::Loop(trips=seq, condition=true)" in out


class Rewrites(nn.Module):
    def forward(self, x):
        parts = [x[:, 0]]
        for i in range(x.size(1)):
            parts[0] = parts[0] * i
        return torch.stack(parts, 1)


def test_a_list_that_changes_with_a_size_is_refused_with_advice(tmp_path):
    path = scripted(tmp_path, Rewrites)
    rc, _, err = check(tmp_path, path, SEQUENCE)
    assert rc == 3 and "declared fixed are unrolled" in err
    assert check(tmp_path, path, ["x:f32[batch=2,5,4]"], ["batch=3"])[0] == 0


class Spare(nn.Module):
    def forward(self, x, mask):
        return x + 1


def test_inputs_that_are_not_used_are_noted(tmp_path):
    out = check(tmp_path, scripted(tmp_path, Spare), [*SEQUENCE, "mask:i64[batch=2,past=5]"], ["batch=3,seq=2"])[1]
    assert '# note: input "mask" is not used' in out
    assert '# note: nothing behind the inputs has the size "past"' in out


def test_wrong_inputs_are_usage(tmp_path):
    path = scripted(tmp_path, CASES["Mlp"][0])
    assert 'no input "y"' in check(tmp_path, path, ["y:f32[2,4]"])[2]
    rc, _, err = check(tmp_path, path, ["x:f32[batch=2,5]"])
    assert rc == 3 and "aten::linear in first" in err


@pytest.mark.parametrize("how", ["lstm", "conv"])
def test_quantised_tensors_are_refused_as_that(tmp_path, how):
    # 'quantize_per_tensor with a int for "dtype"', 'linear_dynamic with a LinearPackedParamsBase', and no advice.
    if how == "lstm":
        net = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(8, 4)).eval(), {nn.LSTM})
    else:
        net = torch.ao.nn.quantized.dynamic.Conv1d(2, 4, 3)
    torch.jit.trace(net, torch.randn(3, 2, 8)).save(tmp_path / "model.pt")
    name = torch.jit.load(tmp_path / "model.pt").forward.schema.arguments[1].name
    rc, _, err = check(tmp_path, "model.pt", [f"{name}:f32[batch=3,2,8]"])
    assert rc == 3 and "PyTorch's quantised tensors" in err and "then quantise the ONNX file" in err, err
