"""mlc trace and verify: outputs of other names and types are other outputs, whatever their values are."""

import pytest
import torch
from torch import nn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class KeyBySize(nn.Module):
    def forward(self, x):
        if x.size(0) > 2:
            return {"a": x}
        return {"b": x}


class TypeBySize(nn.Module):
    def forward(self, x):
        return x.double() if x.size(0) > 2 else x


class Keys(nn.Module):
    def __init__(self, first: str, second: str):
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x):
        return (x, {self.first: x, self.second: x * 1})


@pytest.mark.parametrize(("module", "said"), [(KeyBySize(), "a (seed 0, n=3): only A gives it"),
                                              (TypeBySize(), "output (seed 0, n=3): f64 against f32")])
def test_trace_with_other_outputs_was_written(mlc, tmp_path, module, said):
    """The keys of a dictionary were paired in order, and f64 was close to f32."""
    torch.jit.script(module).save(tmp_path / "m.pt")
    result = mlc("trace", "m.pt", "--method", "trace", "--input", "x:f32[n=2]", "-o", "t.pt")
    assert result.rc == 1 and said in result.stderr
    assert not (tmp_path / "t.pt").exists()
    mlc.ok("trace", "m.pt", "--input", "x:f32[n=2]", "-o", "t.pt")


def test_dictionaries_with_other_keys_were_the_same(mlc, valid, tmp_path):
    for name, keys in (("ab", "ab"), ("ba", "ba"), ("bc", "bc")):
        torch.jit.script(Keys(*keys)).save(tmp_path / f"{name}.pt")
    mlc.ok("verify", "ab.pt", "ba.pt", "--input", "x:f32[3]")
    result = mlc("verify", "ab.pt", "bc.pt", "--input", "x:f32[3]", "--json")
    assert result.rc == 1
    valid(result.json, "verify")
    outputs = result.json["cases"][0]["outputs"]
    assert {one["name"]: one.get("problem") for one in outputs} == {
        "output.0": None, "output.1.a": "only A gives it", "output.1.b": None, "output.1.c": "only B gives it"}
