"""Files of quantised weights in the verbs that take tensors for values: codes mean nothing without their scales."""

import pytest
import torch
import yaml


@pytest.fixture
def files(mlc):
    """Q.pt, its quantised form Qq.pt, and what dequantising gives."""
    torch.manual_seed(0)
    weights = {"enc.weight": torch.randn(8, 8), "o.weight": torch.randn(6, 8), "o.bias": torch.randn(6)}
    torch.save({"model": weights, "epoch": 3}, mlc.cwd / "Q.pt")
    mlc.ok("quantize", "Q.pt", "-o", "Qq.pt", "--min-elements", "1")
    return restored(mlc, "Qq.pt")


def restored(mlc, path):
    mlc.ok("dequantize", path, "-o", "restored.pt", "-f")
    loaded = torch.load(mlc.cwd / "restored.pt", weights_only=True)
    return loaded.get("model", loaded)


def test_from_took_codes_for_weights(mlc, files):
    for target, source, says in (("Q.pt", "Qq.pt", "Qq.pt"), ("Qq.pt", "Q.pt", "Qq.pt")):
        for out in ("m.pt", "m.safetensors"):
            done = mlc("save", target, "--from", source, "-o", out)
            assert done.rc == 1 and says in done.stderr and "is codes of int8" in done.stderr and "mlc dequantize" in done.stderr, done.stderr
            assert not (mlc.cwd / out).exists()


@pytest.mark.parametrize("out", ["m.pt", "m.safetensors"])
@pytest.mark.parametrize("args, left", [("--exclude *enc*", {"o.weight", "o.bias"}), ("--include enc.*", {"enc.weight"}),
                                        ("--include *.bias", {"o.bias"})], ids=["exclude", "include", "bias"])
def test_the_record_named_weights_that_were_left_out(mlc, files, args, left, out):
    mlc.ok("save", "Qq.pt", *args.split(), "-o", out)
    answer = mlc.ok("metadata", out, "--json").json["metadata"]
    if left == {"o.bias"}:
        assert "quantization" not in answer
        return
    mlc.ok("dequantize", out, "-o", "back.pt")
    found = torch.load(mlc.cwd / "back.pt", weights_only=True)
    found = found.get("model", found)
    assert set(found) == left and all(torch.equal(found[key], files[key]) for key in left)


@pytest.mark.parametrize("args", ["--exclude *scale", "--exclude o.weight", "--include *.weight"])
def test_a_weight_does_not_lose_a_part(mlc, files, args):
    done = mlc("save", "Qq.pt", *args.split(), "-o", "m.pt")
    assert done.rc == 1 and "would lose a part" in done.stderr and not (mlc.cwd / "m.pt").exists(), done.stderr


def test_merged_codes_had_no_record(mlc, files):
    """The record of every file goes into the new one; a float tensor does not take the place of codes."""
    torch.save({"other.weight": torch.randn(8, 8)}, mlc.cwd / "P.pt")
    mlc.ok("quantize", "P.pt", "-o", "Pq.pt", "--min-elements", "1")
    other = restored(mlc, "Pq.pt")["other.weight"]
    torch.save({"plain": torch.ones(2)}, mlc.cwd / "plain.pt")
    for inputs in (("Qq.pt", "Pq.pt"), ("plain.pt", "Pq.pt", "Qq.pt")):
        mlc.ok("save", "--merge", *inputs, "-o", "both.pt", "-f")
        found = restored(mlc, "both.pt")
        assert torch.equal(found["other.weight"], other) and torch.equal(found["o.weight"], files["o.weight"])
    done = mlc("save", "--merge", "Qq.pt", "Q.pt", "--on-conflict", "last", "-o", "bad.pt")
    assert done.rc == 1 and "of type float32 as its codes" in done.stderr, done.stderr
    mlc.ok("save", "--merge", "Qq.pt", "Q.pt", "--on-conflict", "first", "-o", "good.pt")
    assert torch.equal(restored(mlc, "good.pt")["enc.weight"], files["enc.weight"])


def test_rounded_scales_were_not_mentioned(mlc, files):
    done = mlc.ok("save", "Qq.pt", "--dtype", "bf16", "-o", "m.pt")
    assert "scales of quantised weights too" in done.stderr and "enc.weight_scale" in done.stderr
    assert "scales" not in mlc.ok("save", "Qq.pt", "--dtype", "fp32", "-o", "n.pt").stderr


def test_quantised_weights_were_transposed_without_their_scales(mlc, files):
    (mlc.cwd / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [{"transpose": [1, 0], "glob": "enc.weight"}]}))
    done = mlc("remap-keys", "Qq.pt", "--rules", "rules.yaml", "-o", "m.pt")
    assert done.rc == 1 and "cannot be transposed" in done.stderr and "mlc dequantize" in done.stderr, done.stderr


def test_a_record_in_a_sidecar_did_not_follow_names(mlc, files):
    record = mlc.ok("metadata", "Qq.pt").stdout
    mlc.ok("metadata", "Qq.pt", "--clear", "-o", "bare.pt")
    (mlc.cwd / "bare.pt.mlc.yaml").write_text(record)
    mlc.ok("remap-keys", "bare.pt", "--map", "enc.=net.", "-o", "renamed.pt")
    assert torch.equal(restored(mlc, "renamed.pt")["net.weight"], files["enc.weight"])
    before = (mlc.cwd / "bare.pt").read_bytes()
    done = mlc("remap-keys", "bare.pt", "--map", "enc.=net.", "--in-place")
    assert done.rc == 1 and "its sidecar names quantised weights" in done.stderr
    assert (mlc.cwd / "bare.pt").read_bytes() == before


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("verb", [("quantize", "--min-elements", "1"), ("prune", "--amount", "0.5")], ids=lambda verb: verb[0])
def test_the_class_of_a_pickled_module_was_lost_in_place(mlc, verb):
    torch.save(torch.nn.Linear(4, 4), mlc.cwd / "m.pt")
    before = (mlc.cwd / "m.pt").read_bytes()
    done = mlc(verb[0], "m.pt", *verb[1:], "--in-place")
    assert done.rc == 4 and "its class would be lost" in done.stderr and (mlc.cwd / "m.pt").read_bytes() == before
    mlc.ok(verb[0], "m.pt", *verb[1:], "-o", "new.pt")
