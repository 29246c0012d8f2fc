"""`mlc quantize` of ONNX models whose weights and activations are float16, beside the float16 model in ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_models
import test_quantize_static as static
from cpu import WIDTH, needs_whole_sums
from test_quantize_onnx import attention, cnn, cosine, fused, initializers, language_model, mlp, node, operators, value, weight

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
FORMS = ["dynamic", "weight-only", "int4", "int4-qdq"]


def half(proto, opset=None):
    """PROTO with float16 in place of all float32."""
    out = onnx.ModelProto()
    out.CopyFrom(proto)
    for one in out.graph.initializer:
        if one.data_type == FLOAT:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype(np.float16), one.name))
    for one in (*out.graph.input, *out.graph.output, *out.graph.value_info):
        if one.type.tensor_type.elem_type == FLOAT:
            one.type.tensor_type.elem_type = HALF
    if opset:
        out.opset_import[0].version = opset
        out.ir_version = 10
    return out


def feed(session, n=3, seed=1):
    random, out = np.random.default_rng(seed), {}
    for one in session.get_inputs():
        sizes = [size if isinstance(size, int) else n for size in one.shape]
        out[one.name] = random.integers(0, 300, sizes) if "int64" in one.type else random.standard_normal(sizes).astype(
            np.float16 if "16" in one.type else np.float32)
    return out


def run(path, **more):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, feed(session, **more))
    assert all(one.dtype == np.float16 for one in found)
    return found[0]


def quantize(mlc, proto, *args):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    done = mlc("quantize", source, "-o", "out.onnx", "-f", "--min-elements", "0", *args)
    assert done.rc == 0, done.stderr
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return source, mlc.cwd / "out.onnx"


@pytest.mark.parametrize("make", [mlp, attention, language_model, cnn], ids=lambda f: f.__name__)
@pytest.mark.parametrize("form", FORMS)
def test_the_result_computes_what_the_model_does(mlc, valid, make, form):
    proto = half(make(), 21)
    source, out = quantize(mlc, proto, "--onnx", form, "--min-cosine", "0.9", *(WIDTH if form == "dynamic" else []))
    least = 0.96 if form.startswith("int4") else 0.999
    assert cosine(run(source), run(out)) > least and not np.array_equal(run(source), run(out))
    answer = mlc.ok("quantize", source, "-n", "--onnx", form, "--min-elements", "0", "--min-cosine", "0.9", "--json").json
    valid(answer, "quantize-onnx")
    assert answer["verified"] and answer["quantized"] and all("float" not in one["reason"] for one in answer["kept"])
    weights = sum(one["bytes_after"] for one in answer["quantized"]) / sum(one["bytes_before"] for one in answer["quantized"])
    assert weights < (0.62 if form.startswith("int4") and make is language_model else 0.4 if form.startswith("int4") and make is not cnn else 0.6)


@pytest.mark.parametrize("form, opset", [("dynamic", 11), ("weight-only", 13), ("int4", 13), ("int4-qdq", 21)])
def test_the_least_opset_of_each_form(mlc, form, opset):
    source, out = quantize(mlc, half(attention(opset=opset)), "--onnx", form, "--min-cosine", "0.9")
    assert onnx.load(out).opset_import[0].version == opset and cosine(run(source), run(out)) > 0.96


def test_codes_are_those_of_the_same_weights_in_float32(mlc):
    _, out = quantize(mlc, half(attention()))
    found = initializers(out)
    wide = half(attention())
    for one in wide.graph.initializer:
        one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype(np.float32), one.name))
    for one in (*wide.graph.input, *wide.graph.output):
        one.type.tensor_type.elem_type = FLOAT
    _, out = quantize(mlc, wide)
    wanted = initializers(out)
    assert found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("form, casts", [("dynamic", 4), ("weight-only", 4), ("int4", 0), ("int4-qdq", 0)])
def test_readers_of_one_activation_share_its_cast(mlc, tmp_path, form, casts):
    """Three products of x: a Cast in front of all, one behind each. Blocks are read as float16."""
    _, out = quantize(mlc, half(attention(), 21), "--onnx", form, "--min-cosine", "0.9")
    made = onnx.load(out)
    assert sum(one.op_type == "Cast" and not one.input[0].endswith("_sum") for one in made.graph.node) == casts
    if form == "dynamic":
        assert fused(out, tmp_path)["DynamicQuantizeMatMul"] + fused(out, tmp_path)["MatMulIntegerToFloat"] == 3
    if form.startswith("int4"):
        assert fused(out, tmp_path)["MatMulNBits"] == 3
        assert all(one.dtype == np.float16 for name, one in initializers(out).items() if name.endswith("_scale"))


@pytest.mark.parametrize("form", ["int4", "int4-qdq"])
def test_scales_that_are_no_float16(mlc, form):
    """Of weights so small that float16 has few bits for their steps: these stay float32, and so does the product."""
    proto = attention(opset=21, ir=10)
    for one in proto.graph.initializer:
        one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * np.float32(1e-4), one.name))
    source, out = quantize(mlc, half(proto), "--onnx", form, "--min-cosine", "0.9")
    assert all(one.dtype == np.float32 for name, one in initializers(out).items() if name.endswith("_scale"))
    assert operators(out)["Cast"] == 4 and cosine(run(source), run(out)) > 0.98


@needs_whole_sums
def test_gemms_with_factors_and_biases(mlc):
    for form in FORMS:
        source, out = quantize(mlc, half(mlp(), 21), "--onnx", form, "--min-cosine", "0.9")
        assert cosine(run(source), run(out)) > 0.97
    nodes = [node("Gemm", ["x", "w", "b"], "y", transB=1, beta=3.0)]
    proto = half(onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 96)], [weight("w", 96, 64), weight("b", 96)]), 21)
    for form in FORMS:
        source, out = quantize(mlc, proto, "--onnx", form, "--min-cosine", "0.9")
        assert cosine(run(source), run(out)) > (0.99 if form.startswith("int4") else 0.9999)


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_behind_a_transpose(mlc, form):
    """value_info said that what the Transpose gives is float16, which it may not be any more."""
    nodes = [node("Transpose", ["w"], "t", perm=[1, 0]), node("MatMul", ["x", "t"], "y")]
    proto = half(onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 48)], [weight("w", 48, 64)]), 21)
    proto.graph.value_info.append(onnx_models.value("t", [64, 48], HALF))
    source, out = quantize(mlc, proto, "--onnx", form, "--min-cosine", "0.9")
    assert cosine(run(source), run(out)) > 0.98


def test_a_tied_table_is_stored_once(mlc):
    source, out = quantize(mlc, half(language_model()), *WIDTH)
    assert [name for name in initializers(out) if "table" in name and initializers(out)[name].size >= 300 * 64] == ["table_quantized"]
    assert cosine(run(source), run(out)) > 0.999


def calibrated(mlc, proto, *args):
    data = static.samples(mlc.cwd / "x.npz")
    np.savez(mlc.cwd / "x.npz", x=data.astype(np.float16))
    source, out = quantize(mlc, proto, "--onnx", "static", "--calib", "x.npz", *args, *WIDTH)
    return data.astype(np.float16), source, out


@pytest.mark.parametrize("target", ["ort", "trt", "openvino"])
@pytest.mark.parametrize("norms", [False, True], ids=["plain", "norms"])
def test_static_bytes_between_float16(mlc, tmp_path, norms, target):
    data, source, out = calibrated(mlc, half(static.residual(norms)), "--int8-target", target)
    a, b = static.run(source, data), static.run(out, data)
    assert b.dtype == np.float16 and cosine(a, b) > 0.999
    if target == "ort":
        kinds = fused(out, tmp_path)
        assert kinds["QLinearConv"] == 3 and kinds["QLinearAdd"] == 1 and kinds["QGemm"] == 1 and kinds["Conv"] == 0, kinds
        assert kinds["Cast"] == 2, "where it comes in and goes out"
    plain = [one for one in mlc.ok("quantize", source, "-n", "--onnx", "static", "--calib", "x.npz", "--min-elements", "0", "--json").json["kept"]]
    assert plain == []


def test_static_activations_that_others_read_too(mlc):
    """As an output, in floats behind the bytes, and as bytes again; a product without bytes behind it."""
    nodes = [node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "r"), node("Conv", ["r", "v"], "d"), node("Sigmoid", ["r"], "s"),
             node("GlobalAveragePool", ["s"], "g"), node("Flatten", ["g"], "f"), node("MatMul", ["f", "h"], "m"), node("Add", ["m", "hb"], "y")]
    proto = half(onnx_models.model(nodes, [value("x", "n", 3, 12, 12)], [value("y", "n", 40), value("r", "n", 32, 10, 10), value("d", "n", 8, 8, 8)],
                                   [weight("w", 32, 3, 3, 3), weight("b", 32), weight("v", 8, 32, 3, 3), weight("h", 32, 40), weight("hb", 40)]))
    data, source, out = calibrated(mlc, proto)
    for target in ("ort", "trt"):
        data, source, out = calibrated(mlc, proto, "--int8-target", target)
        sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (source, out)]
        for a, b in zip(*(one.run(None, {"x": data}) for one in sessions)):
            assert a.dtype == b.dtype == np.float16 and cosine(a, b) > 0.999


SAMPLES = {"smooth": ("--onnx", "dynamic", "--smooth", "0.5"), "awq": ("--onnx", "int4", "--rounding", "awq"), "gptq": ("--onnx", "int4", "--rounding", "gptq")}


@pytest.mark.parametrize("method", SAMPLES)
@pytest.mark.parametrize("folds", [False, True])
def test_samples_tell_of_float16_too(mlc, valid, method, folds):
    """Factors become a Mul of float16, or part of the layer before."""
    nodes = [node("MatMul", ["x", "a"], "p"), node("Relu", ["p"], "r"), node("MatMul", ["r" if folds else "x", "w"], "q"),
             node("Add", ["q", "p"], "y") if not folds else node("Identity", ["q"], "y")]
    spread = numpy_helper.to_array(weight("a", 64, 64)) * np.geomspace(0.05, 5, 64, dtype=np.float32)
    proto = half(onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)],
                                   [numpy_helper.from_array(spread, "a"), weight("w", 64, 64, seed=2)]))
    random = np.random.default_rng(0)
    data = (random.standard_normal((64, 64)) @ random.standard_normal((64, 64)) / 8 * np.geomspace(0.1, 3, 64)).astype(np.float16)
    np.savez(mlc.cwd / "x.npz", x=data)
    source, out = quantize(mlc, proto, *SAMPLES[method], "--calib", "x.npz", "--min-cosine", "-1", *(WIDTH if method == "smooth" else []))
    a, b = (onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": data})[0] for path in (source, out))
    assert b.dtype == np.float16 and cosine(a, b) > (0.98 if method != "smooth" else 0.999)


def test_weights_of_other_floats_went_without_a_word(mlc):
    nodes = [node("Cast", ["x"], "d", to=TensorProto.DOUBLE), node("MatMul", ["d", "w"], "p"), node("Cast", ["p"], "f", to=FLOAT), node("MatMul", ["f", "v"], "y")]
    wide = numpy_helper.from_array(numpy_helper.to_array(weight("w", 64, 64)).astype(np.float64), "w")
    onnx_models.save(onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 48)], [wide, weight("v", 64, 48)]), mlc.cwd / "in.onnx")
    for form in ("dynamic", "weight-only", "int4"):
        done = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--onnx", form, "--min-elements", "0", "--min-cosine", "0.9")
        assert "kept as they are: w (of float64, not float32 or float16)" in done.stderr, done.stderr
    cast = [node("Cast", ["b"], "w", to=FLOAT), node("MatMul", ["x", "w"], "f"), node("MatMul", ["f", "v"], "y")]
    stored = helper.make_tensor("b", TensorProto.BFLOAT16, [64, 64], numpy_helper.to_array(weight("b", 64, 64)).ravel())
    onnx_models.save(onnx_models.model(cast, [value("x", "n", 64)], [value("y", "n", 48)], [stored, weight("v", 64, 48)]), mlc.cwd / "b.onnx")
    done = mlc.ok("quantize", "b.onnx", "-o", "out.onnx", "-f", "--min-elements", "0", "--min-cosine", "0.9")
    assert "kept as they are: b (of bfloat16, not float32 or float16)" in done.stderr, done.stderr
    done = mlc("quantize", "in.onnx", "-o", "s.onnx", "--min-elements", "0", "--strict")
    assert done.rc == 1 and "not float32 or float16" in done.stderr


@pytest.mark.parametrize("form", ["dynamic", "weight-only", "int4", "static"])
def test_what_export_onnx_makes_in_float16(mlc, engine, tmp_path, form):  # pylint: disable=unused-argument
    """Products are float16, norms float32, inputs and outputs float32."""
    import torch  # pylint: disable=import-outside-toplevel
    from torch import nn  # pylint: disable=import-outside-toplevel
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    layer.load_state_dict({name: one * 2 if one.ndim > 1 else one for name, one in layer.state_dict().items()})
    torch.export.save(torch.export.export(layer, (torch.randn(2, 5, 64),), strict=False), tmp_path / "net.pt2")
    for args in ((), ("--dtype", "fp16")):
        mlc.ok("export-onnx", "net.pt2", "-o", f"net{'16' if args else ''}.onnx", "--opset", "21", *args)
    np.save(tmp_path / "x.npy", np.random.default_rng(1).standard_normal((16, 2, 5, 64), np.float32).reshape(32, 5, 64))
    names = [one.name for one in onnx.load(tmp_path / "net.onnx").graph.input]
    np.savez(tmp_path / "x.npz", **{names[0]: np.load(tmp_path / "x.npy")})
    answers = [mlc.ok("quantize", f"net{more}.onnx", "-o", f"q{more}.onnx", "--onnx", form, "--min-elements", "0", "--min-cosine", "0.9", "--json",
                      *(["--calib", "x.npz", *WIDTH] if form == "static" else WIDTH if form == "dynamic" else [])).json for more in ("", "16")]
    assert [len(one["quantized"]) for one in answers] == [len(answers[0]["quantized"])] * 2 and answers[0]["quantized"]
    assert min(answers[1]["outputs"][0]["min_cosine"] for _ in "x") > answers[0]["outputs"][0]["min_cosine"] - 0.002
    onnx.checker.check_model(tmp_path / "q16.onnx", full_check=True)
    assert (tmp_path / "q16.onnx").stat().st_size < 0.75 * (tmp_path / "net16.onnx").stat().st_size
