"""mlc save: convert, select, merge, cast, shard."""

import argparse
import collections
import json
import pickle
import stat

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import yaml

from checkpoints import (EXPECTED, GOLDEN, assert_loads_as, assert_same, ordered, record, sha256_of, small_model,
                         training_checkpoint, vanishing_module, write)


@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "a.pt", small_model().state_dict())


def load_safetensors(path, keys=None):
    found = safetensors.torch.load_file(path)
    return {key: found[key] for key in keys or found}


def metadata_of(path):
    if path.suffix == ".safetensors":
        with safetensors.safe_open(path, "pt") as file:
            return yaml.safe_load(file.metadata()["mlc"])
    return yaml.safe_load(record(path, "mlc/metadata.yaml"))


# --- conversion


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden_files_to_pt(mlc, tmp_path, name):
    wanted = EXPECTED[name]
    key = ["--key", wanted["key"]] if wanted["key"] else []
    mlc.ok("save", GOLDEN / name, *key, "--weights-only", "-o", "out.pt")
    found = torch.load(tmp_path / "out.pt", weights_only=True, mmap=True)
    found = {k: (str(t.dtype).removeprefix("torch."), list(t.shape), sha256_of(t)) for k, t in found.items()}
    assert found == {k: (t["dtype"], t["shape"], t["sha256"]) for k, t in wanted["tensors"].items()}


@pytest.mark.parametrize("wrap", ["compiled", "traced", "both", "inside"])
def test_compiled_and_traced_modules_had_no_tensors(mlc, tmp_path, wrap):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    net.register_buffer("hidden", torch.ones(1), persistent=False)
    traced = torch.fx.symbolic_trace(net)
    module = {"compiled": lambda: torch.compile(net), "traced": lambda: traced, "both": lambda: torch.compile(traced),
              "inside": lambda: torch.nn.ModuleDict({"a": torch.compile(net), "b": traced})}[wrap]()
    wanted = module.state_dict()
    torch.save({"epoch": 3, "model": module}, tmp_path / "a.pt")
    mlc.ok("save", "a.pt", "-o", "b.pt")
    found = torch.load(tmp_path / "b.pt")["model"]
    assert list(found) == list(wanted) and found._metadata == wanted._metadata
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_module_pickle_without_its_class(mlc, tmp_path):
    source = "import torch\nclass Net(torch.nn.Sequential):\n    pass\n"
    with vanishing_module(tmp_path, source) as module:
        net = module.Net(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        wanted = net.state_dict()
        path = write(tmp_path / "net.pt", net)
    result = mlc.ok("save", path, "-o", "out.pt")
    assert "class is not kept" in result.stderr
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert_same(dict(wanted), dict(found))
    assert found._metadata == wanted._metadata


def test_everything_is_kept_in_pt(mlc, tmp_path):
    checkpoint = training_checkpoint()
    mlc.ok("save", write(tmp_path / "train.pt", checkpoint), "-o", "out.pt")
    assert_loads_as(tmp_path / "out.pt", checkpoint)


def test_weights_only_keeps_the_state_dict(mlc, tmp_path):
    checkpoint = training_checkpoint()
    mlc.ok("save", write(tmp_path / "train.pt", checkpoint), "-o", "out.pt", "--weights-only")
    assert_loads_as(tmp_path / "out.pt", checkpoint["model"])
    small_model().load_state_dict(torch.load(tmp_path / "out.pt"))


def test_safetensors_there_and_back(mlc, tmp_path, plain):
    state = torch.load(plain)
    mlc.ok("save", plain, "-o", "b.safetensors")
    assert_same(dict(state), load_safetensors(tmp_path / "b.safetensors", state), views=False)
    safetensors.torch.save_file(dict(state), tmp_path / "c.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    mlc.ok("save", "b.safetensors", "-o", "d.pt")
    found = torch.load(tmp_path / "d.pt", weights_only=True, mmap=True)
    assert_same(dict(state), {key: found[key] for key in state})


def test_what_safetensors_leaves_out_is_named(mlc, tmp_path):
    path = write(tmp_path / "train.pt", training_checkpoint())
    result = mlc.ok("save", path, "-o", "b.safetensors", "--json")
    assert {"epoch", "optimizer", "best"} <= set(result.json["left_out"])
    assert "left out: epoch" in result.stderr


def test_tied_tensors(mlc, tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    path = write(tmp_path / "a.pt", ordered(**{"emb.weight": weight, "head.weight": weight}))
    mlc.ok("save", path, "-o", "b.pt")
    assert_loads_as(tmp_path / "b.pt", torch.load(path))
    report = mlc.ok("save", path, "-o", "b.safetensors", "--json").json
    assert report["aliases"] == {"head.weight": "emb.weight"}
    assert list(load_safetensors(tmp_path / "b.safetensors")) == ["emb.weight"]
    with safetensors.safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert file.metadata()["head.weight"] == "emb.weight"  # as transformers records it
    mlc.ok("save", path, "-o", "c.safetensors", "--shared", "clone")
    assert set(load_safetensors(tmp_path / "c.safetensors")) == {"emb.weight", "head.weight"}
    result = mlc("save", path, "-o", "d.safetensors", "--shared", "error")
    assert result.rc != 0 and "head.weight" in result.stderr and not (tmp_path / "d.safetensors").exists()


# --- choosing


def test_include_and_exclude(mlc, tmp_path, plain):
    state = torch.load(plain)
    for flags, wanted in [
            (["--include", "0.*", "--include", "2.*"], ["0.weight", "0.bias", "2.1.weight", "2.1.bias"]),
            (["--exclude", "1.*"], ["0.weight", "0.bias", "2.1.weight", "2.1.bias"]),
            (["--include-regex", r"^\d\.weight$", "--exclude-regex", "^1"], ["0.weight"])]:
        mlc.ok("save", plain, "-o", "b.pt", "--force", *flags)
        found = torch.load(tmp_path / "b.pt")
        assert_same({k: state[k] for k in wanted}, dict(found))
    result = mlc("save", plain, "-o", "c.pt", "--include", "nothing.*")
    assert result.rc == 2 and "no tensor" in result.stderr and not (tmp_path / "c.pt").exists()


def test_ambiguous_state_dicts_need_a_key(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"model": small_model().state_dict(), "ema": {"a": torch.ones(2)}})
    result = mlc("save", path, "-o", "b.safetensors")
    assert result.rc == 2 and "model (9 tensors) and ema (1 tensor)" in result.stderr and "--key" in result.stderr
    mlc.ok("save", path, "--key", "ema", "-o", "b.safetensors")
    assert list(load_safetensors(tmp_path / "b.safetensors")) == ["a"]


# --- changing


def test_dtype_is_the_cast_of_torch_and_keeps_ties(mlc, tmp_path):
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 100
    state = ordered(a=weight, tied=weight, i=torch.arange(3), d=torch.randn(4).double(), h=torch.ones(2).half())
    path = write(tmp_path / "a.pt", state)
    for name, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32), ("fp64", torch.float64)]:
        mlc.ok("save", path, "-o", f"{name}.pt", "--dtype", name)
        found = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        wanted = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        assert_same(wanted, dict(found), views=False)
        assert found["a"].data_ptr() == found["tied"].data_ptr()


def test_dtype_counts_overflow(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"a": torch.tensor([1e6, 1.0, -1e30])})
    result = mlc.ok("save", path, "-o", "b.pt", "--dtype", "fp16", "--json")
    assert result.json["overflowed"] == 2 and "warning" in result.stderr
    assert mlc("save", path, "-o", "c.pt", "--dtype", "fp17").rc == 2


def test_compact_views_makes_the_file_small(mlc, tmp_path):
    big = torch.arange(100_000.0)
    state = ordered(head=big[:10], step=big[::5000])
    path = write(tmp_path / "a.pt", state)
    mlc.ok("save", path, "-o", "b.pt", "--compact-views")
    assert path.stat().st_size > 400_000 and (tmp_path / "b.pt").stat().st_size < 4000
    assert_loads_as(tmp_path / "b.pt", state, views=False)
    assert mlc.ok("load", "b.pt", "--json").json["totals"]["unused_bytes"] == 0


def test_safe_drops_what_weights_only_refuses(mlc, tmp_path):
    checkpoint = {"model": small_model().state_dict(), "epoch": 1, "config": {"args": argparse.Namespace(lr=1), "seed": 7}}
    path = write(tmp_path / "a.pt", checkpoint)
    kept = mlc.ok("save", path, "-o", "kept.pt")
    assert "argparse.Namespace" in kept.stderr and "--safe" in kept.stderr
    assert torch.load(tmp_path / "kept.pt", weights_only=False)["config"]["args"].lr == 1
    result = mlc.ok("save", path, "-o", "safe.pt", "--safe", "--json")
    assert result.json["dropped"] == ["config.args"] and "config.args" in result.stderr
    del checkpoint["config"]["args"]
    assert_loads_as(tmp_path / "safe.pt", checkpoint)


def test_map_location_of_the_output(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "b.pt", "--map-location", "cuda:0")
    places = []
    torch.load(tmp_path / "b.pt", map_location=lambda storage, place: places.append(place) or storage)
    assert set(places) == {"cuda:0"}


# --- several files


def test_merge(mlc, tmp_path):
    parts = [{"a": torch.ones(2)}, {"b": torch.zeros(3), "c": torch.ones(1).half()}, {"d": torch.arange(3)}]
    paths = [write(tmp_path / f"{i}.pt", part, legacy=i == 1) for i, part in enumerate(parts)]
    safetensors.torch.save_file(parts[2], tmp_path / "2.safetensors")
    mlc.ok("save", "0.pt", "1.pt", "2.safetensors", "--merge", "-o", "out.pt")
    assert_loads_as(tmp_path / "out.pt", {**parts[0], **parts[1], **parts[2]})
    write(paths[1], {"b": torch.zeros(3), "a": torch.zeros(1)})
    result = mlc("save", "0.pt", "1.pt", "--merge", "-o", "no.pt")
    assert result.rc == 1 and "1.pt" in result.stderr and ": a" in result.stderr
    assert not (tmp_path / "no.pt").exists()
    assert mlc("save", "0.pt", "--merge", "-o", "no.pt").rc == 2


def test_from_takes_what_matches(mlc, valid, tmp_path, plain):
    state = torch.load(plain)
    pretrained = {"0.weight": torch.full((3, 4), 7.0).half(), "0.bias": torch.zeros(9), "2.1.bias": torch.full((2,), 8.0),
                  "fc.weight": torch.zeros(1)}
    other = write(tmp_path / "pre.pt", {"state_dict": pretrained, "epoch": 1})
    result = mlc.ok("save", plain, "--from", other, "-o", "b.pt", "--json")
    valid(result.json, "save")
    report = result.json["from"]
    assert report["taken"] == 2 and report["unused"] == 1
    assert report["mismatched"] == ["0.bias [9] instead of [3]"]
    assert set(report["missing"]) == set(state) - set(pretrained)
    assert "another shape" in result.stderr and "0.bias" in result.stderr
    wanted = {**state, "0.weight": torch.full((3, 4), 7.0), "2.1.bias": torch.full((2,), 8.0)}
    assert_same(wanted, dict(torch.load(tmp_path / "b.pt", weights_only=True)))


@pytest.mark.parametrize("form, index", [("safetensors", "model.safetensors.index.json"), ("pt", "pytorch_model.bin.index.json")])
def test_shards_with_index(mlc, tmp_path, plain, form, index):
    state = torch.load(plain)
    mlc.ok("save", plain, "-o", "shards", "--max-shard-size", "60B", "--format", form)
    folder = tmp_path / "shards"
    content = json.loads((folder / index).read_text())
    assert set(content["weight_map"]) == set(state)
    assert content["metadata"]["total_size"] == sum(t.nbytes for t in state.values())
    found = {}
    for name in sorted(set(content["weight_map"].values())):
        part = load_safetensors(folder / name) if form == "safetensors" else torch.load(folder / name, weights_only=True)
        assert set(part) == {k for k, v in content["weight_map"].items() if v == name}
        assert sum(t.nbytes for t in part.values()) <= 60
        found |= part
    assert_same(dict(state), {key: found[key] for key in state}, views=False)
    report = mlc.ok("load", "shards", "--json", "--check", "sha256").json
    assert {t["name"]: t["sha256"] for t in report["tensors"]} == {k: sha256_of(v) for k, v in state.items()}
    mlc.ok("save", "shards", "-o", "whole.pt")
    found = torch.load(tmp_path / "whole.pt", weights_only=True, mmap=True)
    assert_same(dict(state), {key: found[key] for key in state}, views=False)


def test_batch(mlc, valid, tmp_path):
    for i in range(4):
        write(tmp_path / f"{i}.pt", {"w": torch.full((i + 1,), float(i))})
    (tmp_path / "1.pt").write_bytes(b"")
    result = mlc("save", *(f"{i}.pt" for i in range(4)), "--out-dir", "st", "--format", "safetensors", "-j2", "--keep-going", "--json")
    assert result.rc == 3
    valid(result.json, "batch")
    assert sorted(p.name for p in (tmp_path / "st").iterdir()) == ["0.safetensors", "2.safetensors", "3.safetensors"]
    assert_same({"w": torch.full((4,), 3.0)}, load_safetensors(tmp_path / "st/3.safetensors"))


# --- metadata


@pytest.mark.parametrize("name", ["b.pt", "b.safetensors"])
def test_metadata_goes_into_the_file(mlc, tmp_path, plain, name):
    (tmp_path / "meta.yaml").write_text("mlc: metadata/1\nname: digits\nversion: 1.2.0\ncustom: {a: [1, 2]}\n")
    mlc.ok("save", plain, "-o", name, "--meta", "meta.yaml", "--set", "training.epoch=42", "--set", "version=1.3.0")
    found = metadata_of(tmp_path / name)
    assert (found["name"], str(found["version"]), found["training"]["epoch"]) == ("digits", "1.3.0", 42)
    assert found["custom"] == {"a": [1, 2]} and found["provenance"][-1]["verb"] == "save"
    read = mlc.ok("load", name, "--json").json["metadata"]
    assert (read["name"], read["training"]["epoch"]) == ("digits", 42)
    state = torch.load(plain)
    if name.endswith(".pt"):
        assert_loads_as(tmp_path / name, state)
    else:
        assert_same(dict(state), load_safetensors(tmp_path / name, state), views=False)


def test_metadata_travels_on(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "b.pt", "--set", "name=digits")
    mlc.ok("strip-module-prefix", "b.pt", "--add", "x.", "-o", "c.pt")
    mlc.ok("remap-keys", "c.pt", "--map", "x=y", "-o", "d.safetensors")
    mlc.ok("save", "d.safetensors", "-o", "e.pt")
    found = metadata_of(tmp_path / "e.pt")
    assert found["name"] == "digits"
    assert [step["verb"] for step in found["provenance"]] == ["save", "strip-module-prefix", "remap-keys", "save"]


def test_wrong_metadata(mlc, tmp_path, plain):
    (tmp_path / "meta.yaml").write_text("name: [\n")
    assert mlc("save", plain, "-o", "b.pt", "--meta", "meta.yaml").rc == 2
    assert mlc("save", plain, "-o", "b.pt", "--set", "name").rc == 2
    assert mlc("save", plain, "-o", "b.pt", "--meta", "nope.yaml").rc in (2, 3)
    assert not (tmp_path / "b.pt").exists()


# --- writing


def test_dry_run_writes_nothing(mlc, tmp_path, plain):
    for target in (["-o", "b.pt"], ["-o", "b.safetensors"], ["--out-dir", "d"], ["--in-place"], ["-o", "s", "--max-shard-size", "60B"]):
        report = mlc.ok("save", plain, "-n", *target, "--json").json
        assert report["dry_run"] is True and report["tensors"] == 9
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    assert "nothing was written" in mlc.ok("save", plain, "-n", "-o", "b.pt").stderr


def test_existing_output_and_own_input(mlc, tmp_path, plain):
    (tmp_path / "b.pt").write_text("mine")
    before = plain.read_bytes()
    result = mlc("save", plain, "-o", "b.pt", "--json")
    assert result.rc == 5 and result.error["kind"] == "exists" and "--force" in result.error["hint"]
    assert (tmp_path / "b.pt").read_text() == "mine"
    (tmp_path / "link.pt").hardlink_to(plain)
    for output in (plain, "link.pt"):
        assert mlc("save", plain, "-o", output, "--force").rc == 2
    assert plain.read_bytes() == before
    mlc.ok("save", plain, "-o", "b.pt", "--force")
    assert_loads_as(tmp_path / "b.pt", torch.load(plain))


def test_in_place_keeps_the_mode(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"a": torch.ones(1000)})
    path.chmod(0o600)
    mlc.ok("save", path, "--in-place", "--dtype", "bf16")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_loads_as(path, {"a": torch.ones(1000, dtype=torch.bfloat16)})
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_formats_and_extensions(mlc, tmp_path, plain):
    result = mlc("save", plain, "-o", "b.foo")
    assert result.rc == 2 and "--format" in result.stderr
    assert mlc("save", plain, "-o", "b.safetensors", "--format", "pt").rc == 2
    for name in ("b.pth", "b.bin", "b.ckpt"):
        mlc.ok("save", plain, "-o", name)
        assert_loads_as(tmp_path / name, torch.load(plain), modes=["mmap"])
    assert mlc("save", plain).rc == 2
    assert mlc("save", plain, plain, "-o", "c.pt").rc == 2


def test_same_bytes_whatever_the_threads(mlc, tmp_path, plain):
    for threads in ("1", "4"):
        mlc.ok("save", plain, "--out-dir", f"t{threads}", "--threads", threads)
    assert (tmp_path / "t1/a.pt").read_bytes() == (tmp_path / "t4/a.pt").read_bytes()


def test_the_state_dict_in_the_other_file_has_its_own_key(mlc, tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "mine.pt")
    torch.save({"model": {"w": torch.ones(2)}, "ema": {"w": torch.full((2,), 2.0)}}, tmp_path / "theirs.pt")
    result = mlc("save", "mine.pt", "--from", "theirs.pt", "-o", "out.pt")
    assert result.rc == 2 and "--from-key" in result.stderr
    mlc.ok("save", "mine.pt", "--from", "theirs.pt", "--from-key", "ema", "-o", "out.pt")
    assert torch.load(tmp_path / "out.pt")["w"].tolist() == [2.0, 2.0]
    result = mlc("load", "mine.pt", "--expect", "theirs.pt")
    assert result.rc == 2 and "--expect-key" in result.stderr
    mlc.ok("load", "mine.pt", "--expect", "theirs.pt", "--expect-key", "ema")


def test_shards_say_their_bytes_on_disk(mlc, tmp_path):
    torch.save({"a": torch.zeros(1000), "b": torch.zeros(1000)}, tmp_path / "in.pt")
    answer = mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "4500B", "--json").json
    assert answer["file_bytes"] == sum(f.stat().st_size for f in (tmp_path / "shards").iterdir())


def test_no_empty_folder_stays_where_shards_failed(mlc, tmp_path):
    values = torch.arange(1000.0)
    torch.save({"a": values}, tmp_path / "in.pt")
    content = bytearray((tmp_path / "in.pt").read_bytes())
    content[content.find(values.numpy().tobytes()) + 8] ^= 1
    (tmp_path / "in.pt").write_bytes(content)
    result = mlc("save", "in.pt", "-o", "shards", "--max-shard-size", "1MB")
    assert result.rc == 3 and not (tmp_path / "shards").exists()


def test_a_forgotten_o_is_guessed(mlc, tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "in.pt")
    assert "did you mean -o out.safetensors?" in mlc("save", "in.pt", "out.safetensors").stderr


def test_a_pattern_that_misses_for_the_prefix_says_so(mlc, tmp_path):
    torch.save({"module.head.weight": torch.ones(1), "module.body.weight": torch.ones(1)}, tmp_path / "in.pt")
    for command in (["save", "in.pt", "--exclude", "head.*"], ["remap-keys", "in.pt", "--map", "head.=x."]):
        assert "every key starts with module." in mlc.ok(*command, "-o", "out.pt", "--force").stderr


def test_one_shard_is_no_whole_checkpoint(mlc, tmp_path):
    torch.save({"a": torch.zeros(1000), "b": torch.zeros(1000)}, tmp_path / "in.pt")
    mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "4500B")
    result = mlc.ok("load", "shards/model-00001-of-00002.safetensors")
    assert "is shard 1 of 2; shards/model.safetensors.index.json opens the whole" in result.stderr
    assert mlc.ok("load", "shards").stderr == ""


def test_merge_looks_only_at_what_is_selected(mlc, tmp_path):
    torch.save({"body.w": torch.ones(1)}, tmp_path / "a.pt")
    torch.save({"body.w": torch.zeros(1), "head.w": torch.ones(2)}, tmp_path / "b.pt")
    result = mlc("save", "a.pt", "b.pt", "--merge", "-o", "c.pt")
    assert result.rc == 1 and "`mlc remap-keys b.pt --drop body.w -o other.pt`" in result.stderr
    torch.save({"stem.w": torch.ones(1)}, tmp_path / "a.pt")
    torch.save({"stem.w": torch.zeros(1), "head.w": torch.ones(2)}, tmp_path / "b.pt")
    mlc.ok("save", "a.pt", "b.pt", "--merge", "--include", "head.*", "-o", "c.pt")
    assert list(torch.load(tmp_path / "c.pt")) == ["head.w"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_legacy_files_of_every_protocol_keep_their_tensors(mlc, tmp_path, protocol):
    # All but protocol 2 used to be read as a pickled number: 0 tensors, exit code 0.
    torch.save({"w": torch.arange(3.0)}, tmp_path / "in.pt", _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    mlc.ok("save", "in.pt", "-o", "out.pt")
    assert torch.load(tmp_path / "out.pt")["w"].tolist() == [0.0, 1.0, 2.0]


def test_shards_name_what_they_leave_out(mlc, tmp_path):
    torch.save({"model": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "in.pt")
    assert "left out: epoch" in mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "1KB").stderr


def test_names_that_safetensors_reserves_are_refused(mlc, tmp_path):
    # Each used to give a file that neither safetensors nor mlc could read.
    one = torch.ones(3)
    for state in ({"__metadata__": one, "a": one + 1}, {"a": one, "format": one}):
        torch.save(state, tmp_path / "in.pt")
        result = mlc("save", "in.pt", "-o", "out.safetensors")
        assert result.rc == 4 and not (tmp_path / "out.safetensors").exists()
    mlc.ok("save", "in.pt", "-o", "out.safetensors", "--shared", "clone")
    assert mlc.ok("load", "out.safetensors", "--json").json["totals"]["tensors"] == 2


def test_a_merge_joins_module_versions_and_names_the_rest(mlc, tmp_path):
    first, second = torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)
    a = write(tmp_path / "a.pt", torch.nn.Sequential(collections.OrderedDict(body=first)).state_dict())
    b = torch.nn.Sequential(collections.OrderedDict(norm=second)).state_dict()
    write(tmp_path / "b.pt", {"state_dict": b, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}})
    (tmp_path / "b.yaml").write_text("mlc: metadata/1\nrequires: ['torch>=2.0']\n")
    mlc.ok("save", "b.pt", "--meta", "b.yaml", "-o", "b2.pt")
    result = mlc.ok("save", a, "b2.pt", "--merge", "-o", "out.pt")
    assert "not merged from b2.pt: epoch, optimizer and its metadata" in result.stderr
    merged = torch.load(tmp_path / "out.pt")
    assert list(merged) == ["body.weight", "body.bias", *b]
    assert merged._metadata["norm"] == b._metadata["norm"] == {"version": 2}
    assert merged._metadata["body"] == {"version": 1}
    assert "not merged" not in mlc.ok("save", a, write(tmp_path / "c.pt", b), "--merge", "-o", "o.pt").stderr


def test_a_conjugate_is_no_tied_name_of_its_tensor(mlc, tmp_path):
    value = torch.tensor([1 + 2j, 3 - 4j])
    path = write(tmp_path / "a.pt", {"a": value, "b": value.conj()})
    mlc.ok("save", path, "-o", "a.safetensors")
    found = load_safetensors(tmp_path / "a.safetensors")
    assert torch.equal(found["a"], value) and torch.equal(found["b"], value.conj().resolve_conj())
    hashes = {t["name"]: t["sha256"] for t in mlc.ok("load", path, "--check", "sha256", "--json").json["tensors"]}
    assert hashes["a"] != hashes["b"]


@pytest.mark.parametrize("form", ["safetensors", "pt"])
def test_total_size_of_the_index_is_what_the_shards_hold(mlc, tmp_path, form):
    big = torch.arange(10_000.0)
    path = write(tmp_path / "a.pt", {"view": big[:10], "tied": big[:10], "half": big[5000:], "other": torch.ones(3000)})
    mlc.ok("save", path, "-o", tmp_path / "out", "--max-shard-size", "30kB", "--format", form)
    index = next((tmp_path / "out").glob("*.index.json"))
    assert "says total_size" not in mlc.ok("load", index).stderr
    shards = [f for f in (tmp_path / "out").iterdir() if f != index]
    loaded = [load_safetensors(f) if form == "safetensors" else torch.load(f) for f in shards]
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for part in loaded for t in part.values()}
    assert json.loads(index.read_text())["metadata"]["total_size"] == sum(held.values())


def test_metadata_that_names_a_tensor_is_no_tied_name(mlc, tmp_path):
    """Only names with a dot are taken for tied ones, and those that mlc recorded."""
    texts = {"format": "pt", "best": "w", "source": "w"}
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", metadata=texts)
    report = mlc.ok("load", tmp_path / "a.safetensors", "--json")
    assert [t["name"] for t in report.json["tensors"]] == ["w"] and report.stderr == ""
    mlc.ok("remap-keys", tmp_path / "a.safetensors", "--map", "w=v", "-o", "b.safetensors")
    with safetensors.safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert file.metadata() == texts and list(file.keys()) == ["v"]


def test_tied_names_without_a_dot_come_back(mlc, tmp_path):
    tied = torch.arange(3.0)
    path = write(tmp_path / "a.pt", {"b": tied, "a": tied, "head.w": tied})
    mlc.ok("save", path, "-o", "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert list(file.keys()) == ["b"] and file.metadata()["a"] == "b" and file.metadata()["head.w"] == "b"
    report = mlc.ok("load", tmp_path / "a.safetensors", "--json").json
    assert sorted(t["name"] for t in report["tensors"]) == ["a", "b", "head.w"] and len(report["shared"]) == 1
    mlc.ok("save", tmp_path / "a.safetensors", "-o", "back.pt")
    found = torch.load(tmp_path / "back.pt")
    assert found["b"].data_ptr() == found["a"].data_ptr() == found["head.w"].data_ptr()


def test_a_rewrite_keeps_the_kept_name_of_tied_tensors(mlc, tmp_path):
    """transformers chose it, and looks for that name."""
    tensors = {"model.embed.weight": torch.ones(2, 2), "x.bias": torch.ones(1)}
    metadata = {"format": "pt", "lm_head.weight": "model.embed.weight"}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors", metadata=metadata)
    mlc.ok("remap-keys", tmp_path / "a.safetensors", "--map", "x.bias=y.bias", "-o", "b.safetensors")
    mlc.ok("save", tmp_path / "b.safetensors", "-o", "c.safetensors")
    for name in ("b", "c"):
        with safetensors.safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            assert sorted(file.keys()) == ["model.embed.weight", "y.bias"]
            assert file.metadata() == metadata


def test_tensors_of_shared_mappings_are_counted_once(mlc, tmp_path):
    shared = {"w": torch.ones(2)}
    for _ in range(12):
        shared = {"a": shared, "b": shared}
    path = write(tmp_path / "a.pt", shared)
    assert mlc.ok("save", path, "-o", "b.pt").stderr.startswith("wrote b.pt: 1 tensor, ")
    found = torch.load(tmp_path / "b.pt")
    assert found["a"] is found["b"]


@pytest.mark.parametrize("extra", ["_extra_state", "fc._extra_state"])
def test_a_dict_of_tensors_as_extra_state_is_no_second_state_dict(mlc, valid, tmp_path, extra):
    scales = {"a": torch.ones(1), "b": torch.ones(1), "c": torch.ones(1)}
    write(tmp_path / "a.pt", ordered(**{"fc.weight": torch.ones(2), extra: scales}))
    result = mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert extra in result.stderr
    assert list(load_safetensors(tmp_path / "a.safetensors")) == ["fc.weight"]
    mlc.ok("save", "a.pt", "-o", "b.pt", "--weights-only")
    assert list(torch.load(tmp_path / "b.pt")) == ["fc.weight", extra]
    mlc.ok("remap-keys", "a.pt", "--key", "*", "--add-prefix", "m.", "-o", "c.pt")
    assert list(torch.load(tmp_path / "c.pt")) == ["m.fc.weight", f"m.{extra}"]
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    assert (report["key"], [one["path"] for one in report["state_dicts"]]) == ("", [""])
    mlc.ok("save", "a.pt", "--key", extra, "-o", "d.safetensors")


def test_a_mapping_in_a_state_dict_is_a_part_of_it(mlc, tmp_path):
    write(tmp_path / "a.pt", {"sd": {"x": torch.ones(2), "y": {"z": torch.ones(1)}}})
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert list(load_safetensors(tmp_path / "a.safetensors")) == ["x"]


def test_a_stray_tensor_beside_a_model_of_one_is_not_taken_for_the_model(mlc, tmp_path):
    write(tmp_path / "a.pt", {"best": torch.tensor(0.5), "model": {"w": torch.ones(2)}})
    result = mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert "left out: best (1 tensor)\n" in result.stderr
    assert list(load_safetensors(tmp_path / "a.safetensors")) == ["w"]
    write(tmp_path / "b.pt", {"best": torch.ones(2, 2), "ema": {"w": torch.ones(2)}})
    result = mlc("save", "b.pt", "-o", "b.safetensors")
    assert result.rc == 2 and "holds 2 state_dicts: ema (1 tensor) and . (1 tensor)" in result.stderr
    assert "for example --key ema\n" in result.stderr  # "." was named, which nobody means


@pytest.mark.parametrize("name", ["model", "state_dict", "net", "model_state_dict", "netG", "generator", "ema", "unet"])
@pytest.mark.parametrize("around", [(), ("checkpoint",)])
def test_a_model_with_fewer_tensors_than_lie_beside_it_is_no_part(mlc, tmp_path, name, around):
    loose = {"torch_rng": torch.get_rng_state(), "mean": torch.ones(3, 3), "std": torch.ones(3)}
    values = {name: {"w": torch.ones(2), "b": torch.ones(1), "x._extra_state": {"a": torch.ones(1)}}, "epoch": 3, **loose}
    for key in around:
        values = {key: values, "lr": 0.1}
    write(tmp_path / "a.pt", values)
    outer = ".".join(around) or "."
    inner = ".".join((*around, name))
    for verb in (("save", "a.pt", "-o", "a.safetensors"), ("save", "a.pt", "--weights-only", "-o", "b.pt"),
                 ("load", "a.pt", "--expect", "a.pt"), ("strip-module-prefix", "a.pt", "-o", "c.pt")):
        result = mlc(*verb)
        assert result.rc == 2 and f"holds 2 state_dicts: {inner} (2 tensors) and {outer} (3 tensors)" in result.stderr
    mlc.ok("save", "a.pt", "--key", inner, "-o", "d.safetensors")
    assert sorted(load_safetensors(tmp_path / "d.safetensors")) == ["b", "w"]
    mlc.ok("remap-keys", "a.pt", "--key", "*", "--add-prefix", "m.", "-o", "e.pt")
    found = torch.load(tmp_path / "e.pt")
    for key in around:
        found = found[key]
    assert list(found[name]) == ["m.w", "m.b", "m.x._extra_state"]


def test_a_module_beside_more_loose_tensors_is_no_part(mlc, tmp_path):
    write(tmp_path / "a.pt", {"x": torch.nn.Linear(1, 1, bias=False), "a": torch.ones(1), "b": torch.ones(1)})
    result = mlc("save", "a.pt", "-o", "a.safetensors")
    assert result.rc == 2 and "holds 2 state_dicts: . (2 tensors) and x (1 tensor)" in result.stderr


def test_safe_drops_a_tensor_subclass_that_torch_refuses_and_keeps_the_rest(mlc, tmp_path):
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    path = write(tmp_path / "a.pt", {"n": nested, "a": torch.ones(2)})
    assert mlc("load", path, "--require-safe").rc == 1
    result = mlc.ok("save", path, "--safe", "-o", "b.pt")
    assert "dropped what weights_only=True refuses: n\n" in result.stderr
    assert_same({"a": torch.ones(2)}, torch.load(tmp_path / "b.pt", weights_only=True))


def test_from_names_what_nothing_took(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.zeros(2)})
    write(tmp_path / "pre.pt", {"w": torch.ones(2), **{f"head.{i}": torch.ones(1) for i in range(12)}})
    result = mlc.ok("save", "a.pt", "--from", "pre.pt", "-o", "b.pt")
    assert "not taken from pre.pt, not in a.pt: head.0, head.1, " in result.stderr
    assert "head.9 and 2 more\n" in result.stderr
    assert mlc.ok("save", "a.pt", "--from", "pre.pt", "-o", "c.pt", "--json").json["from"]["unused"] == 12


def test_folders_of_shards_were_named_like_files(mlc, tmp_path):
    for name in ("a.pt", "b.pth"):
        write(tmp_path / name, ordered(x=torch.ones(8), y=torch.ones(8)))
    mlc.ok("save", "a.pt", "b.pth", "--out-dir", "out", "--max-shard-size", "32B")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]
    mlc.ok("save", "out/a/model.safetensors.index.json", "--out-dir", "again", "--format", "pt", "--max-shard-size", "1GB")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["model"]
    mlc.ok("save", "out/a/model.safetensors.index.json", "--out-dir", "one", "--format", "pt")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["model.pt"]


def test_a_batch_goes_on_where_it_stopped(mlc, valid, tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.pt", {"w": torch.ones(1)})
    mlc.ok("save", "b.pt", "--out-dir", "out", "--format", "safetensors")
    before = (tmp_path / "out/b.safetensors").stat()
    batch = ["save", "a.pt", "b.pt", "c.pt", "--out-dir", "out", "--format", "safetensors"]
    assert mlc(*batch).rc == 5
    (tmp_path / "out/a.safetensors").unlink()
    done = mlc.ok(*batch, "--skip-existing", "--json")
    valid(done.json, "batch")
    assert [row.get("skipped", False) for row in done.json["results"]] == [False, True, False]
    assert (tmp_path / "out/b.safetensors").stat() == before and (tmp_path / "out/c.safetensors").exists()
    assert "b.pt: skipped, out/b.safetensors exists already\n" in mlc.ok(*batch, "--skip-existing").stdout
    assert mlc.ok("save", "a.pt", "--out-dir", "out", "--skip-existing").stdout.startswith("a.pt: wrote out/a.pt")
    assert mlc.ok("save", "a.pt", "--out-dir", "out", "--skip-existing").stdout == "a.pt: skipped, out/a.pt exists already\n"
    for wrong in (["-o", "x.pt"], ["--out-dir", "out", "-f"], ["--out-dir", "out", "--max-shard-size", "1GB"]):
        assert mlc("save", "a.pt", *wrong, "--skip-existing").rc == 2
    mlc.ok("save", "a.pt", "-f", "-o", "out/a.pt")


def test_merge_can_prefer_the_first_or_the_last(mlc, tmp_path):
    write(tmp_path / "a.pt", ordered(w=torch.zeros(2), a=torch.zeros(1)))
    write(tmp_path / "b.pt", ordered(b=torch.ones(1), w=torch.ones(3)))
    write(tmp_path / "c.pt", ordered(w=torch.full((2,), 2.0)))
    merge = ["save", "--merge", "a.pt", "b.pt", "c.pt"]
    refused = mlc(*merge, "-o", "no.pt")
    assert refused.rc == 1 and "--on-conflict" in refused.stderr
    done = mlc.ok(*merge, "--on-conflict", "first", "-o", "first.pt")
    assert "kept, and not replaced by that of b.pt: w\n" in done.stderr
    assert_loads_as(tmp_path / "first.pt", ordered(w=torch.zeros(2), a=torch.zeros(1), b=torch.ones(1)))
    done = mlc.ok(*merge, "--on-conflict", "last", "-o", "last.pt")
    assert "replaced by that of b.pt: w\n" in done.stderr and "replaced by that of c.pt: w\n" in done.stderr
    assert_loads_as(tmp_path / "last.pt", ordered(w=torch.full((2,), 2.0), a=torch.zeros(1), b=torch.ones(1)))
    assert mlc("save", "a.pt", "-o", "x.pt", "--on-conflict", "last").rc == 2


def test_views_that_a_cast_parts_are_named(mlc, tmp_path):
    base, tied = torch.arange(6.0), torch.ones(3)
    write(tmp_path / "a.pt", {"v": base[:4], "w": base[3:], "t": tied, "u": tied.detach(), "x": torch.ones(1)})
    result = mlc.ok("save", "a.pt", "-o", "b.pt", "--dtype", "bf16")
    assert "each written in full after --dtype: v and w\n" in result.stderr
    found = torch.load(tmp_path / "b.pt")
    assert found["t"].data_ptr() == found["u"].data_ptr()
    assert found["v"].untyped_storage().data_ptr() != found["w"].untyped_storage().data_ptr()
    assert "after --dtype" not in mlc.ok("save", "a.pt", "-o", "c.pt", "--dtype", "fp32").stderr


@pytest.mark.parametrize("args", [["save", "--set", "name=x"], ["save", "--dtype", "bf16"],
                                  ["strip-module-prefix", "--add", "zz"], ["remap-keys", "--drop", "*.bias"]])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize("beside", [False, True])
def test_an_edit_in_place_took_the_class_of_a_module(mlc, tmp_path, args, dry, beside):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save({"net": model, "epoch": 1} if beside else model, tmp_path / "m.pt")
    before = (tmp_path / "m.pt").read_bytes()
    result = mlc(args[0], "m.pt", "--in-place", *args[1:], *dry)
    assert result.rc == 4 and "which cannot be edited in place: its class would be lost" in result.stderr
    assert (tmp_path / "m.pt").read_bytes() == before


def test_a_module_beside_stays_one_where_only_names_change_in_place(mlc, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save({"net": model, "weights": model.state_dict()}, tmp_path / "m.pt")
    mlc.ok("strip-module-prefix", "m.pt", "--key", "weights", "--add", "zz", "--in-place")
    after = torch.load(tmp_path / "m.pt", weights_only=False)
    assert isinstance(after["net"], torch.nn.Sequential) and list(after["weights"]) == ["zz.0.weight", "zz.0.bias"]


class Labelled(torch.Tensor):
    """A tensor of its own class, at module level so that torch.load finds it."""


@pytest.mark.parametrize("parameter", [False, True])
@pytest.mark.parametrize("options", [["--dtype", "bf16"], ["--dtype", "bf16", "--compact-views"], ["--compact-views"]])
def test_a_cast_dropped_the_attributes_of_tensors(mlc, tmp_path, options, parameter):
    w = torch.arange(6.)[1:5]
    w.note, w.scale = "mine", torch.ones(3)
    own = torch.arange(8.)[2:6].as_subclass(Labelled)
    own.note = "ours"
    tree = {"w": torch.nn.Parameter(w) if parameter else w, "own": own, "tied": own}
    if parameter:
        tree["w"].note, tree["w"].scale = "mine", torch.ones(3)
    torch.save(tree, tmp_path / "in.pt")
    mlc.ok("save", "in.pt", *options, "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt", weights_only=False)
    dtype = torch.bfloat16 if "--dtype" in options else torch.float32
    assert type(after["own"]) is Labelled and after["own"].note == "ours" and after["tied"] is after["own"]
    assert after["w"].note == "mine" and torch.equal(after["w"].scale, torch.ones(3))
    assert isinstance(after["w"], torch.nn.Parameter) == parameter
    for name in tree:
        assert after[name].dtype == dtype
        assert after[name].tolist() == tree[name].tolist()
        if "--compact-views" in options:
            assert after[name].untyped_storage().nbytes() == 4 * dtype.itemsize
    # What was derived once can be derived again.
    mlc.ok("save", "out.pt", "--dtype", "fp64", "-o", "again.pt")
    again = torch.load(tmp_path / "again.pt", weights_only=False)
    assert again["own"].dtype == torch.float64 and again["own"].note == "ours"


@pytest.mark.parametrize("name, dtype, fate", [
    ("float8_e4m3fnuz", torch.float8_e4m3fnuz, "NaN, for it has no infinity"),
    ("float8_e5m2fnuz", torch.float8_e5m2fnuz, "NaN, for it has no infinity"),
    ("float8_e4m3fn", torch.float8_e4m3fn, "the largest that it has"),
    ("float8_e5m2", torch.float8_e5m2, "infinite"), ("fp16", torch.float16, "infinite")])
def test_what_became_of_large_values_was_said_wrongly(mlc, tmp_path, name, dtype, fate):
    torch.save({"w": torch.tensor([1e9, 1.])}, tmp_path / "in.pt")
    result = mlc.ok("save", "in.pt", "--dtype", name, "-o", "out.pt")
    assert f"1 value did not fit {name} and became {fate}" in result.stderr
    large = torch.load(tmp_path / "out.pt")["w"].to(torch.float32)[0]
    assert {"NaN": large.isnan(), "inf": large.isinf(), "the": large.isfinite()}[fate[:3]]
    assert dtype == torch.load(tmp_path / "out.pt")["w"].dtype


def test_signs_and_zeros_were_lost_without_a_word(mlc, tmp_path):
    torch.save({"w": torch.tensor([-2., 0.])}, tmp_path / "in.pt")
    result = mlc.ok("save", "in.pt", "--dtype", "float8_e8m0fnu", "-o", "out.pt")
    assert "holds positive powers of two only: signs, zeros" in result.stderr
    assert torch.load(tmp_path / "out.pt")["w"].to(torch.float32).tolist() == [2., 2. ** -127]


def frozen(path, net):
    torch.jit.freeze(torch.jit.script(net.eval())).save(path)


def test_frozen_torchscript_was_written_as_an_empty_file(mlc, tmp_path):
    nets = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for name, net in zip("ab", nets):
        frozen(tmp_path / f"{name}.pt", net)
    found = mlc.ok("load", "a.pt", "--json").json
    assert [t["name"] for t in found["tensors"]] == ["constants.c0", "constants.c1"]
    mlc.ok("save", "a.pt", "-o", "out.pt")
    saved = torch.load(tmp_path / "out.pt")["constants"]
    wanted = sorted(sha256_of(t) for t in nets[0].state_dict().values())
    assert sorted(sha256_of(t) for t in saved.values()) == wanted
    mlc.ok("save", "a.pt", "-o", "out.safetensors", "--key", "constants")
    assert mlc("diff", "a.pt", "b.pt").rc == 1


def test_a_program_without_tensors_was_written_as_an_empty_file(mlc, tmp_path):
    frozen(tmp_path / "a.pt", torch.nn.ReLU())
    failed = mlc("save", "a.pt", "-o", "out.pt", "--json")
    assert failed.rc == 4 and "without tensors" in failed.error["message"] and not (tmp_path / "out.pt").exists()
    mlc.ok("load", "a.pt")


def test_a_cast_of_every_state_dict_took_a_run_for_each(mlc, tmp_path):
    shared = torch.arange(4.)
    tree = {"model": {"w": shared, "b": torch.ones(2)}, "ema": {"w": shared, "b": torch.zeros(2)}, "step": torch.ones(())}
    torch.save(tree, tmp_path / "in.pt")
    mlc.ok("save", "in.pt", "--key", "*", "--dtype", "bf16", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    for place in ("model", "ema"):
        for name, tensor in tree[place].items():
            assert after[place][name].dtype == torch.bfloat16 and torch.equal(after[place][name].float(), tensor)
    assert after["model"]["w"].data_ptr() == after["ema"]["w"].data_ptr()
    for wrong in (["--exclude", "b"], ["--weights-only"], ["--from", "in.pt"]):
        result = mlc("save", "in.pt", "--key", "*", "--dtype", "bf16", *wrong, "-o", "no.pt")
        assert result.rc == 2 and "--key '*' is every state_dict" in result.stderr
    assert mlc("save", "in.pt", "--key", "*", "--dtype", "bf16", "-o", "no.safetensors").rc == 2
    assert mlc("save", "in.pt", "--key", "*", "-o", "no.pt").rc == 2
    torch.save({"epoch": 1}, tmp_path / "none.pt")
    assert mlc("save", "none.pt", "--key", "*", "--dtype", "bf16", "-o", "no.pt").rc == 2


@pytest.mark.parametrize("own, other, hint", [
    ("w", "module.w", "its keys start with module.; strip that first with `mlc strip-module-prefix`"),
    ("module.w", "w", "the input's keys start with module.; strip that first with `mlc strip-module-prefix`"),
    ("w", "module.other", "both must use the same keys"),
])
def test_stripping_was_advised_where_it_does_not_help(mlc, tmp_path, own, other, hint):
    for name, key in (("own.pt", own), ("other.pt", other)):
        torch.save({key: torch.ones(2), key + "2": torch.ones(2)}, tmp_path / name)
    result = mlc("save", "own.pt", "--from", "other.pt", "-o", "out.pt")
    assert result.rc != 0 and hint in result.stderr


def test_overlapping_views_were_parted_silently(mlc, valid, tmp_path):
    base = torch.arange(12.)
    square = torch.arange(16.).reshape(4, 4)
    tied = torch.ones(3)
    write(tmp_path / "a.pt", {"a": base[:8], "b": base[4:], "x": square, "t": square.t(), "tied": tied, "same": tied,
                              "left": torch.arange(6.)[:3]})
    done = mlc.ok("save", "a.pt", "-o", "out.safetensors", "--json")
    valid(done.json, "save")
    assert sorted(map(sorted, done.json["overlaps"])) == [["a", "b"], ["t", "x"]] and list(done.json["aliases"].values()) == ["tied"]
    assert "views that overlap in one storage are written each in full and share nothing any more: a and b; " in done.stderr
    loaded = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert torch.equal(loaded["t"], square.t()) and torch.equal(loaded["b"], base[4:])
    with pytest.raises(RuntimeError, match="share memory"):  # what Hugging Face makes of them
        safetensors.torch.save_file({"a": base[:8], "b": base[4:]}, tmp_path / "hf.safetensors")
    write(tmp_path / "b.pt", {"x": square, "t": square.t()})
    for more in ([], ["--max-shard-size", "40B"]):
        output = "shards" if more else "no.safetensors"
        refused = mlc("save", "b.pt", "-o", output, "--shared", "error", *more)
        assert refused.rc == 1 and "tensors overlap in one storage: x and t" in refused.stderr and not (tmp_path / output).exists()
        assert mlc("save", "b.pt", "-n", "-o", output, "--shared", "error", *more).rc == 1
    assert "views that overlap" in mlc.ok("save", "b.pt", "-o", "shards", "--max-shard-size", "40B").stderr
    assert "overlap" not in mlc.ok("save", "b.pt", "-o", "c.safetensors", "--shared", "clone").stderr
    assert "views that overlap" in mlc.ok("remap-keys", "b.pt", "--add-prefix", "p.", "-o", "r.safetensors").stderr


def test_disjoint_views_share_nothing(mlc, tmp_path):
    base = torch.arange(12.)
    write(tmp_path / "a.pt", {"a": base[:4], "b": base[4:8], "c": base[8:], "none": base[:0]})
    done = mlc.ok("save", "a.pt", "-o", "out.safetensors", "--shared", "error", "--json")
    assert done.json["overlaps"] == [] and done.stderr == ""
    safetensors.torch.save_file(dict(torch.load(tmp_path / "a.pt")), tmp_path / "hf.safetensors")


def test_the_hint_named_one_state_dict_where_all_can_be_cast(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": {"w": torch.ones(1)}, "ema": {"w": torch.ones(1)}})
    for args, both in ((["--dtype", "bf16"], True), (["--dtype", "bf16", "--weights-only"], False), (["--include", "w"], False)):
        done = mlc("save", "a.pt", *args, "-o", "b.pt")
        assert done.rc == 2 and "--key" in done.stderr and ("or all of them with --key '*'" in done.stderr) is both
    assert "'*'" not in mlc("save", "a.pt", "--dtype", "bf16", "-o", "b.safetensors").stderr
    mlc.ok("save", "a.pt", "--dtype", "bf16", "--key", "*", "-o", "b.pt")


def test_shared_error_passed_overlapping_views_that_were_cast(mlc, tmp_path):
    base = torch.arange(8.0)
    torch.save({"p": base[:6], "q": base[2:]}, tmp_path / "v.pt")
    for more in ((), ("--dtype", "fp16")):
        result = mlc("save", "v.pt", "--shared", "error", "-o", "out.safetensors", *more)
        assert result.rc != 0 and "overlap" in result.stderr, result
        assert not (tmp_path / "out.safetensors").exists()


def test_cast_warned_of_views_that_never_overlapped(mlc, tmp_path):
    base, whole = torch.arange(6.0), torch.arange(4)
    write(tmp_path / "a.pt", {"v": base[:3], "w": base[3:]})
    assert mlc.ok("save", "a.pt", "-o", "b.pt", "--dtype", "bf16").stderr.count("warning") == 0
    write(tmp_path / "c.pt", {"a": base[:4], "tied": base[:4], "b": base[2:], "i": whole[:3], "j": whole[1:]})
    for name in ("d.pt", "d.safetensors"):  # i and j are of a type that is not cast
        done = mlc.ok("save", "c.pt", "-o", name, "--dtype", "bf16")
        assert "views of overlapping ranges of one storage, each written in full after --dtype: a and b\n" in done.stderr


BARE = {"tensor": torch.arange(3.0), "Parameter": torch.nn.Parameter(torch.arange(3.0)), "list": [torch.ones(2), torch.zeros(2, 2)],
        "tuple": (torch.ones(2), torch.zeros(2, 2)), "numbers": {7: torch.ones(2), 2: torch.zeros(2)}}


@pytest.mark.parametrize("kind", BARE)
def test_tensors_without_names_could_not_become_safetensors(mlc, tmp_path, kind):
    bare = BARE[kind]
    torch.save(bare, tmp_path / "in.pt")
    done = mlc.ok("save", "in.pt", "-o", "out.safetensors")
    expected = {str(k): v for k, v in (bare.items() if isinstance(bare, dict) else enumerate(bare))}
    if isinstance(bare, torch.Tensor):
        expected = {"tensor": bare}
    out = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert sorted(out) == sorted(expected) and all(torch.equal(out[k], v) for k, v in expected.items())
    assert "written as " + " and ".join(expected) + "\n" in done.stderr
    mlc.ok("save", "in.pt", "-o", "shards", "--max-shard-size", "8B", "--format", "pt")
    mlc.ok("diff", "shards", "out.safetensors")
    mlc.ok("save", "in.pt", "-o", "same.pt")  # a .pt needs no names
    assert type(torch.load(tmp_path / "same.pt")) is type(torch.load(tmp_path / "in.pt"))


@pytest.mark.parametrize("kind", BARE)
def test_tensors_without_names_were_no_weights(mlc, tmp_path, kind):
    torch.save(BARE[kind], tmp_path / "in.pt")
    mlc.ok("save", "in.pt", "--weights-only", "-o", "out.pt")
    assert_same(torch.load(tmp_path / "in.pt"), torch.load(tmp_path / "out.pt", weights_only=True))
    torch.save({"epoch": 3, "state": torch.ones(4), "shadow": BARE[kind]}, tmp_path / "deep.pt")
    if not isinstance(BARE[kind], torch.Tensor):
        mlc.ok("save", "deep.pt", "--weights-only", "--key", "shadow", "-o", "one.pt")
        assert_same(torch.load(tmp_path / "in.pt"), torch.load(tmp_path / "one.pt", weights_only=True))
    refused = mlc("save", "in.pt", "--weights-only", "--dtype", "bf16", "-o", "half.pt")
    assert refused.rc == 2 and "hint: `mlc save -o named.safetensors` gives them names\n" in refused.stderr
    mlc.ok("save", "in.pt", "--weights-only", "--in-place")
    assert_same(torch.load(tmp_path / "in.pt"), torch.load(tmp_path / "out.pt"))


@pytest.mark.parametrize("other", [[torch.ones(2), 3], [[torch.ones(2)]], {1: torch.ones(2), None: 3}])
def test_tensors_among_other_things_get_no_names(mlc, tmp_path, other):
    torch.save(other, tmp_path / "in.pt")
    assert "none of them has a text as its key" in mlc("save", "in.pt", "-o", "out.safetensors").stderr


def test_a_device_as_output_was_said_to_need_force(mlc, tmp_path):
    write(tmp_path / "in.pt", {"w": torch.ones(3)})
    (tmp_path / "dev.pt").symlink_to("/dev/null")
    for out in ("/dev/null", "dev.pt"):
        for flags in (["--format", "pt"], ["--format", "pt", "-n"], ["--format", "pt", "--force"]):
            done = mlc("save", "in.pt", "-o", out, *flags)
            assert done.rc == 2 and "is not a regular file; mlc writes regular files only" in done.stderr, done
            assert "hint" not in done.stderr


def test_a_pipe_as_output_was_said_to_be_a_link_that_leads_nowhere(mlc, tmp_path):
    write(tmp_path / "in.pt", {"w": torch.ones(3)})
    for flags in ("", "-n", "--force"):
        done = mlc.shell(f'"$MLC" save in.pt -o /dev/stdout --format pt {flags} | cat')
        assert done.rc == 2 and "/dev/stdout: is not a regular file; mlc writes regular files only" in done.stderr, done


def test_a_name_that_is_too_long_was_found_after_everything_was_written(mlc, tmp_path):
    write(tmp_path / "in.pt", {"w": torch.ones(3)})
    for flags in (["-n"], [], ["--force"]):
        done = mlc("save", "in.pt", "-o", "a" * 300 + ".pt", *flags)
        assert done.rc == 5 and "cannot create a file in its folder: File name too long" in done.stderr, done


@pytest.mark.parametrize("out", ["o.safetensors", "o.pt"])
def test_parameters_arrays_and_compacted_views_were_not_cast(out, mlc, tmp_path):
    """Each is a tensor whose place in the tree is another than where it was made."""
    def of(path):
        return safetensors.torch.load_file(path) if path.name.endswith("s") else torch.load(path)
    torch.save({"w": torch.nn.Parameter(torch.ones(4)), "f": torch.ones(3)}, tmp_path / "p.pt")
    mlc.ok("save", "p.pt", "--dtype", "bf16", "-o", out)
    assert {key: value.dtype for key, value in of(tmp_path / out).items()} == {"w": torch.bfloat16, "f": torch.bfloat16}
    torch.save({"w": torch.arange(100.0)[5:9], "f": torch.ones(3)}, tmp_path / "v.pt")
    mlc.ok("save", "v.pt", "--compact-views", "--dtype", "bf16", "-o", out, "-f")
    assert of(tmp_path / out)["w"].dtype == torch.bfloat16 and of(tmp_path / out)["w"].tolist() == [5, 6, 7, 8]
    (tmp_path / "n.pkl").write_bytes(pickle.dumps({"w": np.ones((2, 3), "f4")}))
    mlc.ok("save", "n.pkl", "--dtype", "bf16", "-o", out, "-f")
    assert of(tmp_path / out)["w"].dtype == torch.bfloat16
