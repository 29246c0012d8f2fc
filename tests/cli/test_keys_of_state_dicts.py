"""State_dicts and tensors under keys that are no names: numbers, places of lists, each test named after the failure."""

import collections

import numpy as np
import pytest
import safetensors.torch
import torch

from checkpoints import write


def state(value=1.0):
    return {"w": torch.full((2,), value), "b": torch.full((3,), value)}


def listed(mlc, name):
    return {one["path"]: one["tensors"] for one in mlc.ok("load", name, "--json").json["state_dicts"]}


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a)


def read(path):
    return torch.load(path, weights_only=False)


@pytest.mark.parametrize("folds", [{0: state(), 1: state(2)}, (state(), state(2)), [state(), state(2)]], ids=["dict", "tuple", "list"])
def test_state_dicts_under_numbers_of_a_dict_were_none(mlc, tmp_path, folds):
    write(tmp_path / "f.pt", folds)
    assert listed(mlc, "f.pt") == {"0": 2, "1": 2}
    mlc.ok("save", "f.pt", "--key", "1", "-o", "one.safetensors")
    assert same(safetensors.torch.load_file(tmp_path / "one.safetensors"), state(2))
    mlc.ok("remap-keys", "f.pt", "--key", "*", "--add-prefix", "x.", "-o", "all.pt")
    done = read(tmp_path / "all.pt")
    assert [list(done[i]) for i in (0, 1)] == [["x.w", "x.b"]] * 2
    write(tmp_path / "inside.pt", {"folds": folds, "epoch": 3})
    assert listed(mlc, "inside.pt") == {"folds.0": 2, "folds.1": 2}


def test_more_numbers_than_items_of_a_list_hold_none(mlc, tmp_path):
    write(tmp_path / "many.pt", {i: {"w": torch.ones(1)} for i in range(65)})
    assert listed(mlc, "many.pt") == {}


def test_what_an_optimizer_keeps_under_numbers_became_state_dicts(mlc, tmp_path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state_of_it = optimizer.state_dict()["state"]
    assert set(state_of_it) == {0, 1}
    write(tmp_path / "c.pt", {"net": model.state_dict(), "moments": state_of_it})
    assert listed(mlc, "c.pt") == {"net": 2}


ALIKE = {0: state(), "0": {"w": torch.zeros(4)}}


def test_number_and_text_that_print_alike_were_one_place(mlc, tmp_path):
    write(tmp_path / "a.pt", ALIKE)
    assert listed(mlc, "a.pt") == {"[0]": 2, '["0"]': 1}
    for args in (["load", "a.pt"], ["save", "a.pt", "-o", "o.safetensors"], ["remap-keys", "a.pt", "--add-prefix", "x.", "-o", "o.pt"]):
        refused = mlc(*args, "--key", "0")
        assert refused.rc == 2 and '"0" is how the keys of 2 state_dicts print: [0] (2 tensors) and ["0"] (1 tensor)' in refused.stderr, args
        assert "--key '[0]'" in refused.stderr
    for key, want in (("[0]", ALIKE[0]), ('["0"]', ALIKE["0"])):
        mlc.ok("save", "a.pt", "--key", key, "-o", "one.safetensors", "--force")
        assert same(safetensors.torch.load_file(tmp_path / "one.safetensors"), want)
        names = [t["name"] for t in mlc.ok("load", "a.pt", "--key", key, "--json").json["tensors"]]
        assert names == list(want)
    mlc.ok("remap-keys", "a.pt", "--key", '["0"]', "--add-prefix", "x.", "-o", "text.pt")
    text = read(tmp_path / "text.pt")
    assert list(text[0]) == ["w", "b"] and list(text["0"]) == ["x.w"]


@pytest.mark.parametrize("place", [lambda a: a, lambda a: {"ema": a, "epoch": 1}], ids=["root", "inside"])
def test_every_state_dict_left_out_the_one_under_a_number(mlc, tmp_path, place):
    write(tmp_path / "a.pt", place({0: {"module." + k: v for k, v in state().items()}, "0": {"module.w": torch.zeros(4)}}))
    mlc.ok("strip-module-prefix", "a.pt", "--key", "*", "-o", "o.pt")
    done = read(tmp_path / "o.pt")
    done = done.get("ema", done)
    assert list(done[0]) == ["w", "b"] and list(done["0"]) == ["w"]
    mlc.ok("save", "a.pt", "--key", "*", "--dtype", "bf16", "-o", "half.pt")
    half = read(tmp_path / "half.pt")
    half = half.get("ema", half)
    assert {t.dtype for one in half.values() for t in one.values()} == {torch.bfloat16}


def test_number_named_where_its_text_is_no_state_dict(mlc, tmp_path):
    write(tmp_path / "a.pt", {0: state(), "0": 5})
    mlc.ok("save", "a.pt", "--key", "0", "-o", "o.safetensors")
    assert set(safetensors.torch.load_file(tmp_path / "o.safetensors")) == {"w", "b"}


def test_what_stands_beside_was_unknown_where_keys_print_alike(mlc, tmp_path):
    write(tmp_path / "a.pt", {"x": ALIKE, "epoch": 1})
    done = mlc.ok("save", "a.pt", "--key", "x.[0]", "-o", "o.safetensors")
    assert "left out: 1 tensor in x.[\"0\"] and epoch" in done.stderr


TENSORS = [torch.ones(3), torch.zeros(2)]


@pytest.mark.parametrize("value, key", [(TENSORS, "."), ({"shadow_params": TENSORS, "decay": 0.9, "collected_params": None}, "shadow_params"),
                                        ({"layers": tuple(TENSORS)}, "layers"), ({"a": {"layers": dict(enumerate(TENSORS))}}, "a.layers")],
                         ids=["root", "torch-ema", "tuple", "numbers"])
def test_naming_the_place_of_tensors_without_names_refused_them(mlc, tmp_path, value, key):
    write(tmp_path / "l.pt", value)
    done = mlc.ok("save", "l.pt", "--key", key, "-o", "o.safetensors")
    assert "tensors have no names; they are written as 0 and 1" in done.stderr
    assert same(safetensors.torch.load_file(tmp_path / "o.safetensors"), {"0": TENSORS[0], "1": TENSORS[1]})
    mlc.ok("save", "l.pt", "--key", key, "-o", "o.pt")
    copy = read(tmp_path / "o.pt")
    for step in [] if key == "." else key.split("."):
        copy = copy[step]
    assert type(copy) is type(TENSORS) or not isinstance(copy, list)
    assert all(torch.equal(copy[i], TENSORS[i]) for i in (0, 1))


def test_naming_the_root_of_a_tensor_refused_it(mlc, tmp_path):
    write(tmp_path / "t.pt", torch.ones(3))
    mlc.ok("save", "t.pt", "--key", ".", "-o", "o.safetensors")
    assert list(safetensors.torch.load_file(tmp_path / "o.safetensors")) == ["tensor"]


@pytest.mark.parametrize("value, key", [({"l": [torch.ones(1), 3]}, "l"), ({"l": []}, "l"), ({"l": torch.ones(1)}, "l")], ids=["mixed", "empty", "tensor"])
def test_places_that_are_no_list_of_tensors_stay_refused(mlc, tmp_path, value, key):
    write(tmp_path / "l.pt", value)
    assert mlc("save", "l.pt", "--key", key, "-o", "o.safetensors").rc == 2


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_prefix_made_state_dicts_of_values_of_a_state_dict(mlc, tmp_path, prefix):
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8)).state_dict()
    values = {**model, "1._extra_state": {"t": torch.ones(2)}, "sub": {"w": torch.ones(2)}}
    write(tmp_path / "v.pt", {prefix + key: value for key, value in values.items()})
    answer = mlc.ok("load", "v.pt", "--json").json
    assert [(one["path"], one.get("part", False)) for one in answer["state_dicts"]] == [("", False), (prefix + "sub", True)]
    assert answer["key"] == ""
    mlc.ok("remap-keys", "v.pt", "--add-prefix", "x.", "-o", "o.pt")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_extra_state_was_listed_as_a_state_dict(mlc, tmp_path, prefix):
    write(tmp_path / "e.pt", {prefix + "w": torch.ones(1), prefix + "_extra_state": {"a": torch.ones(1), "b": torch.ones(1)}})
    assert listed(mlc, "e.pt") == {"": 1}
    assert [t["name"] for t in mlc.ok("load", "e.pt", "--key", prefix + "_extra_state", "--json").json["tensors"]] == ["a", "b"]


def test_load_and_the_edit_verbs_counted_differently(mlc, tmp_path):
    values = {"model": {**state(), "sub": {"a": torch.ones(1)}}, "ema": state()}
    write(tmp_path / "m.pt", values)
    refused = mlc("remap-keys", "m.pt", "--add-prefix", "x.", "-o", "o.pt")
    assert "holds 2 state_dicts: model (2 tensors) and ema (2 tensors)" in refused.stderr
    assert "state_dicts  model (2 tensors) and ema (2 tensors); choose" in mlc.ok("load", "m.pt").stdout


def test_nested_numpy_arrays_got_no_hint(mlc, tmp_path):
    write(tmp_path / "n.pt", {"state_dict": {"a": np.ones(3), "b": np.zeros((2, 2), np.int64)}})
    refused = mlc("save", "n.pt", "-o", "o.safetensors")
    assert refused.rc == 2 and "holds no tensor, but 2 NumPy arrays" in refused.stderr and "torch.from_numpy()" in refused.stderr
    shown = mlc.ok("load", "n.pt").stdout
    assert "0 tensors, 0 parameters, 0 B; not counted: 2 NumPy arrays\n" in shown and "torch.from_numpy()" in shown
    assert "2 NumPy arrays in state_dict\n" in shown
    assert mlc.ok("load", "n.pt", "--json").json["totals"]["numpy_arrays"] == 2


def test_numpy_array_beside_tensors_was_lost_from_the_count(mlc, tmp_path):
    write(tmp_path / "n.pt", {"w": np.ones((2, 2), np.float32), "b": torch.ones(2)})
    assert "1 tensor, 2 parameters, 8 B; not counted: 1 NumPy array\n" in mlc.ok("load", "n.pt").stdout
    assert mlc.ok("load", "n.pt", "--json").json["totals"]["numpy_arrays"] == 1


def test_states_of_generators_are_no_arrays_of_the_model(mlc, tmp_path):
    write(tmp_path / "n.pt", {"model": state(), "numpy": np.random.get_state()})
    assert "not counted" not in mlc.ok("load", "n.pt").stdout


def rows(mlc, *args):
    return {row["name"]: row["shape"] for row in mlc.ok("load", *args, "--json").json["tensors"]}


def test_rows_of_a_number_and_its_text_had_one_name(mlc, tmp_path):
    write(tmp_path / "a.pt", {0: torch.ones(3), "0": torch.ones(2), "w": torch.ones(4), 1: torch.ones(1)})
    assert rows(mlc, "a.pt") == {"0": [2], "w": [4], "[0]": [3], "1": [1]}  # the key of load_state_dict stays as it is
    shown = mlc.ok("load", "a.pt").stdout
    assert [line.split()[0] for line in shown.splitlines()[-4:]] == ["0", "w", "[0]", "1"]
    (tmp_path / "m.json").write_text(mlc.ok("load", "a.pt", "--json").stdout)
    mlc.ok("load", "a.pt", "--expect", "m.json")
    assert set(rows(mlc, "a.pt", "--include", "0")) == {"0", "[0]"}


def test_rows_of_a_whole_file_named_the_number_as_its_text(mlc, tmp_path):
    w = torch.ones(1)
    write(tmp_path / "a.pt", {"model": {"w": w}, "opt": {"state": {0: w, "0": w, 1: w, None: [w], "None": (w,)}, "2": {2: w}}})
    names = ["model.w", "opt.state.[0]", 'opt.state.["0"]', "opt.state.1", "opt.state.[None].0", 'opt.state.["None"].0', "opt.2.2"]
    answer = mlc.ok("load", "a.pt", "--json").json
    assert [row["name"] for row in answer["tensors"]] == names
    assert answer["shared"] == [names]
    for name in names[1:3]:
        assert mlc.ok("load", "a.pt", "--key", name, "--json").json["totals"]["tensors"] == 1
    assert list(rows(mlc, "a.pt", "--key", "opt.state.[None]")) == ["0"]
    write(tmp_path / "b.pt", ALIKE)
    assert list(rows(mlc, "b.pt")) == ["[0].w", "[0].b", '["0"].w']


def linear(prefix=""):
    return {f"{prefix}weight": torch.ones(2, 2), f"{prefix}bias": torch.ones(2)}


def versioned(values):
    out = collections.OrderedDict(values)
    out._metadata = collections.OrderedDict({"": {"version": 1}})
    return out


LOOSE = {
    "loss and step": {"model": {"module.w": torch.ones(2)}, "loss": torch.tensor(0.1), "step": torch.tensor(5)},
    "mean and std": {"model": {"module.w": torch.ones(2)}, "mean": torch.ones(1, 3, 1, 1), "std": torch.ones(3)},
    "a generator": {"state_dict": {"module.w": torch.ones(2)}, "x": torch.get_rng_state()},
    "no dots": {"model": {"w": torch.ones(2)}, "loss": torch.ones(1), "step": torch.ones(1)},
}


@pytest.mark.parametrize("name", LOOSE)
def test_loose_tensors_made_a_training_file_ambiguous(mlc, tmp_path, name):
    write(tmp_path / "a.pt", LOOSE[name])
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert list(safetensors.torch.load_file(tmp_path / "a.safetensors")) == ["w" if name == "no dots" else "module.w"]
    if name == "no dots":
        return
    mlc.ok("strip-module-prefix", "a.pt", "-o", "b.pt")
    loose = [key for key in LOOSE[name] if torch.is_tensor(LOOSE[name][key])]
    assert all(key in torch.load(tmp_path / "b.pt") for key in loose)


@pytest.mark.parametrize("values", [
    {**linear(), "cfg": {"a": torch.ones(1)}}, {**linear(), "model": {"w": torch.ones(1)}}, {**linear(), "net": linear("fc.")},
    {"embed": torch.ones(3, 3), "scale": torch.ones(3), "encoder": {"w": torch.ones(1)}},
    {"embed": torch.ones(3, 3), "scale": torch.ones(3), "encoder": linear("0.")},
    {**linear("fc."), "model": {"module.w": torch.ones(1)}},
    {"xyz": torch.ones(9, 3), "opacity": torch.ones(9, 1), "deform_net": linear("0.")},
    {"mu": torch.ones(8), "sigma": torch.ones(8), "model": {"mu": torch.ones(8), "sigma": torch.ones(8)}},
    {"words": torch.ones(9, 3), "network_stats": {"obs.mean": torch.ones(4)}},
    {"logits": torch.ones(5), "temp": torch.ones(1), "model_config": {"a.mean": torch.ones(3)}},
    versioned({"logits": torch.ones(5), "model": {"x.y": torch.ones(2)}})])
def test_a_root_that_may_be_the_state_dict_stays_one(mlc, tmp_path, values):
    write(tmp_path / "a.pt", values)
    paths = [one["path"] for one in mlc.ok("load", "a.pt", "--json").json["state_dicts"]]
    assert "" in paths
