"""Whole models become ONNX: from torch.export and from a trace, compared by mlc itself at two sizes of each
varying dimension, and once more here, with ONNX Runtime against PyTorch."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from torch.export import Dim

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import zoo  # noqa: E402
from cpu import WIDTH  # noqa: E402
from extent import part  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore"),
              pytest.mark.skipif("MLC_SANITIZED" in os.environ, reason="the sanitized build has no ONNX")]
ROOT = pathlib.Path(__file__).resolve().parents[2]
MLC = pathlib.Path(os.environ.get("MLC", ROOT / "build/release/bin/mlc")).resolve()

# What mlc refuses, with the words that it has for it; everything else must come out right.
REFUSED = {
    ("falcon", "pt2"): "run_decompositions",
    ("falcon", "trace"): "a size was fixed when it was traced",
    ("mamba", "trace"): "seq = 10 only",
    ("funnel", "trace"): "cannot become ONNX",
}


def spec(name, tensor, dims):
    sizes = [f"{dims[i]}={size}" if i in dims else str(size) for i, size in enumerate(tensor.shape)]
    kind = {torch.float32: "f32", torch.int64: "i64"}[tensor.dtype]
    values = f"={int(tensor.min())}..{int(tensor.max())}" if kind == "i64" else ""
    return f"{name}:{kind}[{','.join(sizes)}]{values}"


def save(model, inputs, dims, how, path):
    with torch.no_grad():
        if how == "trace":
            torch.jit.trace(model, tuple(inputs.values()), strict=False, check_trace=False).save(path)
            return
        shapes = tuple({i: Dim.DYNAMIC for i in dims.get(name, {})} for name in inputs)
        torch.export.save(torch.export.export(model, tuple(inputs.values()), dynamic_shapes=shapes, strict=False), path)


def run(path, inputs):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: inputs[name].numpy() for name in names})[0]


def cases():
    """Each model in one form, the next one in the other; all in both with MLC_ALL=1."""
    whole = [(name, how) for name in sorted(zoo.MODELS) for how in ("pt2", "trace")]
    return sorted(part(whole[::2], 2) + part(whole[1::2], 2, first=1))


@pytest.mark.parametrize("name, how", cases())
def test_a_model_becomes_onnx(tmp_path, name, how):
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    model, inputs, dims = zoo.MODELS[name]()
    path = tmp_path / ("m.pt2" if how == "pt2" else "m.pt")
    try:
        save(model, inputs, dims, how, path)
    except Exception as problem:  # pylint: disable=broad-exception-caught
        pytest.skip(f"PyTorch does not: {type(problem).__name__}: {str(problem)[:100]}")
    arguments = [one for label, tensor in inputs.items() for one in ("--input", spec(label, tensor, dims.get(label, {})))]
    done = subprocess.run([MLC, "export-onnx", path, "-o", tmp_path / "m.onnx", *arguments], capture_output=True, text=True, check=False)
    if (name, how) in REFUSED:
        assert done.returncode != 0 and REFUSED[name, how] in done.stderr, done.stderr
        return
    assert done.returncode == 0, done.stderr
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    with torch.no_grad():
        wanted = model(*inputs.values()).numpy()
    np.testing.assert_allclose(run(tmp_path / "m.onnx", inputs), wanted, rtol=1e-3, atol=1e-4)
    if how == "pt2":
        check_quantised(tmp_path, inputs, arguments)


def check_quantised(folder, inputs, arguments):
    """The same model with weights of 8 bits, which its own gates have to let pass too."""
    plain = run(folder / "m.onnx", inputs).astype(np.float64).ravel()
    for form in ("dynamic", "weight-only"):
        width = WIDTH if form == "dynamic" else []
        done = subprocess.run([MLC, "quantize", folder / "m.onnx", "-o", folder / f"{form}.onnx", "--onnx", form, "--min-elements", "256",
                               "--samples", "1", *width, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        onnx.checker.check_model(str(folder / f"{form}.onnx"), full_check=True)
        found = run(folder / f"{form}.onnx", inputs).astype(np.float64).ravel()
        # Some untrained models give nothing but zeros.
        assert found @ plain >= 0.999 * np.linalg.norm(found) * np.linalg.norm(plain), form
