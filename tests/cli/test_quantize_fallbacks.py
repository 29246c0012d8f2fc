"""mlc quantize of checkpoints: what cannot be as it was asked for is refused or told."""

import math
import re
import warnings

import pytest
import torch
import yaml

from checkpoints import assert_same, write

CT = ("--format", "compressed-tensors")


def fallbacks(mlc, *args):
    return {row["name"]: (row["asked"], row["scheme"]) for row in mlc.ok("quantize", *args, "--json").json["fallbacks"]}


def linear(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# --- what a format has no words for


@pytest.mark.parametrize("args, said", [
    (["--scheme", "int8:asym"], "int8:asym"), (["--scheme", "int4:asym"], "int4:asym"), (["--scheme", "int4:g128:asym"], "int4:asym"),
    (["--tensor", "a=int4:asym"], 'the rule "a"'), (["--scheme", "fp16"], "no fp16"), (["--scheme", "bf16"], "no bf16"),
    (["--tensor", "a=bf16"], "no bf16"), (["--recipe", "r.yaml"], "int4:asym")])
def test_compressed_tensors_made_other_schemes_symmetric_or_left_them_out(mlc, tmp_path, args, said):
    write(tmp_path / "m.pt", {"a.weight": linear(64, 128)})
    # A recipe keeps the word that is only the default, for a format that has to know.
    mlc.ok("quantize", "m.pt", "-o", "plain.pt", "--scheme", "int4:asym", "--write-recipe", "r.yaml")
    assert yaml.safe_load((tmp_path / "r.yaml").read_text())["scheme"] == "int4:asym"
    result = mlc("quantize", "m.pt", "-o", "q.safetensors", *CT, *args)
    assert result.rc == 2 and said in result.stderr and "--format plain" in result.stderr
    assert not (tmp_path / "q.safetensors").exists()


def test_default_schemes_are_symmetric_in_compressed_tensors(mlc, tmp_path):
    write(tmp_path / "m.pt", {"a.weight": linear(64, 128), "b.weight": linear(64, 128)})
    rows = mlc.ok("quantize", "m.pt", "-o", "q.safetensors", *CT, "--scheme", "int4", "--tensor", "b=int8:sym", "--json").json
    assert {row["name"]: row["scheme"] for row in rows["quantized"]} == {"a.weight": "int4:sym", "b.weight": "int8"}
    assert not rows["fallbacks"]


def test_columns_that_are_no_whole_groups_were_no_fallback(mlc, tmp_path):
    state = {"a.weight": linear(64, 128), "odd.weight": linear(64, 100), "embed.weight": linear(64, 100)}
    write(tmp_path / "m.pt", state)
    assert fallbacks(mlc, "m.pt", "-n", *CT, "--scheme", "int4") == {"odd.weight": ("int4:sym", "keep")}
    result = mlc("quantize", "m.pt", "-o", "q.safetensors", *CT, "--scheme", "int4", "--strict")
    assert result.rc == 1 and "1 kept, without a place in the format: odd.weight" in result.stderr
    mlc.ok("quantize", "m.pt", "-o", "q.safetensors", *CT, "--scheme", "int4", "--strict", "--tensor", "odd=int4:channel:sym")


# --- rules for single tensors


@pytest.mark.parametrize("rule, names, why", [
    (r"a.bias=int8", ["a.bias"], "of one dimension"), (r"^bn\.=int4", ["bn.weight", "bn.bias", "bn.mean"], "of one dimension"),
    (r"ids=fp16", ["ids"], "no floating-point numbers"), (r"mini=int8", ["mini"], "no smaller when quantised")])
def test_rules_for_tensors_that_cannot_follow_were_ignored(mlc, tmp_path, rule, names, why):
    write(tmp_path / "m.pt", {
        "a.weight": linear(64, 128), "a.bias": linear(64), "bn.weight": linear(64), "bn.bias": linear(64), "bn.mean": linear(64),
        "ids": torch.arange(20000).view(100, 200), "mini": linear(4, 1)})
    scheme = rule.rpartition("=")[2]
    assert fallbacks(mlc, "m.pt", "-n", "--tensor", rule) == {name: (scheme, "keep") for name in names}
    result = mlc("quantize", "m.pt", "-o", "q.pt", "--tensor", rule, "--strict")
    assert result.rc == 1 and f"{len(names)} kept, {why}: {names[0]}" in result.stderr and not (tmp_path / "q.pt").exists()
    result = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--tensor", rule, "--write-recipe", "r.yaml")
    assert f"not quantised as asked: {len(names)} kept, {why}" in result.stderr
    mlc.ok("quantize", "m.pt", "-o", "again.pt", "--recipe", "r.yaml", "--strict")


def test_rules_for_modules_pass_over_what_is_beside_their_weights(mlc, tmp_path):
    write(tmp_path / "m.pt", {"a.fc.weight": linear(64, 128), "a.fc.bias": linear(64), "a.norm.weight": linear(64), "b": linear(64, 128)})
    result = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--tensor", r"^a\.=int4", "--strict")
    assert "not quantised" not in result.stderr
    # Of several rules for a tensor the last one counts; exclusion is no rule that cannot be carried out.
    assert not fallbacks(mlc, "m.pt", "-n", "--tensor", r"bias=int8", "--tensor", r"^a\.=int4")
    assert not fallbacks(mlc, "m.pt", "-n", "--tensor", r"bias=int8", "--exclude", "*.bias")
    assert not fallbacks(mlc, "m.pt", "-n", "--tensor", r"bias=keep")


# --- sizes that were refused though they can be had


def many(count=60, rows=64, columns=64):
    generator = torch.Generator().manual_seed(2)
    return {f"layers.{i}.weight": torch.randn(rows, columns, generator=generator) for i in range(count)}


def checkpoint_of(kind):
    if kind == "many":
        return many()
    if kind == "tied":
        state = many(20)
        return {**state, "tied.weight": state["layers.0.weight"], "part": state["layers.1.weight"][:, 8:40]}
    return {"model": many(12), "optimizer": {"state": {0: {"exp_avg": torch.zeros(100, 100)}}, "param_groups": [{"params": [0], "lr": 0.1}]}}


@pytest.mark.parametrize("kind, suffix", [
    ("many", "pt"), ("many", "safetensors"), ("tied", "pt"), ("tied", "safetensors"), ("training", "pt")])
def test_target_sizes_that_can_be_had_were_refused(mlc, tmp_path, kind, suffix):
    """What lies around the tensors was guessed; many small tensors have much of it."""
    write(tmp_path / "m.pt", checkpoint_of(kind))

    def size(target, output=f"q.{suffix}"):
        result = mlc("quantize", "m.pt", "-o", output, "--target-size", target, "--force")
        return (tmp_path / output).stat().st_size if result.rc == 0 else result.stderr

    smallest = 100
    for _ in range(2):  # the target stands in the file, with all of its digits
        said = size(f"{10 ** (len(str(smallest)) - 1)}B")
        smallest = int(re.search(r"the file would have ([\d,]+) bytes at least, not ", said)[1].replace(",", ""))
    assert size(f"{smallest}B") == smallest
    found = size(f"{smallest - 1}B")
    assert f"the file would have {smallest:,} bytes at least, not {smallest - 1:,}" in found
    # The recipe of all int4 is no smaller; and any size from there on is met, by ever more bits.
    mlc.ok("quantize", "m.pt", "-o", f"int4.{suffix}", "--scheme", "int4")
    wanted = (tmp_path / f"int4.{suffix}").stat().st_size
    assert smallest <= wanted * 1.001 + 200, (smallest, wanted)
    reached = [size(f"{int(smallest * share)}B") for share in (1, 1.02, 1.2, 1.5, 2, 3)]
    assert reached == sorted(reached) and all(got <= smallest * share for got, share in zip(reached, (1, 1.02, 1.2, 1.5, 2, 3)))
    assert reached[2] > smallest * 1.1  # room is used


# --- values that a type cannot hold


@pytest.mark.parametrize("scheme", ["int8", "int4", "int8:asym", "fp16", "bf16"])
@pytest.mark.parametrize("factor", [1e-200, 1e-42])
def test_float64_below_float32_became_zero_and_exact(mlc, tmp_path, scheme, factor):
    state = {"tiny": linear(64, 96).double() * factor, "plain": linear(64, 96).double()}
    write(tmp_path / "m.pt", state)
    result = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", scheme)
    assert "1 kept, too small for their scheme: tiny" in result.stderr
    assert_same(torch.load(tmp_path / "q.pt", weights_only=True)["tiny"], state["tiny"])
    assert mlc("quantize", "m.pt", "-o", "r.pt", "--scheme", scheme, "--strict").rc == 1


def test_float32_that_no_scale_can_stand_for_became_zero(mlc, tmp_path):
    write(tmp_path / "m.pt", {"w": linear(64, 96) * 1e-43, "small": linear(64, 96) * 1e-34})
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--json").json
    assert [row["name"] for row in answer["quantized"]] == ["small"] and answer["worst_sqnr_db"] > 40
    assert [(row["name"], row["reason"]) for row in answer["kept"]] == [("w", "too_small")]


@pytest.mark.parametrize("scheme", ["int8", "int4", "fp16", "bf16"])
@pytest.mark.parametrize("dry", [True, False])
def test_errors_of_float64_were_those_of_float32(mlc, tmp_path, scheme, dry):
    """A weight that float32 has as 0, and what float32 rounds away, counted as nothing."""
    weight = linear(64, 96).half().double()
    weight[0] = 1e-60
    weight[1, 0] = 1 + 1e-12
    write(tmp_path / "m.pt", {"w": weight})
    answer = mlc.ok("quantize", "m.pt", *(["-n"] if dry else ["-o", "q.pt"]), "--scheme", scheme, "--json").json
    assert not answer["fallbacks"]
    if dry:
        mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", scheme)
    mlc.ok("dequantize", "q.pt", "-o", "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)["w"]
    error = (weight - back).abs().max().item()
    assert error > 0 and answer["quantized"][0]["max_error"] == pytest.approx(error, rel=1e-9)
    wanted = 10 * math.log10(float(weight.square().sum() / (weight - back).square().sum()))
    assert answer["quantized"][0]["sqnr_db"] == pytest.approx(wanted, abs=1e-6)


def test_bfloat16_kept_what_it_holds_and_doubles_were_not_finite(mlc, tmp_path):
    largest = 3.3961e38  # rounds to the largest bfloat16
    write(tmp_path / "m.pt", {"a": linear(64, 96).fill_(largest), "b": linear(64, 96), "c": linear(64, 96).double() * 1e300})
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", "bf16", "--json").json
    assert {row["name"] for row in answer["quantized"]} == {"a", "b"}
    assert [(row["name"], row["reason"]) for row in answer["kept"]] == [("c", "out_of_range")]
    assert answer["fallbacks"][0]["infinities"] == 0
    assert_same(torch.load(tmp_path / "q.pt", weights_only=True)["a"], torch.full((64, 96), largest).bfloat16())
    write(tmp_path / "n.pt", {"a": linear(64, 96).fill_(3.3962e38)})
    result = mlc.ok("quantize", "n.pt", "-o", "r.pt", "--scheme", "bf16")
    assert "1 kept, too large for their scheme: a" in result.stderr


@pytest.mark.parametrize("scheme", ["int8", "int4", "bf16"])
def test_dequantize_made_infinities_and_zeros_without_a_word(mlc, tmp_path, scheme):
    state = {"large": linear(64, 96) * 1e5, "small": linear(64, 96) * 1e-9, "plain": linear(64, 96)}
    state["tied"] = state["large"]
    write(tmp_path / "m.pt", state)
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", scheme)
    result = mlc.ok("dequantize", "q.pt", "-o", "half.pt", "--dtype", "fp16")
    half = torch.load(tmp_path / "half.pt", weights_only=True)
    lost = int(half["large"].isinf().sum())
    assert lost > 100 and f"{lost:,} values did not fit fp16 and became infinite: large" in result.stderr
    assert re.search(r"[\d,]+ values were too small for fp16 and became zero: small", result.stderr)
    result = mlc.ok("dequantize", "q.pt", "-o", "full.pt")
    assert "values" not in result.stderr


def test_an_architecture_without_use_was_told_as_options_of_onnx(mlc, tmp_path):
    write(tmp_path / "m.pt", {"a.weight": linear(64, 96)})
    (tmp_path / "a.yaml").write_text("mlc: architecture/1\n")
    result = mlc("quantize", "m.pt", "-o", "q.pt", "--arch", "a.yaml")
    assert result.rc == 2 and "--torchscript and --rounding gptq" in result.stderr and "ONNX" not in result.stderr
    assert "it is no ONNX model" in mlc("quantize", "m.pt", "-o", "q.pt", "--onnx", "int4").stderr


# --- what PyTorch has quantised already


def packed_state():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(128, 96)), dtype=torch.qint8).state_dict()


def quantized_states():
    w = linear(64, 128)
    return {"packed": packed_state(), "tensor": {"w": torch.quantize_per_tensor(w, 0.05, 3, torch.quint8), "v": w},
            "channel": {"w": torch.quantize_per_channel(w, torch.full((64,), 0.05), torch.zeros(64), 0, torch.qint8), "v": w}}


@pytest.mark.parametrize("what", ["packed", "tensor", "channel"])
def test_tensors_that_pytorch_had_quantised_were_taken_for_plain_input(mlc, tmp_path, what):
    torch.save(quantized_states()[what], tmp_path / "m.pt")
    result = mlc("quantize", "m.pt", "-o", "q.pt", "--json")
    assert result.rc == 1 and "quantised 1 tensor of it already" in result.error["message"]
    assert "--allow-requantize" in result.error["hint"] and not (tmp_path / "q.pt").exists()


@pytest.mark.parametrize("what", ["packed", "tensor", "channel"])
def test_what_pytorch_had_quantised_was_not_counted(mlc, tmp_path, what):
    state = quantized_states()[what]
    torch.save(state, tmp_path / "m.pt")
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--allow-requantize", "--json").json
    kept = {row["name"]: (row["reason"], row["bytes"]) for row in answer["kept"]}
    packed = what == "packed"
    name, count = ("0._packed_params._packed_params[0]", 96 * 128) if packed else ("w", 64 * 128)
    assert kept[name.replace("[0]", ".0")] == ("quantized", count)
    if packed:
        assert len(kept) == 4 and kept["0._packed_params._packed_params.1"] == ("in_value", 4 * 96)
        assert answer["bits_per_weight"] == pytest.approx(8, abs=0.3)
    back = torch.load(tmp_path / "q.pt", weights_only=False)
    of = (lambda it: it["0._packed_params._packed_params"][0]) if packed else (lambda it: it["w"])
    assert torch.equal(of(back).int_repr(), of(state).int_repr())
    assert "1 quantised already" in mlc.ok("quantize", "m.pt", "-o", "q.pt", "-f", "--allow-requantize").stdout


# --- floats that are too large once they come back


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scheme", ["int4", "int4:asym", "int8", "int8:g32", "int8:asym"])
def test_half_weights_near_the_largest_came_back_infinite(mlc, tmp_path, dtype, scheme):
    w = (linear(64, 256).sign() * torch.finfo(dtype).max).to(dtype)
    torch.save({"w": w, "v": linear(64, 256).to(dtype)}, tmp_path / "m.pt")
    done = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--scheme", scheme, "--json")
    kept = {row["name"]: row["reason"] for row in done.json["kept"]}
    assert kept in ({}, {"w": "out_of_range"})
    assert not kept or "too large for their scheme" in done.stderr
    assert not kept or (scheme, dtype) != ("int8", torch.float16), "127 codes of a float32 scale reach it"
    mlc.ok("dequantize", "q.pt", "-o", "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert back["w"].isfinite().all() and back["w"].dtype == dtype
    for row in done.json["quantized"]:
        was = {"w": w}.get(row["name"], linear(64, 256).to(dtype))
        assert row["max_error"] == pytest.approx((back[row["name"]].double() - was.double()).abs().max().item(), rel=0.1)
