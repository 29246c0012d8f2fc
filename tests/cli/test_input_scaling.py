"""`mlc quantize --smooth` and `--rounding awq` of ONNX models: factors between activations and weights, and what they gain."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

import onnx_models
from cpu import WIDTH, needs_whole_sums
from test_quantize_onnx import attention, cosine, initializers, language_model, mlp, node, operators, value, weight

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
LARGE = [3, 17, 40, 41, 55, 60]  # channels


def array(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def block(residual=False, shared=False):
    """A norm with outliers, two linear layers with a Relu between; the norm's output is read by a residual Add, or its gamma by another."""
    gamma, random = np.ones(64), np.random.default_rng(0)
    gamma[LARGE] = 30
    nodes = [node("LayerNormalization", ["x", "gamma", "beta"], "n", axis=-1), node("MatMul", ["n", "up"], "u"), node("Add", ["up_b", "u"], "a"),
             node("Relu", ["a"], "r"), node("MatMul", ["r", "down"], "d")]
    nodes.append(node("Add", ["d", "n"], "y") if residual else node("Mul", ["d", "gamma"], "y") if shared else node("Identity", ["d"], "y"))
    up, down = random.standard_normal((64, 128)) / 30, random.standard_normal((128, 64))
    up[:, :5] *= 25  # channels that the Relu leaves large
    weights = [array("gamma", gamma), array("beta", random.standard_normal(64)), array("up", up), array("up_b", random.standard_normal(128)), array("down", down)]
    return onnx_models.model(nodes, [value("x", "n", 4, 64)], [value("y", "n", 4, 64)], weights)


def run(path, data):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": data[i:i + 1]})[0] for i in range(len(data))]).astype(np.float64)


def db(source, out, data):
    a, b = run(source, data), run(out, data)
    return 10 * np.log10((a ** 2).sum() / ((a - b) ** 2).sum())


def make(mlc, proto, data, *args):
    source = onnx_models.save(proto, mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", data)
    width = [] if "int4" in args else WIDTH
    answer = mlc.ok("quantize", source, "-o", "out.onnx", "-f", "--min-elements", "0", "--calib", "x.npy", "--min-cosine", "-1", "--json", *width, *args).json
    onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
    return answer, source, mlc.cwd / "out.onnx"


def normal(*sizes, seed=1):
    return np.random.default_rng(seed).standard_normal(sizes, np.float32)


PLAIN = ("--max-drop", "100%")  # so that --calib has a use


@pytest.mark.parametrize("form", ["dynamic", "static"])
@pytest.mark.parametrize("power", ["0.5", "auto"])
def test_outliers_move_into_weights_and_factors_into_what_makes_them(mlc, valid, form, power):
    data = normal(32, 4, 64)
    answer, source, out = make(mlc, block(), data, "--onnx", form, "--smooth", power)
    valid(answer, "quantize-onnx")
    assert answer["factors"] == {"method": "smooth", "folded": 2, "multiplied": 0}
    smooth, plain_operators = db(source, out, data), operators(out)
    answer, source, out = make(mlc, block(), data, "--onnx", form, *PLAIN)
    assert "factors" not in answer and plain_operators == operators(out), "nothing but other numbers"
    assert smooth > db(source, out, data) + 3


def test_what_weights_gain_activations_lose(mlc):
    answer, source, out = make(mlc, block(), normal(32, 4, 64), "--smooth", "0.5")
    given, made = initializers(source), initializers(out)
    factor = given["gamma"] / made["gamma"]
    np.testing.assert_allclose(given["beta"] / made["beta"], factor, rtol=1e-5)
    largest = np.abs(run_value(source, "n", normal(32, 4, 64))).reshape(-1, 64).max(0)
    np.testing.assert_allclose(factor, np.sqrt(largest / np.abs(given["up"]).max(1)), rtol=1e-3)
    behind = given["up_b"] / made["up_b"]
    want = given["up"] * factor[:, None] / behind
    assert np.abs(made["up_quantized"] * made["up_scale"] - want).max() <= 0.51 * made["up_scale"].max()


def run_value(path, name, data):
    proto = onnx.load(path)
    proto.graph.output.append(onnx_models.value(name, None))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {"x": data})[0]


def test_what_others_read_too_gets_a_mul(mlc):
    data, unseen = normal(32, 4, 64), normal(32, 4, 64, seed=2)
    answer, source, out = make(mlc, block(residual=True), data, "--smooth", "auto", "--exclude", "down")
    assert answer["factors"] == {"method": "smooth", "folded": 0, "multiplied": 1}
    assert np.array_equal(initializers(out)["gamma"], initializers(source)["gamma"])
    smooth = db(source, out, unseen)
    answer, source, out = make(mlc, block(residual=True), data, *PLAIN, "--exclude", "down")
    assert smooth > db(source, out, unseen) + 3


def test_a_constant_that_others_read_stays_theirs(mlc):
    answer, source, out = make(mlc, block(shared=True), normal(32, 4, 64), "--smooth", "0.5")
    assert answer["factors"]["folded"] == 2
    assert np.array_equal(initializers(out)["gamma"], initializers(source)["gamma"]) and "gamma_scaled" in initializers(out)
    assert cosine(run(source, normal(8, 4, 64)), run(out, normal(8, 4, 64))) > 0.999


@pytest.mark.parametrize("form", ["dynamic", "static"])
@pytest.mark.parametrize("proto", [mlp, attention], ids=lambda f: f.__name__)
def test_gemm_and_products_that_share_their_input(mlc, form, proto):
    sizes = (16, 64) if proto is mlp else (16, 5, 64)
    answer, source, out = make(mlc, proto(), normal(*sizes), "--onnx", form, "--smooth", "0.5")
    assert cosine(run(source, normal(*sizes, seed=2)), run(out, normal(*sizes, seed=2))) > 0.999
    found = answer["factors"]
    assert (found["folded"], found["multiplied"]) == ((2, 1) if (proto, form) == (mlp, "dynamic") else (1, 1) if proto is mlp else (0, 1))


def test_tables_and_weights_of_several_activations_are_left_alone(mlc):
    np.save(mlc.cwd / "ids.npy", np.random.default_rng(0).integers(0, 300, (9, 4)))
    source = onnx_models.save(language_model(), mlc.cwd / "in.onnx")
    answer = mlc.ok("quantize", source, "-o", "out.onnx", "--min-elements", "0", "--calib", "ids.npy", "--smooth", "0.5", "--json").json
    assert answer["factors"] == {"method": "smooth", "folded": 0, "multiplied": 1}, "the table is the head"
    nodes = [node("MatMul", ["x", "w"], "p"), node("MatMul", ["p", "w"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], [weight("w", 64, 64)])
    answer, source, out = make(mlc, proto, normal(16, 64), "--smooth", "0.5")
    assert answer["factors"] == {"method": "smooth", "folded": 0, "multiplied": 0}
    assert cosine(run(source, normal(8, 64)), run(out, normal(8, 64))) > 0.999


def test_a_weight_that_is_read_twice_behind_transposes(mlc):
    nodes = [node("Transpose", ["w"], "t1", perm=[1, 0]), node("Transpose", ["w"], "t2", perm=[1, 0]), node("MatMul", ["x", "t1"], "p"),
             node("MatMul", ["x", "t2"], "q"), node("Add", ["p", "q"], "y")]
    proto = onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 48)], [weight("w", 48, 64)])
    answer, source, out = make(mlc, proto, normal(16, 64), "--smooth", "0.5")
    assert answer["factors"]["multiplied"] == 1 and cosine(run(source, normal(8, 64)), run(out, normal(8, 64))) > 0.999


@pytest.mark.parametrize("args", [("--smooth", "auto"), ("--smooth", "0.5"), ("--onnx", "int4", "--rounding", "awq")], ids=" ".join)
def test_samples_without_elements_say_nothing(mlc, args):
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", "s", 64)], [value("y", "n", "s", 64)], [weight("w", 64, 64)])
    answer, _, _ = make(mlc, proto, np.zeros((9, 0, 64), np.float32), *args)
    assert answer["factors"] == {"method": "awq" if "awq" in args else "smooth", "folded": 0, "multiplied": 0}


@needs_whole_sums
@pytest.mark.parametrize("args, least", [(("--smooth", "0.5"), 30), (("--smooth", "auto"), 30), (("--onnx", "int4", "--rounding", "awq"), 18)])
def test_weights_became_small_whose_inputs_the_samples_never_show(mlc, args, least):
    proto = onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", 64)], [value("y", "n", 64)], [array("w", np.random.default_rng(4).standard_normal((64, 64)) / 9)])
    shown = normal(64, 64)
    shown[:, LARGE] *= 30
    shown[:, ::2] = 0
    _, source, out = make(mlc, proto, shown, *args)
    hidden = np.zeros((64, 64), np.float32)
    hidden[:, ::2] = normal(64, 32)
    assert db(source, out, hidden) > least
    assert "32 inputs of 1 layer never vary, they are 0 in all samples (w)" in mlc("quantize", source, "-n", "--calib", "x.npy", *args).stderr


def reference(seed):
    """Inputs of rank 64 with noise and six large channels."""
    random = np.random.default_rng([9, seed])
    basis = np.random.default_rng(9).standard_normal((64, 768))
    x = random.standard_normal((256, 64)) @ basis / 8 + 0.1 * random.standard_normal((256, 768))
    x[:, np.array(LARGE) * 12] *= 30
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def product():
    return onnx_models.model([node("MatMul", ["x", "w"], "y")], [value("x", "n", 768)], [value("y", "n", 768)], [weight("w", 768, 768)])


def test_eight_bits_of_activations_with_outliers(mlc, product):
    """On rows that were not seen: the order of the papers, by far more than chance."""
    _, source, out = make(mlc, product, reference(0), "--onnx", "static")
    plain = db(source, out, reference(1))
    _, source, out = make(mlc, product, reference(0), "--onnx", "static", "--smooth", "0.5")
    assert plain < 30 and db(source, out, reference(1)) > plain + 8


@pytest.mark.parametrize("size", [32, 128])
def test_four_bits_of_weights_for_large_inputs(mlc, valid, product, size):
    _, source, out = make(mlc, product, reference(0), "--onnx", "int4", "--block", str(size), "--rounding", "mse", *PLAIN)
    plain = db(source, out, reference(1))
    answer, source, out = make(mlc, product, reference(0), "--onnx", "int4", "--block", str(size), "--rounding", "awq")
    valid(answer, "quantize-onnx")
    assert answer["factors"] == {"method": "awq", "folded": 0, "multiplied": 1}
    assert db(source, out, reference(1)) > plain + 4


def test_factors_of_awq_fold_too(mlc):
    answer, source, out = make(mlc, block(), normal(32, 4, 64), "--onnx", "int4", "--rounding", "awq")
    assert answer["factors"]["folded"] >= 1 and answer["factors"]["multiplied"] == 0 and operators(out)["Mul"] == 0
    awq = db(source, out, normal(32, 4, 64, seed=2))
    _, source, out = make(mlc, block(), normal(32, 4, 64), "--onnx", "int4", *PLAIN)
    assert awq > db(source, out, normal(32, 4, 64, seed=2)) + 1


def test_the_same_samples_give_the_same_bytes(mlc, product):
    for args in (("--smooth", "auto"), ("--onnx", "int4", "--rounding", "awq")):
        _, _, out = make(mlc, product, reference(0), *args, "--threads", "1")
        first = out.read_bytes()
        assert make(mlc, product, reference(0), *args, "--threads", "3")[2].read_bytes() == first


@pytest.mark.parametrize("args, code, says", [
    ("--smooth 0.5", 2, "--smooth needs samples of inputs"),
    ("--smooth 1.5 --calib x.npy", 2, "neither auto nor a number"),
    ("--smooth half --calib x.npy", 2, "neither auto nor a number"),
    ("--smooth 0.5 --calib x.npy --onnx weight-only", 2, "--onnx dynamic and static"),
    ("--smooth 0.5 --calib x.npy --onnx int4", 2, "--rounding awq"),
    ("--smooth 0.5 --calib x.npy --onnx static --stats s.json", 2, "--stats"),
    ("--onnx int4 --rounding awq", 2, "--rounding awq needs samples of inputs"),
    ("--rounding awq --calib x.npy", 2, "for --onnx int4"),
    ("--onnx int4 --calib x.npy", 2, "--calib is for"),
    ("--onnx int4 --rounding awq --calib bad.npy", 2, "63"),
    ("--smooth 0.5 --calib nan.npy", 1, "not finite"),
])
def test_bad_input(mlc, args, code, says):
    onnx_models.save(mlp(), mlc.cwd / "in.onnx")
    np.save(mlc.cwd / "x.npy", normal(9, 64))
    np.save(mlc.cwd / "bad.npy", normal(9, 63))
    np.save(mlc.cwd / "nan.npy", np.full((9, 64), np.nan, np.float32))
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", *args.split())
    assert done.rc == code and says in done.stderr.replace("NaN or infinite", "not finite"), done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


def test_checkpoints_say_what_they_lack(mlc, tmp_path):
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "w.pt")
    done = mlc("quantize", "w.pt", "-o", "o.pt", "--scheme", "int4", "--rounding", "awq")
    assert done.rc == 2 and "--rounding awq needs samples of inputs" in done.stderr
    (tmp_path / "r.yaml").write_text("mlc: recipe/1\nscheme: int4\nrounding: awq\n")
    done = mlc("quantize", "w.pt", "-o", "o.pt", "--recipe", "r.yaml")
    assert done.rc == 2 and "--rounding awq needs samples of inputs" in done.stderr and not (tmp_path / "o.pt").exists()
    assert mlc("quantize", "w.pt", "-o", "o.pt", "--smooth", "0.5").rc == 2


def test_norms_whose_axis_counts_from_the_front_took_no_factors(mlc):
    """As mlc export-onnx writes them."""
    answers = []
    for axis in (-1, 2):
        proto = block()
        proto.graph.node[0].attribute[0].i = axis
        answers.append(make(mlc, proto, normal(16, 4, 64), "--smooth", "0.5")[0]["factors"])
    assert answers[0] == answers[1] and answers[0]["folded"] == 2, answers
