"""mlc diff on pairs that torch and safetensors wrote."""
import argparse
import json
import re
import struct

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


def state_dict():
    generator = torch.Generator().manual_seed(7)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "conv.bias": torch.randn(4, generator=generator),
        "bn.num_batches_tracked": torch.tensor(12),
        "half": torch.randn(5, 6, generator=generator).bfloat16(),
        "flags": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
        "strided": torch.randn(6, 5, generator=generator).t(),
        "complex": torch.randn(3, generator=generator, dtype=torch.complex64),
    }


@pytest.fixture
def pair(tmp_path):
    """pair(edit): a.pt and b.pt, of which edit() has changed the second."""

    def write(edit=lambda values: None):
        a, b = state_dict(), {name: tensor.clone() for name, tensor in state_dict().items()}
        edit(b)
        torch.save(a, tmp_path / "a.pt")
        torch.save(b, tmp_path / "b.pt")
        return "a.pt", "b.pt"

    return write


def differences(mlc, valid, *args, rc=1):
    done = mlc("diff", *args, "--json")
    assert (done.rc, done.stderr) == (rc, "")
    valid(done.json, "diff")
    assert done.json["equal"] == (rc == 0)
    counts = {kind: n for kind, n in done.json["counts"].items() if n}
    assert sum(counts.values()) == len(done.json["differences"]) + len(done.json["metadata"])
    return done.json


def test_a_file_equals_its_copy(mlc, pair):
    done = mlc.ok("diff", *pair())
    size = sum(tensor.numel() * tensor.element_size() for tensor in state_dict().values())
    assert done.stdout == f"equal: 8 tensors, {size} B\n"
    assert done.stderr == ""


def test_formats_do_not_count(mlc, tmp_path, valid):
    values = {name: tensor.contiguous() for name, tensor in state_dict().items()}
    torch.save({"epoch": 3, "state_dict": values}, tmp_path / "a.pt")
    torch.save(values, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    safetensors.save_file(dict(reversed(values.items())), tmp_path / "b.safetensors")
    for a, b in [("a.pt", "b.safetensors"), ("b.safetensors", "old.pt"), ("old.pt", "a.pt")]:
        assert differences(mlc, valid, a, b, rc=0)["common"] == 8


def test_one_flipped_value(mlc, pair, valid):
    files = pair(lambda b: b["conv.weight"].view(-1)[40].add_(0.5))
    a, b = (torch.load(mlc.cwd / file)["conv.weight"].double() for file in files)
    done = mlc("diff", *files)
    assert done.rc == 1
    titles, row, last = done.stdout.splitlines()
    assert re.split("  +", titles) == ["NAME", "WHAT", "DTYPE", "SHAPE", "DIFFER", "MAX ABS", "MAX REL",
                                       "REL NORM", "COSINE", "NOTE"]
    cells = re.split("  +", row)
    assert cells[:6] == ["conv.weight", "values", "f32", "[4, 3, 3, 3]", "1 of 108", "0.5"]
    assert cells[-1] == "first at [1, 1, 1, 1]"
    assert last == "different: 1 tensor with other values; 7 of 8 tensors equal"

    (row,) = differences(mlc, valid, *files)["differences"]
    values = row["values"]
    assert (row["kind"], row["name"]) == ("value", "conv.weight")
    assert (values["mismatches"], values["first_mismatch"], values["nan_pairs"]) == (1, 40, 0)
    assert values["max_abs"] == (a - b).abs().max().item()
    assert values["max_rel"] == ((a - b).abs() / b.abs()).max().item()
    assert values["rel_norm"] == pytest.approx(((a - b).norm() / b.norm()).item(), rel=1e-12)
    cosine = torch.nn.functional.cosine_similarity(a.view(1, -1), b.view(1, -1)).item()
    assert values["cosine"] == pytest.approx(cosine, rel=1e-12)


def test_tolerances(mlc, pair):
    files = pair(lambda b: b["conv.weight"].view(-1)[40].add_(0.5))
    assert mlc("diff", *files, "--atol", "0.49").rc == 1
    done = mlc("diff", *files, "--atol", "0.51")
    assert done.rc == 0
    assert done.stderr == "1 tensor within the tolerance\n"
    assert mlc("diff", *files, "--rtol", "1000").rc == 0
    assert mlc("diff", *files, "--exclude", "conv.w*").rc == 0
    assert mlc("diff", *files, "--include", "conv.w*").rc == 1
    assert mlc("diff", *files, "--no-values").stdout == "equal: 8 tensors, values not compared\n"


def test_nan_equals_nan_and_zero_minus_zero(mlc, tmp_path, valid):
    nan, inf = float("nan"), float("inf")
    torch.save({"w": torch.tensor([nan, 0.0, inf])}, tmp_path / "a.pt")
    torch.save({"w": torch.tensor([-nan, -0.0, inf])}, tmp_path / "b.pt")
    torch.save({"w": torch.tensor([1.0, 0.0, -inf])}, tmp_path / "c.pt")
    done = mlc.ok("diff", "a.pt", "b.pt")
    assert done.stderr == "1 tensor equal by value, not byte for byte\n"
    (row,) = differences(mlc, valid, "a.pt", "c.pt")["differences"]
    assert row["values"]["mismatches"] == 2
    assert row["values"]["nan_pairs"] == 1
    assert row["values"]["max_abs"] is None


def test_dtypes_count_unless_ignored(mlc, tmp_path, valid):
    exact = {"w": torch.tensor([1.0, 2.5]), "i": torch.tensor([1, 2])}
    torch.save(exact, tmp_path / "a.pt")
    torch.save({"w": exact["w"].bfloat16(), "i": exact["i"].int()}, tmp_path / "b.pt")
    torch.save({"w": torch.tensor([1.01, 2.5]).half(), "i": exact["i"]}, tmp_path / "c.pt")
    done = mlc("diff", "a.pt", "b.pt")
    assert done.rc == 1
    assert [re.split("  +", row)[:5] for row in done.stdout.splitlines()[1:-1]] == [
        ["w", "dtype", "f32 -> bf16", "[2]", "none"], ["i", "dtype", "i64 -> i32", "[2]", "none"]]
    assert done.stdout.splitlines()[-1] == "different: 2 dtypes; 0 of 2 tensors equal"
    assert mlc("diff", "a.pt", "b.pt", "--ignore-dtype").rc == 0
    found = differences(mlc, valid, "a.pt", "c.pt", "--ignore-dtype")
    assert [(row["kind"], row["name"]) for row in found["differences"]] == [("value", "w")]
    assert mlc("diff", "a.pt", "c.pt", "--ignore-dtype", "--rtol", "0.02").rc == 0


def test_complex_and_real_are_not_compared(mlc, tmp_path, valid):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(2, dtype=torch.complex64)}, tmp_path / "b.pt")
    assert differences(mlc, valid, "a.pt", "b.pt")["counts"]["dtype"] == 1
    (row,) = differences(mlc, valid, "a.pt", "b.pt", "--ignore-dtype")["differences"]
    assert (row["kind"], row["reason"]) == ("uncompared", "f32 and c64 values cannot be compared")


def test_keys_and_shapes(mlc, pair):
    def edit(b):
        del b["flags"], b["empty"]
        b["new"] = torch.zeros(2, 2)
        b["conv.bias"] = torch.zeros(2, 2)

    files = pair(edit)
    done = mlc("diff", *files)
    assert done.rc == 1
    assert done.stdout.splitlines() == [
        "NAME       WHAT       DTYPE  SHAPE",
        "conv.bias  shape      f32    [4] -> [2, 2]",
        "flags      only in A  bool   [3]",
        "empty      only in A  f32    [0, 3]",
        "new        only in B  f32    [2, 2]",
        "different: 2 only in A, 1 only in B, 1 shape; 5 of 9 tensors equal",
    ]
    done = mlc("diff", *files, "--keys-only", "--exclude", "flags", "--exclude", "empty", "--exclude", "new")
    assert (done.rc, done.stdout) == (0, "equal: 6 keys\n")


def test_a_prefix_is_recognised(mlc, pair):
    def edit(b):
        for name in list(b):
            b["module." + name] = b.pop(name)

    done = mlc("diff", *pair(edit))
    assert done.rc == 1
    assert done.stderr.endswith("; to compare the values: --strip-prefix module.\n")
    assert mlc.ok("diff", *pair(edit), "--strip-prefix", "module").stdout.startswith("equal: 8 tensors")


def test_fifty_lines_unless_verbose(mlc, tmp_path):
    torch.save({f"layer.{i}": torch.zeros(1) for i in range(60)}, tmp_path / "a.pt")
    torch.save({f"layer.{i}": torch.ones(1) for i in range(60)}, tmp_path / "b.pt")
    lines = mlc("diff", "a.pt", "b.pt").stdout.splitlines()
    assert len(lines) == 53
    assert lines[-2:] == ["and 10 more; -v shows all", "different: 60 tensors with other values; 0 of 60 tensors equal"]
    assert len(mlc("diff", "a.pt", "b.pt", "-v").stdout.splitlines()) == 62


def test_big_tensors_in_pieces(mlc, tmp_path, valid):
    a = torch.arange(9_000_000, dtype=torch.float32).view(3000, 3000)  # 36 MB: three pieces
    b = a.clone()
    b[2999, 2998] += 8
    b[2, 7] += 4
    torch.save({"w": a}, tmp_path / "a.pt")
    torch.save({"w": b}, tmp_path / "b.pt")
    found = [differences(mlc, valid, "a.pt", "b.pt", "--threads", n) for n in (1, 2, 5)]
    assert found[0] == found[1] == found[2]
    values = found[0]["differences"][0]["values"]
    assert (values["count"], values["mismatches"]) == (9_000_000, 2)
    assert (values["first_mismatch"], values["max_abs"]) == (6007, 8)


def test_state_dicts_are_chosen(mlc, tmp_path):
    values = {"w": torch.ones(3)}
    torch.save({"model": values, "ema": {"w": torch.zeros(3)}}, tmp_path / "a.pt")
    torch.save(values, tmp_path / "b.pt")
    done = mlc("diff", "a.pt", "b.pt")
    assert done.rc == 2
    assert "a.pt" in done.stderr and "--key" in done.stderr
    assert mlc("diff", "a.pt", "b.pt", "--key", "model", "--key-b", ".").rc == 0
    assert mlc("diff", "a.pt", "b.pt", "--key", "ema", "--key-b", ".").rc == 1
    assert mlc("diff", "a.pt", "a.pt", "--key", "model", "--key-b", "ema").rc == 1
    assert mlc("diff", "a.pt", "a.pt", "--key", "model").rc == 0
    assert mlc("diff", "b.pt", "b.pt", "--include", "nothing*").rc == 2


def test_tied_tensors_are_a_note(mlc, tmp_path, valid):
    shared = torch.ones(2, 2)
    torch.save({"embed": shared, "head": shared}, tmp_path / "a.pt")
    torch.save({"embed": shared, "head": shared.clone()}, tmp_path / "b.pt")
    assert differences(mlc, valid, "a.pt", "b.pt", rc=0)["notes"] == ["share a storage only in A: embed and head"]
    assert mlc("diff", "b.pt", "a.pt").stderr == "share a storage only in B: embed and head\n"
    assert mlc("diff", "a.pt", "a.pt").stderr == ""


def sparse(value):
    return torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.tensor([1.0, value]), (4,))


def quantized(scale):
    return torch.quantize_per_tensor(torch.tensor([0.5, 1.0]) * scale, scale, 3, torch.qint8)


def per_channel(scale):
    scales = torch.tensor([0.5, scale], dtype=torch.float64)
    return torch.quantize_per_channel(torch.ones(2, 3) * scales.float().view(2, 1), scales, torch.zeros(2), 0, torch.qint8)


@pytest.mark.parametrize("make", [sparse, quantized, per_channel])
@pytest.mark.filterwarnings("ignore")
def test_special_tensors(mlc, tmp_path, valid, make):
    torch.save({"w": make(0.25)}, tmp_path / "a.pt")
    torch.save({"x": torch.ones(3), "w": make(0.25)}, tmp_path / "b.pt")
    torch.save({"w": make(0.125)}, tmp_path / "c.pt")
    torch.save({"w": torch.ones(4)}, tmp_path / "d.pt")
    assert mlc("diff", "a.pt", "b.pt", "--exclude", "x").rc == 0
    (row,) = differences(mlc, valid, "a.pt", "c.pt")["differences"]
    assert row["kind"] == "value" and row["reason"]
    assert differences(mlc, valid, "a.pt", "d.pt")["counts"]["layout"] == 1


def test_metadata_but_not_provenance(mlc, tmp_path, valid):
    values = {"w": torch.ones(3)}

    def write(name, yaml):
        safetensors.save_file(values, tmp_path / name, metadata={"mlc": "mlc: metadata/1\n" + yaml})

    write("a.safetensors", "name: net\nversion: 1.0.0\ntraining: {metrics: {top1: 0.5}}\n")
    write("b.safetensors", "name: net\nversion: 1.1.0\ntraining: {metrics: {top1: 0.5, top5: 0.75}}\n")
    write("c.safetensors", "version: 1.0.0\nname: net\ntraining: {metrics: {top1: 0.5}}\n"
          "provenance: [{mlc: 1.0.0, verb: save}]\n")
    done = mlc("diff", "a.safetensors", "b.safetensors")
    assert (done.rc, done.stdout) == (
        1, 'metadata: version: "1.0.0" and "1.1.0"\nmetadata: training.metrics.top5: nothing and 0.75\n'
        "different: 2 metadata; 1 of 1 tensor equal\n")
    assert differences(mlc, valid, "a.safetensors", "b.safetensors")["metadata"] == [
        {"path": "version", "a": "1.0.0", "b": "1.1.0"}, {"path": "training.metrics.top5", "b": 0.75}]
    assert mlc("diff", "a.safetensors", "b.safetensors", "--no-metadata").rc == 0
    assert mlc("diff", "a.safetensors", "c.safetensors").rc == 0


def test_errors(mlc, tmp_path, pair):
    a, _ = pair()
    (tmp_path / "text.pt").write_text("hello")
    for args, name, rc in [((a, "no.pt"), "no.pt", 3), (("no.pt", a), "no.pt", 3), ((a, "text.pt"), "text.pt", 3)]:
        done = mlc("diff", *args)
        assert (done.rc, done.stdout) == (rc, "")
        assert name in done.stderr
        assert json.loads(mlc("diff", *args, "--json").stderr)["schema"] == "mlc.error/1"
    assert mlc("diff", a).rc == 2
    assert mlc("diff", a, a, a).rc == 2


def test_the_example_fits_its_schema(root, valid):
    valid(json.loads((root / "schemas/examples/diff.json").read_text()), "diff")


def test_what_stands_beside_the_state_dict_is_named_and_can_be_compared(mlc, tmp_path):
    # Two training checkpoints with other optimizers used to be "equal" without a word.
    for name, moment in (("a", 0.0), ("b", 1.0)):
        torch.save({"model": {"w": torch.ones(2)}, "epoch": 3, "optimizer": {
            "state": {0: {"exp_avg": torch.full((2,), moment)}}, "param_groups": [{"params": [0]}]}}, tmp_path / f"{name}.pt")
    result = mlc.ok("diff", "a.pt", "b.pt")
    assert "not compared: epoch and optimizer; `--key .` compares every tensor" in result.stderr
    result = mlc("diff", "a.pt", "b.pt", "--key", ".")
    assert result.rc == 1 and "optimizer.state.0.exp_avg" in result.stdout


def test_roots_of_another_build_are_not_recommended_for_comparison(mlc, tmp_path):
    # The hint led to "only in A" and "only in B" for every tensor.
    weights = {"w": torch.ones(2)}
    torch.save({"model": weights, "epoch": 3}, tmp_path / "a.pt")
    safetensors.save_file(weights, tmp_path / "b.safetensors")
    assert mlc.ok("diff", "a.pt", "b.safetensors").stderr == "not compared: epoch in A\n"
    torch.save({"model": weights}, tmp_path / "c.pt")
    assert "epoch in A; `--key .` compares" in mlc.ok("diff", "a.pt", "c.pt").stderr


def test_files_whose_numbers_differ_are_not_equal(mlc, tmp_path, valid):
    def run(name, **changes):
        options = {"lr": 0.1, "betas": (0.9, 0.99), "params": [0]}
        values = {"model": {"w": torch.ones(2)}, "epoch": 1, "optimizer": {"state": {}, "param_groups": [options]},
                  "nan": float("nan"), "args": argparse.Namespace(seed=1), "raw": b"x", 7: {"a", "b"}}
        if "lr" in changes:
            options["lr"] = changes.pop("lr")
        torch.save({**values, **changes}, tmp_path / name)

    run("a.pt")
    run("same.pt")
    result = mlc.ok("diff", "a.pt", "same.pt", "--key", ".")
    assert result.stdout == "equal: 1 tensor, 8 B, and every other value\n"
    cases = {"epoch: 1 and 2": {"epoch": 2}, "epoch: 1 and 1.0": {"epoch": 1.0},
             "optimizer.param_groups.0.lr: 0.1 and 0.2": {"lr": 0.2},
             "args.seed: 1 and 2": {"args": argparse.Namespace(seed=2)}, "raw: b'x' and b'y'": {"raw": b"y"},
             "best: nothing and 'x'": {"best": "x"}, "epoch: 1 and a tensor": {"epoch": torch.ones(1)}}
    for line, change in cases.items():
        run("b.pt", **change)
        result = mlc("diff", "a.pt", "b.pt", "--key", ".")
        assert result.rc == 1 and f"other value: {line}\n" in result.stdout
        report = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json").json
        valid(report, "diff")
        assert not report["equal"] and report["counts"]["other_values"] == 1
        assert report["other_values"][0]["path"] == line.split(":")[0]
        assert mlc("diff", "a.pt", "b.pt", "--key", ".", "--exclude", line.split(":")[0]).rc == 0
        mlc.ok("diff", "a.pt", "b.pt", "--key", "model")


def test_values_are_the_same_in_every_pickle_protocol(mlc, tmp_path):
    values = {"w": torch.ones(1), "raw": b"\xffx", "set": {1, 2}, "big": 2**70, "text": "é", "none": None,
              "nested": [(1, {"a": True})]}
    torch.save(values, tmp_path / "a.pt")
    torch.save(values, tmp_path / "b.pt", pickle_protocol=4, _use_new_zipfile_serialization=False)
    mlc.ok("diff", "a.pt", "b.pt", "--key", ".")


def test_metadata_in_a_sidecar_was_not_compared(mlc, valid, tmp_path):
    for name, version in (("a", "1.0.0"), ("b", "1.1.0")):
        torch.save({"w": torch.ones(2)}, tmp_path / f"{name}.pt")
        mlc.ok("metadata", f"{name}.pt", "--set", f"version={version}", "--sidecar")
    assert differences(mlc, valid, "a.pt", "b.pt")["metadata"] == [{"path": "version", "a": "1.0.0", "b": "1.1.0"}]
    mlc.ok("save", "a.pt", "-o", "c.pt")  # which puts it into the file
    mlc.ok("diff", "a.pt", "c.pt")
    assert mlc("diff", "b.pt", "c.pt").rc == 1
    mlc.ok("diff", "b.pt", "c.pt", "--no-metadata")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_differed_from_themselves(mlc, valid, tmp_path, layout):
    rows = [torch.ones(2, 3), torch.zeros(4, 3)]
    torch.save({"n": torch.nested.nested_tensor(rows, layout=layout)}, tmp_path / "a.pt")
    rows[1][3, 2] = 1
    torch.save({"n": torch.nested.nested_tensor(rows, layout=layout)}, tmp_path / "b.pt")
    torch.save({"n": torch.nested.nested_tensor([rows[1], rows[0]], layout=layout)}, tmp_path / "c.pt")
    mlc.ok("diff", "a.pt", "a.pt")
    mlc.ok("save", "a.pt", "-o", "copy.pt")
    mlc.ok("diff", "a.pt", "copy.pt")
    for other in ("b.pt", "c.pt"):
        (row,) = differences(mlc, valid, "a.pt", other)["differences"]
        assert (row["kind"], row["reason"]) == ("value", "what is stored of it differs")


def test_damage_in_a_part_of_a_sparse_tensor_is_no_difference(mlc, tmp_path):
    torch.save({"w": sparse(0.25)}, tmp_path / "a.pt")
    bytes_ = bytearray((tmp_path / "a.pt").read_bytes())
    at = bytes_.index(struct.pack("<ff", 1.0, 0.25))
    bytes_[at + 5] ^= 1
    (tmp_path / "b.pt").write_bytes(bytes_)
    result = mlc("diff", "a.pt", "b.pt")
    assert result.rc == 3 and "is damaged" in result.stderr


def test_meta_tensors_were_counted_as_compared(mlc, valid, tmp_path):
    torch.save({"m": torch.ones(4, device="meta"), "w": torch.ones(2)}, tmp_path / "a.pt")
    done = differences(mlc, valid, "a.pt", "a.pt", rc=0)
    assert done["bytes"] == 8
    assert done["notes"] == ["1 tensor without values on both sides (meta): only shapes and types were compared"]


def test_how_far_a_tensor_has_moved(mlc, valid, tmp_path):
    torch.manual_seed(0)
    a, zero = torch.randn(300_001), torch.zeros(3)
    b = a + 0.01 * torch.randn(300_001)
    torch.save({"w": a, "zero": torch.ones(3)}, tmp_path / "a.pt")
    torch.save({"w": b, "zero": zero}, tmp_path / "b.pt")
    moved, from_zero = differences(mlc, valid, "a.pt", "b.pt")["differences"]
    expected = ((a.double() - b.double()).norm() / b.double().norm()).item()
    assert moved["values"]["rel_norm"] == pytest.approx(expected, rel=1e-9)
    assert from_zero["values"]["rel_norm"] is None
    assert f"  {expected:.4g}  " in mlc("diff", "a.pt", "b.pt").stdout.splitlines()[1]
    b[7] = float("nan")
    torch.save({"w": b, "zero": zero}, tmp_path / "b.pt")
    expected = ((a - b).double()[b.isfinite()].norm() / b.double()[b.isfinite()].norm()).item()
    assert differences(mlc, valid, "a.pt", "b.pt")["differences"][0]["values"]["rel_norm"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("below", [False, True])
def test_a_tensor_was_left_out_whose_key_prints_like_another(mlc, tmp_path, below):
    # 0 and "0" are two keys with one path: the second was never compared.
    def save(name, number, text, first=0):
        pairs = [(0, torch.full((1,), number)), ("0", torch.full((2,), text))]
        tree = dict(pairs if first == 0 else pairs[::-1])
        torch.save({"m": tree} if below else tree, tmp_path / name)
        return tmp_path / name

    a = save("a.pt", 0.0, 1.0)
    for name, number, text in (("number.pt", 5.0, 1.0), ("text.pt", 0.0, 5.0)):
        result = mlc("diff", a, save(name, number, text), "--json")
        assert result.rc == 1 and len(result.json["differences"]) == 1
    # In another order, 0 is still compared with 0.
    assert mlc("diff", a, save("same.pt", 0.0, 1.0, first=1)).rc == 0
    missing = tmp_path / "one.pt"
    torch.save({"m": {"0": torch.ones(2)}} if below else {"0": torch.ones(2)}, missing)
    only = mlc("diff", a, missing, "--json").json["differences"]
    assert [one["kind"] for one in only] == ["only_in_a"]


def test_every_state_dict_can_be_compared_at_once(mlc, tmp_path):
    for name, value in (("a.pt", 1.), ("b.pt", 2.)):
        torch.save({"model": {"w": torch.ones(2)}, "ema": {"w": torch.full((2,), value)}, "epoch": value}, tmp_path / name)
    result = mlc("diff", "a.pt", "b.pt", "--key", "*", "--json")
    assert result.rc == 1 and [one["name"] for one in result.json["differences"]] == ["ema.w"]
    assert mlc("diff", "a.pt", "b.pt", "--key", "*", "--include", "model.*").rc == 0
    assert "not compared: everything but the tensors under keys of state_dicts" in mlc("diff", "a.pt", "a.pt", "--key", "*").stderr


def test_an_infinity_was_hidden_by_the_numbers(mlc, valid, tmp_path):
    ones = torch.ones(4)
    other = ones.clone()
    other[1] = float("inf")
    for name, value in (("a", ones), ("b", other), ("c", -other)):
        torch.save({"w": value}, tmp_path / f"{name}.pt")
    for a, b, far in (("a", "b", 1), ("b", "a", 1), ("b", "c", 1)):
        found = mlc("diff", f"{a}.pt", f"{b}.pt", "--json")
        valid(found.json, "diff")
        values = found.json["differences"][0]["values"]
        assert (values["infinite_pairs"], values["max_abs"], values["max_rel"]) == (far, None, None)
    text = mlc("diff", "a.pt", "b.pt").stdout
    assert re.search(r"1 of 4 +inf +inf +0 +1  1 infinitely far apart", text)
    assert "1 infinitely far apart, which rel norm and cosine leave out" in text


def test_a_prefix_within_each_state_dict_was_not_stripped(mlc, tmp_path):
    plain = {"w": torch.ones(2), "module.odd": torch.zeros(1)}
    torch.save({"model": plain, "ema": {"w": torch.zeros(2)}}, tmp_path / "a.pt")
    torch.save({"model": {"module.w": torch.ones(2), "module.odd": torch.zeros(1)}, "ema": {"module.w": torch.zeros(2)}}, tmp_path / "b.pt")
    found = mlc("diff", "a.pt", "b.pt", "--key", "*", "--json")
    assert found.rc == 1
    found = mlc("diff", "a.pt", "b.pt", "--key", "*", "--strip-prefix", "module.", "--json")
    assert (found.rc, found.json["differences"]) == (0, [])
    torch.save({"model": {"w": torch.ones(2), "module.w": torch.ones(2)}, "ema": {"w": torch.zeros(2)}}, tmp_path / "c.pt")
    twice = mlc("diff", "a.pt", "c.pt", "--key", "*", "--strip-prefix", "module.")
    assert twice.rc == 1 and "has model.w with and without the prefix module." in twice.stderr
    torch.save({"module": {"w": torch.ones(2)}, "ema": {"w": torch.zeros(2)}}, tmp_path / "d.pt")  # a path, not a prefix of keys
    assert [one["name"] for one in mlc("diff", "d.pt", "d.pt", "--key", "*", "--strip-prefix", "module.", "--include", "module.*", "--json").json["differences"]] == []


def test_a_number_and_a_text_were_one_key(mlc, valid, tmp_path):
    # load_state_dict and every lookup tell 1 from '1'; diff called the files equal.
    w = torch.ones(2)
    torch.save({1: w, "a": w}, tmp_path / "number.pt")
    torch.save({"1": w, "a": w}, tmp_path / "text.pt")
    done = mlc("diff", "number.pt", "text.pt")
    assert done.rc == 1 and "1 in A and '1' in B" in done.stdout
    assert done.stdout.endswith("different: 1 key of another type; 1 of 2 tensors equal\n")
    assert "'1' in A and 1 in B" in mlc("diff", "text.pt", "number.pt").stdout
    found = differences(mlc, valid, "number.pt", "text.pt")
    assert (found["counts"]["key_type"], found["common"], found["equal_tensors"]) == (1, 1, 1)
    # Deeper, and where the numbers stand for what is no tensor.
    torch.save({"m": {"w": w}, "opt": {1: {"t": w, "n": 3}}}, tmp_path / "number.pt")
    torch.save({"m": {"w": w}, "opt": {"1": {"t": w, "n": 3}}}, tmp_path / "text.pt")
    done = mlc("diff", "number.pt", "text.pt", "--key", ".")
    assert done.rc == 1 and "a key on the way to it is a text only in B" in done.stdout
    assert "\nother value: 1:" not in done.stdout and "other value: opt.'1': nothing and {" in done.stdout
    for same in ("number.pt", "text.pt"):
        mlc.ok("diff", same, same, "--key", ".")
        mlc.ok("diff", same, same, "--key", ".", "--strip-prefix", "opt.")
    # Formats without such keys have a text there, which is no difference of the conversion.
    torch.save({1: w, "a": w}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({1: w, "a": w}, tmp_path / "number.pt")
    mlc.ok("diff", "old.pt", "number.pt")


def test_python_2_keys_are_texts(mlc, tmp_path):
    # str of Python 2 is another kind of node than the text that it is read as.
    import pickle
    w = torch.ones(2)
    torch.save({"m": {"w": w}, "more": {"x": {"y": w}}}, tmp_path / "new.pt")
    with open(tmp_path / "new.pkl", "wb") as file:
        pickle.dump({"m": {"w": w.numpy()}, "more": {"x": {"y": w.numpy()}}}, file, protocol=2)
    old = (tmp_path / "new.pkl").read_bytes().replace(b"X\x01\0\0\0y", b"U\x01y")
    assert old != (tmp_path / "new.pkl").read_bytes()
    (tmp_path / "old.pkl").write_bytes(old)
    mlc.ok("diff", "old.pkl", "new.pkl", "--key", ".")


def test_the_tensor_of_a_damaged_record_was_not_named(mlc, tmp_path):
    values = {f"layer{i}.weight": torch.full((64,), float(i)) for i in range(9)}
    values["tied"] = values["layer3.weight"]
    for name in ("a.pt", "b.pt"):
        torch.save(values, tmp_path / name)
    raw = bytearray((tmp_path / "b.pt").read_bytes())
    raw[raw.index(values["layer3.weight"].numpy().tobytes())] ^= 1
    (tmp_path / "b.pt").write_bytes(raw)
    for args in (["diff", "a.pt", "b.pt"], ["diff", "b.pt", "a.pt"], ["load", "b.pt", "--stats"]):
        done = mlc(*args)
        assert (done.rc, done.stdout) == (3, "")
        assert 'b.pt: tensors layer3.weight and tied: record "b/data/3" is damaged' in done.stderr
    mlc.ok("diff", "a.pt", "b.pt", "--include", "layer4*")


def test_what_strip_prefix_took_off_was_not_said(mlc, valid, pair):
    def edit(b):
        for key in list(b):
            if key != "flags":
                b[f"module.{key}"] = b.pop(key)

    files = pair(edit)
    done = mlc.ok("diff", *files, "--strip-prefix", "module")
    assert done.stderr == "--strip-prefix took module. off no key of A and 7 of 8 keys of B\n"
    found = differences(mlc, valid, *files, "--strip-prefix", "module", rc=0)
    assert (found["a"]["stripped"], found["b"]["stripped"]) == (0, 7)
    wrong = mlc("diff", *files, "--strip-prefix", "modul")
    assert wrong.rc == 1 and "took modul. off no key of A and no key of B\n" in wrong.stderr
    assert differences(mlc, valid, *files, "--strip-prefix", "module", "--key", "*", rc=0)["b"]["stripped"] == 7
    assert "stripped" not in differences(mlc, valid, *files)["a"]


def test_how_much_is_equal_was_not_said(mlc, valid, pair):
    def edit(b):
        b["half"][0, 0] += 1
        del b["flags"]
        b["empty"] = torch.zeros(3)

    files = pair(edit)
    done = mlc("diff", *files)
    assert done.stdout.endswith("different: 1 only in A, 1 shape, 1 tensor with other values; 5 of 8 tensors equal\n")
    assert differences(mlc, valid, *files)["equal_tensors"] == 5
    assert mlc("diff", *files, "--keys-only").stdout.endswith("different: 1 only in A; 7 of 8 keys in both\n")
    assert mlc("diff", *files, "--no-values").stdout.endswith("1 shape; 6 of 8 tensors equal in shape and type\n")


def test_long_names_were_cut_to_twelve_columns_on_a_terminal(mlc, tmp_path):
    name = "encoder.layer.11.attention.self"
    for file, value in (("a.pt", 1.0), ("b.pt", 1.5)):
        torch.save({name: torch.full((3,), value)}, tmp_path / file)
    assert "REL NORM" in mlc("diff", "a.pt", "b.pt").stdout
    shown = mlc.tty("diff", "a.pt", "b.pt")[1]  # 80 columns
    assert name in shown and "REL NORM" not in shown and "MAX REL" in shown
    assert "REL NORM" in mlc.tty("diff", "a.pt", "b.pt", "--sort", "moved")[1]


def test_sorting_by_movement_without_values_is_refused(mlc, pair):
    for flag in ("--keys-only", "--no-values"):
        done = mlc("diff", *pair(), "--sort", "moved", flag)
        assert done.rc == 2 and f"--sort moved means nothing with {flag}" in done.stderr


def diff_of(mlc, tmp_path, a, b, *options):
    torch.save({"w": a}, tmp_path / "a.pt")
    torch.save({"w": b}, tmp_path / "b.pt")
    return mlc("diff", "a.pt", "b.pt", *options, cwd=tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int8,
                                   torch.int64, torch.bool, torch.complex64])
def test_a_sparse_tensor_does_not_differ_from_its_coalesced_self(mlc, tmp_path, dtype):
    generator = torch.Generator().manual_seed(3)
    places = torch.randint(0, 3, (2, 60), generator=generator)
    values = torch.randint(0, 4, (60, 2), generator=generator).to(dtype)  # exact in any order of addition
    one = torch.sparse_coo_tensor(places, values, (3, 3, 2))
    done = diff_of(mlc, tmp_path, one, one.coalesce())
    assert done.rc == 0, done.stdout
    other = one.coalesce().clone()
    other._values()[4, 1] = 1 - other._values()[4, 1].to(torch.uint8) if dtype == torch.bool else 77
    assert diff_of(mlc, tmp_path, one, other).rc == 1


def test_a_sparse_tensor_with_another_place_differs(mlc, tmp_path):
    def at(*places):
        return torch.sparse_coo_tensor(torch.tensor([places]), torch.ones(len(places)), (4,))

    assert diff_of(mlc, tmp_path, at(0, 1), at(0, 2)).rc == 1
    assert diff_of(mlc, tmp_path, at(0, 0), at(0)).rc == 1
    assert diff_of(mlc, tmp_path, at(2, 0), at(0, 2)).rc == 0


def test_an_expanded_giant_is_not_refused_but_compared(mlc, tmp_path):
    giant = torch.tensor([[1.0], [2.0]]).expand(2, 2**38)
    assert diff_of(mlc, tmp_path, giant, giant).rc == 0
    done = diff_of(mlc, tmp_path, giant, torch.tensor([[1.0], [5.0]]).expand(2, 2**38), "--json")
    assert done.rc == 1
    [row] = done.json["differences"]
    assert row["values"]["mismatches"] == 2**38
    assert row["values"]["first_mismatch"] == 2**38
    assert row["values"]["max_abs"] == 3
    done = diff_of(mlc, tmp_path, giant, torch.ones(2, 1).as_strided((2, 2**38), (1, 0))[:, :8])
    assert done.rc == 1  # shapes differ: nothing is read


def test_expanded_tensors_are_compared_as_if_they_were_written_out(mlc, tmp_path):
    generator = torch.Generator().manual_seed(9)
    a = torch.randn(3, 1, 5, generator=generator).expand(3, 4, 5)
    b = a[:, :1].clone()
    b[1, 0, 2] += 1
    expanded = diff_of(mlc, tmp_path, a, b.expand(3, 4, 5), "--json").json["differences"]
    full = diff_of(mlc, tmp_path, a.contiguous(), b.expand(3, 4, 5).contiguous(), "--json").json["differences"]
    mixed = diff_of(mlc, tmp_path, a, b.expand(3, 4, 5).contiguous(), "--json").json["differences"]
    for row in expanded + full + mixed:
        for name in ("rel_norm", "cosine"):
            row["values"][name] = pytest.approx(row["values"][name])
    assert expanded == full == mixed


@pytest.mark.parametrize("bare", [torch.arange(3.0), torch.nn.Parameter(torch.ones(2)), torch.tensor(1.0)], ids=["tensor", "Parameter", "scalar"])
def test_a_tensor_without_a_name_differed_from_its_safetensors(mlc, tmp_path, bare):
    torch.save(bare, tmp_path / "a.pt")
    mlc.ok("save", "a.pt", "-o", "b.safetensors")
    for pair in (["a.pt", "b.safetensors"], ["b.safetensors", "a.pt"]):
        assert mlc.ok("diff", *pair).stdout.startswith("equal: 1 tensor, ")
        mlc.ok("diff", *pair, "--key", ".")
    torch.save(bare.detach() + 1, tmp_path / "c.pt")
    assert "\ntensor  values" in mlc("diff", "c.pt", "b.safetensors").stdout
    torch.save({"tensor": bare}, tmp_path / "d.pt")
    assert mlc("diff", "a.pt", "d.pt").rc == 1  # torch.load gives a tensor, and a dict


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_jagged_tensor_differed_where_a_pickle_spells_sets_otherwise(mlc, tmp_path, protocol):
    for name, rows in (("a", [torch.ones(2, 3), torch.ones(1, 3)]), ("other", [torch.ones(1, 3), torch.ones(2, 3)])):
        nested = torch.nested.nested_tensor(rows, layout=torch.jagged)
        torch.save({"n": nested, "w": torch.ones(1)}, tmp_path / f"{name}.pt", pickle_protocol=protocol)
    mlc.ok("save", "a.pt", "-o", "b.pt")
    assert mlc.ok("diff", "a.pt", "b.pt").stdout.startswith("equal: 2 tensors")
    mlc.ok("diff", "b.pt", "a.pt", "--key", ".")
    assert mlc("diff", "other.pt", "b.pt").rc == 1
