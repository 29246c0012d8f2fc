"""Sizes that exported programs (.pt2) compute, and what their guards say of them: mlc run, export-onnx and trace
against PyTorch, on both sides of each rounding."""

import re

import numpy as np
import pytest
import torch
from torch._export.serde import serialize
import torch.nn.functional as F
from torch import nn

pytestmark = [pytest.mark.usefixtures("onnxruntime_engine", "engine"), pytest.mark.filterwarnings("ignore")]

FREE = torch.export.Dim.AUTO


class Function(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


def export(module, inputs, path, shapes=None, decompose=False):
    shapes = shapes or ({dim: FREE for dim in range(inputs[0].ndim)},)
    program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)
    program = program.run_decompositions() if decompose else program
    # Another test of the same process can leave math.trunc behind as an object that the writer does not know.
    serialize._SYM_OPS.update(node.target for node in program.graph.nodes if getattr(node.target, "__module__", "") == "math")
    torch.export.save(program, path)
    return program


def in_onnxruntime(path, *inputs):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {one.name: np.asarray(x) for one, x in zip(session.get_inputs(), inputs)})


def in_mlc(mlc, tmp_path, **inputs):
    options = []
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", np.asarray(value))
        options += ["--input", f"{name}=@{name}.npy"]
    mlc.ok("run", "m.pt2", *options, "-o", "out.npz", "--force")
    archive = np.load(tmp_path / "out.npz")
    return [archive[name] for name in archive.files]


def even(x):
    return F.pad(x, (0, x.shape[1] % 2)).view(x.shape[0], -1, 2)


def blocks_of_four(x):
    padded = F.pad(x, (0, (4 - x.shape[1] % 4) % 4))
    return padded.view(x.shape[0], padded.shape[1] // 4, 4).permute(1, 0, 2).reshape(-1, 4)


def counted(size_of):
    """Sizes that no operator rounds: as many as SIZE_OF the columns."""
    return lambda x: x.sum() + torch.arange(size_of(x.shape[1]), dtype=torch.float32)


# name -> what it does, how many columns it is asked for: both sides of roundings, in doubles, floats and exactly
SIZES = {
    "remainder": (even, [6, 7, 13, 4, 5]),
    "remainder of a difference": (blocks_of_four, [6, 7, 8, 9, 12, 13]),
    "times in doubles": (counted(lambda n: torch.sym_int(n * 0.29)), [30, 100, 99, 101, 7]),  # 28.999999999999996
    "divided and rounded": (counted(lambda n: torch.sym_int(n / 3 + 0.7)), [6, 7, 8, 9, 10]),
    "root": (counted(lambda n: torch.sym_int(torch.sym_sqrt(n * 4))), [6, 4, 9, 15, 16, 17]),
    "half": (counted(lambda n: torch.sym_int(n * 0.5)), [6, 7, 4, 13]),
    "resized by a factor": (lambda x: F.interpolate(x[None, None], scale_factor=1.3), [6, 7, 10, 20, 13, 3, 2]),
    "resized by more than twice": (lambda x: F.interpolate(x[None, None], scale_factor=2.3), [6, 7, 3, 2, 4, 13]),
    "resized and recomputed": (lambda x: F.interpolate(x[None, None], scale_factor=0.7, mode="bilinear",
                                                       recompute_scale_factor=True), [6, 7, 10, 20, 13]),
    "steps that are no integers": (lambda x: x.sum() + torch.arange(0.5, x.shape[1] // 2, 1.0) / 3, [8, 9, 15, 16, 17]),
}


@pytest.mark.parametrize("decompose", [False, True], ids=["raw", "decomposed"])
@pytest.mark.parametrize("name", SIZES)
def test_sizes_in_floating_point_and_remainders_were_unknown_at_run_time(mlc, tmp_path, name, decompose):
    call, columns = SIZES[name]
    program = export(Function(call), (torch.randn(4, columns[0]),), tmp_path / "m.pt2", decompose=decompose)
    mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    mlc.ok("trace", "m.pt2", "-o", "m.pt")
    script = torch.jit.load(str(tmp_path / "m.pt"))
    for width in columns:
        x = torch.randn(5 if width > 4 else 3, width)
        wanted = call(x).numpy()
        np.testing.assert_array_equal(wanted.shape, program.module()(x).shape)
        for found in (in_onnxruntime(tmp_path / "m.onnx", x)[0], in_mlc(mlc, tmp_path, x=x)[0], script(x).numpy()):
            assert found.shape == wanted.shape, (width, found.shape, wanted.shape)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class Quiet(nn.Module):
    """Blocks without gradients and without autocast, which take sizes and give some."""

    def forward(self, x, y):
        with torch.no_grad():
            wide = x.float()[:, :, None].expand(-1, -1, x.shape[0])
            rows = torch.arange(y.shape[1]) + x.shape[1]
            with torch.autocast("cpu", enabled=False):
                square = x.float() @ x.float().t() * x.shape[0]
        return wide.sum(2) * y.sum() + rows.sum(), square.relu()


@pytest.mark.parametrize("decompose", [False, True], ids=["raw", "decomposed"])
def test_a_block_without_gradients_that_takes_a_size_was_refused(mlc, tmp_path, decompose):
    inputs = torch.randn(3, 4), torch.randn(2, 5)
    program = export(Quiet(), inputs, tmp_path / "m.pt2", ({0: FREE, 1: FREE}, {1: FREE}), decompose)
    assert decompose or "wrap_with_set_grad_enabled" in str(program.graph)
    mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    for given in (inputs, (torch.randn(5, 2), torch.randn(2, 3))):
        with torch.no_grad():
            wanted = Quiet()(*given)
        names = dict(zip(("x", "y"), given))
        for found in (in_onnxruntime(tmp_path / "m.onnx", *given), in_mlc(mlc, tmp_path, **names)):
            for ours, theirs in zip(found, wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_guard_in_floating_point_was_not_kept(mlc, tmp_path):
    program = export(Function(lambda x: x[:, :int(x.shape[1] * 0.5)]), (torch.randn(4, 6),), tmp_path / "m.pt2")
    with pytest.raises(AssertionError, match="Guard failed"):
        program.module()(torch.randn(4, 13))
    said = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert "x.size(1) is 6 to 7 only: the export relies on trunc(0.5*float(x.size(1))) == 3" in said.stderr
    assert "seq=7" in said.stdout and "seq=13" not in said.stdout, said.stdout
    for width in (6, 7):
        x = torch.randn(4, width)
        np.testing.assert_array_equal(in_mlc(mlc, tmp_path, x=x)[0], program.module()(x))
    for width in (5, 8, 13):
        np.save(tmp_path / "x.npy", np.zeros((4, width), np.float32))
        refused = mlc("run", "m.pt2", "--input", "x=@x.npy")
        assert refused.rc == 2 and "must be 6 to 7" in refused.stderr, refused


def test_a_dimension_that_a_guard_freezes_was_called_free(mlc, tmp_path):
    def call(x):
        return x * torch.ones(int((x.shape[1] ** 2) * 0.25 + 0.5))[:1]
    export(Function(call), (torch.randn(4, 6),), tmp_path / "m.pt2")
    said = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert "x.size(1) is 6 only: the export relies on trunc(" in said.stderr, said.stderr
    assert "f32[batch, 6]" in said.stdout
    refused = mlc("run", "m.pt2", "--input", "x:f32[4,7]")
    assert refused.rc == 2 and "must be 6, which the export fixed" in refused.stderr


def test_two_guards_freeze_a_dimension_together(mlc, tmp_path):
    export(Function(lambda x: torch.split(x, 2, 1)[0]), (torch.randn(4, 6),), tmp_path / "m.pt2")
    said = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert re.search(r"x.size\(1\) is 6 only: the export relies on .*x.size\(1\).* and on .*x.size\(1\)", said.stderr), said


def test_a_guard_of_several_sizes_is_named(mlc, tmp_path):
    def call(x):
        n = int(x.shape[0] * 0.5 + x.shape[1])
        return x.sum() + torch.zeros(n)
    export(Function(call), (torch.randn(4, 6),), tmp_path / "m.pt2")
    refused = mlc("run", "m.pt2", "--input", "x:f32[4,7]")
    assert refused.rc == 2 and "holds only where trunc(" in refused.stderr, refused.stderr
    mlc.ok("run", "m.pt2", "--input", "x:f32[5,6]")


class Remembering(nn.Module):
    def forward(self, x, past, mask):
        steps = x.shape[1] + past.shape[1]
        return torch.cat([past, x], 1) + (mask.sum() if steps - mask.shape[1] <= 0 and mask.shape[1] <= steps else 0)


def test_sizes_that_guards_tie_were_tried_one_by_one(mlc, tmp_path):
    # A refused other lengths of x and past, and so neither was tried.
    inputs = torch.randn(2, 3), torch.randn(2, 5), torch.randn(2, 8)
    export(Remembering(), inputs, tmp_path / "m.pt2", ({1: FREE}, {1: FREE}, {1: FREE}))
    said = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert "seed 0, seq=7" in said.stdout and "not checked" not in said.stdout, said
    assert "takes" not in said.stderr
