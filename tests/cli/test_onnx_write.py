"""What the writer of ONNX models writes is what onnx checks and ONNX Runtime computes with."""

import subprocess

import numpy as np
import onnx
import pytest

from conftest import BINARY

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
TOOL = BINARY.with_name("write_onnx_samples")


def write(folder, *args):
    """Runs the tool; the peak of its resident memory, in bytes."""
    if not TOOL.exists():
        pytest.fail(f"{TOOL} is not built; it comes with the unit tests")
    done = subprocess.run([TOOL, folder, *map(str, args)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout) * 1024


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A folder with the models of tests/unit/onnx_write/sample_models.h."""
    folder = tmp_path_factory.mktemp("samples")
    write(folder)
    return folder


def run(path, inputs):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def ramp(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def linear(x):
    return {"y": x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + np.array([10, 20], np.float32)}


def branch(x, flag):
    return {"y": x + (x + 1) if flag else x * 2}


def symbolic(x, like):
    y = (x + 1).reshape(-1, 6)
    return {"y": y, "half": y[:len(like)]}


def reductions(x):
    m = x.mean(1, keepdims=True)
    return {"m": m, "s": x.sum(1, keepdims=True) + m + x.sum(0, keepdims=True)}


def three_tensors(x):
    return {"y": x + 1 + 2 + 4}


def passed_through(x):
    y = np.maximum(x, 0)
    return {"y": y, "again": y, "same": x, "fixed": np.array([5], np.float32)}


CASES = [
    ("linear", linear, {"x": ramp(4, 3)}),
    ("branch", branch, {"x": ramp(2), "flag": np.array(True)}),
    ("branch", branch, {"x": ramp(2), "flag": np.array(False)}),
    ("symbolic", symbolic, {"x": ramp(5, 2, 3), "like": ramp(2)}),
    ("reductions_13", reductions, {"x": ramp(2, 3)}),
    ("reductions_18", reductions, {"x": ramp(2, 3)}),
    ("three_tensors", three_tensors, {"x": ramp(300, 256)}),
    ("three_tensors_outside", three_tensors, {"x": ramp(300, 256)}),
    ("passed_through", passed_through, {"x": np.array([-1, 2], np.float32)}),
]


@pytest.mark.parametrize("name, expected, inputs", CASES)
def test_onnxruntime_computes_what_the_model_means(samples, name, expected, inputs):
    outputs = run(samples / f"{name}.onnx", inputs)
    wanted = expected(**inputs)
    assert outputs.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_allclose(outputs[key], value, rtol=1e-6)


def test_onnx_accepts_all(samples):
    paths = sorted(samples.glob("*.onnx"))
    assert {p.stem for p in paths} == {case[0] for case in CASES}
    for path in paths:
        onnx.checker.check_model(path, full_check=True)


def test_onnx_would_write_the_same_bytes(samples, tmp_path):
    for path in samples.glob("*.onnx"):
        onnx.save(onnx.load(path, load_external_data=False), tmp_path / "again.onnx")
        assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes(), path.name


def test_mlc_runs_what_it_writes(mlc, samples):
    answer = mlc.ok("run", samples / "three_tensors_outside.onnx", "--input", "x:f32[300,256]=1", "--json").json
    assert (answer["outputs"][0]["min"], answer["outputs"][0]["max"]) == (8, 8)


def test_a_gigabyte_of_weights_needs_the_memory_of_one(tmp_path):
    one = 64 * 2**20
    peak = write(tmp_path, 16, 4096)  # 16 weights of 64 MiB
    size = (tmp_path / "wide.onnx").stat().st_size
    (tmp_path / "wide.onnx").unlink()  # pytest would keep it
    assert 16 * one < size < 16 * one + 10_000
    assert one < peak < one + 40 * 2**20
