"""What mlc says where a TorchScript file takes what --input cannot say, raises, or names devices."""

from typing import Tuple  # TorchScript of older Pythons knows no tuple[...]

import pytest
import torch
from torch import nn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class TakesTuple(nn.Module):
    def forward(self, t: Tuple[torch.Tensor, int]):
        return t[0] * t[1]


class TakesDevice(nn.Module):
    def forward(self, x, d: torch.device):
        return x.to(d)


class Raises(nn.Module):
    def forward(self, x):
        if x.size(0) > 2:
            raise ValueError("too big")
        return x


class Gradient(nn.Module):
    def forward(self, x):
        return x.grad


class ToCuda(nn.Module):
    def forward(self, x):
        return x.cuda()


def saved(folder, module):
    torch.jit.script(module.eval()).save(folder / "m.pt")


@pytest.mark.parametrize(("module", "named"), [(TakesTuple(), "a Tuple[Tensor, int], which t is"), (TakesDevice(), "a Device, which d is")])
def test_inputs_that_cannot_be_given_were_hinted_at(mlc, tmp_path, module, named):
    """The hint was --input 't:f32[batch=1,3,224,224]', which was refused then."""
    saved(tmp_path, module)
    result = mlc("run", "m.pt")
    assert result.rc == 2 and "no --input can be " + named in result.stderr
    assert "224" not in result.stderr


def test_what_a_model_raises_is_told_as_its_own(mlc, tmp_path):
    saved(tmp_path, Raises())
    result = mlc("run", "m.pt", "--input", "x:f32[3]")
    assert result.rc == 2 and "the model itself raises: too big" in result.stderr


def test_gradient_that_is_none_is_no_output(mlc, tmp_path):
    """It said "tensor does not have a device"."""
    saved(tmp_path, Gradient())
    answer = mlc.ok("run", "m.pt", "--input", "x:f32[3]", "--json").json
    assert [one["name"] for one in answer["outputs"]] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_in_the_code_has_a_way_out(mlc, tmp_path):
    saved(tmp_path, ToCuda())
    result = mlc("run", "m.pt", "--input", "x:f32[3]")
    assert result.rc == 4 and "the model creates tensors on cuda" in result.stderr and "save the model on the device" in result.stderr
