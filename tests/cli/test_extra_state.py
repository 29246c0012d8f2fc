"""Entries of a state_dict that are no tensors: what a rename does to them, each test named after the failure."""

import io

import pytest
import torch

from checkpoints import write


def read(path):
    return torch.load(path, weights_only=False)


def state(value):
    return {"module.a.weight": torch.ones(2), "module.a._extra_state": value, "module.b.weight": torch.zeros(2)}


@pytest.mark.parametrize("value", [{"amax": torch.ones(1), "n": 1}, None, io.BytesIO(b"x")], ids=["dict", "none", "bytes"])
def test_extra_state_stayed_behind_when_its_module_was_renamed(mlc, tmp_path, value):
    write(tmp_path / "in.pt", state(value))
    mlc.ok("strip-module-prefix", "in.pt", "-o", "out.pt")
    assert list(read(tmp_path / "out.pt")) == ["a.weight", "a._extra_state", "b.weight"]
    mlc.ok("remap-keys", "in.pt", "--map", "module.a=module.z", "-o", "mapped.pt")
    assert list(read(tmp_path / "mapped.pt")) == ["module.z.weight", "module.z._extra_state", "module.b.weight"]
    mlc.ok("remap-keys", "in.pt", "--drop", "module.a.*", "-o", "dropped.pt")
    assert list(read(tmp_path / "dropped.pt")) == ["module.b.weight"]


@pytest.mark.parametrize("other", [3, None, {"a": torch.ones(1)}], ids=["number", "none", "dict"])
@pytest.mark.parametrize("output", [["-o", "out.pt"], ["--in-place"], ["-n"]], ids=["new", "in place", "dry"])
def test_tensor_was_lost_to_a_value_of_its_new_name(mlc, tmp_path, other, output):
    path = write(tmp_path / "in.pt", {"o.w": torch.ones(2), "o.v": torch.ones(2), "epoch": other})
    before = path.read_bytes()
    result = mlc("remap-keys", "in.pt", "--map", "o.w=epoch", *output)
    assert result.rc == 1
    assert "epoch is there already, and no tensor" in result.stderr
    assert path.read_bytes() == before and not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("other", [3, [1], {"x": torch.ones(1)}], ids=["number", "list", "dict"])
def test_tensor_of_a_later_file_replaced_a_value_of_the_first(mlc, tmp_path, other):
    write(tmp_path / "a.pt", {"w": torch.ones(2), "scale": other})
    write(tmp_path / "b.pt", {"scale": torch.zeros(2), "v": torch.ones(1)})
    result = mlc("save", "--merge", "a.pt", "b.pt", "--key", ".", "-o", "out.pt")
    assert result.rc == 1 and "1 key of it exists already: scale" in result.stderr
    assert not (tmp_path / "out.pt").exists()


def test_merge_left_the_extra_state_of_later_files_behind(mlc, tmp_path):
    write(tmp_path / "a.pt", {"a.weight": torch.ones(2), "a._extra_state": {"n": 1}})
    write(tmp_path / "b.pt", {"b.weight": torch.ones(2), "b._extra_state": {"n": torch.ones(2)}, "epoch": 3})
    done = mlc.ok("save", "--merge", "a.pt", "b.pt", "-o", "out.pt")
    assert "not merged from b.pt: epoch\n" in done.stderr
    merged = read(tmp_path / "out.pt")
    assert list(merged) == ["a.weight", "a._extra_state", "b.weight", "b._extra_state"]
    assert torch.equal(merged["b._extra_state"]["n"], torch.ones(2))
    write(tmp_path / "c.pt", {"c.weight": torch.ones(2), "a._extra_state": {"n": 1}})
    assert "exists already: a._extra_state" in mlc("save", "--merge", "a.pt", "c.pt", "-o", "out2.pt").stderr


@pytest.mark.parametrize("more", [[], ["--weights-only"]], ids=["whole", "weights only"])
def test_selection_did_not_see_what_is_no_tensor(mlc, tmp_path, more):
    values = {"a.weight": torch.ones(2), "a._extra_state": {"n": 1}, "b.weight": torch.ones(2), "b._extra_state": b"x"}
    write(tmp_path / "in.pt", values)
    kept = ["a.weight", "a._extra_state"]
    mlc.ok("save", "in.pt", "--exclude", "b.*", "-o", "excluded.pt", *more)
    assert list(read(tmp_path / "excluded.pt")) == kept
    mlc.ok("save", "in.pt", "--include", "a.*", "-o", "included.pt", *more)
    assert list(read(tmp_path / "included.pt")) == kept
    done = mlc.ok("save", "in.pt", "--exclude", "*._extra_state", "-o", "tensors.pt", *more)
    assert "matches no key" not in done.stderr
    assert list(read(tmp_path / "tensors.pt")) == ["a.weight", "b.weight"]


def test_include_keeps_what_stands_beside_the_modules(mlc, tmp_path):
    write(tmp_path / "in.pt", {"a.weight": torch.ones(2), "b.weight": torch.ones(2), "epoch": 3, "config": {"x": 1}})
    mlc.ok("save", "in.pt", "--include", "a.*", "-o", "a.pt")
    assert list(read(tmp_path / "a.pt")) == ["a.weight", "epoch", "config"]
    mlc.ok("save", "in.pt", "--exclude", "ep*", "-o", "b.pt")
    assert list(read(tmp_path / "b.pt")) == ["a.weight", "b.weight", "config"]
    mlc.ok("remap-keys", "in.pt", "--keep", "a.*", "-o", "c.pt")
    assert list(read(tmp_path / "c.pt")) == ["a.weight", "epoch", "config"]


def test_values_kept_their_old_prefix(mlc, tmp_path):
    # As quantized layers save them; `mlc load` then still said that every key starts with module.
    values = {"module.fc.scale": torch.ones(1), "module.fc.dtype": torch.qint8, "epoch": 3, "module.fc.bits": 8}
    write(tmp_path / "in.pt", values)
    mlc.ok("strip-module-prefix", "in.pt", "-o", "out.pt")
    assert list(read(tmp_path / "out.pt")) == ["fc.scale", "fc.dtype", "epoch", "fc.bits"]
    mlc.ok("strip-module-prefix", "out.pt", "--add", "module.", "-o", "back.pt")
    assert list(read(tmp_path / "back.pt")) == list(values)
    mlc.ok("remap-keys", "in.pt", "--map", "module.fc=head", "--drop", "epoch", "-o", "mapped.pt")
    assert list(read(tmp_path / "mapped.pt")) == ["head.scale", "head.dtype", "head.bits"]
    plan = mlc.ok("remap-keys", "in.pt", "--regex", "s/^module.//", "-n", "--json").json
    assert [key["to"] for key in plan["keys"]] == ["fc.scale", "fc.dtype", "fc.bits"]


def test_rules_with_an_inverse_bring_values_back(mlc, tmp_path):
    values = {"a.weight": torch.ones(2), "a._extra_state": {"n": 1}, "epoch": 3}
    write(tmp_path / "in.pt", values)
    mlc.ok("remap-keys", "in.pt", "--regex", "s/^a.weight/z.weight/", "--emit-inverse", "back.yaml", "-o", "out.pt")
    assert list(read(tmp_path / "out.pt")) == ["z.weight", "z._extra_state", "epoch"]
    mlc.ok("remap-keys", "out.pt", "--rules", "back.yaml", "-o", "back.pt")
    assert list(read(tmp_path / "back.pt")) == list(values)


def test_what_is_no_tensor_is_not_split(mlc, tmp_path):
    write(tmp_path / "in.pt", {"a.w": torch.ones(4), "a.bits": 8})
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - regex: 'a.(.*)'\n    split: {dim: 0, to: ['x.$1', 'y.$1']}\n")
    refused = mlc("remap-keys", "in.pt", "--rules", "rules.yaml", "-o", "out.pt")
    assert refused.rc == 2 and "a.bits is no tensor, which nothing can split" in refused.stderr


def test_expect_and_diff_did_not_see_extra_state(mlc, valid, tmp_path):
    plain = {"fc.weight": torch.ones(2)}
    extra = {**plain, "fc._extra_state": {"amax": torch.ones(2), "n": 1}}
    write(tmp_path / "plain.pt", plain)
    write(tmp_path / "extra.pt", extra)
    write(tmp_path / "other.pt", {**plain, "fc._extra_state": {"amax": torch.zeros(2), "n": 2}})

    class Module(torch.nn.Module):
        """What torch says to these files."""

        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Module()
            self.fc.weight = torch.nn.Parameter(torch.ones(2))

    with pytest.raises(RuntimeError, match='Unexpected key.s. in state_dict: "fc._extra_state"'):
        Module().load_state_dict(extra)
    refused = mlc("load", "extra.pt", "--expect", "plain.pt")
    assert refused.rc == 1 and 'Unexpected key(s) in state_dict: "fc._extra_state".' in refused.stdout
    refused = mlc("load", "plain.pt", "--expect", "extra.pt", "--json")
    valid(refused.json, "load")
    assert refused.rc == 1 and refused.json["expect"]["missing"] == ["fc._extra_state"]
    mlc.ok("load", "plain.pt", "--expect", "extra.pt", "--ignore-missing", "_extra_state$")
    mlc.ok("load", "other.pt", "--expect", "extra.pt")
    (tmp_path / "manifest.json").write_text(mlc.ok("load", "extra.pt", "--json").stdout)
    mlc.ok("load", "other.pt", "--expect", "manifest.json")
    assert mlc("load", "plain.pt", "--expect", "manifest.json").rc == 1
    done = mlc("diff", "extra.pt", "other.pt")
    assert done.rc == 1 and "fc._extra_state.amax  values  " in done.stdout
    assert "other value: fc._extra_state.n: 1 and 2\n" in done.stdout
    assert mlc("diff", "extra.pt", "plain.pt").rc == 1
    assert mlc.ok("diff", "extra.pt", "extra.pt").stdout.endswith(", and 1 other value\n")
    # safetensors has no place for it, which is no difference of the conversion.
    mlc.ok("save", "extra.pt", "-o", "extra.safetensors")
    assert "not compared: fc._extra_state in A" in mlc.ok("diff", "extra.pt", "extra.safetensors").stderr


def test_numbers_at_the_root_of_a_state_dict_were_equal_whatever_they_were(mlc, tmp_path):
    for name, epoch in (("a", 1), ("b", 2)):
        write(tmp_path / f"{name}.pt", {"w": torch.ones(2), "epoch": epoch, "config": {"lr": epoch}})
    done = mlc("diff", "a.pt", "b.pt")
    assert done.rc == 1 and done.stdout == "other value: epoch: 1 and 2\ndifferent: 1 other value; 1 of 1 tensor equal\n"
    assert "not compared: config" in done.stderr
    mlc.ok("diff", "a.pt", "b.pt", "--exclude", "epoch")
    refused = mlc("load", "a.pt", "--expect", "b.pt", "--json")
    assert refused.rc == 0
    write(tmp_path / "c.pt", {"w": 3, "v": torch.ones(1)})
    write(tmp_path / "d.pt", {"w": torch.ones(2), "v": torch.ones(1)})
    refused = mlc("load", "c.pt", "--expect", "d.pt")
    assert refused.rc == 1 and 'parameter named "w", expected a tensor' in refused.stdout


def test_sizes_of_extra_state_that_is_a_tensor_are_no_mismatch(mlc, tmp_path):
    # As TransformerEngine saves it: bytes as a tensor, which load_state_dict gives to the module as it is.
    for name, size in (("a", 3), ("b", 5)):
        write(tmp_path / f"{name}.pt", {"w": torch.ones(2), "fc._extra_state": torch.zeros(size)})
    mlc.ok("load", "a.pt", "--expect", "b.pt")


def test_load_counted_fewer_tensors_than_save(mlc, valid, tmp_path):
    values = {"a": torch.zeros(1), 0: torch.ones(4), "fc._extra_state": {"amax": torch.ones(2)}}
    write(tmp_path / "in.pt", {"model": values, "epoch": 1})
    report = mlc.ok("load", "in.pt", "--json").json
    valid(report, "load")
    assert report["totals"]["tensors"] == mlc.ok("save", "in.pt", "-o", "out.pt", "--json").json["tensors"] == 3
    assert [row["name"] for row in report["tensors"] if row.get("in_value")] == ["0", "fc._extra_state.amax"]
    assert report["totals"]["parameters"] == 1 and report["other_keys"] == ["fc._extra_state"]


def test_diff_past_a_prefix(mlc, tmp_path):
    values = {"a.weight": torch.ones(2), "a._extra_state": {"n": 1, "t": torch.ones(1)}, "epoch": 1}
    write(tmp_path / "plain.pt", values)
    write(tmp_path / "ddp.pt", {key if key == "epoch" else f"module.{key}": value for key, value in values.items()})
    assert mlc("diff", "ddp.pt", "plain.pt").rc == 1
    for pair in (["ddp.pt", "plain.pt"], ["plain.pt", "ddp.pt"], ["ddp.pt", "ddp.pt"]):
        done = mlc.ok("diff", *pair, "--strip-prefix", "module.")
        assert "equal: 2 tensors" in done.stdout and "and 2 other values" in done.stdout
        assert done.stderr.startswith("--strip-prefix took module. off ") and done.stderr.count("\n") == 1
    write(tmp_path / "both.pt", {"module.w": torch.ones(1), "w": torch.ones(1)})
    twice = mlc("diff", "both.pt", "plain.pt", "--strip-prefix", "module.")
    assert twice.rc == 1 and "both.pt: has w with and without the prefix module." in twice.stderr


@pytest.mark.parametrize("form, run", [("pt", []), ("pt", ["-n"]), ("safetensors", []), ("safetensors", ["-n"])])
def test_dry_run_of_shards_spoke_of_safetensors(mlc, tmp_path, form, run):
    write(tmp_path / "in.pt", state({"amax": torch.ones(4)}))
    done = mlc.ok("save", "in.pt", "--max-shard-size", "1MB", "--format", form, "-o", "out", *run)
    assert "shards hold the tensors of a state_dict only; left out: 1 tensor in module.a._extra_state\n" in done.stderr
    write(tmp_path / "bytes.pt", state(io.BytesIO(b"x")))
    done = mlc.ok("save", "bytes.pt", "--max-shard-size", "1MB", "--format", form, "-o", "more", *run)
    assert "will refuse" not in done.stderr and "left out: module.a._extra_state\n" in done.stderr
