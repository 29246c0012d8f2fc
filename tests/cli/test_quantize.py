"""mlc quantize and mlc dequantize: what readers with nothing but PyTorch see of their files."""

import collections
import json
import re
import math

import jsonschema
import pytest
import safetensors.torch
import torch
import torch.nn.utils.prune
import yaml

import quantized_weights as quantized
from checkpoints import assert_same, bytes_of, record, training_checkpoint, write

SCHEMES = ["int8", "int8:asym", "int8:g64", "int4", "int4:sym", "int4:g128", "int4:channel", "fp16", "bf16"]


def weights(dtype=torch.float32):
    """A state_dict with all that a rule could stumble over."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    state = collections.OrderedDict()
    state["embed.weight"] = normal(150, 96)
    state["conv.weight"] = normal(16, 8, 7, 7) * 0.02  # rows of 392 columns: no multiple of 32
    state["conv.bias"] = normal(16)
    state["pos"] = normal(1, 65, 96)  # rows are those of the second dimension
    state["odd.weight"] = normal(65, 67)
    state["norm.weight"] = normal(96)
    state["norm.running"] = torch.tensor(7)
    state["table.bias"] = normal(80, 80)
    state["small.weight"] = normal(4, 4)
    state["ids.weight"] = torch.arange(10000).reshape(100, 100)
    state["mask.weight"] = torch.ones(100, 100, dtype=torch.bool)
    return collections.OrderedDict(
        (k, v.to(dtype) if v.is_floating_point() else v) for k, v in state.items())


QUANTISED = ["embed.weight", "conv.weight", "pos", "odd.weight"]


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model.pt", weights())


@pytest.fixture
def alike(tmp_path):
    """Weights only, of different sizes and spread."""
    generator = torch.Generator().manual_seed(1)
    state = {f"{i}.weight": torch.randn(64 + 8 * i, 128, generator=generator) ** (1 + 2 * (i % 3)) for i in range(9)}
    return write(tmp_path / "alike.pt", state)


def report(mlc, *args):
    return mlc.ok("quantize", *args, "--json").json


# --- the file


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_formula_gives_what_dequantize_gives(mlc, tmp_path, model, scheme, suffix):
    mlc.ok("quantize", model, "-o", f"q.{suffix}", "--scheme", scheme)
    state, tensors, layout = quantized.load(tmp_path / f"q.{suffix}")
    assert layout == "plain" and sorted(tensors) == sorted(QUANTISED)
    mlc.ok("dequantize", f"q.{suffix}", "-o", "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    original = weights()
    assert sorted(back) == sorted(original)
    for name, described in tensors.items():
        assert described["scheme"] == scheme and described["dtype"] == "float32"
        assert_same(quantized.dequantize(state, name, described), back[name])
    for name in set(original) - set(QUANTISED):
        assert_same(original[name], state[name])
        assert_same(original[name], back[name])


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_reported_sqnr_is_that_of_the_file(mlc, tmp_path, model, suffix):
    answer = report(mlc, model, "-o", f"q.{suffix}", "--scheme", "int4")
    state, tensors, _ = quantized.load(tmp_path / f"q.{suffix}")
    assert [row["name"] for row in answer["quantized"]] == sorted(
        QUANTISED, key=lambda n: quantized.sqnr(weights()[n], quantized.dequantize(state, n, tensors[n])))
    for row in answer["quantized"]:
        weight, stored = weights()[row["name"]], quantized.dequantize(state, row["name"], tensors[row["name"]])
        assert row["sqnr_db"] == pytest.approx(quantized.sqnr(weight, stored), abs=1e-3)
        assert row["max_error"] == pytest.approx((weight - stored).abs().max().item(), rel=1e-3)
        assert row["bytes_before"] == weight.numel() * 4
        parts = [t for k, t in state.items() if k.startswith(row["name"])]
        assert row["bytes_after"] == sum(t.numel() * t.element_size() for t in parts)


def test_int8_codes_are_pytorchs(mlc, tmp_path, model):
    mlc.ok("quantize", model, "-o", "q.pt")
    state = torch.load(tmp_path / "q.pt", weights_only=True, mmap=True)
    for name in ("embed.weight", "odd.weight"):
        weight = weights()[name]
        scale = weight.abs().amax(1) / 127
        assert_same(scale.unsqueeze(1), state[name + "_scale"])
        wanted = torch.quantize_per_channel(weight, scale.double(), torch.zeros(len(scale)), 0, torch.qint8)
        assert_same(wanted.int_repr(), state[name].clone())
    # One multiplication brings them back, whatever the rank.
    assert state["conv.weight_scale"].shape == (16, 1, 1, 1) and state["pos_scale"].shape == (1, 65, 1)
    assert quantized.sqnr(weights()["pos"], state["pos"] * state["pos_scale"]) > 40


def test_int4_codes_follow_the_formula(mlc, tmp_path, model):
    mlc.ok("quantize", model, "-o", "q.pt", "--scheme", "int4:g32")
    state = torch.load(tmp_path / "q.pt", weights_only=True)
    weight = weights()["embed.weight"].reshape(150, 3, 32)
    low, high = weight.amin(2).clamp(max=0), weight.amax(2).clamp(min=0)
    scale = ((high / 15 - low / 15)).half().float()
    zero = (-low / scale).round()
    assert_same(scale.half(), state["embed.weight_scale"])
    assert_same(zero.byte(), state["embed.weight_zero_point"])
    codes = (weight / scale.unsqueeze(2) + zero.unsqueeze(2)).clamp(0, 15).round().reshape(150, 48, 2).byte()
    assert_same(codes[..., 0] | codes[..., 1] << 4, state["embed.weight_packed"])
    assert state["embed.weight_shape"].tolist() == [150, 96]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_other_types_come_back_as_they_were(mlc, tmp_path, dtype, scheme):
    path = write(tmp_path / "model.pt", weights(dtype))
    mlc.ok("quantize", path, "-o", "q.pt", "--scheme", scheme)
    state, tensors, _ = quantized.load(tmp_path / "q.pt")
    mlc.ok("dequantize", "q.pt", "-o", "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    for name in QUANTISED:
        assert_same(quantized.dequantize(state, name, tensors[name]).to(dtype), back[name])
    mlc.ok("dequantize", "q.pt", "-o", "half.pt", "--dtype", "fp16")
    assert torch.load(tmp_path / "half.pt", weights_only=True)["embed.weight"].dtype == torch.float16


def test_views_are_quantised_as_they_look(mlc, tmp_path):
    base = torch.randn(3, 100, 90)
    state = {"t": base[0].t(), "part": base[1, 10:, 5:], "expanded": torch.randn(1, 90).expand(100, 90), "plain": base[2]}
    write(tmp_path / "model.pt", state)
    mlc.ok("quantize", "model.pt", "-o", "q.pt")
    found, tensors, _ = quantized.load(tmp_path / "q.pt")
    for name, weight in state.items():
        assert quantized.sqnr(weight, quantized.dequantize(found, name, tensors[name])) > 40
        assert tensors[name]["shape"] == list(weight.shape)


def test_same_input_same_bytes(mlc, tmp_path, model):
    for folder, threads in (("a", 1), ("b", 4)):
        (tmp_path / folder).mkdir()
        mlc.ok("quantize", model, "-o", f"{folder}/q.pt", "--scheme", "int4", "--rounding", "hqq", "--threads", threads)
    assert (tmp_path / "a/q.pt").read_bytes() == (tmp_path / "b/q.pt").read_bytes()


def test_whole_checkpoint_keeps_the_rest_and_says_so(mlc, tmp_path):
    write(tmp_path / "train.pt", {**training_checkpoint(), "model": weights()})
    result = mlc.ok("quantize", "train.pt", "--key", "model", "-o", "q.pt")
    assert "kept as it was, for weights that are no more" in result.stderr
    found = torch.load(tmp_path / "q.pt", weights_only=False)
    assert found["model"]["embed.weight"].dtype == torch.int8
    assert set(found) == set(training_checkpoint()) | {"model"}
    mlc.ok("quantize", "train.pt", "--key", "model", "--weights-only", "-o", "w.pt")
    assert sorted(torch.load(tmp_path / "w.pt", weights_only=True))[0] == "conv.bias"


def test_parameters_become_tensors_that_load(mlc, tmp_path):
    linear = torch.nn.Linear(100, 100)
    write(tmp_path / "model.pt", {"weight": linear.weight, "bias": linear.bias})
    mlc.ok("quantize", "model.pt", "-o", "q.pt")
    found = torch.load(tmp_path / "q.pt", weights_only=True)
    assert type(found["weight"]) is torch.Tensor and not found["weight"].requires_grad
    assert type(found["bias"]) is torch.nn.Parameter


def test_tied_weights_are_stored_once_and_stay_tied(mlc, tmp_path):
    state = weights()
    state["head.weight"] = state["embed.weight"]
    write(tmp_path / "model.pt", state)
    answer = report(mlc, "model.pt", "-o", "q.pt")
    row = next(row for row in answer["quantized"] if row["name"] == "embed.weight")
    assert row["tied"] == ["head.weight"]
    found = torch.load(tmp_path / "q.pt", weights_only=True)
    assert found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()
    assert found["embed.weight_scale"].data_ptr() == found["head.weight_scale"].data_ptr()
    for container in ("q.pt", "q.safetensors"):
        mlc.ok("quantize", "model.pt", "-o", container, "--force")
        mlc.ok("dequantize", container, "-o", "back.pt", "--force")
        back = torch.load(tmp_path / "back.pt", weights_only=True)
        assert back["embed.weight"].data_ptr() == back["head.weight"].data_ptr()


def test_size_of_a_transformer(mlc, tmp_path):
    """BERT's proportions at an eighth of its width: embeddings are most of it."""
    state = {"embeddings.word": torch.randn(30522, 96)}
    for layer in range(4):
        for name, shape in (("q", (96, 96)), ("up", (384, 96)), ("down", (96, 384))):
            state[f"{layer}.{name}.weight"] = torch.randn(shape)
            state[f"{layer}.{name}.bias"] = torch.randn(shape[0])
    before = write(tmp_path / "model.pt", state).stat().st_size
    for scheme, share in (("int8", 0.27), ("int4", 0.16), ("fp16", 0.51)):
        mlc.ok("quantize", "model.pt", "-o", "q.pt", "--scheme", scheme, "--force")
        assert (tmp_path / "q.pt").stat().st_size < share * before


# --- weights that are no good


def test_nan_and_infinite_weights_are_kept_and_named(mlc, tmp_path):
    state = weights()
    state["odd.weight"][3, 4] = math.nan
    state["odd.weight"][3, 5] = math.inf
    state["conv.weight"][1, 2, 3, 4] = -math.inf
    write(tmp_path / "model.pt", state)
    result = mlc.ok("quantize", "model.pt", "-o", "q.pt")
    assert "not quantised as asked: 2 kept, not finite: conv.weight and odd.weight" in result.stderr
    found = torch.load(tmp_path / "q.pt", weights_only=True)
    assert_same(state["odd.weight"], found["odd.weight"])
    answer = report(mlc, "model.pt", "-o", "q.pt", "--force")
    assert answer["fallbacks"] == [
        {"name": "conv.weight", "asked": "int8", "scheme": "keep", "nans": 0, "infinities": 1},
        {"name": "odd.weight", "asked": "int8", "scheme": "keep", "nans": 1, "infinities": 1}]


def test_strict_writes_nothing_after_a_fallback(mlc, tmp_path):
    state = weights()
    state["odd.weight"][0, 0] = math.nan
    write(tmp_path / "model.pt", state)
    result = mlc("quantize", "model.pt", "-o", "q.pt", "--strict", "--json")
    assert result.rc == 1 and "odd.weight" in result.error["message"]
    assert not (tmp_path / "q.pt").exists()
    mlc.ok("quantize", "model.pt", "-o", "q.pt", "--strict", "--exclude", "odd.*")


def test_weights_beyond_float16(mlc, tmp_path):
    state = weights()
    state["odd.weight"][0, 0] = 65520
    write(tmp_path / "model.pt", state)
    answer = report(mlc, "model.pt", "-o", "q.pt", "--scheme", "fp16")
    assert {"name": "odd.weight", "reason": "out_of_range", "bytes": 65 * 67 * 4} in answer["kept"]
    state["odd.weight"][0, 0] = 65519
    write(tmp_path / "model.pt", state)
    assert not report(mlc, "model.pt", "-o", "q.pt", "--scheme", "fp16", "--force")["fallbacks"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rounding", ["rtn", "mse", "hqq"])
def test_dead_channels_stay_zero(mlc, tmp_path, scheme, rounding):
    weight = torch.randn(70, 70)
    weight[5] = 0
    weight[:, 32:] = 0
    write(tmp_path / "model.pt", {"w": weight})
    mlc.ok("quantize", "model.pt", "-o", "q.pt", "--scheme", scheme, "--rounding", rounding)
    state, tensors, _ = quantized.load(tmp_path / "q.pt")
    stored = quantized.dequantize(state, "w", tensors["w"])
    assert not stored[5].any()
    if rounding != "hqq":  # which moves zero points away from whole numbers
        assert not stored[:, 32:].any()


@pytest.mark.parametrize("factor", [1e-30, 1e-6, 1e6, 1e30])
def test_weights_of_every_size(mlc, tmp_path, factor):
    write(tmp_path / "model.pt", {"w": torch.randn(64, 96) * factor})
    for scheme, least in (("int4", 20), ("int8", 40), ("int8:g32", 42)):
        assert report(mlc, "model.pt", "-o", "q.pt", "--scheme", scheme, "--force")["worst_sqnr_db"] > least


# --- which tensors


def test_reasons_to_keep(mlc, model):
    kept = {row["name"]: row["reason"] for row in report(mlc, model, "-n")["kept"]}
    assert kept == {
        "conv.bias": "one_dimension", "norm.weight": "one_dimension", "norm.running": "not_floating",
        "table.bias": "bias", "small.weight": "small", "ids.weight": "not_floating", "mask.weight": "not_floating"}


def test_selecting(mlc, model):
    def chosen(*args):
        return {row["name"]: row["scheme"] for row in report(mlc, model, "-n", *args)["quantized"]}

    assert set(chosen("--exclude", "embed.*", "--exclude", "pos")) == {"conv.weight", "odd.weight"}
    assert set(chosen("--include", "*.weight", "--exclude", "odd.*")) == {"embed.weight", "conv.weight"}
    assert chosen("--tensor", "embed=int4", "--tensor", "^conv=keep", "--tensor", "odd=int4", "--tensor", "odd=fp16") == {
        "embed.weight": "int4", "pos": "int8", "odd.weight": "fp16"}
    # A rule of its own outweighs size and name.
    assert "small.weight" in chosen("--tensor", "small=fp16") and "table.bias" in chosen("--tensor", "table=int8")
    assert "table.bias" not in chosen("--tensor", "table=int8", "--exclude", "table*")
    assert "odd.weight" not in chosen("--min-elements", "5000")


@pytest.mark.parametrize("scheme", ["int8", "fp16"])
def test_masks_of_pruning_were_quantised_as_weights(mlc, tmp_path, scheme):
    module = torch.nn.Sequential(torch.nn.Linear(128, 64), torch.nn.Linear(64, 64))
    torch.nn.utils.prune.l1_unstructured(module[0], "weight", 0.5)
    write(tmp_path / "masked.pt", module.state_dict())
    result = mlc("quantize", "masked.pt", "-o", "q.pt", "--scheme", scheme)
    assert result.rc == 1 and "0.weight" in result.stderr and "`mlc prune --apply-masks`" in result.stderr
    assert not (tmp_path / "q.pt").exists()
    mlc.ok("prune", "masked.pt", "-o", "folded.pt", "--apply-masks")
    mlc.ok("quantize", "folded.pt", "-o", "q.pt", "--scheme", scheme)
    # Names that only look like it are weights.
    write(tmp_path / "odd.pt", {"a_orig": torch.randn(64, 128), "a_mask": torch.ones(3), "b_orig": torch.randn(64, 128)})
    mlc.ok("quantize", "odd.pt", "-o", "o.pt", "--scheme", scheme)


def test_patterns_that_match_nothing_were_warned_of_only(mlc, tmp_path, model):
    def refused(*args):
        result = mlc("quantize", model, "-o", "q.pt", *args)
        assert result.rc == 2 and not (tmp_path / "q.pt").exists()
        return result.stderr

    said = refused("--exclude", "emmbed", "--tensor", "hed=int4", "--include", "*")
    assert 'matched nothing: --exclude "emmbed" and --tensor "hed"' in said and 'did you mean "embed"?' in said
    assert '"*conv*" matches conv.weight' in refused("--exclude", "conv")
    (tmp_path / "r.yaml").write_text("mlc: recipe/1\ntensors:\n- {regex: embad, scheme: int4}\n")
    assert 'did you mean "embed"?' in refused("--recipe", "r.yaml")
    # Of several files not every one has every key.
    write(tmp_path / "other.pt", {"head.weight": torch.randn(64, 128)})
    result = mlc.ok("quantize", model, "other.pt", "-n", "--exclude", "embed*")
    assert 'matched nothing: --exclude "embed*"' in result.stderr


def test_recipe_round_trip(mlc, tmp_path, model, root):
    args = ["--scheme", "int4:g64", "--rounding", "mse", "--tensor", "embed=int8", "--exclude", "pos", "--min-elements", "10"]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mlc.ok("quantize", model, "-o", "a/q.pt", *args, "--write-recipe", "r.yaml")
    recipe = yaml.safe_load((tmp_path / "r.yaml").read_text())
    jsonschema.validate(recipe, json.loads((root / "schemas/recipe.schema.json").read_text()))
    assert recipe["scheme"] == "int4:g64" and recipe["tensors"] == [{"regex": "embed", "scheme": "int8"}]
    mlc.ok("quantize", model, "-o", "b/q.pt", "--recipe", "r.yaml")
    a = torch.load(tmp_path / "a/q.pt", weights_only=True)
    b = torch.load(tmp_path / "b/q.pt", weights_only=True)
    assert_same(a, b)


def test_recipe_of_a_goal_repeats_its_choices(mlc, tmp_path, alike):
    target = alike.stat().st_size * 2 // 5
    first = report(mlc, alike, "-o", "a.pt", "--target-size", target, "--write-recipe", "r.yaml")
    assert len({row["scheme"] for row in first["quantized"]}) > 1
    second = report(mlc, alike, "-o", "b.pt", "--recipe", "r.yaml")
    assert first["quantized"] == second["quantized"] and first["kept"] == second["kept"]


@pytest.mark.parametrize("text, message", [
    ("scheme: int8\n", 'the key "mlc" is missing'),
    ("mlc: recipe/2\n", 'unknown format "recipe/2"'),
    ("mlc: recipe/1\nscheme: int7\n", 'no such scheme: "int7"'),
    ("mlc: recipe/1\nrounding: best\n", 'no such rounding: "best"'),
    ("mlc: recipe/1\ntensors:\n  - {regex: '(', scheme: int8}\n", "("),
    ("mlc: recipe/1\ntensors:\n  - {regex: a, name: b, scheme: int8}\n", "a rule has a regex or a name"),
    ("mlc: recipe/1\nschema: int8\n", "schema"),
    ("- 1\n", "expected a recipe"),
])
def test_bad_recipes(mlc, tmp_path, model, text, message):
    (tmp_path / "r.yaml").write_text(text)
    result = mlc("quantize", model, "-n", "--recipe", "r.yaml")
    assert result.rc == 2 and message in result.stderr and "r.yaml" in result.stderr


def test_example_recipe_is_read(mlc, tmp_path, root):
    model = write(tmp_path / "m.pt", {**weights(), "mlp.gate.weight": torch.randn(80, 64), "lm_head.weight": torch.randn(80, 256)})
    example = root / "schemas/examples/recipe.yaml"
    jsonschema.validate(yaml.safe_load(example.read_text()), json.loads((root / "schemas/recipe.schema.json").read_text()))
    rows = {row["name"]: row["scheme"] for row in report(mlc, model, "-n", "--recipe", example)["quantized"]}
    assert rows["embed.weight"] == "int8" and rows["odd.weight"] == "int4" and rows["lm_head.weight"] == "int4:g128:sym"
    assert "mlp.gate.weight" not in rows


# --- goals


def test_min_sqnr_gives_more_bits(mlc, tmp_path, model):
    answer = report(mlc, model, "-o", "q.pt", "--scheme", "int4", "--min-sqnr", "35")
    assert {row["scheme"] for row in answer["quantized"]} == {"int8"} and answer["worst_sqnr_db"] > 35
    assert {row["asked"] for row in answer["fallbacks"]} == {"int4"}
    assert {row["scheme"] for row in report(mlc, model, "-n", "--min-sqnr", "60")["quantized"]} == {"fp16"}
    answer = report(mlc, model, "-n", "--min-sqnr", "200")
    assert not answer["quantized"] and {row["reason"] for row in answer["kept"]} >= {"sqnr"}
    result = mlc("quantize", model, "-o", "r.pt", "--min-sqnr", "60", "--strict")
    assert result.rc == 1 and not (tmp_path / "r.pt").exists()


def test_half_precision_does_not_become_another_of_the_same_size(mlc, tmp_path):
    write(tmp_path / "m.pt", weights(torch.bfloat16))
    answer = report(mlc, "m.pt", "-n", "--min-sqnr", "60")
    assert not answer["quantized"] and {row["reason"] for row in answer["kept"]} >= {"sqnr"}


def test_the_least_size_was_more_than_int4_takes(mlc, tmp_path):
    """With ties and small tensors what a file needs for one more tensor is less than the average."""
    generator = torch.Generator().manual_seed(0)
    state = {"emb.weight": torch.randn(200, 64, generator=generator), **{f"l{i}.weight": torch.randn(40 + i, 33, generator=generator) for i in range(12)}}
    state["head.weight"] = state["tied.with.a.longer.name.weight"] = state["emb.weight"]
    write(tmp_path / "m.pt", state)
    least = report(mlc, "m.pt", "-o", "int4.pt", "--scheme", "int4")["file_bytes"]
    result = mlc("quantize", "m.pt", "-o", "q.pt", "--target-size", least // 2)
    said = int(re.search(r"would have ([\d,]+) bytes at least", result.stderr).group(1).replace(",", ""))
    assert said <= least + 64, (said, least)
    assert report(mlc, "m.pt", "-o", "q.pt", "--target-size", said)["file_bytes"] <= said


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_target_size(mlc, tmp_path, alike, suffix):
    reached = []
    for share in (0.95, 0.6, 0.4, 0.28, 0.2):
        target = int(alike.stat().st_size * share)
        answer = report(mlc, alike, "-o", f"q.{suffix}", "--target-size", target, "--force")
        assert target * 0.75 < (tmp_path / f"q.{suffix}").stat().st_size == answer["file_bytes"] <= target
        reached.append(answer["sqnr_db"])
    assert reached == sorted(reached, reverse=True) and len(set(reached)) == len(reached)
    result = mlc("quantize", alike, "-o", "no.pt", "--target-size", alike.stat().st_size // 10)
    assert result.rc == 1 and not (tmp_path / "no.pt").exists()


def test_target_size_spends_bits_where_they_help(mlc, tmp_path, alike):
    """Better than every uniform scheme of the same size or less."""
    for scheme in ("int4", "int8", "fp16"):
        uniform = report(mlc, alike, "-o", "u.pt", "--scheme", scheme, "--force")
        chosen = report(mlc, alike, "-o", "q.pt", "--target-size", uniform["file_bytes"] + 9000, "--force")
        assert chosen["worst_sqnr_db"] >= uniform["worst_sqnr_db"]


def test_rounding_gains(mlc, model):
    db = {r: report(mlc, model, "-n", "--scheme", "int4", "--rounding", r)["sqnr_db"] for r in ("rtn", "mse", "hqq")}
    assert db["rtn"] < db["mse"] < db["hqq"]


# --- around it


def test_dry_run_says_what_the_run_does(mlc, tmp_path, model):
    for scheme in SCHEMES:
        plan = report(mlc, model, "-n", "-o", "q.pt", "--scheme", scheme)
        assert not (tmp_path / "q.pt").exists() and plan["dry_run"] and plan["file_bytes"] == 0
        done = report(mlc, model, "-o", "q.pt", "--scheme", scheme)
        (tmp_path / "q.pt").unlink()
        for key in ("bytes_before", "bytes_after", "bits_per_weight", "kept"):
            assert plan[key] == done[key]
        assert plan["worst_sqnr_db"] == pytest.approx(done["worst_sqnr_db"])


def test_quantised_input_is_refused(mlc, tmp_path, model):
    mlc.ok("quantize", model, "-o", "q.pt")
    result = mlc("quantize", "q.pt", "-o", "r.pt", "--scheme", "int4", "--json")
    assert result.rc == 1 and "quantised already" in result.error["message"]
    mlc.ok("quantize", "q.pt", "-o", "r.pt", "--scheme", "int4", "--allow-requantize")
    mlc.ok("dequantize", "q.pt", "-o", "back.pt")
    mlc.ok("quantize", "back.pt", "-o", "s.pt", "--scheme", "int4")
    r, s = (torch.load(tmp_path / n, weights_only=True) for n in ("r.pt", "s.pt"))
    assert sorted(r) == sorted(s)
    for name, tensor in r.items():
        assert_same(tensor, s[name])


def test_metadata_travels(mlc, tmp_path, model):
    mlc.ok("save", model, "-o", "named.pt", "--set", "name=digits")
    mlc.ok("quantize", "named.pt", "-o", "q.pt", "--tensor", "pos=keep")
    metadata = yaml.safe_load(record(tmp_path / "q.pt", "mlc/metadata.yaml"))
    assert metadata["name"] == "digits" and metadata["provenance"][-1]["verb"] == "quantize"
    assert metadata["provenance"][-1]["options"] == {"tensor": "pos=keep"}
    assert "quantised    int8 3, plain" in mlc.ok("load", "q.pt").stdout
    mlc.ok("dequantize", "q.pt", "-o", "back.pt")
    metadata = yaml.safe_load(record(tmp_path / "back.pt", "mlc/metadata.yaml"))
    assert "quantization" not in metadata and metadata["provenance"][-1]["verb"] == "dequantize"


def test_in_place_and_batches(mlc, tmp_path, model):
    write(tmp_path / "b.pt", weights())
    mlc.ok("quantize", "b.pt", "--in-place")
    assert torch.load(tmp_path / "b.pt", weights_only=True)["embed.weight"].dtype == torch.int8
    write(tmp_path / "c.pt", weights())
    result = mlc("quantize", model, "c.pt", "nope.pt", "--out-dir", "out", "-j", "2", "--keep-going", "--json")
    assert result.rc == 3
    assert [row["exit_code"] for row in result.json["results"]] == [0, 0, 3]
    assert torch.load(tmp_path / "out/c.pt", weights_only=True)["embed.weight"].dtype == torch.int8
    assert "7 of" not in mlc.ok("quantize", model, "c.pt", "--out-dir", "two").stderr


def test_damaged_input_stops(mlc, tmp_path, model):
    data = bytearray(model.read_bytes())
    at = data.find(bytes_of(weights()["odd.weight"])[:64])
    data[at + 100] ^= 1
    (tmp_path / "bad.pt").write_bytes(data)
    result = mlc("quantize", "bad.pt", "-o", "q.pt")
    assert result.rc == 3 and "CRC-32" in result.stderr and not (tmp_path / "q.pt").exists()


def test_names_that_are_taken(mlc, tmp_path):
    write(tmp_path / "model.pt", {"w": torch.randn(80, 80), "w_scale": torch.ones(1)})
    result = mlc("quantize", "model.pt", "-o", "q.pt", "--json")
    assert result.rc == 1 and '"w_scale"' in result.error["message"]
    mlc.ok("quantize", "model.pt", "-o", "q.pt", "--scheme", "fp16")


@pytest.mark.parametrize("args, code, message", [
    (["--scheme", "int7"], 2, 'no such scheme: "int7"'),
    (["--scheme", "int4:g1"], 2, "not a group size"),
    (["--scheme", "fp16:g32"], 2, "no such option"),
    (["--tensor", "embed"], 2, "not REGEX=SCHEME"),
    (["--tensor", "(=int8"], 2, "--tensor"),
    (["--min-sqnr", "much"], 2, "not a number"),
    (["--target-size", "1MB", "--scheme", "int8"], 2, "--target-size chooses the schemes itself"),
    (["--key", "nope"], 2, "nope"),
    (["-o", "q.onnx"], 2, "name it .pt or .safetensors"),
    (["-o", "q.pt", "--format", "compressed-tensors"], 2, "safetensors"),
    (["--recipe", "nope.yaml"], 3, "nope.yaml"),
])
def test_wrong_command_lines(mlc, tmp_path, model, args, code, message):
    output = [] if "-o" in args else ["-o", "q.pt"]
    result = mlc("quantize", model, *output, *args)
    assert result.rc == code and message in result.stderr
    assert not (tmp_path / "q.pt").exists()


def test_inputs_that_are_nothing_to_quantise(mlc, tmp_path):
    write(tmp_path / "empty.pt", {"a": torch.ones(3)})
    result = mlc.ok("quantize", "empty.pt", "-o", "q.pt")
    assert "0 of 1 tensor quantised" in result.stderr
    (tmp_path / "text.pt").write_text("hello")
    assert mlc("quantize", "text.pt", "-o", "r.pt").rc in (3, 4)
    result = mlc("dequantize", "empty.pt", "-o", "r.pt")
    assert result.rc == 4 and "does not say that it is quantised" in result.stderr


def test_parts_that_are_missing_or_of_another_shape(mlc, tmp_path, model):
    mlc.ok("quantize", model, "-o", "q.pt")
    state = torch.load(tmp_path / "q.pt", weights_only=True)
    torch.save({key: value for key, value in state.items() if key != "embed.weight_scale"}, tmp_path / "r.pt")
    (tmp_path / "r.pt.mlc.yaml").write_text(mlc.ok("metadata", "q.pt").stdout)
    result = mlc("dequantize", "r.pt", "-o", "back.pt")
    assert result.rc == 3 and '"embed.weight_scale" is missing' in result.stderr
    mlc.ok("save", "q.pt", "--dtype", "bf16", "-o", "s.pt")  # scales of another type are understood
    mlc.ok("dequantize", "s.pt", "-o", "back.pt")


@pytest.mark.parametrize("path, value, message", [
    ("format", "gguf", "a format that this mlc does not know"),
    ("format", "[]", "there is no format"),
    ("tensors", "[]", "there are no tensors"),
    ("tensors.w.scheme", "int3", 'no such scheme: "int3"'),
    ("tensors.w.scheme", "keep", "no such scheme"),
    ("tensors.w.scheme", "int4", '"w_packed" is missing'),
    ("tensors.w.scheme", "fp16", "is int8 [80, 64] instead of float16 [80, 64]"),
    ("tensors.w.scheme", "int8:g32", "is float32 [80, 1] instead of float32 [80, 2]"),
    ("tensors.w.scheme", "int8:asym", "is int8 [80, 64] instead of uint8 [80, 64]"),
    ("tensors.w.dtype", "int8", "no floating-point type"),
    ("tensors.w.shape", "[64, 80]", "instead of int8 [64, 80]"),
    ("tensors.w.shape", "[80, 64, 0]", "a shape is impossible"),
    ("tensors.w.shape", "[4611686018427387904, 4]", "a shape is impossible"),
    ("tensors.w.shape", "[-80, 64]", "a shape has a bad size"),
    ("tensors.w.shape", "80", "has no shape"),
    ("tensors.v", "{scheme: int8, dtype: float32, shape: [80, 64]}", '"v" is missing'),
])
def test_records_that_lie(mlc, tmp_path, path, value, message):
    write(tmp_path / "model.pt", {"w": torch.randn(80, 64)})
    mlc.ok("quantize", "model.pt", "-o", "q.pt")
    mlc.ok("metadata", "q.pt", "--set", f"quantization.{path}={value}", "--in-place")
    result = mlc("dequantize", "q.pt", "-o", "back.pt")
    assert result.rc == (4 if value == "gguf" else 3) and message in result.stderr, result
    assert not (tmp_path / "back.pt").exists()
    mlc.ok("load", "q.pt")


@pytest.mark.parametrize("shape", [(80, 96), (200, 50), (64, 3, 7, 7), (101, 45)])
def test_formulas_of_the_readme(mlc, tmp_path, root, shape):
    text = (root / "README.md").read_text()
    code = text[text.index('state = torch.load("model.int8.pt"'):].split("```")[0]
    int8, int4 = code.split("\n\n")
    write(tmp_path / "model.pt", {"fc.weight": torch.randn(shape)})
    for scheme, lines in (("int8", int8), ("int4", int8.splitlines()[0] + "\n" + int4)):
        mlc.ok("quantize", "model.pt", "-o", "model.int8.pt", "--scheme", scheme, "--force")
        mlc.ok("dequantize", "model.int8.pt", "-o", "back.pt", "--force")
        names = {"torch": torch, "math": math}
        exec(lines.replace("model.int8.pt", str(tmp_path / "model.int8.pt")), names)  # pylint: disable=exec-used
        assert_same(torch.load(tmp_path / "back.pt", weights_only=True)["fc.weight"], names["w"])


# --- compressed-tensors


@pytest.mark.parametrize("scheme, bits, group", [("int4", 4, 32), ("int4:g128", 4, 128), ("int8", 8, None)])
def test_compressed_tensors_layout(mlc, tmp_path, scheme, bits, group):
    state = {"model.embed_tokens.weight": torch.randn(300, 64), "model.0.mlp.weight": torch.randn(72, 256),
             "model.0.odd.weight": torch.randn(72, 100), "model.0.norm.weight": torch.ones(256)}
    write(tmp_path / "model.pt", state)
    mlc.ok("quantize", "model.pt", "-o", "q.safetensors", "--scheme", scheme, "--format", "compressed-tensors")
    found, tensors, layout = quantized.load(tmp_path / "q.safetensors")
    assert layout == "compressed-tensors"
    weight = state["model.0.mlp.weight"]
    packed = found["model.0.mlp.weight_packed"]
    assert packed.dtype == torch.int32 and packed.shape == (72, 256 * bits // 32)
    assert found["model.0.mlp.weight_shape"].tolist() == [72, 256]
    assert found["model.0.mlp.weight_scale"].shape == (72, 256 // group if group else 1)
    assert "model.0.mlp.weight_zero_point" not in found
    stored = quantized.dequantize(found, "model.0.mlp.weight", tensors["model.0.mlp.weight"], layout)
    assert quantized.sqnr(weight, stored) > (40 if bits == 8 else 16)
    assert "model.embed_tokens.weight" in found
    assert ("model.0.odd.weight" in found) == (bits == 4)  # 100 columns are no whole groups
    mlc.ok("dequantize", "q.safetensors", "-o", "back.pt")
    assert_same(stored, torch.load(tmp_path / "back.pt", weights_only=True)["model.0.mlp.weight"])


def test_config_of_compressed_tensors(mlc, tmp_path):
    write(tmp_path / "model.pt", {
        "embed.weight": torch.randn(300, 64), "a.weight": torch.randn(72, 256), "b.weight": torch.randn(72, 256),
        "head.weight": torch.randn(72, 256), "gate.weight": torch.randn(8, 256), "a.bias": torch.ones(72)})
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 256}')
    layout = ["--format", "compressed-tensors", "--scheme", "int4"]
    mlc.ok("quantize", "model.pt", "-o", "q.safetensors", *layout, "--tensor", "head=int8", "--write-config", "out.json")
    config = json.loads((tmp_path / "out.json").read_text())
    assert config["model_type"] == "llama"
    config = config["quantization_config"]
    assert config["quant_method"] == "compressed-tensors" and config["format"] == "pack-quantized"
    groups = config["config_groups"]
    assert groups["group_0"]["targets"] == ["Linear"] and groups["group_1"]["targets"] == ["head"]
    assert groups["group_0"]["weights"] == {
        "num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32, "dynamic": False}
    assert groups["group_1"]["weights"]["strategy"] == "channel"
    assert config["ignore"] == ["embed", "gate"]
    result = mlc("quantize", "model.pt", "-o", "r.safetensors", *layout, "--write-config", "config.json")
    assert result.rc == 5 and not (tmp_path / "r.safetensors").exists()
    assert mlc("quantize", "model.pt", "-o", "r.pt", "--write-config", "x.json").rc == 2


def test_nothing_quantised_was_told_as_success_with_a_wrong_warning(mlc, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 4)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "train.pt")
    result = mlc.ok("quantize", "train.pt", "-o", "out.pt")
    assert "no tensor is quantised: 1 of one dimension and 1 small; --min-elements 1 takes small ones too" in result.stderr
    assert "weights that are no more" not in result.stderr
    result = mlc.ok("quantize", "train.pt", "-o", "out2.pt", "--min-elements", "1")
    assert "weights that are no more: " in result.stderr and "no tensor" not in result.stderr


def test_files_without_a_quantised_tensor_were_taken_for_quantised_ones(mlc, tmp_path):
    torch.save({"a.weight": torch.randn(4, 4), "b": torch.randn(8)}, tmp_path / "m.pt")
    layout = ("--format", "compressed-tensors", "--scheme", "int8:sym", "--write-config", "c.json")
    result = mlc.ok("quantize", "m.pt", "-o", "out.safetensors", *layout)
    assert "1 small" in result.stderr and "--write-config writes nothing" in result.stderr and not (tmp_path / "c.json").exists()
    mlc.ok("quantize", "m.pt", "-o", "out.pt")
    assert torch.equal(torch.load(tmp_path / "out.pt")["a.weight"], torch.load(tmp_path / "m.pt")["a.weight"])
    mlc.ok("prune", "out.pt", "-o", "p.pt", "--amount", "0.5")
    mlc.ok("quantize", "out.pt", "-o", "q.pt", "--min-elements", "1")
    result = mlc("quantize", "m.pt", "-o", "strict.pt", "--strict")
    assert result.rc == 1 and "no tensor is quantised" in result.stderr and not (tmp_path / "strict.pt").exists()


def test_what_a_target_size_leaves_in_floats_was_kept_as_asked(mlc, tmp_path):
    torch.save({f"{name}.weight": torch.randn(64, 128) for name in "abcd"}, tmp_path / "m.pt")
    said = mlc.ok("quantize", "m.pt", "-n", "--target-size", "120kB", "--exclude", "d*").stdout
    assert re.search(r"^kept +\d tensors?, .*: 1 as asked and \d as floats, for which the size has room$", said, re.M), said


# --- other verbs on quantised files


@pytest.mark.parametrize("layout", ["plain", "compressed-tensors"])
@pytest.mark.parametrize("scheme", ["int8", "int4:sym"])
def test_renamed_keys_stay_quantised_weights(mlc, tmp_path, scheme, layout):
    """remap-keys and strip-module-prefix left the record with the old names, and `dequantize` found no tensor."""
    generator = torch.Generator().manual_seed(0)
    state = {f"module.{name}.weight": torch.randn(80, 64, generator=generator) for name in "ab"}
    state["module.a.bias"] = torch.randn(80)
    write(tmp_path / "m.pt", state)
    mlc.ok("quantize", "m.pt", "-o", "q.safetensors", "--scheme", scheme, "--format", layout)
    mlc.ok("dequantize", "q.safetensors", "-o", "want.pt")
    want = torch.load(tmp_path / "want.pt", weights_only=True)
    mlc.ok("strip-module-prefix", "q.safetensors", "-o", "s.safetensors")
    mlc.ok("remap-keys", "s.safetensors", "-o", "r.safetensors", "--regex", "s/^a[.]/first./", "--drop", "b.*")
    mlc.ok("dequantize", "r.safetensors", "-o", "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert sorted(back) == ["first.bias", "first.weight"]
    assert torch.equal(back["first.weight"], want["module.a.weight"])
    if layout == "plain":
        mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", scheme)
        mlc.ok("strip-module-prefix", "q.pt", "--in-place")
        mlc.ok("dequantize", "q.pt", "-o", "in-place.pt")
        found = torch.load(tmp_path / "in-place.pt", weights_only=True)
        assert all(torch.equal(found[key.removeprefix("module.")], value) for key, value in want.items())


def test_parts_of_a_weight_stay_together(mlc, tmp_path):
    write(tmp_path / "m.pt", {"a.weight": torch.randn(80, 64), "b.weight": torch.randn(80, 64)})
    mlc.ok("quantize", "m.pt", "-o", "q.pt")
    for args in (("--map", "a.weight=c.weight"), ("--drop", "a.weight_scale"), ("--regex", "s/weight_scale/scale/")):
        result = mlc("remap-keys", "q.pt", "-o", "r.pt", *args)
        assert result.rc == 1 and "would not stay together" in result.stderr, args
        assert mlc("remap-keys", "q.pt", "-n", *args).rc == 1 and not (tmp_path / "r.pt").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits, group", [(4, 32), (4, None), (8, None)])
def test_dequantize_reads_what_compressed_tensors_packs(mlc, tmp_path, bits, group, dtype):
    """Packed as compressed_tensors' pack_to_int32 does it: codes plus 2^(bits-1), the first in the lowest bits of a word."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = 24, 100 if group is None else 96
    codes = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (rows, columns), generator=generator)
    scale = (torch.rand(rows, columns // (group or columns), generator=generator) + 0.5).to(dtype)
    words = torch.nn.functional.pad(codes + 2 ** (bits - 1), (0, -columns % (32 // bits))).view(rows, -1, 32 // bits)
    packed = (words << torch.arange(0, 32, bits)).sum(-1).to(torch.int32)
    state = {"a.weight_packed": packed, "a.weight_scale": scale, "a.weight_shape": torch.tensor([rows, columns]), "a.bias": torch.ones(24)}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    mlc.ok("dequantize", "model.safetensors", "-o", "f.pt")
    back = torch.load(tmp_path / "f.pt", weights_only=True)
    want = (codes * scale.float().repeat_interleave(group or columns, 1)).to(dtype)
    assert sorted(back) == ["a.bias", "a.weight"] and torch.equal(back["a.weight"], want)


def test_dequantize_reads_bytes_with_a_scale_a_row(mlc, tmp_path):
    codes = torch.randint(-127, 128, (24, 100), dtype=torch.int8)
    scale = torch.rand(24, 1) + 0.5
    safetensors.torch.save_file({"a.weight": codes, "a.weight_scale": scale}, tmp_path / "model.safetensors")
    mlc.ok("dequantize", "model.safetensors", "-o", "f.pt")
    assert torch.equal(torch.load(tmp_path / "f.pt", weights_only=True)["a.weight"], codes * scale)


@pytest.mark.parametrize("change, rc, said", [
    ({"a.weight_zero_point": torch.zeros(3, 1, dtype=torch.int32)}, 4, "zero points"),
    ({"a.weight_g_idx": torch.arange(96)}, 4, "another order"),
    ({"a.weight_shape": None}, 3, "is missing"),
    ({"a.weight_shape": torch.tensor([24, -5])}, 3, "is impossible"),
    ({"a.weight_shape": torch.tensor([24, 960])}, 3, "neither 4 nor 8 bits"),
    ({"a.weight_scale": torch.ones(24, 7)}, 3, "7 scales for 96 columns"),
    ({"a.weight_scale": torch.ones(23, 3)}, 3, "scales of [23, 3]"),
    ({"a.weight_scale": None}, 4, "does not say that it is quantised"),
])
def test_compressed_tensors_that_are_not_whole(mlc, tmp_path, change, rc, said):
    state = {"a.weight_packed": torch.zeros(24, 12, dtype=torch.int32), "a.weight_scale": torch.ones(24, 3),
             "a.weight_shape": torch.tensor([24, 96]), **change}
    safetensors.torch.save_file({k: v for k, v in state.items() if v is not None}, tmp_path / "model.safetensors")
    result = mlc("dequantize", "model.safetensors", "-o", "f.pt")
    assert (result.rc, said in result.stderr) == (rc, True), result.stderr
    assert not (tmp_path / "f.pt").exists()


def test_a_pruned_checkpoint_was_quantised_undeflated(mlc, valid, tmp_path):
    """Prune, quantise, deflate: zeros stay codes of zero, which deflate as they did."""
    torch.manual_seed(0)
    torch.save({"a.weight": torch.randn(256, 512), "b.weight": torch.randn(256, 512)}, tmp_path / "m.pt")
    mlc.ok("prune", "m.pt", "-o", "p.pt", "--amount", "0.9", "--include", "a.*")
    answer = mlc.ok("quantize", "p.pt", "-o", "q.pt", "--json").json
    valid(answer, "quantize")
    mlc.ok("quantize", "p.pt", "-o", "n.pt", "--compress", "none")
    assert answer["deflated"] == 1 and (tmp_path / "q.pt").stat().st_size < 0.7 * (tmp_path / "n.pt").stat().st_size
    one, other = torch.load(tmp_path / "q.pt"), torch.load(tmp_path / "n.pt")
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    mlc.ok("dequantize", "q.pt", "-o", "d.pt")
    kept = torch.load(tmp_path / "p.pt")["a.weight"] != 0
    assert torch.equal(torch.load(tmp_path / "d.pt")["a.weight"] != 0, kept & (torch.load(tmp_path / "q.pt")["a.weight"] != 0))
    assert mlc.ok("quantize", "p.pt", "-o", "all.pt", "--compress", "deflate", "--scheme", "int4", "--json").json["deflated"] == 2
    assert mlc("quantize", "p.pt", "-o", "q.safetensors", "--compress", "deflate").rc == 2


def test_tensors_without_elements_were_called_integers(mlc):
    torch.save({"w": torch.randn(100, 64), "empty.weight": torch.zeros(0, 64)}, mlc.cwd / "m.pt")
    kept = {one["name"]: one["reason"] for one in mlc.ok("quantize", "m.pt", "-o", "q.pt", "--json").json["kept"]}
    assert kept["empty.weight"] == "empty"
    assert "1 without elements" in mlc.ok("prune", "m.pt", "-o", "p.pt", "--amount", "0.3").stdout
