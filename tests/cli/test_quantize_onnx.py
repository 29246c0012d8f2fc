"""`mlc quantize` of ONNX models: what ONNX Runtime computes with the result, and what it makes of the graph."""

import collections
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from cpu import WIDTH, needs_whole_sums

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
FLOAT = TensorProto.FLOAT


def weight(name, *sizes, seed=0):
    return numpy_helper.from_array(np.random.default_rng([seed, *sizes]).standard_normal(sizes, np.float32), name)


def value(name, *sizes, dtype=FLOAT):
    return onnx_models.value(name, sizes, dtype)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name="/" + output, **attributes)


def mlp(hidden=128, **kwargs):
    """MatMul with a bias added, Gemm of PyTorch's Linear, and one with factors."""
    nodes = [node("MatMul", ["x", "w1"], "m"), node("Add", ["m", "b1"], "a"), node("Relu", ["a"], "r"),
             node("Gemm", ["r", "w2", "b2"], "g", transB=1), node("Relu", ["g"], "s"),
             node("Gemm", ["s", "w3", "b3"], "y", alpha=0.5, beta=2.0)]
    weights = [weight("w1", 64, hidden), weight("b1", hidden), weight("w2", 96, hidden), weight("b2", 96), weight("w3", 96, 48),
               weight("b3", 48)]
    return onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 48)], weights, **kwargs)


def attention(**kwargs):
    """Three products of the same activations."""
    nodes = [node("MatMul", ["x", name], name + "_out") for name in ("q", "k", "v")]
    nodes += [node("Add", ["q_out", "k_out"], "qk"), node("Add", ["qk", "v_out"], "y")]
    return onnx_models.model(nodes, [value("x", "n", 5, 64)], [value("y", "n", 5, 96)],
                             [weight(name, 64, 96, seed=ord(name)) for name in "qkv"], **kwargs)


def language_model():
    """An embedding whose table is the head too, as a Transpose."""
    nodes = [node("Gather", ["table", "ids"], "e"), node("MatMul", ["e", "w"], "h"), node("Transpose", ["table"], "t", perm=[1, 0]),
             node("MatMul", ["h", "t"], "y")]
    return onnx_models.model(nodes, [value("ids", "n", "s", dtype=TensorProto.INT64)], [value("y", "n", "s", 300)],
                             [weight("table", 300, 64), weight("w", 64, 64)])


def cnn():
    nodes = [node("Conv", ["x", "c1", "b1"], "a", pads=[1, 1, 1, 1]), node("Relu", ["a"], "r"),
             node("ConvTranspose", ["r", "c2"], "u"), node("GlobalAveragePool", ["u"], "p"), node("Flatten", ["p"], "f"),
             node("Gemm", ["f", "w", "b"], "y", transB=1)]
    weights = [weight("c1", 64, 8, 3, 3), weight("b1", 64), weight("c2", 64, 64, 2, 2), weight("w", 80, 64), weight("b", 80)]
    return onnx_models.model(nodes, [value("x", "n", 8, 9, 9)], [value("y", "n", 80)], weights)


def run(path, seed=1, n=3):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(seed)
    feed = {}
    for one in session.get_inputs():
        sizes = [size if isinstance(size, int) else n for size in one.shape]
        feed[one.name] = random.integers(0, 300, sizes) if "int64" in one.type else random.standard_normal(sizes, np.float32)
    return session.run(None, feed)[0]


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def operators(path):
    return collections.Counter(n.op_type for n in onnx.load(path).graph.node)


def fused(path, tmp_path):
    """The operators that ONNX Runtime makes of the model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return operators(tmp_path / "optimized.onnx")


def initializers(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def quantize(mlc, proto, *args, **kwargs):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    done = mlc("quantize", source, "-o", "out.onnx", *args, **kwargs)
    assert done.rc == 0, done.stderr
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return source, mlc.cwd / "out.onnx"


@pytest.mark.parametrize("make", [mlp, attention, language_model], ids=lambda f: f.__name__)
@pytest.mark.parametrize("form, least", [("dynamic", 0.999), ("weight-only", 0.9995), ("int4", 0.97)])
def test_the_result_computes_what_the_model_does(make, form, least, mlc):
    source, out = quantize(mlc, make(), "--onnx", form, "--min-elements", "0", "--min-cosine", "0.9", *(WIDTH if form == "dynamic" else []))
    assert cosine(run(source), run(out)) > least
    assert not np.array_equal(run(source), run(out))
    assert out.stat().st_size < source.stat().st_size * (0.32 if form != "int4" else 0.29)


def test_dynamic_products_become_what_onnx_runtime_fuses(mlc, tmp_path):
    _, out = quantize(mlc, mlp())
    assert operators(out)["MatMulInteger"] == 3 and "MatMul" not in operators(out)
    assert fused(out, tmp_path)["DynamicQuantizeMatMul"] == 3
    _, out = quantize(mlc, attention(), "-f")
    assert operators(out)["DynamicQuantizeLinear"] == 1, "one for all three"
    found = fused(out, tmp_path)
    assert (found["MatMulIntegerToFloat"], found["DynamicQuantizeLinear"], found["MatMulInteger"]) == (3, 1, 0)


def test_codes_are_the_nearest_of_each_column(mlc):
    _, out = quantize(mlc, mlp())
    given = numpy_helper.to_array(mlp().graph.initializer[0])
    codes, scale = initializers(out)["w1_quantized"], initializers(out)["w1_scale"]
    assert codes.dtype == np.int8 and codes.shape == given.shape and scale.shape == (128,)
    assert np.array_equal(scale, (np.abs(given).max(0) / 127).astype(np.float32))
    assert np.array_equal(codes, np.rint(given / scale).astype(np.int8)) and codes.min() >= -127


def test_reduced_range_has_seven_bits_and_saturates_nowhere(mlc):
    quantize(mlc, mlp(), "--reduce-range", "--min-cosine", "0.9")
    assert np.abs(initializers(mlc.cwd / "out.onnx")["w1_quantized"]).max() == 63
    done = mlc("quantize", "in.onnx", "-n", "--reduce-range", "--json")
    assert all(one["saturating"] == 0 for one in json.loads(done.stdout)["quantized"])
    pairs = {one["name"]: one for one in json.loads(mlc("quantize", "in.onnx", "-n", "--json").stdout)["quantized"]}
    codes = initializers(quantize(mlc, mlp(), "-f")[1])["w1_quantized"].astype(np.int32)
    assert pairs["w1"]["pairs"] == 32 * 128
    assert pairs["w1"]["saturating"] == (255 * np.abs(codes[0::2] + codes[1::2]) > 32767).sum() > 0


def test_a_tied_table_is_stored_once(mlc):
    source, out = quantize(mlc, language_model(), "--min-elements", "0", *WIDTH)
    codes = [name for name, array in initializers(out).items() if array.dtype == np.int8 and array.size == 300 * 64]
    assert codes == ["table_quantized"] and "table" not in initializers(out)
    assert cosine(run(source), run(out)) > 0.999
    _, kept = quantize(mlc, language_model(), "-f", "--no-embeddings", "--min-elements", "0")
    assert "table" in initializers(kept) and "w_quantized" in initializers(kept)


def test_a_tied_table_as_an_identity(mlc):
    """torch.onnx makes an Identity of a parameter that has two names."""
    proto = language_model()
    proto.graph.node.insert(0, node("Identity", ["table"], "alias"))
    proto.graph.node[3].input[0] = "alias"
    _, out = quantize(mlc, proto, "--min-elements", "0")
    assert "table" not in initializers(out) and operators(out)["Identity"] == 0


def test_convolutions_are_never_dynamic(mlc):
    _, out = quantize(mlc, cnn())
    assert operators(out)["Conv"] == 1 and {"c1", "c2"} < set(initializers(out))
    kept = {one["name"]: one["reason"] for one in json.loads(mlc("quantize", "in.onnx", "-n", "--json").stdout)["kept"]}
    assert "convolution" in kept["c1"] and "convolution" in kept["c2"]
    source, out = quantize(mlc, cnn(), "-f", "--onnx", "weight-only")
    assert operators(out)["DequantizeLinear"] == 3 and cosine(run(source), run(out)) > 0.999


@pytest.mark.parametrize("columns, block, symmetric", [(64, 32, False), (64, 16, True), (100, 32, False), (33, 16, True)])
def test_blocks_of_four_bits(columns, block, symmetric, mlc):
    """Rows that no block divides too: what ONNX Runtime computes is what the codes stand for."""
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", columns)], [value("y", "n", 40)], [weight("w", columns, 40)])
    more = ["--symmetric"] if symmetric else []
    _, out = quantize(mlc, proto, "--onnx", "int4", "--block", str(block), "--min-elements", "0", "--min-cosine", "0.9", "--rounding", "rtn", *more)
    made = initializers(out)
    blocks = -(-columns // block)
    packed = made["w_quantized"]
    assert packed.shape == (40, blocks, block // 2)
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(40, blocks, block).astype(np.float32)
    zeros = np.full((40, blocks), 8.0)
    if not symmetric:
        packed = made["w_zero_point"].reshape(40, -1)
        zeros = np.stack([packed & 15, packed >> 4], -1).reshape(40, -1)[:, :blocks].astype(np.float32)
    assert ("w_zero_point" in made) != symmetric
    stands_for = ((codes - zeros[..., None]) * made["w_scale"].reshape(40, blocks, 1)).reshape(40, -1)[:, :columns]
    given = numpy_helper.to_array(proto.graph.initializer[0]).T
    assert np.abs(stands_for - given).max() < 0.5 * made["w_scale"].max() * 1.2
    x = np.random.default_rng(1).standard_normal((3, columns), np.float32)
    assert cosine(x @ stands_for.T, run(out)) > 0.9995


def quads(tensor):
    """Four-bit elements as int8, read from the bytes of the file, the first in the lower half."""
    raw = np.frombuffer(tensor.raw_data, np.uint8)
    flat = np.stack([raw & 15, raw >> 4], -1).ravel()[:np.prod(tensor.dims)].astype(np.int8)
    return (np.where(flat > 7, flat - 16, flat) if tensor.data_type == TensorProto.INT4 else flat).reshape(tensor.dims)


@pytest.mark.parametrize("kind", ["matmul", "gemm", "transpose"])
@pytest.mark.parametrize("columns, block, symmetric", [(64, 32, False), (64, 16, True), (100, 32, False), (33, 16, True)])
def test_four_bits_in_operators_of_onnx_itself(kind, columns, block, symmetric, mlc, tmp_path):
    """The codes and scales of MatMulNBits, and what ONNX Runtime computes with them."""
    sizes = (columns, 41) if kind == "matmul" else (41, columns)
    product = {"matmul": [node("MatMul", ["x", "w"], "y")], "gemm": [node("Gemm", ["x", "w"], "y", transB=1, alpha=0.5)],
               "transpose": [node("Transpose", ["w"], "t", perm=[1, 0]), node("MatMul", ["x", "t"], "y")]}[kind]
    proto = onnx_models.model(product, [value("x", "n", columns)], [value("y", "n", 41)], [weight("w", *sizes)], opset=21, ir=9)
    args = ("--block", str(block), "--min-elements", "0", "--min-cosine", "0.9", *(["--symmetric"] if symmetric else []))
    _, out = quantize(mlc, proto, "--onnx", "int4-qdq", *args)
    given = onnx.load(out)
    assert given.ir_version == 10 and not [one for one in given.opset_import if one.domain]
    made = {t.name: t for t in given.graph.initializer}
    assert made["w_quantized"].data_type == (TensorProto.INT4 if symmetric else TensorProto.UINT4)
    assert made["w_quantized"].dims == list(sizes) and ("w_zero_point" in made) != symmetric
    axis = 0 if kind == "matmul" else 1
    scale = np.repeat(numpy_helper.to_array(made["w_scale"]), block, axis)
    zero = np.repeat(quads(made["w_zero_point"]), block, axis) if not symmetric else np.zeros_like(scale)
    cut = (slice(columns),) if axis == 0 else (slice(None), slice(columns))
    stands_for = (quads(made["w_quantized"]) - zero[cut].astype(np.float32)) * scale[cut]
    x = np.random.default_rng(1).standard_normal((3, columns), np.float32)
    want = x @ (stands_for if kind == "matmul" else stands_for.T) * (0.5 if kind == "gemm" else 1)
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(out), plain, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], want, atol=1e-4)
    assert cosine(run(out), want) > 0.9999
    if kind == "matmul" and columns % block == 0:
        assert fused(out, tmp_path)["MatMulNBits"] == 1, "what it makes of both forms"
    if kind == "gemm":
        return  # which factors keep from MatMulNBits
    quantize(mlc, proto, "--onnx", "int4", *args, "-f")
    other = initializers(out)
    packed = other["w_quantized"]
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(41, -1)[:, :columns].astype(np.int8) - (8 if symmetric else 0)
    assert np.array_equal(codes, quads(made["w_quantized"]).T if kind == "matmul" else quads(made["w_quantized"]))
    assert np.array_equal(other["w_scale"].reshape(41, -1), numpy_helper.to_array(made["w_scale"]).T if kind == "matmul" else numpy_helper.to_array(made["w_scale"]))
    assert cosine(run(out), want) > 0.9999


def test_portable_blocks_with_tables_biases_and_goals(mlc, valid):
    for make in (mlp, attention, language_model):
        proto = make(opset=21, ir=9) if make is not language_model else make()
        proto.opset_import[0].version = 21
        source, out = quantize(mlc, proto, "--onnx", "int4-qdq", "--min-elements", "0", "--min-cosine", "0.9", "-f")
        assert operators(out)["DequantizeLinear"] > 0 and operators(out)["MatMulNBits"] == 0
        assert cosine(run(source), run(out)) > 0.97
    onnx_models.save(mlp(opset=21, ir=9), mlc.cwd / "in.onnx")
    answer = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--onnx", "int4-qdq", "--max-drop", "0.1%", "--samples", "9", "--json").json
    valid(answer, "quantize-onnx")
    assert answer["form"] == "int4-qdq" and answer["max_drop"]["in_bytes"] and answer["max_drop"]["drop"] <= 0.001


def test_portable_blocks_need_a_new_opset(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "int4-qdq")
    assert done.rc == 4 and "opset 17 has no operators for int4-qdq quantisation, which needs 21" in done.stderr and "--opset 21" in done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


def test_the_same_model_gives_the_same_bytes(mlc):
    _, out = quantize(mlc, mlp(), "--threads", "1")
    first = out.read_bytes()
    _, out = quantize(mlc, mlp(), "-f", "--threads", "3")
    assert out.read_bytes() == first


def test_json_answers_fit_the_schema(mlc, valid, root):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    for args in ("-o a.onnx", "-n", "-o b.onnx --no-verify --onnx int4 --min-elements 0", "-n -o c.onnx --exclude w1"):
        done = mlc("quantize", "in.onnx", "--json", *args.split())
        assert done.rc == 0, done.stderr
        valid(json.loads(done.stdout), "quantize-onnx")
    assert json.loads(done.stdout)["kept"] == [{"name": "w1", "node": "/m", "reason": "excluded", "bytes": 32768}]
    assert not (mlc.cwd / "c.onnx").exists()
    valid(json.loads((root / "schemas/examples/quantize-onnx.json").read_text()), "quantize-onnx")


def test_weights_that_callers_could_exchange_become_constants(mlc):
    proto = mlp()
    proto.graph.input.append(value("w1", 64, 128))
    _, out = quantize(mlc, proto)
    assert [one.name for one in onnx.load(out).graph.input] == ["x"]


def test_weights_that_are_not_finite_are_named_and_kept(mlc):
    proto = mlp()
    array = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    array[3, 4:6] = np.nan, np.inf
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w1"))
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--no-verify")
    assert done.rc == 0 and "w1 (2 weights not finite)" in done.stderr
    assert "w1" in initializers(mlc.cwd / "out.onnx")


REFUSED = [
    ("--min-cosine 0.99999999", 1, "below 0.99999999; nothing"),
    ("--min-sqnr 200", 1, "below --min-sqnr 200"),
    ("--min-elements 1000000 --require-speedup", 1, "nothing to quantise"),
    ("--in-place", 2, "in place"),
    ("--input x:f32[2,63]", 2, "must be 64"),
    ("--input nope:f32[2,64]", 2, "nope"),
    ("--block 48 --onnx int4", 2, "power of two"),
    ("--no-verify --require-speedup", 2, "contradicts"),
    ("--block 64", 2, "for --onnx int4"),
    ("--rounding mse", 2, "for --onnx int4"),
    ("--no-verify --min-cosine 0.9", 2, "contradicts --min-cosine"),
    ("--no-verify --min-sqnr 9", 2, "contradicts --min-cosine"),
    ("--symmetric --onnx weight-only", 2, "for --onnx int4"),
    ("--reduce-range --onnx int4", 2, "for products of bytes"),
    ("--reduce-range --onnx weight-only", 2, "for products of bytes"),
    ("--float-ends", 2, "for --onnx static"),
    ("--exclude nope", 2, 'matched nothing: --exclude "nope"'),
    ("--include w11", 2, 'did you mean "w1"?'),
    ("--percentile 99", 2, "--calib-method percentile"),
]


@pytest.mark.parametrize("sizes, told", [
    ((1, 32, "h", "w"), "x f32[1, 32, 224, 224]"), (("n", "h", "w", 32), "x f32[1, 224, 224, 32]"), ((1, 32, "h", 8), None), (("n", "h", "w", "c"), None)])
def test_pictures_of_any_size_were_judged_at_one_pixel(mlc, valid, sizes, told):
    proto = onnx_models.model([node("Relu", ["x"], "r"), node("ReduceMean", ["r"], "m", keepdims=1),  node("Reshape", ["m", "one"], "s"),
                               node("Expand", ["s", "row"], "e"), node("MatMul", ["e", "w"], "y")],
                              [value("x", *sizes)], [value("y", 1, 64)],
                              [weight("w", 64, 64), numpy_helper.from_array(np.array([1, 1]), "one"), numpy_helper.from_array(np.array([1, 64]), "row")])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    args = ("quantize", "in.onnx", "-o", "out.onnx", "--min-cosine", "-1", "-f")
    said = mlc.ok(*args).stdout
    assert ("4 samples of " + told if told else "4 samples beside") in said
    assert "4 samples beside" in mlc.ok(*args, "--input", f"x:f32[{','.join(str(s) if isinstance(s, int) else '8' for s in sizes)}]").stdout


def test_masks_of_attention_are_no_pictures(mlc):
    proto = onnx_models.model([node("Add", ["mask", "x"], "a"), node("ReduceMax", ["a"], "m", keepdims=1), node("Reshape", ["m", "one"], "s"),
                               node("Expand", ["s", "row"], "e"), node("MatMul", ["e", "w"], "y")],
                              [value("mask", "n", 1, "s", "s"), value("x", "n", "s")], [value("y", 1, 64)],
                              [weight("w", 64, 64), numpy_helper.from_array(np.array([1, 1]), "one"), numpy_helper.from_array(np.array([1, 64]), "row")])
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    assert "4 samples beside" in mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--min-cosine", "-1").stdout


@pytest.mark.parametrize("args, code, says", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_not_met_writes_nothing(args, code, says, mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    output = [] if "--in-place" in args else ["-o", "out.onnx"]
    done = mlc("quantize", "in.onnx", *output, *args.split())
    assert done.rc == code and says in done.stderr, done.stderr
    assert sorted(p.name for p in mlc.cwd.iterdir()) == ["in.onnx"]


def test_patterns_that_match_nothing_are_named(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--exclude", "w1", "--exclude", "blok*")
    assert done.rc == 2 and 'matched nothing: --exclude "blok*"\n' in done.stderr and not (mlc.cwd / "out.onnx").exists()


def test_a_quantised_model_is_not_quantised_again(mlc):
    quantize(mlc, mlp(), "--exclude", "w1")
    done = mlc("quantize", "out.onnx", "-o", "again.onnx")
    assert done.rc == 1 and "quantised already" in done.stderr and "MatMulInteger x2" in done.stderr
    assert mlc("quantize", "out.onnx", "-o", "again.onnx", "--allow-requantize").rc == 0
    assert operators(mlc.cwd / "again.onnx")["MatMulInteger"] == 3


def test_an_opset_without_the_operators_is_refused(mlc):
    onnx_models.save(mlp(opset=6, ir=5), mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "out.onnx")
    assert done.rc == 4 and "opset 6 is too old" in done.stderr and not (mlc.cwd / "out.onnx").exists()


def test_options_of_onnx_models_are_refused_for_checkpoints(mlc, script):
    for options in (["--onnx", "int4"], ["--block", "64"], ["--samples", "3"], ["--seed", "1"], ["--percentile", "99"]):
        done = mlc("quantize", script, "-o", "out.pt", *options)
        assert done.rc == 2 and "no ONNX model" in done.stderr


def test_a_model_that_is_not_there_was_called_no_onnx_model(mlc):
    result = mlc("quantize", "nothere.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "x.npy")
    assert result.rc == 3
    assert "nothere.onnx: cannot open: No such file" in result.stderr


def test_activations_that_are_shared_are_made_before_their_first_reader(mlc):
    """A weight that is read twice: its second reader shares activations with another weight that comes between."""
    nodes = [node("MatMul", ["x", "a"], "p"), node("MatMul", ["p", "b"], "q"), node("MatMul", ["p", "a"], "r"), node("Add", ["q", "r"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], [weight("a", 64, 64), weight("b", 64, 64, seed=7)])
    source, out = quantize(mlc, proto, "--min-elements", "0", *WIDTH)
    assert cosine(run(source), run(out)) > 0.999 and operators(out)["DynamicQuantizeLinear"] == 2


def test_weights_of_inner_graphs_are_left_alone(mlc):
    inner = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [value("t", 1, 96)])
    other = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["e"])], "else", [], [value("e", 1, 96)])
    flag = helper.make_node("If", ["flag"], ["z"], name="/if", then_branch=inner, else_branch=other)
    proto = onnx_models.model([flag, node("MatMul", ["z", "v"], "y")], [value("x", 1, 64), onnx_models.value("flag", (), TensorProto.BOOL)],
                              [value("y", 1, 64)], [weight("w", 64, 96), weight("v", 96, 64)])
    source, out = quantize(mlc, proto, "--input", "x:f32[1,64]", "--input", "flag:bool[]")
    assert {"w", "v_quantized"} < set(initializers(out)) and source.exists()


@pytest.mark.parametrize("form", ["int4", "int4-qdq"])
def test_zero_points_between_codes_were_cut_to_codes(mlc, form):
    """Those of hqq: 15 dB were in the file, and 22.6 in the report."""
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", 64)], [value("y", "n", 128)], [weight("w", 64, 128)], opset=21, ir=10)
    wanted = numpy_helper.to_array(weight("w", 64, 128))
    found = {}
    for rounding in ("rtn", "hqq"):
        _, out = quantize(mlc, proto, "--onnx", form, "--rounding", rounding, "--min-cosine", "0.9", "-f")
        made = onnxruntime.InferenceSession(out).run(None, {"x": np.eye(64, dtype=np.float32)})[0]
        found[rounding] = 10 * np.log10((wanted ** 2).sum() / ((wanted - made) ** 2).sum())
        told = mlc.ok("quantize", "in.onnx", "-n", "--onnx", form, "--rounding", rounding, "--no-verify", "--json").json
        assert told["quantized"][0]["sqnr_db"] == pytest.approx(found[rounding], abs=0.01)
    assert found["hqq"] > found["rtn"] - 0.1


def test_nodes_without_names_got_the_same_one(mlc):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "v"], ["b"]), helper.make_node("MatMul", ["b", "u"], ["y"])]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], [weight(name, 64, 64) for name in "wvu"])
    for form in ("int4", "dynamic", "weight-only"):
        _, out = quantize(mlc, proto, "--onnx", form, "-f", "--min-elements", "0", "--min-cosine", "0.9")
        names = [one.name for one in onnx.load(out).graph.node if one.name]
        assert len(set(names)) == len(names)


def test_initializers_that_had_to_be_inputs(mlc):
    """IR version 3, as all old models of the model zoo have it: exit 70."""
    proto = mlp(ir=3, opset=13)
    proto.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in list(proto.graph.initializer))
    onnx.checker.check_model(proto, full_check=True)
    for form in ("dynamic", "weight-only", "int4"):
        _, out = quantize(mlc, proto, "--onnx", form, "-f", "--min-cosine", "0.9")
        assert onnx.load(out).ir_version >= 4


SCHEMES = {"w1": "int8", "w2": "int4:g32", "w3": "int8"}


def schemes(mlc, *args):
    answer = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--min-cosine", "0.5", *args, "--json").json
    return {one["name"]: one["scheme"] for one in answer["quantized"]}, {one["name"]: one["reason"] for one in answer["kept"]}


def test_rules_for_single_weights(mlc, tmp_path):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    assert schemes(mlc, "--onnx", "int4", "--tensor", "w1=int8") == (SCHEMES, {})
    assert schemes(mlc, "--onnx", "int4", "--tensor", "w[12]=keep", "--tensor", "w1=int8") == (
        {"w1": "int8", "w3": "int8"}, {"w2": "kept by a rule"})
    assert schemes(mlc, "--tensor", "^w2$=keep")[1] == {"w2": "kept by a rule"}
    for args, says in (("--onnx int4 --tensor w1=int4:g64", "contradicts int4"), ("--tensor w1=int4", "--onnx int4 has four"),
                       ("--tensor w1=fp16", "mlc export-onnx --dtype fp16"), ("--tensor w1=int8:asym", "one scale a channel"),
                       ("--tensor nope=keep", "nope")):
        done = mlc("quantize", "in.onnx", "-o", "o.onnx", *args.split())
        assert done.rc == 2 and says in done.stderr, done.stderr


def test_a_scheme_and_a_recipe_of_an_onnx_model(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    found, _ = schemes(mlc, "--scheme", "int4:g64:sym", "--tensor", "w1=int8", "--write-recipe", "r.yaml")
    assert found["w2"] == "int4:g64" and found["w1"] == "int8"
    again = (mlc.cwd / "out.onnx").read_bytes()
    assert schemes(mlc, "--recipe", "r.yaml")[0] == found
    assert (mlc.cwd / "out.onnx").read_bytes() == again
    (mlc.cwd / "plain.yaml").write_text("mlc: recipe/1\nscheme: int8\nexclude: [w1]\n")
    assert schemes(mlc, "--recipe", "plain.yaml") == ({"w2": "int8", "w3": "int8"}, {"w1": "excluded"})
    assert schemes(mlc, "--scheme", "int4", "--block", "64")[0]["w2"] == "int4:g64"
    for args, says in (("--recipe plain.yaml --onnx int4", "the scheme is int8"), ("--scheme int4:g48", "blocks of 16, 32, 64"),
                       ("--scheme int4:g8", "blocks of 16, 32, 64"), ("--scheme int4:g128 --block 64", "contradicts int4:g128"), ("--scheme bf16", "mlc export-onnx --dtype fp16"),
                       ("--scheme int4 --onnx dynamic", "has eight bits"), ("--scheme int4:channel", "int4 in blocks"), ("--scheme int4:asym --symmetric", "contradicts int4:asym")):
        done = mlc("quantize", "in.onnx", "-o", "o.onnx", *args.split())
        assert done.rc == 2 and says in done.stderr, done.stderr


def test_what_a_goal_chose_is_in_the_recipe(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    found, kept = schemes(mlc, "--onnx", "int4", "--max-drop", "0.1%", "--write-recipe", "r.yaml")
    assert schemes(mlc, "--recipe", "r.yaml")[0] == found and set(schemes(mlc, "--recipe", "r.yaml")[1]) == set(kept)


def test_eight_bits_in_place_of_four_went_without_a_word(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    done = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "int4", "--min-cosine", "0.5")
    assert "eight bits in place of four: w3 (int8)" in done.stderr
    done = mlc("quantize", "in.onnx", "-o", "s.onnx", "--onnx", "int4", "--min-cosine", "0.5", "--strict")
    assert done.rc == 1 and "as --strict wants it: w3 (int8)" in done.stderr and not (mlc.cwd / "s.onnx").exists()
    mlc.ok("quantize", "in.onnx", "-o", "s.onnx", "--onnx", "int4", "--min-cosine", "0.5", "--strict", "--tensor", "w3=int8")
    mlc.ok("quantize", "in.onnx", "-o", "s.onnx", "-f", "--strict")


def test_a_rule_for_a_bias_went_without_a_word(mlc):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    args = ("quantize", "in.onnx", "-o", "out.onnx", "-f", "--tensor", "b1=int8")
    assert "rules without effect: b1=int8 (no weight of a product or a table)" in mlc.ok(*args).stderr
    done = mlc(*args, "--strict")
    assert done.rc == 1 and "b1=int8" in done.stderr


def test_eight_bits_among_four_were_floats_in_every_run(mlc):
    """35 times slower than floats."""
    _, out = quantize(mlc, mlp(), "--onnx", "int4", "--tensor", "w1=int8", "--min-cosine", "0.5")
    assert operators(out)["MatMulInteger"] == 2 and operators(out)["DequantizeLinear"] == 0


@needs_whole_sums
def test_a_target_size_of_an_onnx_model(mlc):
    onnx_models.save(mlp(hidden=512), mlc.cwd / "in.onnx")
    least = mlc.ok("quantize", "in.onnx", "-n", "--onnx", "int4", "--min-cosine", "0.5", "--json").json["file_bytes"]
    most = (mlc.cwd / "in.onnx").stat().st_size
    losses = []
    for target in (least, least + 1, (2 * least + most) // 3, (least + 2 * most) // 3, most - 1):
        mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "-f", "--target-size", f"{target}B", "--min-cosine", "0.5")
        assert (mlc.cwd / "out.onnx").stat().st_size <= target
        x = np.random.default_rng(1).standard_normal((8, 64), np.float32)
        a, b = (onnxruntime.InferenceSession(mlc.cwd / name).run(None, {"x": x})[0] for name in ("in.onnx", "out.onnx"))
        losses.append(float(((a - b) ** 2).sum()))
    assert losses[0] == losses[1] and losses == sorted(losses, reverse=True) and losses[-1] < losses[0] / 10
    done = mlc("quantize", "in.onnx", "-o", "no.onnx", "--target-size", f"{least - 1}B")
    assert done.rc == 1 and f"({least:,} bytes) at least" in done.stderr and not (mlc.cwd / "no.onnx").exists()
    done = mlc("quantize", "in.onnx", "-o", "no.onnx", "--onnx", "dynamic", "--target-size", f"{least}B")
    assert done.rc == 1 and "--onnx int4, which has four bits" in done.stderr


def test_weights_of_constant_nodes_were_not_seen(mlc):
    constant = helper.make_node("Constant", [], ["w"], value=weight("w", 64, 96))
    proto = onnx_models.model([constant, node("MatMul", ["x", "w"], "y")], [value("x", "n", 64)], [value("y", "n", 96)])
    for form in ("dynamic", "weight-only", "int4"):
        quantize(mlc, proto, "--onnx", form, "-f", "--min-cosine", "0.9")
        assert list(schemes(mlc, "--onnx", form)[0]) == ["w"]


def old_model(opset=9):
    """What had attributes where opset 13 has inputs."""
    nodes = [node("Pad", ["x"], "p", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5, mode="constant"), node("Conv", ["p", "w", "b"], "c"),
             node("Clip", ["c"], "k", min=0.0, max=6.0), node("Slice", ["k"], "s", axes=[2, 3], starts=[0, 1], ends=[8, 9]),
             node("Dropout", ["s"], "d", ratio=0.25), node("GlobalAveragePool", ["d"], "g"), node("Squeeze", ["g"], "f", axes=[2, 3]),
             node("Unsqueeze", ["f"], "u", axes=[1]), node("ReduceSum", ["u"], "r", axes=[1], keepdims=0), node("Gemm", ["r", "h", "hb"], "l", transB=1),
             helper.make_node("Split", ["l"], ["l1", "l2"], name="/split", axis=1, split=[6, 4]), node("Concat", ["l2", "l1"], "q", axis=1),
             node("Softmax", ["q"], "y", axis=1)]
    if opset < 10:
        nodes.insert(1, helper.make_node("BatchNormalization", ["p", "g1", "g2", "g3", "g4"], ["pn"], name="/bn"))
        nodes[2].input[0] = "pn"
    weights = [weight("w", 16, 3, 3, 3), weight("b", 16), weight("h", 10, 16), weight("hb", 10), weight("g1", 3), weight("g2", 3), weight("g3", 3),
               numpy_helper.from_array(np.full(3, 0.7, np.float32), "g4")]
    weights = weights if opset < 10 else weights[:4]
    return onnx_models.model(nodes, [value("x", "n", 3, 10, 10)], [value("y", "n", 10)], weights, opset=opset, ir=4)


@pytest.mark.parametrize("form", ["static", "weight-only", "int4"])
def test_old_models_were_refused(mlc, form):
    """Scales by channel came with opset 13."""
    proto = old_model()
    x = np.random.default_rng(0).standard_normal((4, 3, 10, 10), np.float32)
    np.savez(mlc.cwd / "x.npz", x=x)
    source, out = quantize(mlc, proto, "--onnx", form, "--min-elements", "0", *(["--calib", "x.npz"] if form == "static" else []), "-f")
    made = onnx.load(out)
    assert made.opset_import[0].version == 13
    a, b = (onnxruntime.InferenceSession(path).run(None, {"x": x})[0] for path in (source, out))
    assert cosine(a, b) > 0.99
    assert fused_form(form, out)


def test_an_old_model_multiplies_bytes(mlc):
    _, out = quantize(mlc, mlp(opset=9, ir=4), "-f")
    assert onnx.load(out).opset_import[0].version == 13 and operators(out)["MatMulInteger"] == 3


def fused_form(form, path):
    kinds = operators(path)
    return kinds["QuantizeLinear"] > 2 if form == "static" else kinds["DequantizeLinear"] + kinds["MatMulNBits"] + kinds["MatMulInteger"] > 0


def old_convolution(*behind, scales=(1, 1, 2, 2), opset=9):
    nodes = [node("Conv", ["x0", "w"], "x"), *behind]
    weights = [weight("w", 16, 3, 3, 3), numpy_helper.from_array(np.array(scales, np.float32), "scales")]
    return onnx_models.model(nodes, [value("x0", "n", 3, 9, 9)], [value("y", "n", 16, "h", "w")], weights, opset=opset, ir=4)


SCALED = (1, 1, 2, 1.5)
SMALLER = (1, 1, 0.5, 0.4)
OLD_SHAPES = {
    "softmax of rest": old_convolution(node("Softmax", ["x"], "y", axis=1)),
    "softmax of all": old_convolution(node("LogSoftmax", ["x"], "y", axis=0)),
    "softmax of one": old_convolution(node("Softmax", ["x"], "y", axis=3)),
    "upsample": old_convolution(node("Upsample", ["x", "scales"], "y"), scales=SCALED),
    "upsample linear": old_convolution(node("Upsample", ["x", "scales"], "y", mode="linear"), scales=SCALED),
    "upsample of 7": old_convolution(node("Upsample", ["x"], "y", mode="nearest", scales=SCALED), opset=7),
    "resize of 10": old_convolution(node("Resize", ["x", "scales"], "y", mode="nearest"), scales=SCALED, opset=10),
    "smaller": old_convolution(node("Resize", ["x", "scales"], "y", mode="nearest"), scales=SMALLER, opset=10),
    "smaller linear": old_convolution(node("Resize", ["x", "scales"], "y", mode="linear"), scales=SMALLER, opset=10),
}


@pytest.mark.parametrize("name", sorted(OLD_SHAPES))
def test_softmax_and_resize_of_old_models_were_refused(mlc, name):
    source, out = quantize(mlc, OLD_SHAPES[name], "--onnx", "weight-only", "--min-elements", "0", "-f")
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9), np.float32)
    a, b = (onnxruntime.InferenceSession(path).run(None, {"x0": x})[0] for path in (source, out))
    assert a.shape == b.shape and cosine(a, b) > 0.999
    assert onnx.load(out).opset_import[0].version == 13


def test_what_of_an_old_model_cannot_be_said_anew(mlc):
    proto = old_convolution(node("Upsample", ["x", "scales"], "y"), scales=(1, 1, 2, 0.5))
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "o.onnx", "--onnx", "weight-only")
    assert done.rc == 4 and "grow and shrink at once" in done.stderr and "cannot go from opset 9 to 13" in done.stderr, done.stderr


def test_old_models_that_are_odd(mlc):
    """A node without outputs (SIGSEGV), and a type that no value_info tells (exit 70)."""
    proto = onnx_models.model([node("Conv", ["x", "w"], "c"), node("Clip", ["c"], "y", min=0.0, max=6.0)], [value("x", "n", 3, 9, 9)],
                              [value("y", "n", 16, 7, 7)], [weight("w", 16, 3, 3, 3)], opset=10, ir=4)
    for op in ("Clip", "Softmax", "Upsample"):
        odd = onnx.ModelProto()
        odd.CopyFrom(proto)
        odd.graph.node.append(helper.make_node(op, ["c"], [], **({"min": 0.0} if op == "Clip" else {})))
        onnx_models.save(odd, mlc.cwd / "in.onnx")
        assert mlc("quantize", "in.onnx", "-o", "o.onnx", "-f", "--onnx", "weight-only", "--min-elements", "0").rc in (0, 1, 3, 4)
    half = onnx.ModelProto()
    half.CopyFrom(proto)
    half.graph.initializer[0].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight("w", 16, 3, 3, 3)).astype(np.float16), "w"))
    for one in (half.graph.input[0], half.graph.output[0]):
        one.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx_models.save(half, mlc.cwd / "in.onnx")
    done = mlc("quantize", "in.onnx", "-o", "o.onnx", "-f", "--onnx", "weight-only")
    assert done.rc == 4 and "may not be float32" in done.stderr


def test_a_target_size_that_the_source_does_not_meet(mlc):
    """What nobody reads is no part of the result."""
    proto = mlp()
    proto.graph.initializer.append(weight("unread", 300, 300))
    onnx_models.save(proto, mlc.cwd / "in.onnx")
    mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--target-size", "150kB", "--min-cosine", "0.5")
    assert (mlc.cwd / "out.onnx").stat().st_size <= 150_000


def test_blocks_of_one_weight_were_larger_than_floats(mlc):
    """20 kB became 105."""
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", 1)], [value("y", "n", 5000)], [weight("w", 1, 5000)])
    source, out = quantize(mlc, proto, "--onnx", "int4")
    assert out.stat().st_size <= source.stat().st_size + 200
    assert schemes(mlc, "--onnx", "int4") == ({}, {"w": "no smaller when quantised"})


def test_a_model_without_anything_to_quantise_ended_a_batch(mlc, valid):
    """A checkpoint without was a warning."""
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    args = ("quantize", "in.onnx", "-o", "out.onnx", "-f", "--min-elements", "1000000")
    done = mlc.ok(*args)
    assert "there is nothing to quantise: " in done.stderr and "no faster" not in done.stderr
    assert "quantised  nothing" in done.stdout and "exact" in done.stdout
    assert operators(mlc.cwd / "out.onnx") == operators(mlc.cwd / "in.onnx")
    valid(mlc.ok(*args, "--json").json, "quantize-onnx")
    mlc.ok("quantize", "out.onnx", "-o", "q.onnx", "--min-elements", "0")


def test_a_dry_run_without_an_output_was_not_verified(mlc, valid):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    before = sorted(mlc.cwd.iterdir())
    done = mlc.ok("quantize", "in.onnx", "-n", "--min-elements", "0", "--min-cosine", "-1")
    assert "samples beside the float model" in done.stdout and "missing" not in done.stdout
    answer = mlc.ok("quantize", "in.onnx", "-n", "--min-elements", "0", "--min-cosine", "-1", "--json").json
    valid(answer, "quantize-onnx")
    assert answer["verified"] and answer["dry_run"]
    assert mlc("quantize", "in.onnx", "-n", "--min-elements", "0", "--min-sqnr", "200").rc == 1
    assert sorted(mlc.cwd.iterdir()) == before


def test_outputs_of_zeros_alone_passed_for_equal(mlc):
    """A single large input leaves nothing of the others in 8 bits: no angle, and 0 % of it lost."""
    first = numpy_helper.to_array(weight("w", 64, 64)).copy()
    first[0] = 0  # of the large input
    onnx_models.save(onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", 4, 64)], [value("y", 4, 64)], [numpy_helper.from_array(first, "w")]), mlc.cwd / "in.onnx")
    x = np.random.default_rng(0).standard_normal((4, 64), np.float32)
    x[:, 0] = 30000
    np.save(mlc.cwd / "x.npy", x)
    args = ("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", "--input", "x=@x.npy")
    refused = mlc(*args)
    assert refused.rc == 1 and 'output "y" has the cosine 0.000000 with that of the source, below 0.99' in refused.stderr, refused.stderr
    refused = mlc(*args, "--min-cosine", "-1", "--min-sqnr", "10")
    assert refused.rc == 1, refused.stderr
    done = mlc("quantize", "in.onnx", "-n", "--min-elements", "0", "--calib", "x.npy", "--max-drop", "5%")
    assert done.rc == 1 and "outputs lose 100 % of cosine" in done.stderr, done.stderr


@pytest.mark.parametrize("how", [("quantize",), ("prune", "--method", "channels", "--amount", "0.5")], ids=["quantize", "prune"])
@pytest.mark.parametrize("ir", [3, 8])
def test_inputs_with_defaults_went_without_a_word(mlc, how, ir):
    model = onnx_models.model([node("MatMul", ["x", "w"], "a"), node("Mul", ["a", "gain"], "b"), node("MatMul", ["b", "v"], "y")],
                              [value("x", "n", 64), value("gain", 1)], [value("y", "n", 10)],
                              [weight("w", 64, 64), weight("v", 64, 10), numpy_helper.from_array(np.float32([2]), "gain")])
    model.ir_version = ir
    if ir < 4:
        model.graph.input.extend(value(one.name, *one.dims) for one in model.graph.initializer if one.name != "gain")
    onnx_models.save(model, mlc.cwd / "in.onnx")
    done = mlc(how[0], "in.onnx", "-o", "out.onnx", "--min-cosine", "-1", *how[1:])
    assert done.rc == 0, done.stderr
    assert ("the input gain with its default became a constant, which no caller can exchange" in done.stderr) == (ir >= 4), done.stderr


def test_quality_and_speed_were_those_of_one_token(mlc, tmp_path, valid):
    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((32, 64), np.float32), "w")
    table = numpy_helper.from_array(np.random.default_rng(1).standard_normal((50, 32), np.float32), "table")
    nodes = [helper.make_node("Gather", ["table", "ids"], ["e"]), helper.make_node("MatMul", ["e", "w"], ["h"]),
             helper.make_node("Cast", ["mask"], ["m"], to=1), helper.make_node("Unsqueeze", ["m", "axes"], ["u"]), helper.make_node("Mul", ["h", "u"], ["y"])]
    inputs = [onnx_models.value("ids", ("batch", "seq"), 7), onnx_models.value("mask", ("batch", "seq"), 7)]
    axes = numpy_helper.from_array(np.array([-1]), "axes")
    onnx_models.save(onnx_models.model(nodes, inputs, [onnx_models.value("y", None)], [weight, table, axes]), tmp_path / "m.onnx")
    said = mlc.ok("quantize", "m.onnx", "-o", "q.onnx", "--reduce-range", "--min-elements", "1").stdout
    assert "of ids i64[1, 16] and mask i64[1, 16] beside the float model" in said
    answer = mlc.ok("quantize", "m.onnx", "-o", "q.onnx", "-f", "--reduce-range", "--min-elements", "1", "--json").json
    valid(answer, "quantize-onnx")
    assert answer["assumed"] == "ids i64[1, 16] and mask i64[1, 16]"
    said = mlc.ok("quantize", "m.onnx", "-o", "q.onnx", "-f", "--reduce-range", "--min-elements", "1", "--input", "ids:i64[2,5]=0..49",
                  "--input", "mask:i64[2,5]=1").stdout
    assert "assumed" not in said and "i64[" not in said


class Experts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rise, self.fall = torch.nn.Parameter(torch.randn(4, 64, 96) * 0.1), torch.nn.Parameter(torch.randn(4, 96, 64) * 0.1)
        self.lstm = torch.nn.LSTM(64, 32, batch_first=True, bidirectional=True)

    def forward(self, x):
        y = torch.einsum("bi,eio->beo", x, self.rise).relu().transpose(0, 1)
        return self.lstm(torch.bmm(y, self.fall).transpose(0, 1))[0]


@pytest.mark.parametrize("form", ["weight-only", "int4"])
def test_weights_of_experts_and_cells_stayed_floats(mlc, form):
    torch.manual_seed(0)
    torch.jit.trace(Experts().eval(), torch.randn(3, 64)).save(str(mlc.cwd / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[b=3,64]")
    answer = mlc.ok("quantize", "m.onnx", "-o", "q.onnx", "--onnx", form, "--json").json
    assert len(answer["quantized"]) == 4 and answer["outputs"][0]["min_cosine"] > 0.999
    x = {"x": np.random.default_rng(0).standard_normal((5, 64)).astype(np.float32)}
    want, got = (onnxruntime.InferenceSession(str(mlc.cwd / name)).run(None, x)[0] for name in ("m.onnx", "q.onnx"))
    assert np.sum(want * got) / np.linalg.norm(want) / np.linalg.norm(got) > 0.999
    told = mlc("quantize", "m.onnx", "-o", "d.onnx").stderr
    assert "--onnx weight-only makes the file smaller" in told and "convolutions" not in told
