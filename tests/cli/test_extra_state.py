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
