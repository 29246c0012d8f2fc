"""`mlc quantize --onnx int4 --rounding gptq`: codes by what weights are multiplied with, beside a reference in numpy and on rows that were not seen."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import onnx_models
from test_quantize_onnx import attention, initializers, node, operators, value, weight
from cpu import needs_whole_sums

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")


def inputs(seed, rows=512, channels=128):
    """Of a low rank with noise and a few large channels, as layers of transformers have them."""
    random = np.random.default_rng([5, seed])
    basis = np.random.default_rng(5).standard_normal((channels // 8, channels))
    x = random.standard_normal((rows, channels // 8)) @ basis / 4 + 0.1 * random.standard_normal((rows, channels))
    x[:, 7::channels // 4] *= 20
    return x.astype(np.float32)


def product(columns=128, rows=48, op="MatMul"):
    sizes = {"MatMul": (columns, rows), "Gemm": (rows, columns)}[op]
    more = {"transB": 1} if op == "Gemm" else {}
    return onnx_models.model([node(op, ["x", "w"], "y", **more)], [value("x", "n", columns)], [value("y", "n", rows)], [weight("w", *sizes)],
                             opset=21, ir=10)


def outputs(path, data):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": data[i:i + 1]})[0] for i in range(len(data))]).astype(np.float64)


def db(wanted, found):
    return 10 * np.log10((wanted ** 2).sum() / ((wanted - found) ** 2).sum())


def quantize(mlc, proto, data, *args):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", data)
    done = mlc.ok("quantize", source, "-o", "out.onnx", "-f", "--min-elements", "0", "--calib", "x.npy", "--min-cosine", "-1", "--json", *args)
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return done.json, source, mlc.cwd / "out.onnx"


GPTQ = ("--onnx", "int4", "--rounding", "gptq")


def reference(w, x, block, symmetric):
    """GPTQ as Frantar et al. publish it (gptq.py), scales as MatMulNBits has them: codes, scales, zero points of W [rows, columns]."""
    w, columns = w.astype(np.float64), w.shape[1]
    gram = x.astype(np.float64).T @ x
    gram[np.diag_indices(columns)] += 0.01 * np.diag(gram).mean()
    upper = np.linalg.cholesky(np.linalg.inv(gram)).T
    codes, scales, zeros = np.zeros(w.shape), [], []
    for j in range(columns):
        if j % block == 0:
            part = w[:, j:j + block]
            low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
            scale = (np.maximum(high, -low) / 7 if symmetric else (high - low) / 15).astype(np.float16).astype(np.float64)
            zero = np.full_like(scale, 8) if symmetric else np.clip(np.rint(-low / scale), 0, 15)
            scales.append(scale)
            zeros.append(zero)
        codes[:, j] = np.clip(np.rint(w[:, j] / scale + zero), 1 if symmetric else 0, 15)
        error = (w[:, j] - scale * (codes[:, j] - zero)) / upper[j, j]
        w[:, j:] -= np.outer(error, upper[j, j:])
    return codes, np.stack(scales, 1), np.stack(zeros, 1)


def blocks(path, rows, columns, block):
    """What the file has for the weight w of MatMulNBits: codes, scales, zero points."""
    made = initializers(path)
    codes = np.stack([made["w_quantized"] & 15, made["w_quantized"] >> 4], -1).reshape(rows, -1)[:, :columns]
    scales = made["w_scale"].reshape(rows, -1)
    zeros = np.full(scales.shape, 8)
    if "w_zero_point" in made:
        packed = made["w_zero_point"].reshape(rows, -1)
        zeros = np.stack([packed & 15, packed >> 4], -1).reshape(rows, -1)[:, :scales.shape[1]]
    return codes, scales, zeros, np.repeat(scales, block, 1)[:, :columns] * (codes - np.repeat(zeros.astype(float), block, 1)[:, :columns])


@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
@pytest.mark.parametrize("columns, block, symmetric", [(128, 32, False), (128, 32, True), (128, 64, False), (104, 16, False), (80, 128, True)])
def test_codes_are_those_of_the_paper(mlc, op, columns, block, symmetric):
    data = inputs(0, channels=columns)
    _, source, out = quantize(mlc, product(columns, op=op), data, *GPTQ, "--block", str(block), *(["--symmetric"] if symmetric else []))
    codes, scales, zeros, back = blocks(out, 48, columns, block)
    w = initializers(source)["w"]
    w = w.T if op == "MatMul" else w
    wanted, wanted_scales, wanted_zeros = reference(w, data, block, symmetric)
    assert (codes == wanted).mean() > 0.99 and (zeros == wanted_zeros).mean() > 0.99
    np.testing.assert_allclose(scales, wanted_scales, rtol=2e-3)
    best = np.repeat(wanted_scales, block, 1)[:, :columns] * (wanted - np.repeat(wanted_zeros, block, 1)[:, :columns])
    error, least = (np.linalg.norm(data.astype(np.float64) @ (v - w).T) for v in (back, best))
    assert error < 1.02 * least


@pytest.mark.parametrize("form", ["int4", "int4-qdq"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_outputs_of_rows_that_were_not_seen_are_nearer(mlc, valid, form, symmetric):
    more = ["--symmetric"] if symmetric else []
    found = {}
    for rounding in ("rtn", "mse", "gptq"):
        samples = () if rounding == "gptq" else ("--max-drop", "100%")  # so that --calib has a use
        answer, source, out = quantize(mlc, product(), inputs(0), "--onnx", form, "--rounding", rounding, *more, *samples)
        valid(answer, "quantize-onnx")
        assert answer["rounding"] == rounding and ("by_data" in answer) == (rounding == "gptq")
        found[rounding] = db(outputs(source, inputs(1)), outputs(out, inputs(1)))
    assert found["gptq"] > max(found["rtn"], found["mse"]) + 2, found
    by_data = answer["by_data"]
    assert (by_data["weights"], by_data["samples"]) == (1, 512)
    assert by_data["output_sqnr_db"] > by_data["output_sqnr_db_nearest"] + 2
    text = mlc.ok("quantize", source, "-n", "--min-elements", "0", "--calib", "x.npy", *GPTQ, "--report", "r.html").stdout
    assert "rounding   gptq" in text and "1 weight by 512 samples: outputs of their layers" in text


def test_layers_that_share_their_input_and_one_layer_with_several(mlc):
    """Three products of x; then one weight that is read with two activations."""
    answer, source, out = quantize(mlc, attention(), inputs(0, 320, 64).reshape(64, 5, 64), *GPTQ)
    assert answer["by_data"]["weights"] == 3
    nodes = [node("MatMul", ["x", "w"], "p"), node("Relu", ["p"], "r"), node("MatMul", ["r", "w"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], [weight("w", 64, 64)])
    data = inputs(0, channels=64)
    answer, source, out = quantize(mlc, proto, data, *GPTQ)
    assert answer["by_data"]["weights"] == 1 and operators(out)["MatMulNBits"] == 2
    w = initializers(source)["w"].T
    both = np.concatenate([data, np.maximum(data @ w.T, 0)])
    codes = blocks(out, 64, 64, 32)[0]
    assert (codes == reference(w, both, 32, False)[0]).mean() > 0.98
    assert (codes == reference(w, data, 32, False)[0]).mean() < 0.9, "x alone would say something else"


def test_weights_became_zero_whose_inputs_the_samples_never_show(mlc):
    shown = inputs(0)
    shown[:, ::2] = 0
    _, source, out = quantize(mlc, product(), shown, *GPTQ)
    hidden = np.zeros_like(shown)
    hidden[:, ::2] = inputs(1)[:, ::2]
    assert db(outputs(source, hidden), outputs(out, hidden)) > 15
    said = mlc.ok("quantize", "in.onnx", "-n", "--min-elements", "0", "--min-cosine", "-1", "--calib", "x.npy", *GPTQ).stderr
    assert "64 inputs of 1 layer never vary, they are 0 in all samples (w); their weights get the nearest codes" in said


def test_samples_without_elements_say_nothing(mlc):
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", "s", 64)], [value("y", "n", "s", 64)], [weight("w", 64, 64)])
    answer, _, out = quantize(mlc, proto, np.zeros((9, 0, 64), np.float32), *GPTQ)
    assert "by_data" not in answer
    first = out.read_bytes()
    mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--min-elements", "0", "--onnx", "int4", "--no-verify")
    assert out.read_bytes() == first, "as without"
    assert "samples tell of no weight" in mlc("quantize", "in.onnx", "-n", "--min-elements", "0", "--calib", "x.npy", *GPTQ).stderr


@needs_whole_sums
def test_goals_run_the_samples_once(mlc, valid):
    """--max-drop and --target-size make many models, of the same codes."""
    nodes = [node("MatMul", ["x", "a"], "p"), node("Relu", ["p"], "r"), node("MatMul", ["r", "w"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 128)], [value("y", "n", 96)], [weight("a", 128, 128), weight("w", 128, 96, seed=3)])
    answer, source, out = quantize(mlc, proto, inputs(0), *GPTQ)
    codes = initializers(out)["w_quantized"]
    answer, source, out = quantize(mlc, proto, inputs(0), *GPTQ, "--max-drop", "0.22%")
    valid(answer, "quantize-onnx")
    assert len(answer["max_drop"]["trail"]) > 1 and {one["scheme"] for one in answer["quantized"]} == {"int8", "int4:g32"}, answer["quantized"]
    name = next(one["name"] for one in answer["quantized"] if one["scheme"] != "int8")
    if name == "w":
        assert np.array_equal(initializers(out)["w_quantized"], codes)
    answer, source, out = quantize(mlc, proto, inputs(0), *GPTQ, "--target-size", "24000", "--write-recipe", "r.yaml")
    assert out.stat().st_size <= 24000 and "rounding: gptq" in (mlc.cwd / "r.yaml").read_text()
    mlc.ok("quantize", "in.onnx", "-o", "again.onnx", "--onnx", "int4", "--recipe", "r.yaml", "--calib", "x.npy", "--min-cosine", "-1")
    assert initializers(mlc.cwd / "again.onnx").keys() == initializers(out).keys()


def test_the_same_samples_give_the_same_bytes(mlc):
    first = quantize(mlc, product(), inputs(0), *GPTQ, "--threads", "1")[2].read_bytes()
    assert quantize(mlc, product(), inputs(0), *GPTQ, "--threads", "3")[2].read_bytes() == first


@pytest.mark.parametrize("args, code, says", [
    ("--onnx int4 --rounding gptq", 2, "--rounding gptq needs samples of inputs"),
    ("--rounding gptq --calib x.npy", 2, "for --onnx int4"),
    ("--onnx static --rounding gptq --calib x.npy", 2, "for --onnx int4"),
    ("--onnx int4 --rounding gptq --calib bad.npy", 2, "127"),
    ("--onnx int4 --rounding gptq --calib nan.npy", 1, "NaN or infinite"),
])
def test_bad_input(mlc, args, code, says):
    onnx_models.save(product(), mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", inputs(0, 9))
    np.save(mlc.cwd / "bad.npy", inputs(0, 9)[:, :127])
    np.save(mlc.cwd / "nan.npy", np.full((9, 128), np.nan, np.float32))
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", *args.split())
    assert done.rc == code and says in done.stderr, done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


def test_inputs_that_are_not_finite_are_named(mlc):
    nodes = [node("Log", ["x"], "l"), node("MatMul", ["l", "w"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], [weight("w", 64, 64)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", np.full((9, 64), -1, np.float32) + np.arange(9, dtype=np.float32)[:, None] / 100)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", "--calib", "x.npy", *GPTQ)
    assert done.rc == 1 and 'activation "l" has values that are not finite' in done.stderr, done.stderr


def test_weights_that_are_not_finite_are_kept(mlc):
    proto = product()
    values = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    values[3, 5] = np.inf
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", inputs(0, 9))
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", "--calib", "x.npy", "--no-verify", *GPTQ)
    assert done.rc == 0 and "w (1 weight not finite)" in done.stderr, done.stderr


def test_more_samples_need_no_more_memory(mlc):
    """Peak memory beside the mapped file of samples: sums are kept, not what was summed up."""
    nodes = [node("MatMul", ["x", "a"], "p"), node("Relu", ["p"], "r"), node("MatMul", ["r", "w"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 256, 64)], [value("y", "n", 256, 64)], [weight("a", 64, 512), weight("w", 512, 64)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    peaks = []
    for count in (16, 160):
        np.save(mlc.cwd / "x.npy", inputs(0, 256 * count, 64).reshape(count, 256, 64))
        command = [mlc.binary, "-q", "quantize", "in.onnx", "-o", "out.onnx", "-f", "--calib", "x.npy", "--no-verify", *GPTQ]
        script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
                 "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", script, *map(str, command)], cwd=mlc.cwd, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) - (mlc.cwd / "x.npy").stat().st_size // 1024)
    # 144 samples more are 75 MB of what the second layer reads.
    assert peaks[1] < peaks[0] + 30_000, peaks
