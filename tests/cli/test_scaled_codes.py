"""FP8 weights with their scales in tensors beside them, as DeepSeek and Hugging Face write them: codes, no values."""

import pytest
import safetensors.torch
import torch

NO_VALUES = "a weight is its code times its scale, which mlc does not multiply"


def scaled(suffix="_scale_inv", scale=0.01):
    codes = torch.linspace(-448, 448, 16).reshape(4, 4).to(torch.float8_e4m3fn)
    return {"l.weight": codes, "l.weight" + suffix: torch.full((1, 1), scale), "l.bias": torch.ones(4)}


def plain():
    return {"l.weight": torch.zeros(4, 4, dtype=torch.bfloat16), "l.bias": torch.zeros(4)}


@pytest.mark.parametrize("suffix", ["_scale_inv", "_scale"])
def test_codes_were_cast_as_if_they_were_values(mlc, tmp_path, suffix):
    safetensors.torch.save_file(scaled(suffix), tmp_path / "a.safetensors")
    for options in (["-o", "x.pt"], ["-o", "x.pt", "-n"], ["-o", "y.safetensors"]):
        done = mlc.ok("save", "a.safetensors", "--dtype", "bf16", *options, "--force")
        assert ("cast as if they were values, being FP8 codes with scales beside them: "
                f"l.weight (l.weight{suffix}); {NO_VALUES}") in done.stderr
    assert "FP8" not in mlc.ok("save", "a.safetensors", "-o", "z.pt").stderr


def test_codes_were_taken_as_if_they_were_values(mlc, tmp_path, valid):
    torch.save(scaled(), tmp_path / "fp8.pt")
    torch.save(plain(), tmp_path / "plain.pt")
    for one, other in (("plain.pt", "fp8.pt"), ("fp8.pt", "plain.pt")):
        done = mlc.ok("save", one, "--from", other, "-o", "x.pt", "--force", "--json")
        valid(done.json, "save")
        assert done.json["from"]["codes"] == ["l.weight (l.weight_scale_inv)"]
        assert f"FP8 codes with scales beside them in {other} or {one}: l.weight (l.weight_scale_inv); {NO_VALUES}" in done.stderr
    # Codes from codes with their scales are what they were.
    torch.save(scaled(scale=0.02), tmp_path / "later.pt")
    done = mlc.ok("save", "fp8.pt", "--from", "later.pt", "-o", "y.pt", "--json")
    assert "FP8" not in done.stderr and "codes" not in done.json["from"]


def test_load_says_that_codes_are_no_values(mlc, tmp_path, valid):
    torch.save({"model": scaled(), "epoch": 3}, tmp_path / "a.pt")
    assert f"fp8 codes    1 tensor with scales beside them: l.weight (l.weight_scale_inv); {NO_VALUES}" in \
        mlc.ok("load", "a.pt", "--summary").stdout
    found = mlc.ok("load", "a.pt", "--json").json
    valid(found, "load")
    assert found["scaled_codes"] == 1
    # FP8 alone is a type as any other.
    weight = scaled()["l.weight"]
    torch.save({"w": weight, "w_scale_inv": torch.ones(1, dtype=torch.int32)}, tmp_path / "b.pt")
    assert "fp8 codes" not in mlc.ok("load", "b.pt").stdout and "scaled_codes" not in mlc.ok("load", "b.pt", "--json").json
    assert "FP8" not in mlc.ok("save", "b.pt", "--dtype", "f32", "-o", "c.pt").stderr
