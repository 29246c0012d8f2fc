"""mlc verify: artefacts that are one model, and those that only look like it."""

import json
import os
import re

import numpy as np
import pytest
import torch

import torchscript_models

pytestmark = pytest.mark.usefixtures("engine")
IMAGE = "image:f32[batch=2,1,8,8]"


class Reshaper(torch.nn.Module):
    """A trace bakes the batch size into the view; a script keeps it."""

    def forward(self, x: torch.Tensor):
        rows = int(x.shape[0])
        return x.reshape(rows, -1) * 2


class Counter(torch.nn.Module):
    """The number of steps depends on a size: a trace records those of its example, and never fails."""

    def forward(self, x: torch.Tensor):
        y = x.sum(0)
        for i in range(x.size(0)):
            y = y + float(i)
        return y, x * 1


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    net = torchscript_models.net()
    torch.jit.trace(net, torch.randn(1, 1, 8, 8)).save(folder / "traced.pt")
    torch.jit.script(net).save(folder / "scripted.pt")
    with torch.no_grad():
        net.fc.bias[3] += 0.01
    torch.jit.script(net).save(folder / "shifted.pt")
    x = torch.randn(2, 6)
    for name, module in (("reshaper", Reshaper()), ("counter", Counter())):
        torch.jit.script(module).save(folder / f"{name}_script.pt")
        torch.jit.trace(module, x, check_trace=False).save(folder / f"{name}_trace.pt")
    return folder


def test_one_model(mlc, models, valid):
    result = mlc.ok("verify", models / "traced.pt", models / "scripted.pt", "--input", IMAGE, "--json")
    valid(result.json, "verify")
    assert result.json["same"]
    assert [case["case"] for case in result.json["cases"]] == ["seed 0", "seed 1", "seed 2", "seed 0, batch=3"]
    text = mlc.ok("verify", models / "traced.pt", models / "scripted.pt", "--input", IMAGE).stdout
    assert text.splitlines()[-1] == "the same in 4 cases"


def test_another_weight_is_found_and_measured(mlc, models, valid):
    result = mlc("verify", models / "traced.pt", models / "shifted.pt", "--input", IMAGE, "--json")
    assert result.rc == 1
    valid(result.json, "verify")
    case = result.json["cases"][0]
    assert (result.json["same"], case["first_diverging"]) == (False, "output")
    assert case["outputs"][0]["max_abs"] == pytest.approx(0.01, rel=1e-3)
    text = mlc("verify", models / "traced.pt", models / "shifted.pt", "--input", IMAGE).stdout
    outputs = case["outputs"][0]
    first = outputs["first_mismatch"]
    assert first["b"] - first["a"] == pytest.approx(0.01, rel=1e-2)
    words = (f"not the same: first diverging output: output (seed 0): max abs {outputs['max_abs']:.3g}, max rel {outputs['max_rel']:.3g}, "
             f"{outputs['mismatches']} of {outputs['count']} values beyond the tolerance, "
             f"first at {first['index']}: {first['a']:.6g} and {first['b']:.6g}")
    assert text.splitlines()[-1] == words


def test_gates(mlc, models):
    pair = ("verify", models / "traced.pt", models / "shifted.pt", "--input", IMAGE)
    assert mlc(*pair, "--atol", "0.02").rc == 0
    assert mlc(*pair, "--min-cosine", "0.99").rc == 0
    assert mlc(*pair, "--min-cosine", "0.9999999").rc == 1
    assert mlc(*pair, "--min-agreement", "0").rc == 0
    assert mlc(*pair, "--min-cosine", "1.5").rc == 2


class Plus(torch.nn.Module):
    """Adds the value of `b` to the first of its outputs."""

    def __init__(self, b):
        super().__init__()
        self.register_buffer("b", b)

    def forward(self, x: torch.Tensor):
        first = torch.zeros_like(x)
        first[0, 0] = 1
        return torch.where(first > 0, self.b, x)


def save_plus(folder, **values):
    for name, value in values.items():
        torch.jit.script(Plus(torch.tensor(value))).save(folder / f"{name}.pt")


def test_infinities_and_nans_of_one_side_pass_no_gate(mlc, tmp_path, valid):
    save_plus(tmp_path, plain=1.0, inf=float("inf"), neg=-float("inf"), nan=float("nan"))
    x = ("--input", "x:f32[batch=2,4]")

    def verify(a, b, *more):
        return mlc("verify", tmp_path / f"{a}.pt", tmp_path / f"{b}.pt", *x, *more)

    for a, b in (("plain", "inf"), ("inf", "neg"), ("plain", "nan"), ("nan", "plain")):
        assert verify(a, b, "--min-cosine", "-1").rc == 1, (a, b)
    assert verify("plain", "nan", "--min-agreement", "0").rc == 1
    text = verify("plain", "nan").stdout
    last = text.splitlines()[-1]
    assert last.startswith("not the same: first diverging output: output (seed 0): ") and last.endswith(": 1 NaN on one side")
    row = next(line for line in text.splitlines() if line.startswith("seed 0"))
    assert row.split()[3:6] == ["NaN", "NaN", "-"] and row.endswith("differs: 1 NaN on one side")
    assert "differs: 1 infinitely far apart" in verify("inf", "neg").stdout
    result = verify("plain", "inf", "--json")
    valid(result.json, "verify")
    output = result.json["cases"][0]["outputs"][0]
    assert (output["max_abs"], output["infinite_pairs"], output["nan_pairs"]) == (None, 1, 0)


def test_nans_that_both_sides_give_are_told(mlc, tmp_path):
    save_plus(tmp_path, plain=1.0, nan=float("nan"), inf=float("inf"))
    x = ("--input", "x:f32[2,4]")
    result = mlc.ok("verify", tmp_path / "nan.pt", tmp_path / "nan.pt", *x)
    assert 'output "output" of both holds 1 NaN among 8 values (seed 0)' in result.stderr
    traced = mlc.ok("trace", tmp_path / "inf.pt", *x, "-o", tmp_path / "new.pt")
    assert 'output "output" of both holds 1 infinite value among 8 values (seed 0)' in traced.stderr
    assert "holds" not in mlc.ok("verify", tmp_path / "plain.pt", tmp_path / "plain.pt", *x).stderr


class Count(torch.nn.Module):
    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def forward(self, x: torch.Tensor):
        return torch.full([2], self.number, dtype=torch.int64)


def test_large_integers_that_differ_by_one_are_not_close(mlc, tmp_path):
    for number in (20000, 20001):
        torch.jit.script(Count(number)).save(tmp_path / f"{number}.pt")
    pair = ("verify", tmp_path / "20000.pt", tmp_path / "20001.pt", "--input", "x:f32[2]")
    result = mlc(*pair)
    assert result.rc == 1
    assert "same if |a - b| <= 1e-05 + 0.0001 * |b| (integers equal)" in result.stdout
    assert mlc(*pair, "--atol", "0.5").rc == 1
    assert mlc(*pair, "--atol", "1").rc == 0
    assert mlc(*pair, "--rtol", "1e-4").rc == 0


def test_a_size_that_a_trace_baked_in_shows_at_another_size(mlc, models, valid):
    pair = ("verify", models / "reshaper_script.pt", models / "reshaper_trace.pt")
    assert mlc(*pair, "--input", "x:f32[2,6]").rc == 0
    result = mlc(*pair, "--input", "x:f32[batch=2,6]", "--json")
    valid(result.json, "verify")
    case = result.json["cases"][-1]
    assert result.rc == 1 and case["case"] == "seed 0, batch=3" and not case["passed"]
    assert "failure" in case or "problem" in case["outputs"][0]


def test_steps_that_a_trace_baked_in_show_at_another_size(mlc, models):
    pair = ("verify", models / "counter_script.pt", models / "counter_trace.pt")
    assert mlc(*pair, "--input", "x:f32[2,6]").rc == 0
    result = mlc(*pair, "--input", "x:f32[n=2..8,6]", "--json")
    assert result.rc == 1
    failed = [case for case in result.json["cases"] if not case["passed"]]
    assert [(case["case"], case["first_diverging"]) for case in failed] == [("seed 0, n=4", "output.0"), ("seed 0, n=8", "output.0")]


def test_inputs_from_files_are_one_case(mlc, models, tmp_path):
    np.save(tmp_path / "image.npy", np.ones((2, 1, 8, 8), np.float32))
    answer = mlc.ok("verify", models / "traced.pt", models / "scripted.pt", "--input", "image=@image.npy", "--json").json
    assert len(answer["cases"]) == 1
    assert answer["cases"][0]["case"] == "given inputs"  # no seed made them


def test_a_size_that_a_refuses_does_not_lose_the_other_cases(mlc, models, valid, tmp_path):
    pair = ("verify", models / "traced.pt", models / "scripted.pt")
    result = mlc.ok(*pair, "--input", "image:f32[1,1,8,w=8]", "--json")
    valid(result.json, "verify")
    assert [len(result.json["cases"]), len(result.json["not_checked"])] == [3, 1]
    text = mlc.ok(*pair, "--input", "image:f32[1,1,8,w=8]").stdout
    assert "not checked: A refuses w=9: " in text and text.splitlines()[-1] == "the same in 3 cases"


def test_another_number_of_outputs_is_told_as_that(mlc, models, tmp_path):
    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return x, x

    torch.jit.script(Two()).save(tmp_path / "two.pt")
    result = mlc("verify", "two.pt", models / "reshaper_script.pt", "--input", "x:f32[2,6]")
    assert result.rc == 1
    assert result.stdout.splitlines()[-1] == "not the same: the number of outputs differs (seed 0): 2 outputs against 1 output"


def test_outputs_of_one_name_are_refused(mlc, tmp_path):
    """The second was compared with the first, and another one passed for the same."""
    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return {"a": {"b.0": x}, "a.b": {"0": x + 1}}

    class Halves(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return {0.25: x, 0.5: x + 1}

    torch.jit.script(Twice()).save(tmp_path / "twice.pt")
    torch.jit.script(Halves()).save(tmp_path / "halves.pt")
    for command in (("verify", "twice.pt", "twice.pt"), ("run", "twice.pt", "-o", "out.npz")):
        result = mlc(*command, "--input", "x:f32[2]")
        assert result.rc == 4 and 'two outputs of the model are called "a.b.0"' in result.stderr
    outputs = mlc.ok("run", "halves.pt", "--input", "x:f32[2]", "--json").json["outputs"]
    assert [output["name"] for output in outputs] == ["0.25", "0.5"]


def test_errors(mlc, models, tmp_path):
    result = mlc("verify", models / "traced.pt", models / "scripted.pt")
    assert result.rc == 2 and 'input "image" is missing' in result.stderr
    torch.save({"a": torch.ones(1)}, tmp_path / "weights.pt")
    result = mlc("verify", models / "traced.pt", "weights.pt", "--input", IMAGE)
    assert result.rc == 4 and "weights.pt: " in result.stderr
    result = mlc("verify", models / "traced.pt", models / "counter_script.pt", "--input", IMAGE)
    assert result.rc == 1 and "paired in order: image as x" in result.stderr
    result = mlc("verify", models / "traced.pt", models / "traced.pt", "--input", "imgae:f32[2,1,8,8]")
    assert result.rc == 2 and 'traced.pt: the model has no input "imgae"' in result.stderr


def test_shipped_example_fits_its_schema(root, valid):
    valid(json.loads((root / "schemas/examples/verify.json").read_text()), "verify")


def peak_kib(mlc, *arguments):
    """The peak RSS of a run that has to succeed."""
    process = mlc.start(*arguments)
    process.stdout.read()
    status, usage = os.wait4(process.pid, 0)[1:]
    assert os.waitstatus_to_exitcode(status) == 0, process.stderr.read()
    return usage.ru_maxrss


def test_many_cases_take_no_more_memory_than_few(mlc, tmp_path):
    """4 MB of inputs and 8 MB of outputs a case: were they kept, 30 cases would take 300 MB more than 3."""
    torch.jit.script(Counter()).save(tmp_path / "m.pt")
    few, many = (peak_kib(mlc, "verify", "m.pt", "m.pt", "--input", "x:f32[2,524288]", "--samples", str(n)) for n in (3, 30))
    assert many < few + 30_000


def test_inputs_of_other_names_are_paired_in_order(mlc, tmp_path):
    class First(torch.nn.Module):
        def forward(self, a, b):
            return a - 2 * b

    class Second(torch.nn.Module):
        def forward(self, left, right, scale: float = 2.0):
            return left - scale * right

    class Three(torch.nn.Module):
        def forward(self, left, right, more):
            return left - 2 * right + more

    class Mixed(torch.nn.Module):
        def forward(self, b, a):
            return b - 2 * a
    for module in (First, Second, Three, Mixed):
        torch.jit.script(module()).save(str(tmp_path / f"{module.__name__}.pt"))
    inputs = ["--input", "a:f32[n=2,3]", "--input", "b:f32[n=2,3]"]
    result = mlc.ok("verify", "First.pt", "Second.pt", *inputs)
    assert "paired in order: a as left and b as right" in result.stderr
    mlc.ok("bench", "First.pt", "Second.pt", *inputs, "--runs", "2")
    assert mlc("verify", "First.pt", "Three.pt", *inputs).rc == 2
    assert mlc("verify", "First.pt", "Mixed.pt", *inputs).rc == 1  # names that are known count


class Constant(torch.nn.Module):
    """Zero times the input and VALUES, whatever they are."""

    def __init__(self, values):
        super().__init__()
        self.register_buffer("values", torch.tensor(values))

    def forward(self, x):
        return x * 0 + self.values


class DoubledFrom(torch.nn.Module):
    """The input, twice where it has more than four rows."""

    def forward(self, x):
        if x.size(0) > 4:
            return x * 2
        return x


class Empty(torch.nn.Module):
    def forward(self, x):
        return x[:, :0]


class InDoubles(torch.nn.Module):
    def forward(self, x):
        return x.double()


class Speaker(torch.nn.Module):
    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def forward(self, x):
        return x, self.text


class Hungry(torch.nn.Module):
    """Takes 8 TB above four rows."""

    def forward(self, x):
        if x.size(0) > 4:
            return torch.zeros(2000000000000)
        return x


def saved(folder, **modules):
    for name, module in modules.items():
        torch.jit.script(module.eval()).save(folder / f"{name}.pt")


def test_nans_of_one_side_have_no_distance_in_the_last_line_either(mlc, tmp_path):
    """The table said NaN, the line below it "max abs 0, max rel 0"."""
    saved(tmp_path, a=Constant([float("nan"), 2.0]), b=Constant([2.0, float("nan")]))
    result = mlc("verify", "a.pt", "b.pt", "--input", "x:f32[1,2]")
    assert result.rc == 1
    assert "(seed 0): max abs NaN, max rel NaN, 2 of 2 values beyond" in result.stdout.splitlines()[-1]


def test_the_upper_end_of_a_range_is_tried(mlc, tmp_path, valid):
    """Only the start of batch=1..64 was, where both are the same."""
    saved(tmp_path, a=torch.nn.Identity(), b=DoubledFrom())
    command = ("verify", "a.pt", "b.pt", "--samples", "1", "--json", "--input")
    result = mlc(*command, "input:f32[batch=1..64,2]")
    assert result.rc == 1
    valid(result.json, "verify")
    assert [one["case"] for one in result.json["cases"]] == ["seed 0", "seed 0, batch=2", "seed 0, batch=64"]
    assert [one["passed"] for one in result.json["cases"]] == [True, True, False]
    assert [one["case"] for one in mlc.ok(*command, "input:f32[batch=1..2,2]").json["cases"]] == ["seed 0", "seed 0, batch=2"]
    assert len(mlc.ok(*command, "input:f32[batch=2,2]").json["cases"]) == 2


def test_an_upper_end_that_is_too_large_is_told(mlc, tmp_path, valid):
    saved(tmp_path, a=torch.nn.Identity(), hungry=Hungry())
    result = mlc.ok("verify", "a.pt", "a.pt", "--json", "--input", "input:f32[batch=1..9000000,2]")
    valid(result.json, "verify")
    assert result.json["not_checked"] == [
        {"case": "seed 0, batch=9000000", "reason": "batch=9000000 was not tried: its inputs are too large"}]
    text = mlc.ok("verify", "hungry.pt", "hungry.pt", "--input", "x:f32[batch=1..64,2]").stdout
    assert "not checked: batch=64 was not tried: A at seed 0, batch=64: not enough memory" in text


def test_a_tolerance_beside_the_cosine_counts(mlc, tmp_path, valid):
    """--atol and --rtol went unheard where --min-cosine was given."""
    saved(tmp_path, a=Constant([1.0, 2.0]), b=Constant([1.0, 2.0001]))
    command = ("verify", "a.pt", "b.pt", "--input", "x:f32[2,2]", "--json", "--min-cosine", "0.9")
    alone = mlc.ok(*command)
    valid(alone.json, "verify")
    assert not alone.json["gates"]["tolerance_counts"]
    both = mlc(*command, "--atol", "0", "--rtol", "0")
    assert both.rc == 1 and both.json["gates"]["tolerance_counts"]
    assert mlc(*command, "--atol", "0.001").rc == 0
    text = mlc("verify", "a.pt", "b.pt", "--input", "x:f32[2,2]", "--min-agreement", "1", "--atol", "0.001").stdout
    assert "same if top-1 agreement at least 1 and |a - b| <= 0.001 + 0.0001 * |b|" in text


def test_other_types_of_outputs_are_told(mlc, tmp_path, valid):
    saved(tmp_path, a=torch.nn.Identity(), b=InDoubles())
    command = ("verify", "a.pt", "b.pt", "--input", "input:f32[2,2]")
    assert "close, f32 and f64" in mlc.ok(*command).stdout
    answer = mlc.ok(*command, "--json").json
    valid(answer, "verify")
    output = answer["cases"][0]["outputs"][0]
    assert (output["dtype"], output["dtype_b"]) == ("float32", "float64")


def test_outputs_without_elements_are_told(mlc, tmp_path):
    saved(tmp_path, a=Empty())
    result = mlc.ok("verify", "a.pt", "a.pt", "--input", "x:f32[batch=2,2]", "--min-cosine", "0.9")
    assert "equal, no elements" in result.stdout
    assert result.stderr.count('output "output" has no elements in any case: nothing of it was compared') == 1


def test_texts_are_compared(mlc, tmp_path, valid):
    saved(tmp_path, a=Speaker("one"), b=Speaker("two"))
    mlc.ok("verify", "a.pt", "a.pt", "--input", "x:f32[2,2]")
    result = mlc("verify", "a.pt", "b.pt", "--input", "x:f32[2,2]", "--json")
    assert result.rc == 1
    valid(result.json, "verify")
    assert result.json["cases"][0]["outputs"][1] == {"name": "output.1", "problem": 'text "one" against "two"'}


def test_devices_below_zero_are_no_devices(mlc, tmp_path):
    saved(tmp_path, a=torch.nn.Identity())
    result = mlc("run", "a.pt", "--input", "input:f32[2]", "--device", "cuda:-1")
    assert result.rc == 2 and "no device is called cuda:-1" in result.stderr


SEQUENCE = """mlc: architecture/1
inputs: ["x:f32[batch=2,seq=1..{end},3]"]
outputs: [summed, table]
parameters:
  pos: {{shape: [1, {rows}, 3]}}
forward: |
  def forward(self, x: Tensor):
      y = x + self.pos[:, :x.size(1)]
      return y.sum(1), y
"""


def sequence(folder, name="seq.yaml", end=100, rows=64, dtype=torch.float32):
    (folder / name).write_text(SEQUENCE.format(end=end, rows=rows))
    torch.manual_seed(0)
    torch.save({"pos": torch.randn(1, rows, 3).to(dtype)}, folder / name.replace(".yaml", ".pt"))


def test_the_end_of_a_declared_range_was_not_tried(mlc, tmp_path, valid):
    sequence(tmp_path)
    result = mlc.ok("verify", "seq.pt", "seq.pt", "--arch", "seq.yaml", "--json")
    valid(result.json, "verify")
    assert [one["case"] for one in result.json["not_checked"]] == ["seed 0, seq=100"]
    sequence(tmp_path, "fits.yaml", end=64)
    cases = mlc.ok("verify", "fits.pt", "fits.pt", "--arch", "fits.yaml", "--json").json["cases"]
    assert [one["case"] for one in cases][3:] == ["seed 0, batch=3", "seed 0, seq=2", "seed 0, seq=64"]
    # What is declared wide need not be meant.
    sequence(tmp_path, "wide.yaml", end=1048576)
    wide = mlc.ok("verify", "wide.pt", "wide.pt", "--arch", "wide.yaml", "--json").json
    assert wide["not_checked"] == [
        {"case": "seed 0, seq=1048576", "reason": "seq=1048576 was not tried: its inputs are too large"}]


def test_the_end_of_a_range_of_a_pt2_was_not_tried(mlc, tmp_path):
    class Double(torch.nn.Module):
        def forward(self, x):
            return x * 2

    dim = torch.export.Dim("seq", min=2, max=128)
    torch.export.save(torch.export.export(Double(), (torch.randn(1, 7),), dynamic_shapes={"x": {1: dim}}), tmp_path / "d.pt2")
    cases = mlc.ok("verify", "d.pt2", "d.pt2", "--json").json["cases"]
    assert [one["case"].rpartition("=")[2] for one in cases][-2:] == ["14", "128"]


def test_a_refusal_had_no_file_and_escaped_newlines(mlc, tmp_path):
    sequence(tmp_path)
    text = mlc.ok("verify", "seq.pt", "seq.pt", "--arch", "seq.yaml").stdout
    line = next(line for line in text.splitlines() if line.startswith("not checked"))
    assert line.startswith("not checked: A refuses seq=100: seq.yaml:8:11: the size of tensor a (100) must match"), line
    assert "\\x0a" not in line and line.endswith("at non-singleton dimension 1")


def test_weights_in_half_precision_of_a_checkpoint_were_held_to_the_tolerance_of_float32(mlc, tmp_path):
    """The architecture computes in float32 with them."""
    sequence(tmp_path, "a.yaml", end=64)
    sequence(tmp_path, "half.yaml", end=64, dtype=torch.float16)
    result = mlc.ok("verify", "a.pt", "half.pt", "--arch", "a.yaml")
    assert "same if |a - b| <= 1e-05 + 0.0001 * |b| (in half precision 0.001 + 0.01 * |b|)" in result.stdout
    assert mlc.ok("verify", "half.pt", "a.pt", "--arch", "a.yaml").rc == 0
    assert mlc("verify", "a.pt", "half.pt", "--arch", "a.yaml", "--atol", "1e-5", "--rtol", "1e-4").rc == 1


def test_a_row_that_failed_was_beyond_the_tolerance_as_one_that_passed(mlc, tmp_path):
    class Two(torch.nn.Module):
        def __init__(self, by: float):
            super().__init__()
            self.by = by

        def forward(self, x: torch.Tensor):
            return x + self.by, x * (1 + self.by)

    saved(tmp_path, a=Two(0.0), b=Two(0.001))
    command = ("verify", "a.pt", "b.pt", "--input", "x:f32[2,4]", "--samples", "1")
    rows = [line for line in mlc(*command).stdout.splitlines() if line.startswith("seed 0")]
    assert [row.split()[-1] for row in rows] == ["differs", "differs"]
    rows = [line for line in mlc.ok(*command, "--min-cosine", "0.99").stdout.splitlines() if line.startswith("seed 0")]
    assert all(row.endswith("passes") for row in rows) and len(rows) == 2


def test_what_a_gate_judged_was_worded_by_the_tolerance(mlc, tmp_path, valid):
    saved(tmp_path, a=Constant([1.0, 2.0, 3.0]), b=Constant([1.0, 2.0, 3.2]))
    command = ("verify", "a.pt", "b.pt", "--input", "x:f32[2,1]", "--samples", "1")
    cosine = mlc.ok(*command, "--json", "--min-cosine", "0.99").json["cases"][0]["outputs"][0]["cosine"]
    text = mlc.ok(*command, "--min-cosine", "0.99").stdout
    assert "passes" in text and "beyond the tolerance" not in text
    text = mlc(*command, "--min-cosine", "0.99999").stdout
    assert text.splitlines()[-1].endswith(f", cosine {cosine:.6f} below 0.99999") and "beyond the tolerance" not in text
    saved(tmp_path, b=Constant([3.0, 2.0, 1.0]))
    text = mlc(*command, "--min-cosine", "0.9", "--min-agreement", "0.5").stdout
    assert text.splitlines()[-1].endswith(", cosine 0.714286 below 0.9, top-1 agreement 0.000000 below 0.5")
    saved(tmp_path, b=Constant([0.0, 0.0, 0.0]))
    text = mlc(*command, "--min-cosine", "0.9").stdout
    assert text.splitlines()[-1].endswith("no cosine, as one side is all zero, where 0.9 is the least")
    # Both gates that fail are named, and JSON says of each output what the gates say.
    result = mlc(*command, "--min-cosine", "0.9", "--atol", "0.5", "--json")
    valid(result.json, "verify")
    output = result.json["cases"][0]["outputs"][0]
    assert not output["passed"] and not output["within_tolerance"]
    text = mlc(*command, "--min-cosine", "0.9", "--atol", "0.5").stdout.splitlines()[-1]
    assert "6 of 6 values beyond the tolerance" in text and text.endswith("where 0.9 is the least")


def test_a_bound_just_below_1_read_as_1(mlc, tmp_path):
    saved(tmp_path, a=Constant([1.0, 2.0, 3.0]), b=Constant([1.0, 2.0, 3.0015]))
    command = ("verify", "a.pt", "b.pt", "--input", "x:f32[2,1]", "--samples", "1", "--min-cosine")
    result = mlc(*command, "0.99999999")
    assert result.rc == 1 and "same if cosine at least 0.99999999\n" in result.stdout
    said = re.search(r"cosine ([\d.]+) below 0\.99999999$", result.stdout.strip())
    assert float(said[1]) < 0.99999999, result.stdout


def test_a_nan_had_the_sign_that_the_machine_gave_it(mlc, tmp_path):
    class Quotient(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return (x * 0) / (x * 0)  # of the sign bit of x86's own NaN

    saved(tmp_path, a=Constant([1.0]), b=Quotient())
    text = mlc("verify", "a.pt", "b.pt", "--input", "x:f32[2]").stdout
    assert text.splitlines()[-1].endswith(" and nan: 2 NaN on one side"), text


def test_nans_of_both_sides_could_not_fail(mlc, tmp_path, valid):
    save_plus(tmp_path, plain=1.0, nan=float("nan"), inf=float("inf"))
    x = ("--input", "x:f32[2,4]", "--finite")
    for name, said in (("nan", "1 NaN on both sides"), ("inf", "1 infinite on both sides")):
        for gate in ((), ("--min-cosine", "0.5")):
            result = mlc("verify", f"{name}.pt", f"{name}.pt", *x, *gate)
            assert result.rc == 1 and result.stdout.splitlines()[-1].endswith(said), result.stdout
            assert "and all values are finite" in result.stdout and "holds" not in result.stderr
    result = mlc.ok("verify", "plain.pt", "plain.pt", *x, "--json")
    valid(result.json, "verify")
    assert result.json["gates"]["finite"]


class Labels(torch.nn.Module):
    """A vector of labels, whose largest is in the same place whatever the others are."""

    def __init__(self, shift: int):
        super().__init__()
        self.shift = shift

    def forward(self, x: torch.Tensor):
        labels = torch.arange(1000)
        labels = torch.where(labels == 999, labels, (labels + self.shift) % 999)
        return labels + (x.sum() * 0).to(torch.int64), labels > 500


def test_labels_agreed_because_the_largest_was_in_one_place(mlc, valid, tmp_path):
    x = torch.zeros(2)
    for name, shift in (("a", 0), ("b", 1)):
        torch.jit.script(Labels(shift)).save(tmp_path / f"{name}.pt")
    ours, theirs = Labels(0)(x), Labels(1)(x)
    wanted = [(one == other).double().mean().item() for one, other in zip(ours, theirs)]
    assert wanted[0] == 0.001 and wanted[1] > 0.9
    pair = ["verify", "a.pt", "b.pt", "--input", "x:f32[2]", "--json"]
    result = mlc(*pair, "--min-agreement", "0.9")
    valid(result.json, "verify")
    assert result.rc == 1
    assert [one["top1"] for one in result.json["cases"][0]["outputs"]] == pytest.approx(wanted)
    mlc.ok(*pair, "--min-agreement", "0.001")


ARCH = """mlc: architecture/1
inputs: ["x:f32[batch=1..64,128]"]
modules:
  fc: {type: Linear, in_features: 128, out_features: 64}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.fc(x)
"""


@pytest.fixture
def linear(tmp_path):
    torch.manual_seed(0)
    layer = torch.nn.Linear(128, 64)
    torch.save({f"fc.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "l.pt")
    (tmp_path / "l.yaml").write_text(ARCH)
    return layer


def test_what_an_export_had_found_equal_was_different_for_verify(mlc, linear, tmp_path):
    """Two engines add in other orders; export allowed for that, verify did not."""
    torch.save({key: value * (1 + 5e-4) for key, value in torch.load(tmp_path / "l.pt").items()}, tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "--arch", "l.yaml", "-o", "m.onnx")
    answer = mlc.ok("verify", "l.pt", "m.onnx", "--arch", "l.yaml", "--json").json
    assert answer["gates"]["rtol"] == 1e-3
    assert mlc.ok("export-onnx", "m.pt", "--arch", "l.yaml", "-o", "m.onnx", "-f", "--json").json["cases"][0]["outputs"][0]["rtol"] == 1e-3
    assert mlc("verify", "l.pt", "m.onnx", "--arch", "l.yaml", "--rtol", "1e-4").rc == 1
    assert mlc("verify", "l.pt", "m.pt", "--arch", "l.yaml").rc == 1
    mlc.ok("verify", "l.pt", "m.onnx", "--arch", "l.yaml", "--atol", "1e-6")


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_an_export_in_half_precision_differed_from_its_source(mlc, linear, tmp_path, valid, dtype):
    mlc.ok("export-onnx", "l.pt", "--arch", "l.yaml", "--dtype", dtype, "-o", "h.onnx")
    result = mlc.ok("verify", "l.pt", "h.onnx", "--arch", "l.yaml")
    assert "same if cosine at least 0.999 and |A - B| as a whole <= 0.05 * |B|, or, below 16 values, " in result.stdout
    assert result.stdout.splitlines()[3].endswith(", as one is in half precision")
    answer = mlc.ok("verify", "h.onnx", "l.pt", "--arch", "l.yaml", "--json").json
    valid(answer, "verify")
    assert (answer["gates"]["max_rel_norm"], answer["gates"]["least_for_cosine"]) == (0.05, 16)
    assert mlc("verify", "l.pt", "h.onnx", "--arch", "l.yaml", "--atol", "1e-7", "--rtol", "0").rc == 1
    # Of two in half precision nothing is narrower.
    mlc.ok("save", "l.pt", "--dtype", dtype, "-o", "half.pt")
    text = mlc.ok("verify", "half.pt", "h.onnx", "--arch", "l.yaml").stdout
    assert "cosine at least" not in text and "in half precision" in text
    # The cosine alone would let another length pass.
    torch.save({f"fc.{name}": value * 1.1 for name, value in linear.state_dict().items()}, tmp_path / "longer.pt")
    longer = mlc("verify", "longer.pt", "h.onnx", "--arch", "l.yaml")
    assert longer.rc == 1 and re.search(r"\|A - B\| as a whole is 0\.(1|099)\d* \* \|B\|, above 0\.05$", longer.stdout.strip())


@pytest.mark.usefixtures("linear")
def test_an_export_of_bytes_differed_from_its_source(mlc, tmp_path, valid):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32))
    mlc.ok("trace", "l.pt", "--arch", "l.yaml", "-o", "s.pt")
    mlc.ok("quantize", "s.pt", "--torchscript", "static", "--calib", "x.npy", "-o", "q.pt", "--min-cosine", "0.9")
    mlc.ok("export-onnx", "q.pt", "-o", "q.onnx")
    result = mlc.ok("verify", "q.pt", "q.onnx", "--samples", "20")
    assert ", or 0.1 of the largest |a|, as the model rounds to bytes" in result.stdout
    answer = mlc.ok("verify", "q.pt", "q.onnx", "--json").json
    valid(answer, "verify")
    assert answer["gates"]["of_largest"] == 0.1
    # Beside the float model, and on one engine, nothing is let pass.
    for pair in (("s.pt", "q.onnx"), ("q.pt", "q.pt"), ("q.onnx", "q.onnx")):
        assert "of the largest" not in mlc("verify", *pair).stdout


class Tiny(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by
        self.fc = torch.nn.Linear(16, 32)

    def forward(self, x: torch.Tensor):
        return torch.roll(self.fc(x), self.by, 1) * 1e-6


def test_values_below_the_tolerance_were_equal_without_a_word(mlc, tmp_path):
    torch.manual_seed(0)
    one, other = Tiny(0), Tiny(7)
    other.load_state_dict(one.state_dict())
    for name, net in (("a.pt", one), ("b.pt", other), ("c.pt", one)):
        torch.jit.script(net.eval()).save(tmp_path / name)
    done = mlc.ok("verify", "a.pt", "b.pt", "--input", "x:f32[4,16]")
    assert "differs by as much as its values are" in done.stderr and "--atol" in done.stderr
    assert mlc("verify", "a.pt", "b.pt", "--input", "x:f32[4,16]", "--atol", "1e-9").rc == 1
    assert "say little" not in mlc.ok("verify", "a.pt", "c.pt", "--input", "x:f32[4,16]").stderr
