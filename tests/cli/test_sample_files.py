"""Samples of `--calib` in several files and in folders: each test is named after what happened where it failed."""

import json
import os
import resource
import shutil
import subprocess

import numpy as np
import onnx
import pytest
import torch

import onnx_models
from test_quantize_onnx import node, value, weight
from test_quantize_static import residual

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")


def pictures(count=16):
    return np.random.default_rng(3).standard_normal((count, 3, 12, 12), np.float32)


@pytest.fixture
def model(mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    (mlc.cwd / "cal").mkdir()
    return mlc.cwd


def quantize(mlc, *calib, out="out.onnx", more=()):
    named = [word for path in calib for word in ("--calib", path)]
    return mlc("quantize", "in.onnx", "-o", out, "-f", "--onnx", "static", "--no-verify", *named, *more)


def made(mlc, *calib, **how):
    done = quantize(mlc, *calib, **how)
    assert done.rc == 0, done.stderr
    return onnx.load(mlc.cwd / "out.onnx").graph, done.stderr


def two_inputs(mlc):
    proto = onnx_models.model([node("MatMul", ["a", "w"], "m"), node("Mul", ["m", "b"], "y")], [value("a", "n", 64), value("b", "n", 64)],
                              [value("y", "n", 64)], [weight("w", 64, 64)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    return np.random.default_rng(1).standard_normal((2, 12, 64), np.float32)


def test_samples_of_one_input_in_several_files_were_refused(mlc, model):
    data = pictures()
    np.savez(model / "whole.npz", x=data)
    expected, _ = made(mlc, "whole.npz")
    np.savez(model / "a.npz", x=data[:5])
    np.savez_compressed(model / "b.npz", x=data[5:5])
    torch.save({"x": torch.from_numpy(data[5:9].copy())}, model / "c.pt")
    np.save(model / "x.npy", data[9:])
    graph, said = made(mlc, "a.npz", "b.npz", "c.pt", "x.npy", more=("--stats", "s.json"))
    assert graph == expected and json.loads((model / "s.json").read_text())["samples"] == 16
    assert "no samples are taken from b.npz" in said


def test_a_folder_of_samples_was_no_checkpoint(mlc, model):
    data = pictures()
    np.savez(model / "whole.npz", x=data)
    expected, _ = made(mlc, "whole.npz")
    for i in range(16):  # "10.npz" comes behind "9.npz"
        np.savez(model / f"cal/{i}.npz", x=data[i:i + 1])
    (model / "cal/.hidden.npz").write_bytes(b"no archive")
    (model / "cal/notes.txt").write_text("of the camera")
    (model / "cal/more.npz").mkdir()
    for folder in ("cal", "cal/"):
        graph, said = made(mlc, folder)
        assert graph == expected and "no samples are taken" not in said


def test_files_were_read_in_the_order_of_letters(mlc, model):
    """The sample that cannot be used is the last one, in the tenth file."""
    data = pictures(22)
    data[21, 0, 0, 0] = np.nan
    for i in range(11):
        np.savez(model / f"cal/{i}.npz", x=data[2 * i:2 * i + 2])
    done = quantize(mlc, "cal")
    assert done.rc == 1 and '"x" in sample 21 (1 of cal/10.npz) has 1 NaN' in done.stderr, done.stderr


def test_files_without_names_stand_for_the_only_input(mlc, model):
    data = pictures()
    np.save(model / "x.npy", data)
    expected, _ = made(mlc, "x.npy")
    for i in range(4):
        np.save(model / f"cal/{i}.npy", data[4 * i:4 * i + 4])
    graph, said = made(mlc, "cal")
    assert graph == expected
    assert 'the samples of input "x" are "0" of cal/0.npy, the only tensor there, and so in 3 more files' in said


def test_a_file_of_labels_was_taken_for_samples(mlc, model):
    np.savez(model / "cal/a.npz", x=pictures())
    np.save(model / "cal/label.npy", np.arange(16))
    _, said = made(mlc, "cal")
    assert "no samples are taken from cal/label.npy" in said


@pytest.mark.parametrize("other, says", [
    (np.zeros((4, 3, 12, 10), np.float32), '"x" is f32[4, 3, 12, 12] in a.npz and f32[4, 3, 12, 10] in b.npz'),
    (np.zeros((4, 3, 12, 12)), '"x" is f32[4, 3, 12, 12] in a.npz and f64[4, 3, 12, 12] in b.npz'),
    (np.zeros((3, 12, 12), np.float32), '"x" is f32[4, 3, 12, 12] in a.npz and f32[3, 12, 12] in b.npz'),
    (np.float32(1), '"x" is f32[4, 3, 12, 12] in a.npz and f32[] in b.npz'),
])
def test_files_that_differ_were_strung_together(mlc, model, other, says):
    np.savez(model / "a.npz", x=pictures(4))
    np.savez(model / "b.npz", x=other)
    done = quantize(mlc, "a.npz", "b.npz")
    assert done.rc == 2 and says in done.stderr and "all other sizes agree" in done.stderr, done.stderr
    assert not (model / "out.onnx").exists()


def test_inputs_in_files_of_their_own_and_in_shared_ones(mlc):
    a, b = two_inputs(mlc)
    np.savez(mlc.cwd / "whole.npz", a=a, b=b)
    expected, _ = made(mlc, "whole.npz")
    np.savez(mlc.cwd / "0.npz", a=a[:3])
    np.savez(mlc.cwd / "1.npz", b=b[:8])
    np.savez(mlc.cwd / "2.npz", a=a[3:], b=b[8:])
    assert made(mlc, "0.npz", "1.npz", "2.npz")[0] == expected
    done = quantize(mlc, "0.npz", "2.npz")
    assert done.rc == 2 and '"b" in 2.npz has 4 samples, others have 12' in done.stderr, done.stderr


def test_samples_taken_at_once_lie_in_several_files(mlc, model):
    proto = residual()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx_models.save(proto, model / "in.onnx")
    data = pictures()
    np.savez(model / "whole.npz", x=data)
    expected, _ = made(mlc, "whole.npz")
    for i, (begin, end) in enumerate([(0, 1), (1, 3), (3, 10), (10, 16)]):
        np.savez(model / f"cal/{i}.npz", x=data[begin:end])
    assert made(mlc, "cal")[0] == expected
    (model / "cal/0.npz").unlink()
    done = quantize(mlc, "cal")
    assert done.rc == 2 and '"x" in cal/1.npz and 2 more files has 15 samples, the input takes 4 at once' in done.stderr, done.stderr


def test_a_folder_without_samples_does_not_say_what_is_missing(mlc, model):
    (model / "cal/notes.txt").write_text("none")
    done = quantize(mlc, "cal")
    assert done.rc == 3 and "cal: is a folder without a file of tensors in it" in done.stderr and ".npz" in done.stderr, done.stderr


def test_samples_counted_double(mlc, model):
    np.savez(model / "cal/a.npz", x=pictures())
    for twice in (("cal/a.npz", "cal/a.npz"), ("cal", "cal/../cal/a.npz")):
        done = quantize(mlc, *twice)
        assert done.rc == 2 and "the file of samples is given twice" in done.stderr, done.stderr


def test_more_files_than_can_be_open(mlc, model):
    data = pictures(100)
    for i in range(100):
        np.save(model / f"cal/{i}.npy", data[i:i + 1])
    command = [mlc.binary, "quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "cal", "--no-verify"]
    done = subprocess.run(command, cwd=model, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert done.returncode == 0, done.stderr


def test_an_output_replaced_a_sample_of_the_folder(mlc, model):
    np.savez(model / "cal/a.npz", x=pictures())
    before = (model / "cal/a.npz").read_bytes()
    done = quantize(mlc, "cal", more=("--report", "cal/a.npz"))
    assert done.rc == 2 and 'is the file "cal" of --calib, of which it would replace "cal/a.npz"' in done.stderr, done.stderr
    assert (model / "cal/a.npz").read_bytes() == before


def test_checkpoints_are_rounded_by_samples_of_a_folder(mlc, tmp_path):
    rng = np.random.default_rng(0)
    torch.save({"fc.weight": torch.from_numpy(rng.standard_normal((32, 64), np.float32)), "fc.bias": torch.zeros(32)}, tmp_path / "l.pt")
    (tmp_path / "l.yaml").write_text('mlc: architecture/1\ninputs: ["x:f32[batch=1..8,64]"]\nmodules:\n  fc: {type: Linear, in_features: 64, '
                                     'out_features: 32}\nforward: |\n  def forward(self, x: Tensor) -> Tensor:\n      return self.fc(x)\n')
    data = rng.standard_normal((32, 64), np.float32)
    np.savez(tmp_path / "x.npz", x=data)
    (tmp_path / "cal").mkdir()
    for i in range(4):
        np.savez(tmp_path / f"cal/{i}.npz", x=data[8 * i:8 * i + 8])
    given = ("--arch", "l.yaml")
    ways = {"quantize": ("--scheme", "int4", "--rounding", "gptq", "--min-elements", "0"), "prune": ("--method", "wanda", "--amount", "0.5")}
    for verb, way in ways.items():
        tensors = []
        for calib in ("x.npz", "cal"):
            mlc.ok(verb, "l.pt", "-o", "q.safetensors", "-f", *way, *given, "--calib", calib)
            from safetensors.torch import load_file  # pylint: disable=import-outside-toplevel
            tensors.append(load_file(tmp_path / "q.safetensors"))
        assert tensors[0].keys() == tensors[1].keys() and all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_labels_in_a_folder_of_their_own(mlc, model):
    data = pictures()
    np.savez(model / "cal/0.npz", x=data[:8])
    np.savez(model / "cal/1.npz", x=data[8:])
    (model / "told").mkdir()
    np.savez(model / "told/0.npz", labels=np.arange(12) % 10)
    np.savez(model / "told/1.npz", labels=np.arange(4))
    answer = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--max-drop", "100%", "--labels", "told", "--calib", "cal", "--json").json
    assert answer["max_drop"]["of"] == "labels" and answer["samples"] == 16


def test_a_folder_that_is_one_checkpoint_stays_one(mlc, model):
    from torch.distributed import checkpoint as dcp  # pylint: disable=import-outside-toplevel
    data = pictures()
    shutil.rmtree(model / "cal")
    dcp.save({"x": torch.from_numpy(data)}, checkpoint_id=os.fspath(model / "cal"), no_dist=True)
    np.savez(model / "whole.npz", x=data)
    expected, _ = made(mlc, "whole.npz")
    assert made(mlc, "cal")[0] == expected
