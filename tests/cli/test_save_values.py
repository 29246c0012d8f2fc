"""mlc save: which values that are no tensors --weights-only and --safe leave."""

import argparse
import collections
import os
import pickle

import pytest
import safetensors.torch
import torch

from checkpoints import assert_same, ordered, write


@pytest.mark.parametrize("around", [None, "model"])
def test_weights_only_takes_scalars_out_of_the_state_dict_too(mlc, valid, tmp_path, around):
    tensors = {"a": torch.ones(2), 0: torch.ones(1), "fc._extra_state": {"scale": 2}, "_extra_state": b"x"}
    values = ordered(**{"e": 1, "a": tensors["a"], "n": float("nan"), "l": [1, 2], "optimizer": {"x": torch.ones(1)},
                        "my_extra_state": 1})
    values.update(tensors)
    values._metadata = collections.OrderedDict({"": {"version": 1}})
    write(tmp_path / "a.pt", {around: values, "epoch": 1} if around else values)
    result = mlc.ok("save", "a.pt", "--weights-only", "-o", "b.pt")
    assert "dropped from the state_dict, for no module loads them: e, n, l, 1 tensor in optimizer and my_extra_state\n" in result.stderr
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    assert_same(tensors, dict(found))
    assert list(found) == ["a", 0, "fc._extra_state", "_extra_state"] and found._metadata == values._metadata
    report = mlc.ok("save", "a.pt", "--weights-only", "-o", "c.pt", "--json").json
    valid(report, "save")
    assert report["dropped"] == ["e", "n", "l", "optimizer", "my_extra_state"]
    mlc.ok("save", "a.pt", "--weights-only", "-o", "c.safetensors")
    assert list(safetensors.torch.load_file(tmp_path / "c.safetensors")) == ["a"]


def test_safe_drops_metadata_of_a_state_dict_that_torch_refuses(mlc, tmp_path):
    for around in (None, "sd"):
        values = ordered(w=torch.ones(2))
        values._metadata = {"": argparse.Namespace(version=1)}
        values.other = 3
        write(tmp_path / "a.pt", {around: values} if around else values)
        name = "sd._metadata" if around else "_metadata"
        result = mlc.ok("save", "a.pt", "--safe", "-o", f"{name}.pt")
        assert f"dropped what weights_only=True refuses: {name}\n" in result.stderr
        found = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        found = found[around] if around else found
        assert_same({"w": torch.ones(2)}, dict(found))
        assert found.other == 3 and not hasattr(found, "_metadata")


def test_safe_names_the_item_of_a_list_that_torch_refuses(mlc, tmp_path):
    write(tmp_path / "a.pt", [{"w": torch.ones(2)}, argparse.Namespace(a=1)])
    result = mlc("save", "a.pt", "--safe", "-o", "b.pt")
    assert result.rc == 4 and "1 item of the list that is the whole file cannot be dropped" in result.stderr
    assert "refuses what is in it: 1\n" in result.stderr and "the whole file is a Python object" not in result.stderr
    mlc.ok("save", "a.pt", "--key", "0", "--weights-only", "-o", "c.pt")
    assert_same({"w": torch.ones(2)}, torch.load(tmp_path / "c.pt", weights_only=True))


def test_safe_drops_what_is_refused_in_items_of_a_list(mlc, tmp_path):
    write(tmp_path / "a.pt", [{"w": torch.ones(2), "args": argparse.Namespace(a=1)}])
    assert "refuses: 0.args\n" in mlc.ok("save", "a.pt", "--safe", "-o", "b.pt").stderr
    assert_same([{"w": torch.ones(2)}], torch.load(tmp_path / "b.pt", weights_only=True))


@pytest.mark.parametrize("form", ["", "--dry-run"])
def test_safe_does_not_write_a_file_without_any_of_the_tensors(mlc, tmp_path, form):
    write(tmp_path / "a.pt", {"sd": argparse.Namespace(model={"w": torch.ones(2)}), "epoch": 1})
    result = mlc("save", "a.pt", "--safe", "-o", "b.pt", *filter(None, [form]))
    assert result.rc == 4 and "every tensor lies in what weights_only=True refuses: sd\n" in result.stderr
    assert not (tmp_path / "b.pt").exists()
    result = mlc.ok("save", "a.pt", "--safe", "--key", "sd.model", "-o", "b.safetensors")
    assert "left out: epoch" in result.stderr
    assert list(safetensors.torch.load_file(tmp_path / "b.safetensors")) == ["w"]


class Wrapped(dict):
    """Stands for EasyDict and its like: a dict whose attributes are its entries."""

    def __init__(self, values=()):
        super().__init__()
        for key, value in dict(values).items():
            self[key] = value
            setattr(self, key.replace(".", "_"), value)


@pytest.mark.parametrize("flag", ["--weights-only", "--safe"])
@pytest.mark.parametrize("versions", [False, True])
def test_a_dict_subclass_at_the_root_kept_its_class(mlc, tmp_path, flag, versions):
    values = Wrapped({"a.weight": torch.ones(2), "a.bias": torch.zeros(2)})
    if versions:
        values._metadata = {"": {"version": 1}}  # pylint: disable=protected-access
    torch.save(values, tmp_path / "a.pt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pt", weights_only=True)
    done = mlc.ok("save", "a.pt", flag, "-o", "b.pt")
    assert "Wrapped is written as a dict; its class is not kept" in done.stderr and "refuse" not in done.stderr
    loaded = torch.load(tmp_path / "b.pt", weights_only=True)
    assert type(loaded) is (collections.OrderedDict if versions else dict) and list(loaded) == ["a.weight", "a.bias"]
    assert torch.equal(loaded["a.weight"], torch.ones(2))
    assert getattr(loaded, "_metadata", None) == ({"": {"version": 1}} if versions else None)


def test_a_dict_subclass_below_the_root_was_dropped(mlc, tmp_path):
    torch.save({"model": Wrapped({"w": torch.ones(2)}), "ema": {"w": torch.zeros(2)}, "args": Wrapped({"lr": 1})}, tmp_path / "a.pt")
    done = mlc.ok("save", "a.pt", "--safe", "-o", "b.pt")
    assert "Wrapped is written as a dict" in done.stderr and "dropped what weights_only=True refuses: args" in done.stderr
    loaded = torch.load(tmp_path / "b.pt", weights_only=True)
    assert list(loaded) == ["model", "ema"] and torch.equal(loaded["model"]["w"], torch.ones(2))
    alone = mlc.ok("save", "a.pt", "--key", "model", "--weights-only", "-o", "c.pt")
    assert "Wrapped is written as a dict" in alone.stderr and list(torch.load(tmp_path / "c.pt", weights_only=True)) == ["w"]


def test_a_dict_subclass_with_arguments_is_no_plain_mapping(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "seen": collections.Counter(a=torch.ones(2))}, tmp_path / "a.pt")
    done = mlc("save", "a.pt", "--safe", "-o", "b.pt")
    assert done.rc == 0 and "written as a dict" not in done.stderr


def test_the_hint_named_the_option_in_use(mlc, tmp_path):
    class Odd:  # pylint: disable=too-few-public-methods
        pass
    Odd.__qualname__, Odd.__module__ = "Odd", __name__
    globals()["Odd"] = Odd
    weight = torch.nn.Parameter(torch.ones(2))
    weight.note = Odd()
    torch.save({"w": weight}, tmp_path / "a.pt")
    for flags in ([], ["--weights-only"]):  # neither option helps where the tensors have what is refused
        said = mlc.ok("save", "a.pt", *flags, "-o", "b.pt", "--force").stderr
        assert "such are the tensors themselves: w\n" in said and "--safe" not in said
    torch.save({"model": {"w": torch.ones(2)}, "by": Odd()}, tmp_path / "beside.pt")
    plain = mlc.ok("save", "beside.pt", "-o", "c.pt").stderr
    assert "--safe drops such values, --weights-only keeps the tensors only" in plain
    assert "refuse" not in mlc.ok("save", "beside.pt", "--weights-only", "-o", "d.pt").stderr


@pytest.mark.parametrize("apart", [False, True])
def test_the_same_mapping_was_called_kept_though_it_was_cast(mlc, tmp_path, apart):
    model = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
    torch.save({"a": model, "b": dict(model) if apart else model, "c": {"x": torch.ones(1)}}, tmp_path / "a.pt")
    done = mlc.ok("save", "a.pt", "--key", "a", "--dtype", "bf16", "-o", "b.pt").stderr
    assert "kept as they were, beside a: 1 tensor in c;" in done
    assert "--dtype holds for these too, whose tensors are those of a: b" in done
    loaded = torch.load(tmp_path / "b.pt", weights_only=True)
    assert [loaded[name]["weight"].dtype for name in "ab"] == [torch.bfloat16] * 2 and loaded["c"]["x"].dtype == torch.float32
    alone = mlc.ok("save", "a.pt", "--key", "c", "--dtype", "bf16", "-o", "c.pt").stderr
    assert "kept as they were, beside c: 2 tensors in a and 2 tensors in b" in alone and "too" not in alone


class Shell:
    """Pickles as a call of os.system."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("value, said", [
    (frozenset([1]), "{0}.frozenset"), ((frozenset(),), "{0}.frozenset"), (b"", "{0}.bytes"), ({frozenset([1]): 2}, "{0}.frozenset"),
    (1 << 4000, "integers of more than 255 bytes")])
def test_save_names_what_it_writes_in_a_form_that_torch_refuses(mlc, tmp_path, protocol, value, said):
    """Protocol 4 has opcodes for what protocol 2 needs names for, so that nothing of it was in the list of names."""
    torch.save({"w": torch.ones(2), "x": {"bad": value, "good": {1, 2}}}, tmp_path / "a.pt", pickle_protocol=protocol)
    done = mlc.ok("save", "a.pt", "-o", "b.pt")
    assert f"will refuse this file: it keeps {said.format('__builtin__' if protocol == 2 else 'builtins')}; --safe drops" in done.stderr
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "b.pt", weights_only=True)
    done = mlc.ok("save", "a.pt", "--safe", "-o", "c.pt")
    assert "dropped what weights_only=True refuses: x.bad" in done.stderr
    found = torch.load(tmp_path / "c.pt", weights_only=True)
    assert_same({"w": torch.ones(2)}, {"w": found["w"]})
    assert found["x"]["good"] == {1, 2} and found["x"].get("bad", {}) == {}


def test_save_accepts_what_only_protocol_4_makes_torch_refuse(mlc, tmp_path):
    values = {"w": torch.ones(2), "set": {1}, "bytes": b"x", "array": bytearray(b"x"), "number": 1 << 70}
    torch.save(values, tmp_path / "a.pt", pickle_protocol=4)
    assert "will refuse" not in mlc.ok("save", "a.pt", "-o", "b.pt").stderr
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    assert {key: found[key] for key in values if key != "w"} == {key: values[key] for key in values if key != "w"}


def test_save_says_of_a_refused_class_its_name_alone(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "d": collections.defaultdict(int, {"a": 1})}, tmp_path / "a.pt")
    assert "it keeps collections.defaultdict and __builtin__.long; --safe" in mlc.ok("save", "a.pt", "-o", "b.pt").stderr


def test_save_says_which_names_run_code_as_load_does(mlc, tmp_path):
    torch.save({"w": torch.ones(2), "a": argparse.Namespace(b=1), "x": Shell()}, tmp_path / "a.pt")
    done = mlc.ok("save", "a.pt", "-o", "b.pt")
    assert "it keeps posix.system (runs code) and argparse.Namespace; --safe" in done.stderr


@pytest.mark.parametrize("key", [[], ["--key", "*"], ["--key", "model"]])
def test_dtype_names_the_tensors_beside_that_it_changes_too(mlc, tmp_path, key):
    """With --key '*', or without a key, master weights of the optimizer were halved in silence."""
    weight = torch.randn(6, 2)
    values = {"model": ordered(w=weight), "optimizer": {"state": {0: {"master": weight, "exp_avg": torch.ones(6, 2)}},
                                                        "param_groups": [{"params": [0]}]}, "best": [weight]}
    if key == ["--key", "*"]:
        values["ema"] = ordered(w=weight, v=torch.ones(1))
    torch.save(values, tmp_path / "a.pt")
    done = mlc.ok("save", "a.pt", "--dtype", "bf16", "-o", "b.pt", *key)
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    assert found["optimizer"]["state"][0]["master"].dtype == found["best"][0].dtype == torch.bfloat16
    assert found["optimizer"]["state"][0]["exp_avg"].dtype == torch.float32
    said = next(line for line in done.stderr.splitlines() if "--dtype holds for these too" in line)
    assert "optimizer.state.0.master" in said and "best" in said and "ema" not in said


@pytest.mark.parametrize("around", [None, "model"])
def test_dtype_says_nothing_of_a_state_dict_under_two_names(mlc, tmp_path, around):
    model = ordered(w=torch.ones(2), tied=torch.ones(2))
    model["tied"] = model["w"]
    torch.save({around: model, "again": model, "epoch": 1} if around else model, tmp_path / "a.pt")
    assert "holds for these too" not in mlc.ok("save", "a.pt", "--dtype", "bf16", "-o", "b.pt").stderr


class Detector(torch.nn.Module):
    """As ultralytics pickles them: with a tensor that is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 2)
        self.tied = self.fc
        self.stride = torch.tensor([8.0, 16.0])
        self.register_buffer("grid", torch.ones(3), persistent=False)


@pytest.mark.parametrize("args", [["save", "-o", "b.pt"], ["save", "-o", "b.pt", "--weights-only"], ["save", "-o", "b.safetensors"],
                                  ["remap-keys", "--map", "fc.=head.", "-o", "b.pt"]])
def test_tensors_of_a_module_outside_of_its_state_dict_are_named(mlc, tmp_path, args):
    torch.save({"model": Detector(), "epoch": 1}, tmp_path / "a.pt")
    done = mlc.ok(args[0], "a.pt", *args[1:])
    said = "a.pt: not kept, being tensors of pickled modules that are in no state_dict: "
    line = next(line for line in done.stderr.splitlines() if said in line)
    assert sorted(line.split(said)[1].split(" and ")) == ["model._buffers.grid", "model.stride"]


def test_a_module_that_is_all_state_dict_loses_no_tensor(mlc, tmp_path):
    torch.save({"model": torch.nn.BatchNorm1d(2)}, tmp_path / "a.pt")
    assert "not kept, being" not in mlc.ok("save", "a.pt", "-o", "b.pt").stderr


def test_values_that_overflow_are_counted_by_tensor(mlc, valid, tmp_path):
    """Which of thousands of tensors has an infinity now was not to be known."""
    values = ordered(a=torch.tensor([1e6, 1.0, -1e6]), b=torch.ones(2), c=torch.tensor([1e5]))
    write(tmp_path / "a.pt", values)
    done = mlc.ok("save", "a.pt", "--dtype", "fp16", "-o", "b.pt")
    assert "3 values did not fit fp16 and became infinite: a (2) and c (1)\n" in done.stderr
    report = mlc.ok("save", "a.pt", "--dtype", "fp16", "-o", "c.pt", "--json").json
    valid(report, "save")
    assert report["overflowed"] == 3 and report["overflows"] == {"a": 2, "c": 1}
    write(tmp_path / "two.pt", {"model": values, "ema": ordered(a=torch.tensor([1e7]))})
    done = mlc.ok("save", "two.pt", "--dtype", "fp16", "--key", "*", "-o", "d.pt")
    assert "became infinite: model.a (2), model.c (1) and ema.a (1)\n" in done.stderr


def test_values_that_a_cast_turned_into_zero_were_not_told(mlc, valid, tmp_path):
    write(tmp_path / "a.pt", ordered(a=torch.tensor([1e-9, 3e-8, 1e-3]), b=torch.tensor([1e-9, 1e-10]), c=torch.ones(1)))
    done = mlc.ok("save", "a.pt", "--dtype", "fp16", "-o", "b.pt")
    assert "3 values were too small for fp16 and became zero: a (1) and b (2)\n" in done.stderr
    report = mlc.ok("save", "a.pt", "--dtype", "fp16", "-o", "c.pt", "--json").json
    valid(report, "save")
    assert report["underflowed"] == 3 and report["underflows"] == {"a": 1, "b": 2}
    # One in thousands is what half precision is: it is counted, not warned of.
    write(tmp_path / "many.pt", ordered(a=torch.cat([torch.tensor([1e-9]), torch.ones(5000)])))
    done = mlc.ok("save", "many.pt", "--dtype", "fp16", "-o", "d.pt", "--json")
    assert done.json["underflows"] == {"a": 1} and "zero" not in done.stderr


def test_from_names_the_tensor_that_overflows(mlc, tmp_path):
    write(tmp_path / "a.pt", ordered(a=torch.ones(2, dtype=torch.float16), b=torch.ones(2)))
    write(tmp_path / "b.pt", ordered(a=torch.tensor([1e6, 1.0]), b=torch.tensor([1e6, 1.0])))
    done = mlc.ok("save", "a.pt", "--from", "b.pt", "-o", "c.pt")
    assert "1 value did not fit its new type and became infinite, NaN, the largest or (integers) another number: a\n" in done.stderr


def test_shards_of_bin_files_are_said_to_lose_the_versions_of_modules(mlc, tmp_path):
    model = torch.nn.BatchNorm1d(2).state_dict()
    torch.save(model, tmp_path / "a.pt")
    lost = "shards are plain dicts; the versions of modules (_metadata) are not kept\n"
    for more in ([], ["-n"]):
        assert lost in mlc.ok("save", "a.pt", "-o", f"bin{len(more)}", "--format", "pt", "--max-shard-size", "1GB", *more).stderr
    found = torch.load(tmp_path / "bin0/pytorch_model.bin", weights_only=True)
    assert type(found) is dict and not hasattr(found, "_metadata")
    torch.save(dict(model), tmp_path / "b.pt")
    assert lost not in mlc.ok("save", "b.pt", "-o", "plain", "--format", "pt", "--max-shard-size", "1GB").stderr


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name, shape", [("quint4x2", (10, 12)), ("quint4x2", (4, 3)), ("quint2x4", (3, 5))])
def test_tensors_of_four_bits_were_called_corrupt(mlc, valid, tmp_path, name, shape, legacy):
    dtype = getattr(torch, name)
    rows = torch.quantize_per_channel(torch.rand(shape), torch.full((shape[0],), 0.1), torch.zeros(shape[0]), 0, dtype)
    values = {"q": torch.quantize_per_tensor(torch.rand(shape), 0.1, 0, dtype), "rows": rows, "w": torch.ones(2)}
    torch.save(values, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    size = values["q"].untyped_storage().nbytes()
    assert [(row["shape"], row["bytes"]) for row in report["tensors"][:1]] == [(list(shape), size)]
    mlc.ok("save", "a.pt", "-o", "b.pt")
    mlc.ok("diff", "a.pt", "b.pt")
    loaded = torch.load(tmp_path / "b.pt", weights_only=True)
    for key, tensor in values.items():
        assert torch.equal(loaded[key].dequantize(), tensor.dequantize())
    values["q"] = torch.quantize_per_tensor(torch.zeros(shape), 0.1, 0, dtype)
    torch.save(values, tmp_path / "c.pt")
    assert mlc("diff", "a.pt", "c.pt").rc == 1
    assert mlc("save", "a.pt", "-o", "x.safetensors").rc == 4


@pytest.mark.parametrize("name", ["out.pt", "out.safetensors"])
def test_the_exact_version_of_pytorch_was_lost_with_its_format(mlc, tmp_path, name):
    torch.export.save(torch.export.export(torch.nn.Linear(2, 1), (torch.ones(1, 2),)), tmp_path / "a.pt2")
    asked = ["--requires", "torch>=2.1"]
    mlc.ok("validate-version", "a.pt2", *asked)
    mlc.ok("save", "a.pt2", "--weights-only", "-o", name)
    mlc.ok("validate-version", name, *asked)
    mlc.ok("diff", "a.pt2", name)  # which tells the same version
    mlc.ok("diff", name, "a.pt2")
    mlc.ok("save", "a.pt2", "--set", "framework.torch=2.0.1", "-o", name, "-f")
    assert mlc("diff", "a.pt2", name).rc == 1
    assert mlc.ok("metadata", name, "--get", "framework.torch").stdout == "2.0.1\n"
    mlc.ok("remap-keys", "a.pt2", "--map", "weight=w", "-o", name, "-f")
    mlc.ok("validate-version", name, *asked)


@pytest.mark.parametrize("value", [torch.arange(9.0)[:2], [torch.arange(9.0)[:2]], torch.nn.Parameter(torch.arange(9.0)[:2])],
                         ids=["tensor", "list", "Parameter"])
@pytest.mark.parametrize("key", [[], ["--key", "."]])
def test_views_without_names_were_not_made_compact(mlc, tmp_path, value, key):
    write(tmp_path / "a.pt", value)
    mlc.ok("save", "a.pt", "--compact-views", "-o", "b.pt", *key)
    found = torch.load(tmp_path / "b.pt")
    found = found[0] if isinstance(value, list) else found
    assert type(found) is type(value) or isinstance(value, list)
    assert found.tolist() == [0, 1] and found.untyped_storage().nbytes() == 8


@pytest.mark.parametrize("value", [collections.OrderedDict(), {"epoch": 1}])
def test_a_file_without_tensors_has_no_views_to_make_compact(mlc, tmp_path, value):
    write(tmp_path / "a.pt", value)
    mlc.ok("save", "a.pt", "--compact-views", "-o", "b.pt")
    assert torch.load(tmp_path / "b.pt") == value
