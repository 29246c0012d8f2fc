"""The versions of modules in _metadata, where keys move, split and join."""

import collections

import pytest
import torch

from checkpoints import assert_same, write

VERSIONS = {"": 1, "blk": 7, "blk.bn": 2}


def state_of(keys, versions):
    state = collections.OrderedDict((key, torch.arange(12.0).reshape(6, 2)) for key in keys)
    state._metadata = collections.OrderedDict((name, {"version": one}) for name, one in versions.items())  # pylint: disable=protected-access
    return state


def versions_in(path):
    return {name: one["version"] for name, one in torch.load(path)._metadata.items()}  # pylint: disable=protected-access


def run(mlc, tmp_path, keys, versions, *rules):
    write(tmp_path / "in.pt", state_of(keys, versions))
    mlc.ok("remap-keys", "in.pt", *rules, "-o", "out.pt", "-f")
    return versions_in(tmp_path / "out.pt")


BLK = ["blk.scale", "blk.bn.weight", "blk.bn.running_mean"]


@pytest.mark.parametrize("move, wanted", [
    ("blk.scale=scale", VERSIONS),
    ("blk.scale=top.scale", {**VERSIONS, "top": 7}),
    ("blk.scale=blk.scale2", VERSIONS),
    ("blk.bn.weight=blk.norm.weight", {**VERSIONS, "blk.norm": 2}),
    ("blk.bn.weight=blk.weight", VERSIONS),
    ("blk.bn=blk.norm", {"": 1, "blk": 7, "blk.norm": 2}),
    ("blk=top", {"": 1, "top": 7, "top.bn": 2}),
])
def test_a_move_of_some_tensors_cost_modules_their_versions(mlc, tmp_path, move, wanted):
    assert run(mlc, tmp_path, BLK, VERSIONS, "--map", move) == wanted


def test_a_module_that_was_emptied_into_another_took_its_version(mlc, tmp_path):
    keys = ["a.w", "b.w", "c.w"]
    versions = {"": 1, "a": 3, "b": 4, "c": 5}
    assert run(mlc, tmp_path, keys, versions, "--map", "c.w=b.w2") == {"": 1, "a": 3, "b": 4}
    assert run(mlc, tmp_path, ["w", *keys], versions, "--map", "c.w=w2") == {"": 1, "a": 3, "b": 4}


def test_modules_that_changed_places_kept_neither_version(mlc, tmp_path):
    swap = ["--map", "a.=x.", "--map", "b.=a.", "--map", "x.=b."]
    assert run(mlc, tmp_path, ["a.w", "b.w"], {"": 1, "a": 3, "b": 4}, *swap) == {"": 1, "b": 3, "a": 4}


SPLIT = r"""
version: 1
rules:
  - regex: '^(.*)qkv\.(weight|bias)$'
    split: {dim: 0, parts: 3, to: ['$1q.$2', '$1k.$2', '$1v.$2']}
"""


def test_the_version_of_a_split_module_vanished(mlc, tmp_path):
    (tmp_path / "rules.yaml").write_text(SPLIT)
    keys = ["blk.qkv.weight", "blk.qkv.bias", "blk.bn.weight"]
    found = run(mlc, tmp_path, keys, {**VERSIONS, "blk.qkv": 3}, "--rules", "rules.yaml", "--emit-inverse", "back.yaml")
    assert found == {**VERSIONS, "blk.q": 3, "blk.k": 3, "blk.v": 3}
    loaded = torch.load(tmp_path / "out.pt")._metadata  # pylint: disable=protected-access
    assert loaded["blk.q"] is not loaded["blk.k"]
    mlc.ok("remap-keys", "out.pt", "--rules", "back.yaml", "-o", "back.pt")
    assert_same(torch.load(tmp_path / "in.pt"), torch.load(tmp_path / "back.pt"))


def test_the_inverse_of_a_join_lost_versions(mlc, tmp_path):
    (tmp_path / "rules.yaml").write_text(r"""
version: 1
rules:
  - match: ['^blk\.q\.weight$', '^blk\.k\.weight$']
    concat: {dim: 0, to: 'blk.qk.weight'}
""")
    versions = {**VERSIONS, "blk.q": 3, "blk.k": 3}
    found = run(mlc, tmp_path, ["blk.q.weight", "blk.k.weight", "blk.bn.w"], versions, "--rules", "rules.yaml",
                "--emit-inverse", "back.yaml")
    assert found == {**VERSIONS, "blk.qk": 3}
    mlc.ok("remap-keys", "out.pt", "--rules", "back.yaml", "-o", "back.pt")
    assert versions_in(tmp_path / "back.pt") == versions


def test_a_root_that_became_a_child_left_it_no_version(mlc, tmp_path):
    """The root stays one, whatever its tensors are called."""
    found = run(mlc, tmp_path, ["weight", "running_mean"], {"": 2}, "--add-prefix", "bn.")
    assert found == {"": 2, "bn": 2}
