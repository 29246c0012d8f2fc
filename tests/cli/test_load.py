"""mlc load: what it shows, and the questions it answers by its exit code."""

import argparse
import hashlib
import json
import os
import pickle
import pty
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint

from checkpoints import (EXPECTED, GOLDEN, assert_same, offsets, ordered, sha256_of, small_model, training_checkpoint,
                         vanishing_module, write)


@pytest.fixture
def training(tmp_path):
    return write(tmp_path / "train.pt", training_checkpoint())


# --- what is in it


@pytest.mark.filterwarnings("ignore")
def test_modules_beside_state_dicts_were_counted_as_none_of_them(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "o": torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.ones(3))}),
                "p": torch.nn.ParameterList([torch.ones(1)])}, tmp_path / "x.pt")
    result = mlc.ok("load", "x.pt")
    assert "none of the state_dicts" not in result.stdout
    names = [one["name"] for one in mlc.ok("load", "x.pt", "--json").json["tensors"]]
    assert names == ["w", "o.a", "p.0"]
    assert [one["name"] for one in mlc.ok("load", "x.pt", "--key", "o", "--json").json["tensors"]] == ["a"]


def test_arrays_in_files_of_torch_save_are_named(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "n": np.ones((3, 4), dtype=np.float32)}, tmp_path / "x.pt")
    assert "also here    n (numpy f32[3, 4])" in mlc.ok("load", "x.pt").stdout
    assert "'n': numpy f32[3, 4]" in mlc.ok("load", "x.pt", "--tree").stdout
    torch.save({"n": np.ones((3, 4), dtype=np.float32)}, tmp_path / "y.pt")
    result = mlc("save", "y.pt", "-o", "z.safetensors")
    assert result.rc == 2 and "holds no tensor, but 1 NumPy array" in result.stderr
    assert "torch.from_numpy()" in result.stderr


def test_a_legacy_file_of_protocol_1_is_a_checkpoint(mlc, tmp_path):
    values = {"w": torch.arange(3.0), "half": torch.ones(2).half(), "big": 2**70, "rate": 0.5}
    torch.save(values, tmp_path / "a.pt", pickle_protocol=1, _use_new_zipfile_serialization=False)
    assert "torch_legacy" in mlc.ok("load", "a.pt", "--json").stdout
    mlc.ok("save", "a.pt", "-o", "b.pt")
    assert_same(torch.load(tmp_path / "a.pt", weights_only=False), torch.load(tmp_path / "b.pt"))


@pytest.mark.filterwarnings("ignore")
def test_a_legacy_file_of_protocol_0_says_that_torch_cannot_load_it_either(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt", pickle_protocol=0, _use_new_zipfile_serialization=False)
    with pytest.raises(Exception):
        torch.load(tmp_path / "a.pt", weights_only=False)
    result = mlc("load", "a.pt")
    assert result.rc == 4 and "protocol 0" in result.stderr


def test_records_are_found_in_any_case_as_torch_finds_them(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"module.w": torch.arange(3.0)})
    for name in (b"data.pkl", b"byteorder", b"version"):
        path.write_bytes(path.read_bytes().replace(b"/" + name, b"/" + name.upper()))
    assert list(torch.load(path)) == ["module.w"]
    assert mlc.ok("load", path, "--json").json["tensors"][0]["name"] == "module.w"
    mlc.ok("strip-module-prefix", path, "-o", "b.pt")
    mlc.ok("strip-module-prefix", path, "--in-place")
    for edited in (tmp_path / "b.pt", path):
        assert_same({"w": torch.arange(3.0)}, torch.load(edited))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden_files_have_their_tensors(mlc, valid, name):
    wanted = EXPECTED[name]
    key = ["--key", wanted["key"]] if wanted["key"] else []
    report = mlc.ok("load", GOLDEN / name, "--check", "sha256", "--json", *key).json
    valid(report, "load")
    found = {t["name"]: (t["dtype"], t["shape"], t["sha256"]) for t in report["tensors"]}
    assert found == {k: (t["dtype"], t["shape"], t["sha256"]) for k, t in wanted["tensors"].items()}


def test_training_checkpoint_at_a_glance(mlc, training):
    result = mlc.ok("load", training)
    assert result.stderr == ""
    lines = dict(line.split(None, 1) for line in result.stdout.split("\n\n")[0].splitlines())
    assert lines["state_dict"] == "model"
    assert lines["tensors"].startswith("9 tensors, 36 parameters, 148 B")
    assert lines["dtypes"] == "f32 8 and i64 1"
    assert result.stdout.count("\n0.weight ") == 1
    assert "optimizer" in result.stdout


def test_json_agrees_with_torch(mlc, training):
    report = mlc.ok("load", training, "--json").json
    model = torch.load(training)["model"]
    assert [t["name"] for t in report["tensors"]] == list(model)
    for row, tensor in zip(report["tensors"], model.values()):
        assert (row["shape"], row["dtype"]) == (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        assert row["bytes"] == tensor.numel() * tensor.element_size()
    assert report["totals"]["parameters"] == sum(t.numel() for t in model.values())


def test_stats_of_large_integers_and_infinities_are_exact(mlc, valid, tmp_path):
    values = {"i": torch.tensor([2**53 + 1, -(2**62) - 1]), "u": torch.tensor([2**63 + 5, 3], dtype=torch.uint64),
              "inf": torch.tensor([1.0, float("inf")]), "nan": torch.tensor([float("nan")]),
              "wide": torch.tensor([1.7e308, -1.7e308], dtype=torch.float64)}
    write(tmp_path / "a.pt", values)
    report = mlc.ok("load", "a.pt", "--stats", "--json").json
    valid(report, "load")
    found = {row["name"]: row["stats"] for row in report["tensors"]}
    assert (found["i"]["min"], found["i"]["max"]) == (-(2**62) - 1, 2**53 + 1)
    assert (found["u"]["min"], found["u"]["max"]) == (3, 2**63 + 5)
    assert (found["inf"]["min"], found["inf"]["max"], found["inf"]["max_text"]) == (1, None, "inf")
    assert (found["wide"]["std"], found["wide"]["std_text"]) == (None, "inf")
    assert found["nan"]["max"] is None and "max_text" not in found["nan"]
    text = mlc.ok("load", "a.pt", "--stats").stdout
    assert f" {2**53 + 1} " in text and f" {2**63 + 5} " in text and " inf " in text


def test_stats_say_nothing_of_tensors_that_they_do_not_examine(mlc, valid, tmp_path):
    bad = torch.tensor([[float("nan"), 0.0], [0.0, float("inf")]])
    odd = {"coo": bad.to_sparse(), "nested": torch.nested.nested_tensor([bad[0], bad[1]]),
           "q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "m": torch.ones(2, device="meta")}
    write(tmp_path / "odd.pt", odd)
    assert "; 4 tensors not examined\n" in mlc.ok("load", "odd.pt", "--stats", "--summary").stdout
    write(tmp_path / "all.pt", {**odd, "w": torch.ones(2)})
    assert "; no NaN or Inf, 4 tensors not examined\n" in mlc.ok("load", "all.pt", "--stats", "--summary").stdout
    report = mlc.ok("load", "all.pt", "--stats", "--json").json
    valid(report, "load")
    found = {row["name"]: row["stats"] for row in report["tensors"]}
    assert (found["w"]["nans"], found["w"]["infs"], found["w"]["zeros"]) == (0, 0, 0)
    assert all(found[name][count] is None for name in odd for count in ("zeros", "nans", "infs", "min"))


def test_sparse_and_nested_tensors_have_the_size_that_is_stored(mlc, valid, tmp_path):
    rows = [torch.ones(2, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)]
    huge = torch.sparse_coo_tensor(torch.tensor([[0, 7], [3, 9]]), torch.ones(2), (10**6, 10**7))
    write(tmp_path / "a.pt", {"huge": huge, "csr": torch.eye(3).to_sparse_csr(), "nested": torch.nested.nested_tensor(rows),
                              "parameter": torch.nn.Parameter(huge)})
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    found = {row["name"]: row for row in report["tensors"]}
    assert (found["huge"]["shape"], found["huge"]["nnz"], found["huge"]["bytes"]) == ([10**6, 10**7], 2, 4 * 8 + 8)
    assert (found["csr"]["nnz"], found["csr"]["bytes"]) == (3, 4 * 8 + 3 * 8 + 12)
    assert (found["nested"]["shape"], found["nested"]["dtype"]) == (None, "float64")
    assert "nnz" not in found["nested"] and found["nested"]["bytes"] >= 18 * 8
    assert found["parameter"]["bytes"] == 40
    assert report["totals"]["parameters"] == 2 + 3 + 18 + 2
    text = mlc.ok("load", "a.pt").stdout
    assert "[1000000, 10000000] nnz 2  " in text and "[3, 3] nnz 3 " in text
    mlc.ok("load", "a.pt", "--expect", "a.pt")
    (tmp_path / "manifest.json").write_text(json.dumps(report))
    mlc.ok("load", "a.pt", "--expect", "manifest.json")


def test_the_bytes_of_sparse_tensors_are_in_the_sum_as_in_the_table(mlc, tmp_path):
    dense = torch.eye(3)
    write(tmp_path / "a.pt", {"coo": dense.to_sparse(), "csr": dense.to_sparse_csr(), "w": torch.ones(2)})
    report = mlc.ok("load", "a.pt", "--json").json
    assert report["totals"]["bytes"] == sum(row["bytes"] for row in report["tensors"]) == 60 + 68 + 8
    assert "3 tensors, 8 parameters, 136 B" in mlc.ok("load", "a.pt").stdout


def test_keys_that_are_no_text_can_be_told_apart(mlc, tmp_path):
    keys = [(1, 2), b"b", 5, None, True, 1.5]
    write(tmp_path / "a.pt", {"w": torch.ones(2), **{key: 0 for key in keys}})
    also = mlc.ok("load", "a.pt", "--json").json["also_here"]
    assert also == ["(1, 2)", "b'b'", "5", "None", "True", "1.5"]


def test_stats_agree_with_torch(mlc, tmp_path):
    generator = torch.Generator().manual_seed(1)
    tensors = {"f": torch.randn(1000, generator=generator), "h": torch.randn(77, generator=generator).half(),
               "bf": torch.randn(5, 5, generator=generator).bfloat16(), "i": torch.arange(-3, 9),
               "odd": torch.tensor([float("nan"), float("inf"), 0.0, -0.0, 2.0]), "none": torch.empty(0, 3)}
    rows = mlc.ok("load", write(tmp_path / "a.pt", tensors), "--stats", "--json").json["tensors"]
    for row in rows:
        stats, tensor = row["stats"], tensors[row["name"]].double()
        finite = tensor[tensor.isfinite()]
        assert stats["nans"] == tensor.isnan().sum() and stats["infs"] == tensor.isinf().sum()
        assert stats["zeros"] == (tensor == 0).sum()
        if row["name"] in ("odd", "none"):
            continue
        assert stats["min"] == finite.min() and stats["max"] == finite.max()
        assert stats["mean"] == pytest.approx(finite.mean().item(), rel=1e-9, abs=1e-12)
        assert stats["std"] == pytest.approx(finite.std().item(), rel=1e-9)


def test_ties_and_unused_bytes_are_shown(mlc, tmp_path):
    weight = torch.zeros(4, 2)
    big = torch.zeros(1000)
    path = write(tmp_path / "a.pt", ordered(**{"emb.weight": weight, "head.weight": weight, "part": big[:10]}))
    report = mlc.ok("load", path, "--json").json
    assert report["shared"] == [["emb.weight", "head.weight"]]
    assert report["totals"]["unused_bytes"] == 990 * 4
    text = mlc.ok("load", path).stdout
    assert "emb.weight and head.weight" in text and "--compact-views" in text


def test_several_state_dicts_and_key(mlc, tmp_path):
    path = write(tmp_path / "two.pt", {"model": small_model().state_dict(), "ema": {"a": torch.zeros(2)}})
    text = mlc.ok("load", path).stdout
    assert "model (9 tensors) and ema (1 tensor); choose one with --key" in text
    assert [t["name"] for t in mlc.ok("load", path, "--key", "ema", "--json").json["tensors"]] == ["a"]
    wrong = mlc("load", path, "--key", "emma", "--json")
    assert wrong.rc == 2
    assert "emma" in wrong.error["message"] and "ema" in wrong.error["message"] + wrong.error["hint"]


def test_pickled_module_without_its_class(mlc, tmp_path):
    source = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.ModuleList([torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)])
        self.head = torch.nn.Linear(3, 3)
        self.head.weight = torch.nn.Parameter(torch.eye(3))
        self.tied = self.head
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("hidden", torch.arange(4), persistent=False)
"""
    with vanishing_module(tmp_path, source) as module:
        net = module.Net()
        wanted = {key: sha256_of(value) for key, value in net.state_dict().items()}
        path = write(tmp_path / "net.pt", net)
    report = mlc.ok("load", path, "--json", "--check", "sha256").json
    assert {t["name"]: t["sha256"] for t in report["tensors"]} == wanted
    assert [t["name"] for t in report["tensors"]] == list(wanted)
    assert report["state_dicts"][0]["recovered"] is True
    assert "vanishing_zoo.Net" in report["refused_globals"]


def test_tree_and_map_location(mlc, training):
    tree = mlc.ok("load", training, "--tree").stdout
    assert "f32[3, 4]" in tree and "'epoch': 3" in tree
    moved = mlc.ok("load", training, "--map-location", "cpu=cuda:1", "--json").json
    assert {t["device"] for t in moved["tensors"]} == {"cuda:1"}


def test_globals_and_require_safe(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"model": small_model().state_dict(), "args": argparse.Namespace(lr=1)})
    report = mlc("load", path, "--require-safe", "--globals", "--json")
    assert report.rc == 1
    assert report.json["weights_only"] is False and report.json["refused_globals"] == ["argparse.Namespace"]
    assert {g["name"]: g["allowed"] for g in report.json["globals"]}["argparse.Namespace"] is False
    with pytest.raises(Exception, match="argparse.Namespace"):
        torch.load(path, weights_only=True)
    assert "argparse.Namespace" in mlc("load", path, "--require-safe").stdout
    assert mlc.ok("load", write(tmp_path / "b.pt", small_model().state_dict()), "--require-safe").rc == 0


class Shell:
    """What a pickle that runs a command looks like."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.filterwarnings("ignore")
def test_code_that_runs_was_hidden_among_classes(mlc, valid, tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
    torch.save({"args": argparse.Namespace(a=1), "m": model, "f": eval, "z": Shell()}, tmp_path / "a.pt")
    system, run = f"{os.system.__module__}.system", "__builtin__.eval"  # torch.save pickles protocol 2
    first = f"refuses {system} (runs code), {run} (code, not called), argparse.Namespace and 5 more\n"
    assert "unsafe       weights_only=True " + first in mlc.ok("load", "a.pt").stdout
    torch.save({"w": torch.ones(1)}, tmp_path / "b.pt")
    assert first in mlc("load", "a.pt", "b.pt", "--require-safe").stdout
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    assert report["code_globals"] == [system, run] == report["refused_globals"][:2]
    table = mlc.ok("load", "a.pt", "--globals").stdout
    assert re.search(re.escape(system) + r" +1  refuses \(runs code\)\n", table)
    assert re.search(re.escape(run) + r" +1  refuses \(code, not called\)\n", table)


def torch_accepts(path):
    try:
        torch.load(path, weights_only=True)
        return True
    except Exception:  # pylint: disable=broad-exception-caught
        return False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_protocol_that_weights_only_refuses_is_not_safe(mlc, valid, tmp_path, protocol, zipped):
    values = {"step": 1, "done": True, "seed": 2**70, "rate": 0.5, "name": "x", "none": None}
    if protocol > 1:
        values["w"] = torch.ones(2)
    torch.save(values, tmp_path / "a.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    wanted = torch_accepts(tmp_path / "a.pt")
    report = mlc("load", tmp_path / "a.pt", "--require-safe", "--json")
    valid(report.json, "load")
    assert (report.rc == 0, report.json["weights_only"]) == (wanted, wanted)
    assert bool(report.json["refused_otherwise"]) is not wanted
    shown = mlc("load", tmp_path / "a.pt", "--require-safe").stdout
    assert ("accepts the file" if wanted else f"opcode {report.json['refused_otherwise'][0].split()[3]}") in shown


@pytest.mark.filterwarnings("ignore")
def test_files_of_other_functions_than_torch_save_are_not_called_safe(mlc, tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    with open(tmp_path / "plain.pkl", "wb") as file:
        pickle.dump({"w": 1}, file, protocol=2)
    for name, why in [("script.pt", "TorchScript archives"), ("plain.pkl", "files that torch.save did not write")]:
        assert not torch_accepts(tmp_path / name)
        report = mlc("load", tmp_path / name, "--require-safe", "--json")
        assert (report.rc, report.json["weights_only"], report.json["refused_otherwise"]) == (1, False, [why])
        assert f"refuses {why}" in mlc("load", tmp_path / name, "--globals").stdout


@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.uint16), torch.ones(2).untyped_storage()], ids=["uint16", "storage"])
def test_untyped_storages_of_legacy_files_were_accepted(mlc, valid, tmp_path, value):
    torch.save({"a": value, "w": torch.ones(1)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    for mode in (True, False):
        with pytest.raises(AttributeError):
            torch.load(tmp_path / "a.pt", weights_only=mode)
    report = mlc("load", "a.pt", "--require-safe", "--json")
    valid(report.json, "load")
    assert (report.rc, report.json["weights_only"]) == (1, False)
    assert "refuses UntypedStorage in the legacy format, which torch.load reads in no mode" in mlc("load", "a.pt", "--globals").stdout
    mlc.ok("save", "a.pt", "-o", "b.pt")
    torch.load(tmp_path / "b.pt", weights_only=True)
    mlc.ok("load", "b.pt", "--require-safe")


def test_what_an_import_makes_of_the_verdict_was_not_told(mlc, valid, tmp_path):
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    torch.save({"n": nested}, tmp_path / "a.pt")
    report = mlc("load", "a.pt", "--require-safe", "--json")
    valid(report.json, "load")
    assert (report.rc, report.json["accepted_after_import"]) == (1, ["torch._dynamo"])
    refused = "refuses torch._dynamo.decorators._DimRange without `import torch._dynamo`\n"
    assert refused in mlc("load", "a.pt").stdout
    saved = mlc.ok("save", "a.pt", "-o", "b.pt").stderr
    assert "weights_only=True will refuse this file without `import torch._dynamo`: it keeps " in saved
    load = "import torch, torch._dynamo; torch.load('b.pt', weights_only=True)"
    subprocess.run([sys.executable, "-c", load], cwd=tmp_path, check=True)
    torch.save({"n": nested, "args": argparse.Namespace(a=1)}, tmp_path / "c.pt")
    assert "accepted_after_import" not in mlc("load", "c.pt", "--json").json


def test_formats_that_torch_load_does_not_read_say_who_does(mlc, tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    for name, reader in [("a.npz", "numpy.load"), ("a.safetensors", "safetensors")]:
        report = mlc.ok("load", tmp_path / name, "--require-safe", "--json").json
        assert report["weights_only"] and report["read_by"] == reader
        assert f"is not asked: {reader} reads" in mlc.ok("load", tmp_path / name, "--globals").stdout


def test_names_beside_the_tensors_of_a_shard_are_refused(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "args": argparse.Namespace()}, tmp_path / "a.bin")
    index = {"metadata": {"total_size": 8}, "weight_map": {"w": "a.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    report = mlc("load", tmp_path / "pytorch_model.bin.index.json", "--require-safe", "--json")
    assert report.rc == 1 and report.json["refused_globals"] == ["argparse.Namespace"]


def test_legacy_files_of_protocol_1_are_recognised(mlc, tmp_path):
    """Their magic number stands in the file as text."""
    torch.save({"w": torch.ones(3)}, tmp_path / "a.pt", pickle_protocol=1, _use_new_zipfile_serialization=False)
    report = mlc.ok("load", tmp_path / "a.pt", "--json").json
    assert report["format"] == "torch_legacy"
    assert [(t["name"], t["shape"]) for t in report["tensors"]] == [("w", [3])]


# --- --expect


def test_expect_speaks_like_torch(mlc, tmp_path):
    model = small_model()
    wanted = write(tmp_path / "wanted.pt", model.state_dict())
    state = model.state_dict()
    del state["0.bias"]
    state["2.1.weight"] = torch.zeros(2, 4)
    state["more.weight"] = torch.zeros(1)
    path = write(tmp_path / "a.pt", state)
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    result = mlc("load", path, "--expect", wanted, "--summary")
    assert result.rc == 1
    for line in str(caught.value).splitlines()[1:]:
        words = line.strip().removesuffix(".").removesuffix(" ")
        if words.startswith("size mismatch"):
            assert "2.1.weight" in result.stdout and "[2, 4]" in result.stdout and "[2, 3]" in result.stdout
        else:
            assert words in result.stdout
    report = mlc("load", path, "--expect", wanted, "--json").json["expect"]
    assert (report["missing"], report["unexpected"]) == (["0.bias"], ["more.weight"])
    assert report["mismatched"] == [{"name": "2.1.weight", "found": [2, 4], "expected": [2, 3]}]


@pytest.mark.parametrize("flags, rc", [
    ([], 1),
    (["--strict"], 1),
    (["--no-strict"], 1),
    (["--no-strict", "--ignore-mismatched-shapes"], 0),
    (["--ignore-mismatched-shapes"], 1),
    (["--ignore-mismatched-shapes", "--ignore-missing", "bias$"], 1),
])
def test_expect_flags(mlc, tmp_path, flags, rc):
    wanted = write(tmp_path / "wanted.pt", small_model().state_dict())
    state = small_model().state_dict()
    del state["0.bias"]
    state["2.1.weight"] = torch.zeros(2, 4)
    state["more.weight"] = torch.zeros(1)
    assert mlc("load", write(tmp_path / "a.pt", state), "--expect", wanted, *flags).rc == rc


def test_expect_ignores_missing_by_regex(mlc, tmp_path):
    wanted = write(tmp_path / "wanted.pt", small_model().state_dict())
    state = small_model().state_dict()
    del state["1.num_batches_tracked"]
    path = write(tmp_path / "a.pt", state)
    assert mlc("load", path, "--expect", wanted).rc == 1
    report = mlc.ok("load", path, "--expect", wanted, "--ignore-missing", "num_batches_tracked$", "--json").json
    assert report["expect"]["ignored"] == ["1.num_batches_tracked"]


def test_these_keys_must_be_there_and_others_may(mlc, tmp_path, valid):
    path = write(tmp_path / "a.pt", {"fc.weight": torch.ones(2), "aux.weight": torch.ones(3), "ema.weight": torch.ones(4)})
    (tmp_path / "manifest.json").write_text(json.dumps({"fc.weight": [2]}))
    command = ["load", path, "--expect", "manifest.json"]
    assert mlc(*command, "--ignore-unexpected", "^aux").rc == 1
    report = mlc.ok(*command, "--ignore-unexpected", "^aux", "--ignore-unexpected", "^ema", "--json").json
    valid(report, "load")
    assert report["expect"]["ignored_unexpected"] == ["aux.weight", "ema.weight"] and not report["expect"]["unexpected"]
    mlc.ok(*command, "--ignore-unexpected", ".")
    (tmp_path / "manifest.json").write_text(json.dumps({"fc.weight": [3], "fc.bias": [2]}))
    report = mlc(*command, "--ignore-unexpected", ".", "--json").json["expect"]
    assert not report["satisfied"] and report["missing"] == ["fc.bias"] and len(report["mismatched"]) == 1
    assert "--ignore-unexpected" in mlc(*command, "--ignore-unexpected", "(").stderr


def test_fits_stood_above_missing_keys(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"fc.weight": torch.ones(2)})
    for wanted, but_for in (({"fc.weight": [2], "fc.bias": [2]}, " but for missing keys, which do not count"),
                            ({"fc.bias": [2]}, " but for missing keys and unexpected keys, which do not count"),
                            ({"fc.weight": [3]}, " but for mismatched shapes, which do not count"), ({"fc.weight": [2]}, "")):
        (tmp_path / "m.json").write_text(json.dumps(wanted))
        flags = ["--no-strict", "--ignore-mismatched-shapes"]
        assert f"yes: m.json fits{but_for}\n" in mlc.ok("load", path, "--expect", "m.json", *flags).stdout


def test_a_trailing_comma_in_a_manifest_had_no_line(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"fc.weight": torch.ones(2)})
    (tmp_path / "m.json").write_text('{\n  "fc.weight": [2],\n  "b": [3],\n}\n')
    result = mlc("load", path, "--expect", "m.json")
    assert result.rc == 2
    assert "m.json:4:1: the manifest is no JSON" in result.stderr and "\n  }\n  ^\n" in result.stderr
    (tmp_path / "m.json").write_text('{"fc.weight": [2}')
    assert "m.json:1:17: " in mlc("load", path, "--expect", "m.json").stderr
    (tmp_path / "m.json").write_text('{"fc.weight": [2]')
    assert "m.json:1:" in mlc("load", path, "--expect", "m.json").stderr


def test_expect_a_manifest(mlc, tmp_path):
    path = write(tmp_path / "a.pt", small_model().state_dict())
    (tmp_path / "manifest.json").write_text(mlc.ok("load", path, "--json").stdout)
    assert mlc.ok("load", path, "--expect", "manifest.json").rc == 0
    (tmp_path / "short.json").write_text(json.dumps({"0.weight": [3, 4]}))
    assert mlc("load", path, "--expect", "short.json").rc == 1
    assert mlc.ok("load", path, "--expect", "short.json", "--no-strict").rc == 0
    (tmp_path / "bad.json").write_text('{"0.weight": "x"}')
    assert mlc("load", path, "--expect", "bad.json").rc == 2


def test_expect_gave_no_hint_where_a_moving_average_lies_beside_the_model(mlc, tmp_path):
    plain = {f"layer{i}.weight": torch.ones(2) for i in range(4)}
    write(tmp_path / "plain.pt", plain)
    both = {f"model.{key}": value for key, value in plain.items()} | {f"ema.module.{key}": value for key, value in plain.items()}
    write(tmp_path / "last.ckpt", {"state_dict": both | {"scale": torch.ones(1)}})
    done = mlc("load", "last.ckpt", "--expect", "plain.pt")
    assert done.rc == 1 and "4 of 9 unexpected keys are expected without the prefix \"model.\": `mlc strip-module-prefix --partial --prefix model.`" in done.stdout
    mlc.ok("strip-module-prefix", "last.ckpt", "--partial", "--prefix", "model.", "-o", "stripped.pt")
    mlc.ok("load", "stripped.pt", "--expect", "plain.pt", "--ignore-unexpected", "^ema|^scale$")


def test_expect_hints_at_the_prefix(mlc, tmp_path):
    model = small_model()
    plain = write(tmp_path / "a.pt", model.state_dict())
    wrapped = write(tmp_path / "b.pt", torch.nn.DataParallel(model).state_dict())
    assert "strip-module-prefix" in mlc("load", wrapped, "--expect", plain).stdout


# --- --check


@pytest.mark.parametrize("legacy", [False, True])
def test_sha256_is_the_one_of_the_file_and_the_values(mlc, tmp_path, legacy):
    tensors = {"a": torch.arange(12.0).reshape(3, 4).t(), "b": torch.ones(2, 2)[:, 0]}
    path = write(tmp_path / "a.pt", tensors, legacy)
    report = mlc.ok("load", path, "--check", "sha256", "--json").json
    assert report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {t["name"]: t["sha256"] for t in report["tensors"]} == {k: sha256_of(v) for k, v in tensors.items()}


def test_crc_finds_a_flipped_byte_in_any_tensor(mlc, training):
    good = training.read_bytes()
    assert mlc.ok("load", training, "--check", "crc", "--json").json["check"]["damaged"] == []
    records = offsets(training, "data/")
    assert len(records) > 20
    for name, (offset, size) in records.items():
        for at in {offset, offset + size - 1}:
            bad = bytearray(good)
            bad[at] ^= 1
            training.write_bytes(bad)
            result = mlc("load", training, "--check", "crc", "--json", "--summary")
            assert result.rc == 3, name
            assert [d["record"] for d in result.json["check"]["damaged"]] == [name]


def test_damage_is_named_in_text_and_stops_those_who_read(mlc, training):
    (name, (offset, _)), *_ = offsets(training, "data/").items()
    bad = bytearray(training.read_bytes())
    bad[offset] ^= 0x80
    training.write_bytes(bad)
    result = mlc("load", training, "--check", "crc")
    assert result.rc == 3 and f"damaged      {name} (0.weight) at offset" in result.stdout
    for arguments in (["load", training, "--stats"], ["save", training, "-o", "out.safetensors"]):
        result = mlc(*arguments)
        assert result.rc == 3 and "CRC" in result.stderr and name.split("/", 1)[1] in result.stderr
    assert not (training.parent / "out.safetensors").exists()
    assert mlc("load", training).rc == 0  # listing reads no tensor


# --- wrong input


@pytest.mark.parametrize("content, words", [
    (b"", "empty"),
    (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "Git"),
    (b"PK\x03\x04 and no more", ""),
    (b"just a text, nothing else", ""),
])
def test_files_that_are_no_checkpoints(mlc, valid, tmp_path, content, words):
    (tmp_path / "a.pt").write_bytes(content)
    result = mlc("load", "a.pt", "--json")
    assert result.rc in (3, 4)
    valid(result.error, "error")
    assert words in result.error["message"] + result.error.get("hint", "")
    assert result.error["file"] == "a.pt"


def test_truncated_file(mlc, training):
    data = training.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 100, 10):
        training.write_bytes(data[:size])
        assert mlc("load", training).rc == 3


def test_missing_file(mlc):
    result = mlc("load", "nope.pt")
    assert (result.rc, result.stdout) == (3, "")
    assert "nope.pt" in result.stderr and "No such file" in result.stderr


def test_format_follows_content_not_name(mlc, tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "a.pt")
    write(tmp_path / "b.safetensors", {"a": torch.zeros(2)})
    assert mlc.ok("load", "a.pt", "--json").json["format"] == "safetensors"
    assert mlc.ok("load", "b.safetensors", "--json").json["format"] == "torch_zip"


# --- many files


def test_many_files_one_line_each(mlc, valid, tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.pt", {name: torch.zeros(2)})
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    result = mlc("load", "a.pt", "bad.pt", "b.pt", "c.pt", "-j2", "--keep-going")
    assert result.rc == 3
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["a.pt", "bad.pt", "b.pt", "c.pt"]
    assert "bad.pt" in result.stderr
    report = mlc("load", "a.pt", "bad.pt", "b.pt", "--json").json
    valid(report, "batch")
    assert report["failed"] == 1 and report["not_begun"] == 1


def test_files_that_do_not_fit_were_counted_nowhere(mlc, valid, tmp_path):
    for name, size in (("a", 2), ("b", 3), ("c", 2)):
        write(tmp_path / f"{name}.pt", {"w": torch.zeros(size)})
    write(tmp_path / "unsafe.pt", {"w": torch.zeros(2), "range": range})
    report = mlc("load", "a.pt", "b.pt", "c.pt", "--expect", "a.pt", "--json").json
    valid(report, "batch")
    assert (report["failed"], report["unfit"], [one["exit_code"] for one in report["results"]]) == (0, 1, [0, 1, 0])
    assert mlc("load", "a.pt", "unsafe.pt", "--require-safe", "--json").json["unfit"] == 1
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    report = mlc("load", "b.pt", "bad.pt", "--expect", "a.pt", "--json").json
    assert (report["failed"], report["unfit"]) == (1, 1)


def test_no_progress_in_a_pipe(mlc, training):
    assert mlc.ok("load", training, "--check", "crc").stderr == ""


def test_progress_on_a_terminal_until_ctrl_c(mlc, tmp_path):
    size = 64 << 30  # sparse; long enough to hash for the progress to show, whatever the machine
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with open(tmp_path / "big.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(mlc.binary, ["mlc", "load", "big.safetensors", "--check", "sha256"], mlc.environment())
    text, asked = b"", False
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # it has gone
            break
        text += chunk
        if b"hashing big.safetensors" in text and not asked:
            asked = True
            os.write(terminal, b"\x03")
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert asked and b"of 68.7 GB" in text and b"DTYPE" not in text


def test_json_has_what_stands_beside_and_the_tree(mlc, training, valid):
    report = mlc.ok("load", training, "--tree", "--json").json
    valid(report, "load")
    assert report["also_here"] == ["epoch", "optimizer", "best"] and "epoch" in report["tree"]


def test_tensors_under_other_keys_are_named(mlc, tmp_path):
    state = {"a": torch.zeros(1), "x": [torch.ones(2)], 3: torch.zeros(4), "n": 5}
    path = write(tmp_path / "a.pt", state)
    shown = mlc.ok("load", path).stdout
    assert "also here    1 tensor in x, 3 and n\n" in shown
    assert [line.split()[0] for line in shown.split("BYTES\n")[1].splitlines()] == ["a", "3"]
    assert mlc.ok("load", path, "--json").json["also_here"] == ["x", "3", "n"]
    saved = mlc.ok("save", path, "-o", "a.safetensors", "--json")
    assert saved.json["left_out"] == ["x", "3", "n"] and "left out: 1 tensor in x, 3 (1 tensor) and n" in saved.stderr
    state["x"][0][1] = 7
    other = write(tmp_path / "b.pt", state)
    assert "not compared: x; `--key .` compares" in mlc.ok("diff", path, other).stderr
    assert mlc("diff", path, other, "--key", ".").rc == 1


@pytest.mark.parametrize("value", [{0: torch.zeros(2)}, [torch.zeros(2)], torch.zeros(2)], ids=["number", "list", "alone"])
def test_tensors_without_a_state_dict_are_not_called_none(mlc, tmp_path, value):
    path = write(tmp_path / "a.pt", value)
    result = mlc("remap-keys", path, "--add-prefix", "x.", "-o", "b.pt")
    assert result.rc == 2 and "holds 1 tensor but no state_dict" in result.stderr


def test_a_state_dict_under_two_keys_has_both_paths(mlc, tmp_path):
    state = {"w": torch.zeros(2)}
    path = write(tmp_path / "a.pt", {"model": state, "best": state})
    for key in ("model", "best"):
        assert mlc.ok("load", path, "--key", key, "--json").json["totals"]["tensors"] == 1
    mlc.ok("remap-keys", path, "--key", "best", "--add-prefix", "p.", "-o", "b.pt")
    found = torch.load(tmp_path / "b.pt")
    assert list(found["best"]) == ["p.w"] and found["best"] is found["model"]


def test_names_that_are_left_out_cannot_write_to_the_terminal(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"model": {"w": torch.zeros(2)}, "\x1b[31mred": 1})
    assert "\x1b" not in mlc.ok("save", path, "-o", "a.safetensors").stderr


def test_key_shows_the_root_and_whatever_holds_tensors(mlc, valid, tmp_path):
    # `--key .` was an error in load, though its help calls it the root, and an optimizer held "no state_dict".
    state = {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)}}
    torch.save({"model": {"w": torch.ones(2)}, "a.b": {"c": [torch.ones(3)]}, "epoch": 3,
                "optimizer": {"state": state, "param_groups": [{"lr": 0.1, "params": [0]}]}}, tmp_path / "a.pt")

    def names(key):
        report = mlc.ok("load", "a.pt", "--key", key, "--json").json
        valid(report, "load")
        return report["key"], [tensor["name"] for tensor in report["tensors"]]

    assert names(".") == (None, ["model.w", "a.b.c.0", "optimizer.state.0.step", "optimizer.state.0.exp_avg"])
    assert names("optimizer") == ("optimizer", ["state.0.step", "state.0.exp_avg"])
    assert names("a.b") == ("a.b", ["c.0"])
    assert names("model") == ("model", ["w"])
    assert "the tensors below optimizer, which is no state_dict" in mlc.ok("load", "a.pt", "--key", "optimizer").stdout
    assert '"epoch" holds no tensor' in mlc("load", "a.pt", "--key", "epoch").stderr
    assert "is the state of an optimizer" in mlc("save", "a.pt", "--key", "optimizer", "-o", "b.pt").stderr
    torch.save({"optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}}, tmp_path / "b.pt")
    done = mlc("diff", "a.pt", "b.pt", "--key", "optimizer")
    assert done.rc == 1 and "state.0.exp_avg  values  " in done.stdout
    assert "not compared: what is no tensor below optimizer; `--key .`" in done.stderr


@pytest.mark.parametrize("args", [("load", "--key"), ("diff", "m.pt", "--key-b"), ("strip-module-prefix", "--key")])
def test_an_empty_key_is_not_taken_for_none(mlc, tmp_path, args):
    torch.save({"w": torch.ones(1)}, tmp_path / "m.pt")
    done = mlc(args[0], "m.pt", *args[1:], "")
    assert done.rc == 2 and "the path is empty" in done.stderr


def test_a_part_of_a_checkpoint_can_be_loaded(mlc, valid, tmp_path):
    values = {"head.w": torch.full((2,), float("nan")), "body.w": torch.ones(3), "body.b": torch.ones(1),
              "body._extra_state": {"t": torch.ones(5)}}
    write(tmp_path / "a.pt", {"model": values, "epoch": 1})
    report = mlc.ok("load", "a.pt", "--exclude", "head.*", "--stats", "--json").json
    valid(report, "load")
    assert [row["name"] for row in report["tensors"]] == ["body.w", "body.b", "body._extra_state.t"]
    assert report["totals"]["parameters"] == 4 and report["totals"]["tensors"] == 3
    shown = mlc.ok("load", "a.pt", "--include", "*.b", "--include", "head*", "--exclude", "head.w").stdout
    assert "1 tensor, 1 parameter" in shown and shown.splitlines()[-1].startswith("body.b")
    write(tmp_path / "b.pt", {"head.w": torch.ones(7), "body.w": torch.ones(3), "body.b": torch.ones(1)})
    assert mlc("load", "a.pt", "--expect", "b.pt").rc == 1
    mlc.ok("load", "a.pt", "--expect", "b.pt", "--include", "body.?")
    assert mlc("load", "a.pt", "--include", "nothing").rc == 2


# --- old batch norms, as load_state_dict takes them


def batch_norm_cases():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    old = {key: value for key, value in model.state_dict().items() if "num_batches" not in key}
    versioned = model.state_dict()
    del versioned["0.num_batches_tracked"]
    one = {**model.state_dict(), "0.num_batches_tracked": torch.zeros(1, dtype=torch.int64)}
    two = {**one, "0.num_batches_tracked": torch.zeros(2, dtype=torch.int64)}
    return model, {"old": old, "versioned": versioned, "one element": one, "two elements": two}


@pytest.mark.parametrize("name", ["old", "versioned", "one element", "two elements"])
def test_expect_of_old_batch_norms_answers_as_load_state_dict(mlc, valid, tmp_path, name):
    model, cases = batch_norm_cases()
    write(tmp_path / "model.pt", model.state_dict())
    write(tmp_path / "a.pt", cases[name])
    try:
        model.load_state_dict(cases[name])
        accepted = True
    except RuntimeError:
        accepted = False
    assert accepted == (name in ("old", "one element"))
    result = mlc("load", "a.pt", "--expect", "model.pt", "--json")
    assert result.rc == (0 if accepted else 1)
    valid(result.json, "load")
    assert result.json["expect"]["filled"] == (["0.num_batches_tracked"] if name == "old" else [])
    text = mlc("load", "a.pt", "--expect", "model.pt").stdout
    assert ("filled in    0.num_batches_tracked: load_state_dict adds" in text) == (name == "old")


@pytest.mark.parametrize("prefixed", ["found", "expected"])
def test_prefixes_forgot_the_counters_that_are_filled_in(mlc, tmp_path, prefixed):
    plain = dict(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).state_dict())  # no _metadata
    more = {"module." + key: value for key, value in plain.items()}
    write(tmp_path / "found.pt", more if prefixed == "found" else plain)
    write(tmp_path / "wanted.pt", plain if prefixed == "found" else more)
    result = mlc("load", "found.pt", "--expect", "wanted.pt", "--summary")
    assert result.rc == 1 and "filled in" not in result.stdout
    said = ("has the prefix \"module.\" more: `mlc strip-module-prefix --prefix module.`" if prefixed == "found" else
            "lacks the prefix \"module.\": `mlc strip-module-prefix --add module.`")
    assert f"hint: every key of the checkpoint {said}\n" in result.stdout
    lost = {key: value for key, value in (more if prefixed == "found" else plain).items() if "0.bias" not in key}
    write(tmp_path / "found.pt", lost)
    result = mlc("load", "found.pt", "--expect", "wanted.pt", "--summary")
    assert ("all 6 unexpected keys are expected without" if prefixed == "found" else
            "5 of 6 missing keys are there without") in result.stdout
    without = {key: value for key, value in (more if prefixed == "found" else plain).items() if "num_" not in key}
    write(tmp_path / "found.pt", without)
    result = mlc("load", "found.pt", "--expect", "wanted.pt", "--summary")
    assert f"hint: every key of the checkpoint {said}\n" in result.stdout
    assert "num_batches_tracked: load_state_dict adds" in result.stdout


def test_a_counter_of_no_batch_norm_is_missing(mlc, tmp_path):
    write(tmp_path / "model.pt", {"w": torch.ones(1), "a.num_batches_tracked": torch.ones(1)})
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    assert mlc("load", "a.pt", "--expect", "model.pt").rc == 1


def test_metadata_in_a_sidecar_is_shown(mlc, valid, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(2)})
    mlc.ok("metadata", "a.pt", "--set", "name=tiny", "--set", "version=1.2.0", "--sidecar")
    assert "metadata     tiny 1.2.0 (in a.pt.mlc.yaml)\n" in mlc.ok("load", "a.pt").stdout
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    assert (report["metadata"]["name"], report["metadata_sidecar"]) == ("tiny", "a.pt.mlc.yaml")
    (tmp_path / "a.pt.mlc.yaml").write_text("mlc: metadata/1\nname: [\n")
    broken = mlc.ok("load", "a.pt", "--json")
    assert "metadata" not in broken.json and "a.pt.mlc.yaml" in broken.stderr
    (tmp_path / "a.pt.mlc.yaml").unlink()
    mlc.ok("metadata", "a.pt", "--set", "name=inside", "--in-place")
    assert "metadata     inside\n" in mlc.ok("load", "a.pt").stdout


def test_no_damage_was_said_of_tensors_without_a_crc(mlc, valid, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        write(tmp_path / "a.pt", {"w": torch.ones(1000), "s": torch.eye(2).to_sparse()})
    finally:
        torch.serialization.set_crc32_options(True)
    mlc.ok("metadata", "a.pt", "--set", "name=x", "--in-place")  # which writes records that have one
    text = mlc.ok("load", "a.pt", "--check", "crc").stdout
    assert "; no damage found, but 2 tensors have no CRC to compare\n" in text
    assert "; not compared: 2 tensors without CRC\n" in text
    report = mlc.ok("load", "a.pt", "--check", "crc", "--json").json
    valid(report, "load")
    assert report["check"]["records"] > 0 and report["check"]["tensors_without_crc"] == 2
    mlc.ok("save", "a.pt", "-o", "b.pt")
    assert "; no damage\n" in mlc.ok("load", "b.pt", "--check", "crc").stdout


def test_damage_names_its_tensors(mlc, valid, tmp_path):
    path = write(tmp_path / "a.pt", {"model": {"w": torch.full((9,), 0.75), "tie": torch.ones(3)}, "epoch": 3})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<9f", *[0.75] * 9), struct.pack("<9f", *[0.5] * 9)))
    result = mlc("load", path, "--check", "crc")
    assert result.rc == 3 and "damaged      a/data/0 (w) at offset" in result.stdout
    assert "; 1 damaged record, first a/data/0 (w)\n" in result.stdout
    report = mlc("load", path, "--check", "crc", "--json").json
    valid(report, "load")
    assert [row["tensors"] for row in report["check"]["damaged"]] == [["w"]]


def test_a_record_without_header_was_said_to_lie_at_offset_0(mlc, valid, tmp_path):
    path = write(tmp_path / "a.pt", {name: torch.ones(999) for name in "uvw"})
    (u, (begin, _)), (v, (middle, size)), _ = offsets(path, "data/").items()
    bad = bytearray(path.read_bytes())
    bad[begin + 64 : middle + size - 64] = bytes(middle + size - begin - 128)  # v's header lies between
    path.write_bytes(bad)
    result = mlc("load", path, "--check", "crc")
    assert result.rc == 3 and "at offset 0" not in result.stdout
    assert f"; 2 damaged records, first {u} (u)\n" in result.stdout
    assert f"damaged      {u} (u) at offset {begin}: CRC-32" in result.stdout
    report = mlc("load", path, "--check", "crc", "--json").json
    valid(report, "load")
    rows = report["check"]["damaged"]
    assert [(row["record"], row["offset_of"]) for row in rows] == [(u, "data"), (v, "header")]
    assert begin < rows[1]["offset"] < middle
    assert f'damaged      {v} (v): record "{v}" (header at offset {rows[1]["offset"]}) has no local header' in result.stdout


def test_dead_bytes_of_edits_in_place_are_shown(mlc, valid, tmp_path):
    path = write(tmp_path / "a.pt", {f"module.layer.{i}.weight": torch.ones(4) for i in range(50)})
    assert mlc.ok("load", path, "--json").json["totals"]["dead_bytes"] == 0
    size = path.stat().st_size
    mlc.ok("strip-module-prefix", path, "--in-place")
    report = mlc.ok("load", path, "--json").json
    valid(report, "load")
    grown = path.stat().st_size - size
    assert 1000 < report["totals"]["dead_bytes"] <= grown
    assert " that edits in place left in the file; `mlc save` writes it without them\n" in mlc.ok("load", path).stdout
    mlc.ok("save", path, "-o", "b.pt")
    assert mlc.ok("load", "b.pt", "--json").json["totals"]["dead_bytes"] == 0
    assert "dead bytes" not in mlc.ok("load", "b.pt").stdout


def test_a_header_without_metadata_may_say_so(mlc, tmp_path):
    header = json.dumps({"__metadata__": None, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "null.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 2))
    assert safetensors.torch.load_file(path)["a"].item() == 2
    assert mlc.ok("load", path, "--json").json["tensors"][0]["name"] == "a"


def test_two_state_dicts_had_one_path(mlc, tmp_path):
    write(tmp_path / "in.pt", {"a": {"b": {"w": torch.ones(2)}}, "a.b": {"v": torch.ones(3)}, "c.d": {"x": torch.ones(4)}})
    paths = [one["path"] for one in mlc.ok("load", "in.pt", "--json").json["state_dicts"]]
    assert sorted(paths) == ["a.b", "a\\.b", "c.d"]  # escaped only where it has to be
    assert mlc.ok("load", "in.pt", "--key", "a.b", "--json").json["tensors"][0]["name"] == "w"
    assert mlc.ok("load", "in.pt", "--key", "a\\.b", "--json").json["tensors"][0]["name"] == "v"
    mlc.ok("remap-keys", "in.pt", "--key", "a\\.b", "--map", "v=u", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    assert list(after["a.b"]) == ["u"] and list(after["a"]["b"]) == ["w"]


def test_a_summary_as_manifest_was_a_tensor_called_schema(mlc, tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.pt", {"w": torch.zeros(2)})
    (tmp_path / "m.json").write_text(mlc.ok("load", "a.pt", "--json", "--summary").stdout)
    done = mlc("load", "a.pt", "--expect", "m.json")
    assert done.rc == 2 and "this answer of `mlc load --json` lists no tensors" in done.stderr
    assert "--summary left them out" in done.stderr
    (tmp_path / "m.json").write_text(mlc.ok("load", "a.pt", "b.pt", "--json").stdout)
    done = mlc("load", "a.pt", "--expect", "m.json")
    assert done.rc == 2 and '"mlc.batch/1" is no list of tensors' in done.stderr and "of one file alone" in done.stderr
    (tmp_path / "m.json").write_text('{"schema": [2]}')  # a tensor may be called so
    assert "w" in mlc("load", "a.pt", "--expect", "m.json").stdout


def test_a_manifest_with_negative_sizes_was_compared(mlc, tmp_path):
    write(tmp_path / "in.pt", {"w": torch.ones(2)})
    (tmp_path / "m.json").write_text('{"w": [2, -1]}')
    result = mlc("load", "in.pt", "--expect", "m.json")
    assert result.rc == 2 and "is no list of sizes" in result.stderr


def hash_as_sha256sum(folder, names):
    return hashlib.sha256("".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)).encode()).hexdigest()


def test_only_the_index_of_several_files_was_hashed(mlc, valid, tmp_path):
    write(tmp_path / "a.pt", {f"w{i}": torch.full((100,), float(i)) for i in range(6)})
    mlc.ok("save", "a.pt", "-o", "st", "--max-shard-size", "1000B")
    torch.distributed.checkpoint.save({"model": {"w": torch.ones(3)}}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    for folder in (tmp_path / "st", tmp_path / "dcp"):
        names = os.listdir(folder)
        assert len(names) > 1
        before = mlc.ok("load", folder, "--check", "sha256", "--json").json
        valid(before, "load")
        wanted = hash_as_sha256sum(folder, names)
        assert before["sha256"] == wanted
        outside = mlc.shell(f"cd {folder} && ls -A | LC_ALL=C sort | xargs sha256sum | sha256sum").stdout.split()[0]
        assert outside == wanted
        indexes = [name for name in names if name.endswith(".index.json")]
        for path in (".", f"../{folder.name}/", *indexes, *(f"./{name}" for name in indexes)):
            assert mlc.ok("load", path, "--check", "sha256", "--json", cwd=folder).json["sha256"] == wanted
        mlc.ok("save", folder, "-o", folder.name + ".pt", "--hash-input", "--json")
        history = mlc.ok("metadata", folder.name + ".pt", "--json").json["metadata"]["provenance"]
        assert history[-1]["input_sha256"] == wanted
    shard = next(path for path in sorted((tmp_path / "st").iterdir()) if path.suffix == ".safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    after = mlc.ok("load", "st", "--check", "sha256", "--json").json["sha256"]
    assert after == hash_as_sha256sum(tmp_path / "st", os.listdir(tmp_path / "st")) != mlc.ok("load", "dcp", "--check", "sha256", "--json").json["sha256"]


def test_a_selection_of_several_state_dicts_had_the_parameters_of_all(mlc, tmp_path):
    torch.save({"model": {"0.weight": torch.ones(3, 4), "0.bias": torch.ones(3), "1.weight": torch.ones(50)},
                "ema": {"0.weight": torch.ones(3, 4)}, "optimizer": {"state": {0: {"m": torch.ones(12)}}}}, tmp_path / "a.pt")
    for select, wanted in ((["--include", "model.0.*"], 15), (["--exclude", "ema.*"], 65), (["--include", "*.0.weight"], 24), ([], 77),
                           (["--include", "optimizer.*"], 0)):
        assert mlc.ok("load", "a.pt", *select, "--json").json["totals"]["parameters"] == wanted
        assert f"{wanted} parameter" in mlc.ok("load", "a.pt", *select, "--summary").stdout


def test_views_of_one_storage_counted_otherwise_than_the_help_said(mlc, tmp_path):
    base = torch.arange(12.)
    tied = torch.nn.Parameter(torch.ones(5))
    torch.save({"a": base[:8], "b": base[4:], "tied": tied.data, "same": tied.data}, tmp_path / "a.pt")
    assert mlc.ok("load", "a.pt", "--json").json["totals"]["parameters"] == 8 + 8 + 5
    text = " ".join(mlc.ok("load", "--help").stdout.split())
    assert "tensors that show the same elements (tied weights) count once, other views of one storage each" in text


def test_expectation_from_a_stream_was_called_a_dash(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(2)})
    result = mlc("load", "a.pt", "--expect", "-", stdin='{"w": [2]}')
    assert "expected     yes: standard input fits\n" in result.stdout


def test_one_long_key_padded_every_row(mlc, tmp_path):
    long = "k" * 3000
    for name, value in (("a.pt", 1.0), ("b.pt", 2.0)):
        write(tmp_path / name, {"w": torch.full((4, 64), value), long: torch.full((4, 64), value), "x" * 70: torch.ones(1)})
    for command in (["load", "a.pt"], ["diff", "a.pt", "b.pt"], ["save", "a.pt", "-o", "c.pt", "-n"],
                    ["quantize", "a.pt", "-n"], ["prune", "a.pt", "--amount", "0.5", "-n"]):
        rows = mlc(*command).stdout.splitlines()
        assert any(long in row for row in rows) or command[0] != "load", command
        assert all(len(row) < 200 for row in rows if long not in row), command
    rows = mlc.ok("load", "a.pt").stdout.splitlines()
    title = next(row for row in rows if row.startswith("NAME"))
    short = next(row for row in rows if row.startswith("w "))
    assert title.index("DTYPE") == short.index("f32") == 82
    assert f"{long}  f32" in next(row for row in rows if long in row)


def test_statistics_of_an_expanded_giant_are_not_refused(mlc, tmp_path):
    values = torch.tensor([[0.0], [1.0], [3.0]])
    torch.save({"big": values.expand(3, 2**38), "small": values.expand(3, 1000), "w": torch.ones(3)}, tmp_path / "m.pt")
    big, small, _ = mlc("load", "m.pt", "--stats", "--json", cwd=tmp_path).json["tensors"]
    assert big["stats"]["zeros"] == 2**38 and small["stats"]["zeros"] == 1000
    written = values.expand(3, 1000).double()
    assert small["stats"]["mean"] == pytest.approx(written.mean().item())
    assert small["stats"]["std"] == pytest.approx(written.std().item())
    assert (big["stats"]["min"], big["stats"]["max"]) == (0, 3)


def test_packed_floats_are_not_counted_by_two_units(mlc, tmp_path):
    torch.save({"w": torch.zeros(6, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, tmp_path / "m.pt")
    answer = mlc("load", "m.pt", "--stats", "--json", cwd=tmp_path).json
    assert answer["totals"]["parameters"] == answer["tensors"][0]["stats"]["zeros"] == 12
    assert "12 parameters" in mlc("load", "m.pt", "--summary", cwd=tmp_path).stdout


def test_a_manifest_of_several_state_dicts_was_compared_with_one(mlc, tmp_path):
    model = {"w": torch.ones(2), "b": torch.ones(1)}
    write(tmp_path / "train.pt", {"model": model, "ema": dict(model), "epoch": 1})
    write(tmp_path / "plain.pt", model)
    for name, options in (("both", []), ("one", ["--key", "model"]), ("all", ["--key", "."])):
        (tmp_path / name).write_text(mlc.ok("load", "train.pt", "--json", *options).stdout)
    refused = mlc("load", "plain.pt", "--expect", "both")
    assert refused.rc == 2 and "it lists the tensors of 2 state_dicts: model and ema\n" in refused.stderr
    assert "hint: write it of one: `mlc load train.pt --key model --json`" in refused.stderr
    mlc.ok("load", "plain.pt", "--expect", "one")
    mlc.ok("load", "train.pt", "--key", "ema", "--expect", "one")
    mlc.ok("load", "train.pt", "--key", ".", "--expect", "all")
    refused = mlc("load", "plain.pt", "--expect", "both", "--expect-key", "ema")
    assert refused.rc == 2 and "`mlc load FILE --key ema --json` writes it" in refused.stderr
