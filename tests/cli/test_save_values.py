"""mlc save: which values that are no tensors --weights-only and --safe leave."""

import argparse
import collections

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
    assert "dropped from the state_dict, being no tensors: e, n, l, optimizer and my_extra_state\n" in result.stderr
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    assert_same(tensors, dict(found))
    assert list(found) == ["a", 0, "fc._extra_state", "_extra_state"] and found._metadata == values._metadata
    report = mlc.ok("save", "a.pt", "--weights-only", "-o", "c.pt", "--json").json
    valid(report, "save")
    assert report["dropped"] == ["e", "n", "l", "optimizer", "my_extra_state"]
    mlc.ok("save", "a.pt", "--weights-only", "-o", "c.safetensors")
    assert list(safetensors.torch.load_file(tmp_path / "c.safetensors")) == ["a"]
