"""`mlc quantize --max-drop` of ONNX models: which layers are undone, measured again with ONNX Runtime in Python."""

import json
import math
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

import onnx_models
import test_quantize_static as static
from cpu import ADDS_IN_16_BITS, needs_whole_sums
from test_quantize_onnx import initializers, node, operators, value, weight

pytestmark = pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
LAYERS = 6


def deep():
    """Residual layers of equal weights; in two of them one input has weights so large that 8 bits leave little for the others."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for i in range(LAYERS):
        array = random.standard_normal((64, 64), np.float32) / 8
        if i in (1, 4):
            array[0] = 40 * random.choice([-1, 1], 64)
        nodes += [node("Mul", [last, "mask"], f"d{i}"), node("MatMul", [f"d{i}", f"w{i}"], f"m{i}"), node("Tanh", [f"m{i}"], f"t{i}"),
                  node("Add", [last, f"t{i}"], f"r{i}")]
        weights.append(numpy_helper.from_array(array, f"w{i}"))
        last = f"r{i}"
    mask = np.ones(64, np.float32)
    mask[0] = 0  # the large weights do nothing but take up the codes
    nodes.append(node("MatMul", [last, "head"], "y"))
    return onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 10)],
                             [*weights, numpy_helper.from_array(mask, "mask"), weight("head", 64, 10)])


@pytest.fixture
def x(mlc):
    data = np.random.default_rng(1).standard_normal((40, 64), np.float32)
    np.save(mlc.cwd / "x.npy", data)
    onnx_models.save(deep(), mlc.cwd / "in.onnx")
    return data


def outputs(path, data):
    """Sample by sample, since activations share a scale over a batch."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": data[i:i + 1]})[0] for i in range(len(data))]).astype(np.float64)


def cosine_drop(source, out, data):
    a, b = outputs(source, data), outputs(out, data)
    return 1 - ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


ARGS = ("quantize", "in.onnx", "-o", "out.onnx", "--calib", "x.npy", "--min-elements", "0")


@pytest.mark.parametrize("form, limit", [pytest.param("dynamic", 5e-4, marks=needs_whole_sums), ("weight-only", 3e-4), pytest.param("static", 1e-3, marks=needs_whole_sums)])
def test_the_layers_that_cost_most_stay_in_floats(mlc, valid, x, form, limit):
    source, out = mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"
    answer = mlc.ok(*ARGS, "--onnx", form, "--max-drop", str(limit), "--json").json
    valid(answer, "quantize-onnx")
    found = answer["max_drop"]
    assert set(found["in_floats"]) == {"w1", "w4"} < set(initializers(out)), found
    assert [layer["name"] for layer in found["layers"]][:2] == found["in_floats"]
    assert found["drop"] <= limit < found["trail"][0]["drop"]
    assert abs(cosine_drop(source, out, x) - found["drop"]) < 1e-5 + 0.05 * found["drop"]
    # No more runs than needed: all, each alone, and a search by halves.
    assert len(found["layers"]) == LAYERS + 1 and len(found["trail"]) <= 1 + math.ceil(math.log2(LAYERS + 1))
    # With the worst but one it would not do.
    more = ("--calib", "x.npy") if form == "static" else ()
    mlc.ok(*ARGS[:4], *ARGS[6:], *more, "--onnx", form, "--exclude", found["in_floats"][0], "--min-cosine", "-1", "-f")
    assert cosine_drop(source, out, x) > limit
    kept = {one["name"]: one["reason"] for one in answer["kept"]}
    assert kept["w1"] == kept["w4"] == "in floats for the outputs' sake"


@needs_whole_sums
def test_four_bits_become_eight_before_they_become_floats(mlc, valid, x):
    answer = mlc.ok(*ARGS, "--onnx", "int4", "--max-drop", "0.3%", "--json").json
    valid(answer, "quantize-onnx")
    found = answer["max_drop"]
    assert found["in_floats"] == ["w1", "w4"] and 0 < len(found["in_bytes"]) < LAYERS - 1
    schemes = {one["name"]: one["scheme"] for one in answer["quantized"]}
    assert {name for name, scheme in schemes.items() if scheme == "int8"} == set(found["in_bytes"])
    ops = operators(mlc.cwd / "out.onnx")
    assert ops["MatMulInteger"] == len(found["in_bytes"]) and ops["MatMulNBits"] == LAYERS - 1 - len(found["in_bytes"])
    assert cosine_drop(mlc.cwd / "in.onnx", mlc.cwd / "out.onnx", x) <= 0.003 * 1.05
    assert len(found["trail"]) <= 1 + math.ceil(math.log2(2 * (LAYERS + 1))) + math.ceil(math.log2(LAYERS))
    # One of the others with four bits too would lose too much.
    fewer = [run for run in found["trail"] if run["in_floats"] == 2 and run["in_bytes"] == len(found["in_bytes"]) - 1]
    assert fewer and fewer[0]["drop"] > 0.003


def test_a_goal_that_is_met_costs_one_run(mlc, x):
    found = mlc.ok(*ARGS, "--max-drop", "90%", "--json").json["max_drop"]
    assert len(found["trail"]) == 1 and found["layers"] == [] and found["in_floats"] == []


@needs_whole_sums
def test_the_trail_is_told_in_text_and_on_the_page(mlc, x):
    done = mlc.ok(*ARGS, "--max-drop", "0.05%", "--report", "page.html")
    page = (mlc.cwd / "page.html").read_text()
    assert "of cosine with 2 weights in floats" in done.stdout and "COSTS MOST ALONE" in done.stdout and "taken" in done.stdout
    assert "The way to --max-drop" in page and "Layers alone" in page and "of cosine with 2 weights in floats" in page


@needs_whole_sums
def test_what_cannot_be_reached_writes_nothing_but_the_page(mlc, x):
    done = mlc(*ARGS, "--max-drop", "0", "--report", "page.html")
    assert done.rc == 1 and done.stdout == ""
    assert "at the least, with 6 weights in floats: more than --max-drop 0 %; nothing was written" in done.stderr
    assert sorted(p.name for p in mlc.cwd.iterdir()) == ["in.onnx", "page.html", "x.npy"]
    assert "No model was written" in (mlc.cwd / "page.html").read_text()
    assert mlc(*ARGS, "--max-drop", "0", "-f", "--json").error["kind"] == "conflict"


@needs_whole_sums
def test_a_dry_run_tells_it_without_an_output(mlc, x):
    found = mlc.ok("quantize", "in.onnx", "-n", "--calib", "x.npy", "--min-elements", "0", "--max-drop", "0.05%", "--json").json
    assert found["max_drop"]["in_floats"] and sorted(p.name for p in mlc.cwd.iterdir()) == ["in.onnx", "x.npy"]


@needs_whole_sums
def test_without_samples_random_inputs_do(mlc, x):
    found = mlc.ok("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", "--max-drop", "0.05%", "--seed", "3", "--samples", "9", "--json").json
    assert found["max_drop"]["samples"] == 9 and found["max_drop"]["in_floats"]


def test_labels_are_told_as_often_as_asked_for(mlc, valid, x):
    source, out = mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"
    right = outputs(source, x).argmax(1)
    labels = right.copy()
    labels[:8] = (labels[:8] + 1) % 10  # that the float model does not tell
    labels[20:24] = -100                # not to be counted
    np.save(mlc.cwd / "labels.npy", labels)
    answer = mlc.ok(*ARGS, "--onnx", "int4", "--block", "64", "--labels", "labels.npy", "--max-drop", "1%", "--json").json
    valid(answer, "quantize-onnx")
    found, counted = answer["max_drop"], labels >= 0
    assert found["of"] == "labels" and found["right"] == pytest.approx(28 / 36)
    told = (outputs(out, x).argmax(1) == labels)[counted].mean()
    assert found["drop"] == pytest.approx(max(0, 28 / 36 - told)) and found["drop"] <= 0.01 < found["trail"][0]["drop"]
    # As datasets have them; where none is negative bytes do too.
    for name, dtype, kept in (("small", np.int32, labels), ("bytes", np.uint8, np.where(labels < 0, 9, labels)), ("floats", np.float32, labels)):
        np.save(mlc.cwd / f"{name}.npy", kept.astype(dtype))
        done = mlc(*ARGS, "-f", "--onnx", "int4", "--block", "64", "--labels", f"{name}.npy", "--max-drop", "50%")
        assert done.rc == (2 if name == "floats" else 0), done.stderr
    assert "--labels, whole numbers" in done.stderr


def test_labels_that_no_output_can_give_passed_any_gate(mlc, x):
    labels = outputs(mlc.cwd / "in.onnx", x).argmax(1)
    labels[-1] = 10  # of the numbers 0 to 9, in the last sample, which is not compared
    np.save(mlc.cwd / "labels.npy", labels)
    done = mlc(*ARGS, "--onnx", "int4", "--labels", "labels.npy", "--max-drop", "1%", "--samples", "5")
    assert done.rc == 2 and '--labels has the label 10 (number 39), but output "y" has 10 classes, 0 to 9' in done.stderr, done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


def test_how_many_labels_the_float_model_tells_was_in_json_only(mlc, x):
    right = outputs(mlc.cwd / "in.onnx", x).argmax(1)
    right[:8] = (right[:8] + 1) % 10
    np.save(mlc.cwd / "labels.npy", right)
    text = mlc.ok(*ARGS, "--onnx", "weight-only", "--labels", "labels.npy", "--max-drop", "100%", "--report", "r.html").stdout
    assert re.search(r"^right +32 of 40 labels told by the float model$", text, re.M), text
    assert "32 of 40 labels told by the float model" in (mlc.cwd / "r.html").read_text()
    found = mlc.ok(*ARGS, "-f", "--onnx", "weight-only", "--labels", "labels.npy", "--max-drop", "100%", "--json").json["max_drop"]
    assert found["right"] == 0.8 and found["labels"] == 40


def test_top1_is_of_rows_whose_largest_value_moved(mlc, x):
    source, out = mlc.cwd / "in.onnx", mlc.cwd / "out.onnx"
    found = mlc.ok(*ARGS, "--onnx", "int4", "--block", "64", "--drop-of", "top1", "--max-drop", "5%", "--json").json["max_drop"]
    moved = (outputs(source, x).argmax(1) != outputs(out, x).argmax(1)).mean()
    assert found["drop"] == pytest.approx(moved) and moved <= 0.03 < found["trail"][0]["drop"]


@needs_whole_sums
def test_convolutions_and_what_lies_between(mlc, valid):
    """With a layer in floats pools behind it have ranges of their own."""
    source = onnx_models.save(static.residual(), mlc.cwd / "in.onnx")
    data = static.samples(mlc.cwd / "x.npz", 12)
    for limit in ("0.0025%", "0.001%"):
        answer = mlc.ok("quantize", source, "-o", "out.onnx", "-f", "--onnx", "static", "--calib", "x.npz", "--max-drop", limit, "--json").json
        valid(answer, "quantize-onnx")
        onnx.checker.check_model(mlc.cwd / "out.onnx", full_check=True)
        assert answer["max_drop"]["in_floats"]
        assert cosine_drop(source, mlc.cwd / "out.onnx", data) <= float(limit[:-1]) / 100 * 1.05


def test_progress_counted_samples_as_bytes(mlc, x):
    np.save(mlc.cwd / "many.npy", np.tile(x, (1000, 1)))
    code, screen = mlc.tty("quantize", "in.onnx", "-o", "out.onnx", "--onnx", "static", "--calib", "many.npy", "--min-elements", "0", "--samples", "10000",
                           "--max-drop", "0.001%")
    assert code in (0, 1) and re.search(r"calibrating  \d+%  [\d,]+ samples of 40,000 samples", screen), screen
    assert not re.search(r"(calibrating|measuring|alone|choosing)\S*  (\d+%  )?[\d.]+ k?B", screen)


@pytest.mark.parametrize("args, code, says", [
    ("--max-drop 2", 2, "no part of the whole"),
    ("--max-drop 1%%", 2, "no part of the whole"),
    ("--max-drop -1%", 2, "no part of the whole"),
    ("--max-drop 1% --no-verify", 2, "contradicts"),
    ("--labels x.npy", 2, "--max-drop X is missing"),
    ("--drop-of top1", 2, "--max-drop X is missing"),
    ("--max-drop 1% --labels few.npy", 2, "--calib FILE is missing"),
    ("--max-drop 1% --calib x.npy --labels few.npy", 2, "3 labels for 40 samples"),
    ("--max-drop 1% --calib x.npy --labels x.npy", 2, "--labels"),
    ("--max-drop 1% --calib x.npy --labels wide.npy", 2, "no output has a row of numbers for each of 2 labels"),
    ("--max-drop 1% --calib x.npy --labels nix.npy", 3, "nix.npy"),
    ("--max-drop 1% --calib x.npy --labels few.npy --drop-of top1", 2, "exclude each other"),
])
def test_bad_input(mlc, x, args, code, says):
    np.save(mlc.cwd / "few.npy", np.zeros(3, np.int64))
    np.save(mlc.cwd / "wide.npy", np.zeros((40, 2), np.int64))
    done = mlc("quantize", "in.onnx", "-o", "out.onnx", "--min-elements", "0", *args.split())
    assert done.rc == code and says in done.stderr, done.stderr
    assert not (mlc.cwd / "out.onnx").exists()


def test_what_has_no_outputs_says_what_has(mlc, tmp_path):
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "w.pt")
    done = mlc("quantize", "w.pt", "-o", "out.pt", "--max-drop", "1%")
    assert done.rc == 2 and "has no program to run" in done.stderr and "--min-sqnr DB" in done.stderr and "--torchscript" in done.stderr
    done = mlc("quantize", "nix.pt", "-o", "out.pt", "--max-drop", "1%")
    assert done.rc == 3 and "nix.pt" in done.stderr
    assert not (tmp_path / "out.pt").exists()


def test_answers_of_the_documentation_fit(valid, root):
    example = json.loads((root / "schemas/examples/quantize-onnx.json").read_text())
    valid(example, "quantize-onnx")
    assert example["max_drop"]["trail"]


def test_four_bits_stay_where_eight_lose_more(mlc):
    """Eight bits have one scale for all that goes in: a single large input leaves nothing of the others; of four it spoils its block."""
    random = np.random.default_rng(0)
    first, second = random.standard_normal((64, 64), np.float32) / 8, random.standard_normal((64, 64), np.float32) / 8
    first[:32] = 0                                   # the block of the large input
    second[0] = 40 * random.choice([-1, 1], 64)      # a large weight of what is 0 spoils its block
    mask = np.ones(64, np.float32)
    mask[0] = 0
    nodes = [node("MatMul", ["x", "first"], "a"), node("Tanh", ["a"], "t"), node("Mul", ["t", "mask"], "m"), node("MatMul", ["m", "second"], "y")]
    constants = [numpy_helper.from_array(array, name) for array, name in ((first, "first"), (second, "second"), (mask, "mask"))]
    source = onnx_models.save(onnx_models.model(nodes, [value("x", "n", 64)], [value("y", "n", 64)], constants), mlc.cwd / "in.onnx")
    x = random.standard_normal((16, 64), np.float32)
    x[:, 0] = 3000
    np.save(mlc.cwd / "x.npy", x)
    found = mlc.ok(*ARGS, "--onnx", "int4", "--max-drop", "3%", "--json").json["max_drop"]
    assert found["in_floats"] == ["second"] and found["in_bytes"] == []
    assert cosine_drop(source, mlc.cwd / "out.onnx", x) == pytest.approx(found["drop"], rel=0.05) and found["drop"] <= 0.05
    assert {(run["in_bytes"], run["in_floats"]) for run in found["trail"]} >= {(0, 0), (1, 1), (0, 1)}


@pytest.mark.skipif(not ADDS_IN_16_BITS, reason="this processor adds products of bytes in 32 bits")
def test_processors_that_cut_sums_get_the_way_out(mlc, x):
    done = mlc(*ARGS, "--max-drop", "0")
    assert done.rc == 1 and "--reduce-range avoids that" in done.stderr
    assert mlc(*ARGS, "--onnx", "int4", "--max-drop", "50%", "--reduce-range").rc == 0


def test_reduce_range_was_refused_with_a_target_size(mlc, x):
    size = (mlc.cwd / "in.onnx").stat().st_size
    done = mlc.ok("quantize", "in.onnx", "-n", "--min-elements", "0", "--target-size", str(size // 3), "--reduce-range", "--min-cosine", "-1", "--json")
    assert any(layer["scheme"] == "int8" for layer in done.json["quantized"])


@pytest.mark.skipif(not ADDS_IN_16_BITS, reason="this processor adds products of bytes in 32 bits")
def test_sums_that_are_cut_left_weights_in_floats_without_a_word(mlc, x):
    words = "with --reduce-range fewer weights may stay in floats"
    assert words in mlc.ok(*ARGS, "--max-drop", "1%").stderr
    assert words not in mlc.ok(*ARGS, "--max-drop", "1%", "--reduce-range", "-f").stderr
