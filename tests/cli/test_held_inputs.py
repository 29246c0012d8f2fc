"""Inputs whose values a file holds: what torch.export.save kept, and what mlc trace was checked with."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore")]


class Positions(nn.Module):
    """Numbers of tokens far above the random 0 to 9, and positions that other values would overstep."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(100, 4)

    def forward(self, ids, at):
        return self.table(ids - 60)[at]


IDS = torch.tensor([[60, 61, 99], [159, 70, 80]])
AT = torch.tensor([1, 0, 1, 1])


@pytest.fixture
def exported(tmp_path):
    torch.manual_seed(0)
    program = torch.export.export(Positions().eval(), (IDS, AT), dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=8)}, {}))
    torch.export.save(program, str(tmp_path / "m.pt2"))
    return program.module()


@pytest.fixture
def scripted(tmp_path):
    torch.manual_seed(0)
    module = torch.jit.script(Positions().eval())
    module.save(str(tmp_path / "m.pt"))
    np.save(tmp_path / "ids.npy", IDS.numpy())
    np.save(tmp_path / "at.npy", AT.numpy())
    return module


FILES = ("--input", "ids=@ids.npy", "--input", "at=@at.npy")


def output(mlc, tmp_path, *arguments):
    mlc.ok("run", *arguments, "-o", "out.npz", "--force")
    return torch.as_tensor(np.load(tmp_path / "out.npz")["output"])


def records(path):
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def rewrite(path, changed):
    """The archive with other contents of some records."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, changed.get(name.split("/", 1)[1], data))


# --- what torch.export.save keeps


def test_a_program_runs_on_the_inputs_of_its_export(mlc, tmp_path, exported):
    torch.testing.assert_close(output(mlc, tmp_path, "m.pt2"), exported(IDS, AT))
    shown = mlc.ok("run", "m.pt2").stdout
    assert "input   ids i64[2, 3], held in the file" in shown
    answer = json.loads(mlc.ok("run", "m.pt2", "--json").stdout)
    assert [one["source"] for one in answer["inputs"]] == ["m.pt2", "m.pt2"]


def test_given_inputs_win_over_held_ones(mlc, tmp_path, exported):
    other = np.full((3, 3), 77)
    np.save(tmp_path / "other.npy", other)
    np.save(tmp_path / "at.npy", AT.numpy())
    found = output(mlc, tmp_path, "m.pt2", "--input", "ids=@other.npy", "--input", "at=@at.npy")
    torch.testing.assert_close(found, exported(torch.as_tensor(other), AT))


def test_every_verb_takes_the_inputs_of_the_export(mlc, tmp_path, exported, onnxruntime_engine):
    """Random numbers from 0 to 9 would stop each of them: the table has no row -60."""
    traced = mlc.ok("trace", "m.pt2", "-o", "s.pt").stdout
    assert "sample inputs" in traced and "s97=4" not in traced
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "s.pt"))(IDS, AT), exported(IDS, AT))
    verified = json.loads(mlc.ok("verify", "m.pt2", "s.pt", "--json").stdout)
    labels = [one["case"] for one in verified["cases"]]
    assert labels[0] == "sample inputs" and [one.rpartition("=")[2] for one in labels[1:]] == ["4", "8"], labels
    assert "sample inputs" in mlc.ok("export-onnx", "m.pt2", "--verify", "-o", "m.onnx").stdout
    mlc.ok("bench", "m.pt2", "s.pt", "--runs", "3", "--warmup", "1")


def test_floating_inputs_are_also_compared_at_random_values(mlc, tmp_path):
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.full((2, 3), 5.0),)), str(tmp_path / "m.pt2"))
    cases = [one["case"] for one in json.loads(mlc.ok("verify", "m.pt2", "m.pt2", "--json").stdout)["cases"]]
    assert cases == ["sample inputs", "seed 0", "seed 1", "seed 2"]


class Nested(nn.Module):
    def forward(self, pair, scale, *, extra, mask=None):
        return pair[0] * 100 + pair[1] * 10 + extra["b"] + extra["a"] * 0.1 + scale + (0 if mask is None else mask * 1000)


def test_nested_and_named_arguments_find_their_places(mlc, tmp_path):
    arguments = ((torch.tensor([1.0]), torch.tensor([2.0])), 0.5)
    named = {"mask": torch.tensor([7.0]), "extra": {"b": torch.tensor([3.0]), "a": torch.tensor([4.0])}}
    program = torch.export.export(Nested(), arguments, named)
    torch.export.save(program, str(tmp_path / "m.pt2"))
    torch.testing.assert_close(output(mlc, tmp_path, "m.pt2"), program.module()(*arguments, **named))


def test_a_program_of_an_older_pytorch_runs_on_its_samples(mlc, root):
    """serialized_example_inputs.pt, a record of the archive itself before PyTorch 2.7."""
    with zipfile.ZipFile(root / "tests/golden/ep_2.6.pt2") as archive:
        has_samples = archive.getinfo("serialized_example_inputs.pt").file_size > 0
    assert has_samples
    assert "held in the file" in mlc.ok("run", root / "tests/golden/ep_2.6.pt2").stdout


@pytest.mark.parametrize("wrong", ["other sizes", "far too large", "no arguments", "no pickle", "too few"])
def test_samples_that_do_not_fit_are_told_and_left_out(mlc, tmp_path, wrong):
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.ones(2, 3),)), str(tmp_path / "m.pt2"))
    kept = io.BytesIO()
    torch.save({"other sizes": ((torch.ones(2, 4),), {}), "far too large": ((torch.ones(1, 1).expand(1 << 40, 3),), {}), "no arguments": torch.ones(2, 3), "no pickle": 1, "too few": ((), {})}[wrong], kept)
    rewrite(tmp_path / "m.pt2", {"data/sample_inputs/model.pt": b"nothing" * 99 if wrong == "no pickle" else kept.getvalue()})
    result = mlc.ok("run", "m.pt2")
    assert "sample inputs are not used" in result.stderr and "random, seed 0" in result.stdout


# --- what mlc trace keeps


def test_traced_file_runs_on_the_values_it_was_checked_with(mlc, tmp_path, scripted):
    """It kept type and sizes only: `mlc run` of it drew 0 to 9 for the numbers of tokens."""
    mlc.ok("trace", "m.pt", *FILES, "-o", "t.pt")
    torch.testing.assert_close(output(mlc, tmp_path, "t.pt"), scripted(IDS, AT))
    kept = records(tmp_path / "t.pt")
    assert kept["extra/mlc/inputs.txt"].decode().split() == ["ids:i64[2,3]=60..159", "at:i64[4]=0..1"]
    np.testing.assert_array_equal(np.load(io.BytesIO(kept["extra/mlc/inputs/ids.npy"])), IDS.numpy())
    for verb in (["verify", "m.pt", "t.pt"], ["verify", "t.pt", "m.pt"], ["bench", "t.pt", "--runs", "2", "--warmup", "0"]):
        mlc.ok(*verb)
    extra = {"mlc/inputs/at.npy": ""}
    torch.jit.load(str(tmp_path / "t.pt"), _extra_files=extra)
    np.testing.assert_array_equal(np.load(io.BytesIO(extra["mlc/inputs/at.npy"])), AT.numpy())


def test_values_go_on_to_the_next_file(mlc, tmp_path, scripted):
    mlc.ok("trace", "m.pt", *FILES, "-o", "t.pt")
    mlc.ok("trace", "t.pt", "-o", "u.pt")
    mlc.ok("trace", "t.pt", "-o", "v.pt")
    assert records(tmp_path / "u.pt")["extra/mlc/inputs/ids.npy"] == records(tmp_path / "t.pt")["extra/mlc/inputs/ids.npy"]
    assert (tmp_path / "u.pt").read_bytes() == (tmp_path / "v.pt").read_bytes()


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_values_are_of_the_type_that_the_new_file_takes(mlc, tmp_path, dtype):
    torch.jit.script(nn.Linear(3, 2)).save(str(tmp_path / "m.pt"))
    np.save(tmp_path / "x.npy", np.array([[1.1, 2.2, 3.3]], dtype="f4"))
    mlc.ok("trace", "m.pt", "--input", "input=@x.npy", "--dtype", dtype, "-o", "t.pt")
    type_ = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    mlc.ok("run", "t.pt", "-o", "out.pt")
    wanted = torch.jit.load(str(tmp_path / "t.pt"))(torch.tensor([[1.1, 2.2, 3.3]]).to(type_))
    torch.testing.assert_close(torch.load(tmp_path / "out.pt")["output"], wanted)


def test_large_values_are_left_out_and_said_to_be(mlc, tmp_path):
    torch.jit.script(nn.Flatten()).save(str(tmp_path / "m.pt"))
    np.save(tmp_path / "x.npy", np.zeros((5, 1024, 1024), dtype="f4"))
    result = mlc.ok("trace", "m.pt", "--input", "input=@x.npy", "-o", "t.pt")
    assert "keeps type and sizes of input" in result.stderr
    assert (tmp_path / "t.pt").stat().st_size < 100_000
    assert "random, seed 0" in mlc.ok("run", "t.pt").stdout


@pytest.mark.parametrize("wrong", ["sizes", "type", "cut", "text"])
def test_stored_values_that_contradict_the_list_are_damage(mlc, tmp_path, scripted, wrong):
    mlc.ok("trace", "m.pt", *FILES, "-o", "t.pt")
    name = "extra/mlc/inputs/ids.npy"
    other = io.BytesIO()
    np.save(other, {"sizes": np.zeros((9, 3), "i8"), "type": np.zeros((2, 3), "f4"), "cut": np.zeros((2, 3), "i8"), "text": IDS.numpy()}[wrong])
    data = {"cut": other.getvalue()[:-1], "text": b"no array"}.get(wrong, other.getvalue())
    rewrite(tmp_path / "t.pt", {name: data})
    result = mlc("run", "t.pt")
    assert result.rc == 3 and f'record "{name}"' in result.stderr
