"""`mlc quantize --onnx static`: ranges of activations from samples, what ONNX Runtime makes of the result."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from onnx import TensorProto, numpy_helper

import onnx_models
from cpu import ADDS_IN_16_BITS, needs_whole_sums
from test_quantize_onnx import cosine, fused, initializers, node, operators, value, weight

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")


def residual(norms=False):
    """A small ResNet: a stem, a block that adds its input, pools, a head; with batch norms or without."""
    def conv(x, y, name, cin, cout, k):
        out = [node("Conv", [x, name, name + "_b"], y + "_c" if norms else y, pads=[k // 2] * 4)]
        weights = [numpy_helper.from_array(numpy_helper.to_array(weight(name, cout, cin, k, k)) * 0.15, name), weight(name + "_b", cout)]
        if norms:
            parts = [numpy_helper.from_array(np.abs(numpy_helper.to_array(weight(name + p, cout, seed=len(p)))) + 0.5, name + p)
                     for p in ("_gamma", "_var_")]
            parts += [weight(name + "_beta", cout, seed=5), weight(name + "_mean", cout, seed=6)]
            out.append(node("BatchNormalization", [y + "_c", name + "_gamma", name + "_beta", name + "_mean", name + "_var_"], y))
            weights += parts
        return out, weights
    nodes, weights = [], []
    for args in [("x", "s", "w0", 3, 32, 3), None, ("p", "a", "w1", 32, 32, 3), None, ("ar", "b", "w2", 32, 32, 3)]:
        if args:
            more = conv(*args)
            nodes += more[0]
            weights += more[1]
        elif len(nodes) < 3:
            nodes += [node("Relu", ["s"], "sr"), node("MaxPool", ["sr"], "p", kernel_shape=[2, 2], strides=[2, 2])]
        else:
            nodes.append(node("Clip", ["a", "zero", "six"], "ar"))
    nodes += [node("Add", ["b", "p"], "t"), node("Relu", ["t"], "tr"), node("GlobalAveragePool", ["tr"], "g"), node("Flatten", ["g"], "f"),
              node("Gemm", ["f", "head", "head_b"], "y", transB=1)]
    weights += [weight("head", 10, 32), weight("head_b", 10), numpy_helper.from_array(np.float32(0), "zero"),
                numpy_helper.from_array(np.float32(6), "six")]
    return onnx_models.model(nodes, [value("x", "n", 3, 12, 12)], [value("y", "n", 10)], weights)


def samples(path, count=16, **more):
    data = np.random.default_rng(3).standard_normal((count, 3, 12, 12), np.float32)
    np.savez(path, **{"x": data, **more})
    return data


def run(path, data):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": data})[0]


def quantize(mlc, proto, *args, count=16):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    data = samples(mlc.cwd / "x.npz", count)
    done = mlc("quantize", source, "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz", *args)
    assert done.rc == 0, done.stderr
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return data, source, mlc.cwd / "out.onnx"


@pytest.mark.parametrize("norms", [False, True], ids=["plain", "norms"])
@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_the_result_computes_what_the_model_does(norms, method, mlc):
    data, source, out = quantize(mlc, residual(norms), "--calib-method", method, "-f")
    assert cosine(run(source, data), run(out, data)) > 0.999
    assert operators(out)["BatchNormalization"] == 0 and operators(out)["Relu"] == operators(out)["Clip"] == 0


def test_onnx_runtime_computes_all_of_it_in_bytes(mlc, tmp_path):
    _, _, out = quantize(mlc, residual())
    found = fused(out, tmp_path)
    assert (found["QLinearConv"], found["QLinearAdd"], found["QLinearGlobalAveragePool"], found["QGemm"]) == (3, 1, 1, 1)
    assert found["QuantizeLinear"] == 1 and found["Conv"] == found["Relu"] == found["MaxPool"] == 0


def test_codes_of_activations_weights_and_biases(mlc):
    """The ends of ranges are those of the samples; a bias has the product of both scales."""
    data, source, out = quantize(mlc, residual())
    made = initializers(out)
    assert made["x_scale"] == np.float32((data.max() - data.min()) / 255) and made["x_zero_point"].dtype == np.uint8
    assert made["x_zero_point"] == round(float(-data.min() / made["x_scale"]))
    assert made["sr_zero_point"] == made["tr_zero_point"] == 0, "what Relu leaves has no sign"
    given = {t.name: numpy_helper.to_array(t) for t in onnx.load(source).graph.initializer}
    scale = np.abs(given["w0"]).reshape(32, -1).max(1) / np.float32(127)
    assert np.array_equal(made["w0_scale"], scale.astype(np.float32)) and made["w0_quantized"].shape == (32, 3, 3, 3)
    assert made["w0_b_quantized"].dtype == np.int32
    assert np.array_equal(made["w0_b_scale"], made["x_scale"] * made["w0_scale"])
    assert np.array_equal(made["w0_b_quantized"], np.rint(given["w0_b"].astype(np.float64) / made["w0_b_scale"]).astype(np.int32))
    assert not any(array.dtype == np.float32 and array.size > 100 for array in made.values()), "no weight stays in floats"


def test_pools_have_the_scale_of_what_they_move(mlc):
    _, _, out = quantize(mlc, residual())
    made = initializers(out)
    assert "sr_scale" in made and "p_scale" not in made and "f_scale" not in made


def test_a_channel_of_tiny_weights_keeps_its_bias(mlc):
    """Batch norms of dead channels leave weights of 1e-12 and a bias that no int32 of their scale holds."""
    proto = residual()
    array = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    array[5] *= 1e-13
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w0"))
    data, source, out = quantize(mlc, proto)
    made = initializers(out)
    assert abs(made["w0_b_quantized"][5] * made["w0_b_scale"][5] - numpy_helper.to_array(proto.graph.initializer[1])[5]) < 1e-5
    assert cosine(run(source, data), run(out, data)) > 0.999


def test_ends_stay_in_floats_where_that_is_asked_for(mlc):
    _, _, out = quantize(mlc, residual(), "--float-ends")
    assert {"w0", "head"} < set(initializers(out)) and operators(out)["Conv"] == 3


def zero_points(path):
    made = initializers(path)
    return {made[one.input[2]].dtype.name: one for one in onnx.load(path).graph.node if one.op_type == "QuantizeLinear"}


@needs_whole_sums
def test_tensorrt_wants_activations_without_zero_points(mlc, valid):
    data, source, out = quantize(mlc, residual(norms=True), "--int8-target", "trt")
    made = initializers(out)
    assert list(zero_points(out)) == ["int8"]
    assert all(not made[one.input[2]].any() for one in onnx.load(out).graph.node if one.op_type == "QuantizeLinear")
    # DequantizeLinear of int32 is not read there, and codes with a sign do not clip at zero.
    assert not any(array.dtype == np.int32 for array in made.values())
    assert operators(out)["Relu"] == 2 and operators(out)["Clip"] == 1
    assert cosine(run(source, data), run(out, data)) > 0.999
    answer = mlc.ok("quantize", "in.onnx", "-n", "--onnx", "static", "--calib", "x.npz", "--int8-target", "trt", "--json").json
    valid(answer, "quantize-onnx")
    assert answer["int8_target"] == "trt"


def test_openvino_keeps_biases_in_floats(mlc):
    data, source, out = quantize(mlc, residual(), "--int8-target", "openvino")
    assert list(zero_points(out)) == ["uint8"] and not any(array.dtype == np.int32 for array in initializers(out).values())
    assert cosine(run(source, data), run(out, data)) > 0.999
    done = mlc("quantize", "in.onnx", "-o", "b.onnx", "--int8-target", "trt")
    assert done.rc == 2 and "--int8-target is for --onnx static" in done.stderr


def test_outputs_that_bytes_give(mlc):
    """A graph whose output is what a convolution gives, and that is read inside too."""
    nodes = [node("Conv", ["x", "w"], "m", pads=[1] * 4), node("Conv", ["m", "v"], "y", pads=[1] * 4)]
    proto = onnx_models.model(nodes, [value("x", "n", 3, 12, 12)], [value("y", "n", 16, 12, 12), value("m", "n", 16, 12, 12)],
                              [weight("w", 16, 3, 3, 3), weight("v", 16, 16, 3, 3)])
    data, source, out = quantize(mlc, proto, "--reduce-range")  # sums that no CPU cuts
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["y", "m"]
    for a, b in zip(session.run(None, {"x": data}), onnxruntime.InferenceSession(str(source)).run(None, {"x": data})):
        assert cosine(a, b) > 0.999


def test_a_weight_that_is_read_twice_is_stored_once(mlc):
    nodes = [node("Conv", ["x", "w"], "a", pads=[1] * 4), node("Relu", ["a"], "r"), node("Conv", ["r", "w"], "y", pads=[1] * 4)]
    proto = onnx_models.model(nodes, [value("x", "n", 3, 12, 12)], [value("y", "n", 3, 12, 12)], [weight("w", 3, 3, 3, 3)])
    _, _, out = quantize(mlc, proto)
    assert [name for name, array in initializers(out).items() if array.dtype == np.int8 and array.ndim == 4] == ["w_quantized"]


def test_statistics_are_kept_and_used_again(mlc):
    _, _, out = quantize(mlc, residual(), "--stats", "s.json")
    first, stats = out.read_bytes(), json.loads((mlc.cwd / "s.json").read_text())
    assert stats["mlc"] == "quant-stats/1" and stats["samples"] == 16 and sum(stats["activations"]["x"]["bins"]) == 16 * 432
    (mlc.cwd / "x.npz").unlink()
    again = mlc("quantize", "in.onnx", "-o", "out.onnx", "-f", "--onnx", "static", "--stats", "s.json")
    assert again.rc == 0, again.stderr
    assert out.read_bytes() == first
    other = mlc("quantize", "in.onnx", "-o", "p.onnx", "--onnx", "static", "--stats", "s.json", "--calib-method", "percentile", "--percentile", "95",
                "--min-cosine", "0.5")
    assert other.rc == 0 and (mlc.cwd / "p.onnx").read_bytes() != first, other.stderr
    (mlc.cwd / "s.json").write_text('{"mlc": "quant-stats/1", "samples": 1, "activations": {"x": {"low": 0}}}')
    done = mlc("quantize", "in.onnx", "-o", "q.onnx", "--onnx", "static", "--stats", "s.json")
    assert done.rc == 3 and "s.json" in done.stderr and not (mlc.cwd / "q.onnx").exists()


def test_statistics_replaced_samples_without_a_word(mlc):
    _, _, out = quantize(mlc, residual(), "--stats", "s.json")
    first = out.read_bytes()
    np.save(mlc.cwd / "y.npy", 3 * samples(mlc.cwd / "y.npz", 8))
    args = ("quantize", "in.onnx", "--onnx", "static", "--stats", "s.json", "--calib", "y.npy", "--min-cosine", "-1")
    old = mlc(*args, "-o", "old.onnx")
    assert old.rc == 0 and "ranges come from the 16 samples of s.json, not from --calib" in old.stderr
    assert (mlc.cwd / "old.onnx").read_bytes() == first
    new = mlc(*args, "-o", "old.onnx", "--force")
    assert new.rc == 0 and "ranges come from" not in new.stderr
    assert (mlc.cwd / "old.onnx").read_bytes() != first and json.loads((mlc.cwd / "s.json").read_text())["samples"] == 8


def test_only_four_samples_of_many_were_compared(mlc):
    quantize(mlc, residual())
    args = ("quantize", "in.onnx", "-o", "b.onnx", "-f", "--onnx", "static", "--calib", "x.npz", "--json")
    assert mlc.ok(*args).json["samples"] == 16
    assert mlc.ok(*args, "--samples", "3").json["samples"] == 3


def test_statistics_of_another_model_were_taken(mlc):
    """Its activations had the same names."""
    quantize(mlc, residual(), "--stats", "s.json")
    other = residual()
    other.graph.initializer[0].CopyFrom(weight("w0", 32, 3, 3, 3, seed=9))
    onnx_models.save(other, mlc.cwd / "other.onnx")
    done = mlc("quantize", "other.onnx", "-o", "o.onnx", "--onnx", "static", "--stats", "s.json")
    assert done.rc == 2 and "belong to another model or other options" in done.stderr
    done = mlc("quantize", "other.onnx", "-o", "o.onnx", "--onnx", "static", "--stats", "s.json", "--calib", "x.npz")
    assert done.rc == 2 and "--force makes new ones" in done.stderr
    mlc.ok("quantize", "in.onnx", "-o", "o.onnx", "--onnx", "static", "--stats", "s.json")


def test_a_number_among_the_inputs_could_not_be_calibrated(mlc):
    nodes = [node("MatMul", ["x", "w"], "m"), node("Mul", ["m", "c"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64), value("c")], [value("y", "n", 64)], [weight("w", 64, 64)])
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    rng = np.random.default_rng(0)
    np.savez(mlc.cwd / "x.npz", x=rng.standard_normal((8, 64), np.float32), c=np.linspace(1, 2, 8, dtype=np.float32))
    mlc.ok("quantize", source, "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz")
    np.savez(mlc.cwd / "y.npz", x=rng.standard_normal((8, 64), np.float32), c=np.ones((8, 1), np.float32))
    done = mlc("quantize", source, "-o", "o.onnx", "--onnx", "static", "--calib", "y.npz")
    assert done.rc == 2 and "has 2 dimensions, of numbers 1" in done.stderr


def test_the_only_tensor_had_another_name(mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    np.savez(mlc.cwd / "x.npz", pictures=samples(mlc.cwd / "y.npz"))
    done = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz")
    assert 'the samples of input "x" are "pictures" of x.npz' in done.stderr
    np.save(mlc.cwd / "x.npy", samples(mlc.cwd / "y.npz"))
    assert "the samples of" not in mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--onnx", "static", "--calib", "x.npy").stderr


def test_a_weight_that_is_an_output_was_stored_twice(mlc):
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", 64)], [value("y", "n", 64), value("w", 64, 64)], [weight("w", 64, 64)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.savez(mlc.cwd / "x.npz", x=np.random.default_rng(0).standard_normal((8, 64), np.float32))
    answer = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz", "--json").json
    assert answer["kept"][0]["reason"] == "read by inner graphs, or an output" and answer["quantized"] == []


def test_statistics_fit_their_schema(mlc, valid, root):
    quantize(mlc, residual(), "--stats", "s.json")
    valid(json.loads((mlc.cwd / "s.json").read_text()), "quant-stats")
    valid(json.loads((root / "schemas/examples/quant-stats.json").read_text()), "quant-stats")


WRONG = [
    ({"x": np.zeros((4, 3, 12, 12))}, "is of f64, the input of f32"),
    ({"x": np.zeros((4, 4, 12, 12), np.float32)}, "has the size 4 in dimension 1, the input 3"),
    ({"x": np.zeros((4, 12, 12), np.float32)}, "has 3 dimensions, the input 4"),
    ({"a": np.zeros((4, 3), np.float32), "b": np.zeros((4, 3), np.float32)}, 'no tensor is named "x"'),
    ({"x": np.zeros((0, 3, 12, 12), np.float32)}, "there are no samples"),
]


@pytest.mark.parametrize("arrays, says", WRONG, ids=[row[1] for row in WRONG])
def test_data_that_does_not_fit_is_named_before_anything_is_run(arrays, says, mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    np.savez(mlc.cwd / "x.npz", **arrays)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz")
    assert done.rc == 2 and says in done.stderr and not (mlc.cwd / "out.onnx").exists(), done.stderr


def test_calls_without_samples_or_with_few(mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static")
    assert done.rc == 2 and "--calib FILE is missing" in done.stderr
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--calib", "nope.npz", "--onnx", "static")
    assert done.rc == 3 and "nope.npz" in done.stderr
    samples(mlc.cwd / "x.npz", 3)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz")
    assert done.rc == 0 and "only 3 samples" in done.stderr
    done = mlc("quantize", "in.onnx", "-o", "b.onnx", "--calib", "x.npz")
    assert done.rc == 2 and "--onnx static" in done.stderr


def test_samples_that_give_nan_are_refused(mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    data = samples(mlc.cwd / "x.npz", 8)
    data[2, 0, 0, 0] = np.nan
    np.save(mlc.cwd / "x.npy", data)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npy")
    assert done.rc == 1 and '"x" in sample 2 has 1 NaN or infinite value' in done.stderr and not (mlc.cwd / "out.onnx").exists()


def test_samples_of_other_formats(mlc):
    """The same data from .npy, .pt and .safetensors gives the same file."""
    from safetensors.numpy import save_file  # pylint: disable=import-outside-toplevel
    data, _, out = quantize(mlc, residual())
    np.save(mlc.cwd / "x.npy", data)
    torch.save({"x": torch.from_numpy(data)}, mlc.cwd / "x.pt")
    save_file({"x": data}, mlc.cwd / "x.safetensors")
    for name in ("x.npy", "x.pt", "x.safetensors"):
        done = mlc("quantize", "in.onnx", "-o", "b.onnx", "-f", "--onnx", "static", "--calib", name)
        assert done.rc == 0, done.stderr
        assert (mlc.cwd / "b.onnx").read_bytes() == out.read_bytes()


def test_more_samples_need_no_more_memory(mlc):
    """Peak memory beside the mapped file of samples: nothing is kept of them."""
    proto = residual()
    for at in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[at].dim_value = 96
    onnx_models.save(proto, mlc.cwd / "big.onnx")
    peaks = []
    for count in (16, 160):
        np.save(mlc.cwd / "x.npy", np.random.default_rng(0).standard_normal((count, 3, 96, 96), np.float32))
        command = [mlc.binary, "-q", "quantize", "big.onnx", "-o", "out.onnx", "-f", "--onnx", "static", "--calib", "x.npy", "--no-verify"]
        script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
                 "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", script, *map(str, command)], cwd=mlc.cwd, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) - (mlc.cwd / "x.npy").stat().st_size // 1024)
    # 144 samples more would be 16 MB of inputs and 500 MB of activations.
    assert peaks[1] < peaks[0] + 30_000, peaks


def test_an_input_with_a_fixed_batch_takes_as_many_samples_at_once(mlc):
    proto = residual()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    samples(mlc.cwd / "x.npz", 32)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz")
    assert done.rc == 0, done.stderr
    samples(mlc.cwd / "x.npz", 30)
    done = mlc("quantize", "in.onnx", "-o", "b.onnx", "--onnx", "static", "--calib", "x.npz")
    assert done.rc == 2 and "takes 4 at once" in done.stderr


def test_the_digits_of_the_tour_are_still_read(mlc, root, tmp_path):
    """Trained weights: bytes of 7 bits, which no CPU adds otherwise, read as many of the images as floats do, within half of a hundred."""
    folder = root / "examples/digits"
    mlc.ok("strip-module-prefix", folder / "digits.pt", "-o", "d.pt")
    mlc.ok("export-onnx", "d.pt", "--arch", root / "examples/architectures/digits_cnn.yaml", "-o", "d.onnx", timeout=120)
    from safetensors.numpy import load_file  # pylint: disable=import-outside-toplevel
    data = load_file(folder / "test.safetensors")
    np.save(mlc.cwd / "image.npy", data["image"][:64])
    done = mlc("quantize", "d.onnx", "-o", "q.onnx", "--onnx", "static", "--reduce-range", "--calib", "image.npy", "--json")
    assert done.rc == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["outputs"][0]["min_cosine"] > 0.999
    right = []
    for name in ("d.onnx", "q.onnx"):
        session = onnxruntime.InferenceSession(str(pathlib.Path(mlc.cwd) / name), providers=["CPUExecutionProvider"])
        logits = session.run(None, {session.get_inputs()[0].name: data["image"]})[0]
        right.append(int((logits.argmax(1) == data["label"]).sum()))
    assert right[0] == 355 and right[1] >= right[0] - 1, right


def test_a_cpu_without_vnni_is_warned_of_sums_that_saturate(mlc, root):
    mlc.ok("strip-module-prefix", root / "examples/digits/digits.pt", "-o", "d.pt")
    mlc.ok("export-onnx", "d.pt", "--arch", root / "examples/architectures/digits_cnn.yaml", "-o", "d.onnx", timeout=120)
    np.save(mlc.cwd / "image.npy", np.random.default_rng(0).random((8, 1, 8, 8), np.float32))
    plain = mlc("quantize", "d.onnx", "-o", "q.onnx", "--onnx", "static", "--calib", "image.npy").stderr
    reduced = mlc("quantize", "d.onnx", "-o", "r.onnx", "--onnx", "static", "--calib", "image.npy", "--reduce-range").stderr
    assert ("--reduce-range avoids that" in plain) == ADDS_IN_16_BITS, plain
    assert "VNNI" not in reduced


def test_embeddings_become_tables_beside_static_products(mlc):
    nodes = [node("Gather", ["table", "ids"], "e"), node("MatMul", ["e", "w"], "h"), node("Relu", ["h"], "r"), node("MatMul", ["r", "v"], "y")]
    proto = onnx_models.model(nodes, [value("ids", "n", 5, dtype=TensorProto.INT64)], [value("y", "n", 5, 40)],
                              [weight("table", 300, 64), weight("w", 64, 96), weight("v", 96, 40)])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "ids.npy", np.random.default_rng(0).integers(0, 300, (32, 5)))
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "ids.npy", "--json")
    assert done.rc == 0, done.stderr
    assert {one["scheme"] for one in json.loads(done.stdout)["quantized"]} == {"int8", "int8 table"}


@pytest.mark.parametrize("args, message", [
    (("--calib", "a.npz", "--input", "x=@b.npz"), "--input and --calib exclude each other"),
    (("--calib", "a.npz", "--format", "compressed-tensors"), "ONNX models have no --format"),
    (("--calib", "a.npz", "--arch", "a.yaml"), "ONNX models have no --arch"),
])
def test_options_that_had_no_effect(mlc, args, message):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    samples(mlc.cwd / "a.npz")
    samples(mlc.cwd / "b.npz")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", *args)
    assert done.rc == 2 and message in done.stderr, done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


@pytest.mark.parametrize("data, says", [
    (np.zeros((16, 3, 12, 12), np.float32), "the inputs never vary: x is 0 in all 16 samples; what they tell fits no others"),
    (np.full((1, 3, 12, 12), 7, np.float32), "the inputs never vary: x is one number in the only sample"),
    (np.tile(np.random.default_rng(3).standard_normal((1, 3, 12, 12), np.float32), (16, 1, 1, 1)), "the inputs never vary: all 16 samples are the same"),
])
def test_samples_that_never_vary_were_taken_without_a_word(mlc, data, says):
    np.save(mlc.cwd / "x.npy", data)
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npy", "--min-cosine", "-1")
    assert done.rc == 0 and says in done.stderr
    assert ("1 of 6 activations is 0 in all samples" in done.stderr) == (not data.any()), done.stderr


def test_samples_that_vary_are_no_matter(mlc):
    samples(mlc.cwd / "x.npz")
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    assert "var" not in mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz", "--min-cosine", "-1").stderr


def chain(*nodes, weights, features=64):
    return onnx_models.model(list(nodes), [value("x", "n", features)], [value("y", "n", features)], weights)


def quantize_chain(mlc, proto):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    data = np.random.default_rng(3).standard_normal((16, 64), np.float32)
    np.save(mlc.cwd / "x.npy", data)
    answer = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npy", "--reduce-range", "--min-cosine", "0.9", "--json").json
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    assert cosine(run(source, data), run(mlc.cwd / "out.onnx", data)) > 0.99
    return answer


def test_matrices_behind_a_transpose_are_quantised(mlc):
    answer = quantize_chain(mlc, chain(node("Transpose", ["w"], "wt", perm=[1, 0]), node("MatMul", ["x", "wt"], "a"), node("Relu", ["a"], "r"),
                                       node("MatMul", ["r", "v"], "y"), weights=[weight("w", 96, 64), weight("v", 96, 64)]))
    assert [layer["name"] for layer in answer["quantized"]] == ["v", "w"] and answer["kept"] == []
    made = initializers(mlc.cwd / "out.onnx")
    assert "w" not in made and made["w_quantized"].shape == (64, 96) and operators(mlc.cwd / "out.onnx")["Transpose"] == 0


def test_a_weight_that_others_read_in_floats_is_stored_once(mlc):
    answer = quantize_chain(mlc, chain(node("MatMul", ["x", "w"], "a"), node("MatMul", ["a", "v"], "b"), node("ReduceSum", ["w", "axes"], "s", keepdims=1),
                                       node("Add", ["b", "s"], "y"), weights=[weight("w", 64, 64), weight("v", 64, 64),
                                                                             numpy_helper.from_array(np.array([0]), "axes")]))
    assert [(kept["name"], kept["reason"]) for kept in answer["kept"]] == [("w", "ReduceSum reads it too, in floats")]
    assert [layer["name"] for layer in answer["quantized"]] == ["v"] and "w_quantized" not in initializers(mlc.cwd / "out.onnx")
    assert answer["file_bytes"] < answer["input_bytes"]


def test_a_written_recipe_lost_the_form(mlc, valid):
    onnx_models.save(chain(node("MatMul", ["x", "w"], "a"), node("Relu", ["a"], "r"), node("MatMul", ["r", "v"], "y"),
                           weights=[weight("w", 64, 96), weight("v", 96, 64)]), mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", np.random.default_rng(3).standard_normal((16, 64), np.float32))
    how = ("--onnx", "static", "--reduce-range", "--calib-method", "mse", "--float-ends", "--min-cosine", "0.9")
    mlc.ok("quantize", "in.onnx", "-o", "a.onnx", "--calib", "x.npy", *how, "--write-recipe", "r.yaml")
    assert yaml.safe_load((mlc.cwd / "r.yaml").read_text())["onnx"] == {"form": "static", "calib_method": "mse", "reduce_range": True, "float_ends": True}
    mlc.ok("quantize", "in.onnx", "-o", "b.onnx", "--calib", "x.npy", "--recipe", "r.yaml", "--min-cosine", "0.9", "--write-recipe", "s.yaml")
    assert (mlc.cwd / "r.yaml").read_text() == (mlc.cwd / "s.yaml").read_text()
    a, b = (onnx.load(mlc.cwd / name) for name in ("a.onnx", "b.onnx"))
    assert a.graph == b.graph
    mlc.ok("quantize", "in.onnx", "-o", "d.onnx", "--calib", "x.npy", "--onnx", "static", "--calib-method", "percentile", "--percentile", "90", "--reduce-range",
           "--min-cosine", "-1", "--write-recipe", "p.yaml")
    mlc.ok("quantize", "in.onnx", "-o", "e.onnx", "--calib", "x.npy", "--recipe", "p.yaml", "--min-cosine", "-1")
    assert onnx.load(mlc.cwd / "d.onnx").graph == onnx.load(mlc.cwd / "e.onnx").graph
    # Another form on the command line counts alone.
    mlc.ok("quantize", "in.onnx", "-o", "c.onnx", "--onnx", "dynamic", "--recipe", "r.yaml", "--min-cosine", "-1")
    (mlc.cwd / "r.yaml").write_text("mlc: recipe/1\nonnx: {form: stativ}\n")
    wrong = mlc("quantize", "in.onnx", "-n", "--recipe", "r.yaml")
    assert wrong.rc == 2 and 'onnx: form: there is no "stativ"' in wrong.stderr, wrong.stderr


def test_statistics_that_are_not_there_were_those_of_another_model(mlc):
    onnx_models.save(residual(), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "q.onnx", "--onnx", "static", "--stats", "none.json")
    assert done.rc == 2 and 'there are no statistics "none.json" yet' in done.stderr and "--calib" in done.stderr


def tied_model(dtype=np.float32):
    """What torch's dynamo exporter makes of a table that is the head too: nothing but a Transpose lies between."""
    table = numpy_helper.from_array((numpy_helper.to_array(weight("head.weight", 300, 64)) * 3).astype(dtype), "head.weight")
    kind = TensorProto.FLOAT16 if dtype == np.float16 else TensorProto.FLOAT
    return onnx_models.model([node("Gather", ["head.weight", "ids"], "e"), node("Tanh", ["e"], "t"), node("Transpose", ["head.weight"], "turned", perm=[1, 0]),
                              node("MatMul", ["t", "turned"], "y")],
                             [value("ids", "n", 8, dtype=TensorProto.INT64)], [value("y", "n", 8, 300, dtype=kind)], [table])


def quantize_tied(mlc, proto, *args):
    source, ids = onnx_models.save(proto, mlc.cwd / "in.onnx"), np.random.default_rng(3).integers(0, 300, (16, 8))
    np.savez(mlc.cwd / "x.npz", ids=ids)
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npz", "--reduce-range", "--json", *args)
    assert done.rc == 0, done.stderr
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    was, made = (onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"ids": ids})[0] for path in (source, mlc.cwd / "out.onnx"))
    assert cosine(was, made) > 0.999
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("target", ["ort", "trt", "openvino"])
def test_a_tied_table_behind_a_transpose_is_stored_once(dtype, target, mlc, tmp_path):
    answer, _ = quantize_tied(mlc, tied_model(dtype), "--int8-target", target)
    assert [(one["name"], one["scheme"]) for one in answer["quantized"]] == [("head.weight", "int8 table, tied")] and answer["kept"] == []
    made = initializers(mlc.cwd / "out.onnx")
    assert [array.shape for array in made.values() if array.size == 300 * 64] == [(300, 64)] and made["head.weight_quantized"].dtype == np.int8
    if target == "ort" and dtype == np.float32:
        assert fused(mlc.cwd / "out.onnx", tmp_path)["MatMulIntegerToFloat"] == 1


def test_a_tied_table_of_a_gemm_is_stored_once(mlc):
    proto = tied_model()
    del proto.graph.node[2:]
    proto.graph.node.extend([node("Reshape", ["t", "shape"], "flat"), node("Gemm", ["flat", "head.weight", "b"], "g", transB=1), node("Reshape", ["g", "back"], "y")])
    proto.graph.initializer.extend([weight("b", 300), numpy_helper.from_array(np.array([-1, 64]), "shape"), numpy_helper.from_array(np.array([-1, 8, 300]), "back")])
    answer, _ = quantize_tied(mlc, proto)
    assert [one["scheme"] for one in answer["quantized"]] == ["int8 table, tied"]
    assert sum(array.size == 300 * 64 for array in initializers(mlc.cwd / "out.onnx").values()) == 1


@pytest.mark.parametrize("args", [["--exclude", "/y"], ["--exclude", "head.weight"], ["--exclude", "/e"], ["--no-embeddings"], ["--min-elements", "20000"]])
def test_a_tied_table_stays_whole_where_one_of_both_stays(args, mlc):
    answer, told = quantize_tied(mlc, tied_model(), *args)
    made = initializers(mlc.cwd / "out.onnx")
    assert answer["quantized"] == [] and [array.dtype for array in made.values() if array.size == 300 * 64] == [np.float32]
    assert "computes in floats" not in told and ("--min-elements" in told) == (args[0] == "--min-elements")
