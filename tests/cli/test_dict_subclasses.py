"""Subclasses of dict as people save them: attributes, arguments, factories; each test named after the failure."""

import collections
import json

import pytest
import torch
from torch import nn

from checkpoints import write


class Attributed(dict):
    pass


class Called(dict):
    def __reduce__(self):
        return (Called, (dict(self),))


class Ordered(collections.OrderedDict):
    pass


def attributed(cls=Attributed):
    out = cls(weight=torch.ones(3, 2), bias=torch.ones(3))
    out.meta = {"w": torch.ones(5)}
    out.note = "x"
    return out


@pytest.mark.parametrize("cls", [Attributed, Ordered, collections.OrderedDict])
def test_attributes_of_a_dict_subclass_were_invisible(mlc, tmp_path, cls):
    value = attributed(Attributed) if cls is Attributed else cls(weight=torch.ones(3, 2), bias=torch.ones(3))
    value.meta, value.note = {"w": torch.ones(5)}, "x"
    write(tmp_path / "a.pt", {"model": value})
    shown = mlc.ok("load", "a.pt", "--tree").stdout
    assert "also here    1 tensor in model.meta and model.note" in shown
    assert "    .meta: dict of 1\n      'w': f32[5]\n    .note: 'x'\n" in shown
    assert json.loads(mlc.ok("load", "a.pt", "--json").stdout)["also_here"] == ["model.meta", "model.note"]
    assert "w     f32    [5]" in mlc.ok("load", "a.pt", "--key", "model.meta").stdout
    done = mlc.ok("save", "a.pt", "-o", "a.safetensors")
    assert "left out: 1 tensor in model.meta and model.note\n" in done.stderr


def test_attributes_were_dropped_without_a_word(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": attributed()})
    for option in ("--safe", "--weights-only"):
        done = mlc.ok("save", "a.pt", option, "-o", "out.pt", "-f")
        assert "nor what stood beside its keys: 1 tensor in meta and note\n" in done.stderr
        torch.load(tmp_path / "out.pt", weights_only=True)


def test_versions_of_modules_are_no_attribute(mlc, tmp_path):
    write(tmp_path / "a.pt", nn.Linear(2, 2).state_dict())
    shown = mlc.ok("load", "a.pt", "--tree").stdout
    assert "also here" not in shown and "_metadata" not in shown


def test_tensors_in_the_arguments_of_a_dict_subclass_were_not_found(mlc, tmp_path):
    write(tmp_path / "a.pt", Called(weight=torch.ones(3, 2), bias=torch.ones(3)))
    shown = mlc.ok("load", "a.pt", "--tree").stdout
    assert "state_dict   (0)\n" in shown and "tensors      2 tensors, 9 parameters" in shown
    assert "Called object\n  (0): dict of 2\n    'weight': f32[3, 2]\n" in shown
    mlc.ok("save", "a.pt", "--weights-only", "-o", "out.pt")
    assert list(torch.load(tmp_path / "out.pt", weights_only=True)) == ["weight", "bias"]
    refused = mlc("save", "a.pt", "--safe", "-o", "out.pt", "-f")
    assert refused.rc != 0 and "--key '(0)' --weights-only writes the tensors there" in refused.stderr
    write(tmp_path / "b.pt", {"model": Called(weight=torch.ones(3)), "epoch": 1, "ema": Called(weight=torch.ones(2))})
    assert "model.(0) (1 tensor) and ema.(0) (1 tensor)" in mlc.ok("load", "b.pt").stdout


def test_defaultdict_with_a_factory_was_no_mapping_for_safe(mlc, tmp_path):
    write(tmp_path / "a.pt", collections.defaultdict(list, weight=torch.ones(3)))
    mlc.ok("save", "a.pt", "--safe", "-o", "out.pt")
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True)["weight"], torch.ones(3))


def test_keys_that_print_alike_were_listed_twice(mlc, tmp_path):
    write(tmp_path / "a.pt", {"m": {"w": torch.ones(2)}, 1: Attributed(), "1": Attributed(), None: 3, "None": 4})
    assert "also here    1 (2 keys) and None (2 keys)\n" in mlc.ok("load", "a.pt").stdout
    assert "refuses: 1 (2 keys)\n" in mlc.ok("save", "a.pt", "--safe", "-o", "b.pt").stderr
    assert "left out: 1 (2 keys) and None (2 keys)\n" in mlc.ok("save", "a.pt", "-o", "b.safetensors").stderr


class OwnDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


class StateOfItems(dict):
    def __reduce__(self):
        return (StateOfItems, (), (torch.ones(4), 3), None, iter(self.items()))


def test_mappings_that_are_their_own_attributes_have_none(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": OwnDict(w=torch.ones(2)), "count": collections.Counter(a=2)})
    shown = mlc.ok("load", "a.pt", "--tree").stdout
    assert "also here    count\n" in shown and ".w" not in shown and "'count': Counter({'a': 2})\n" in shown
    assert "nor what" not in mlc.ok("save", "a.pt", "--safe", "-o", "b.pt").stderr


def test_tensors_in_a_state_of_its_own_form_were_invisible(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": StateOfItems(w=torch.ones(2))})
    assert "also here    model.0 (1 tensor) and model.1\n" in mlc.ok("load", "a.pt").stdout
    assert "1 tensor in 0 and 1\n" in mlc.ok("save", "a.pt", "--safe", "-o", "b.pt").stderr
