"""export-onnx of TorchScript: what traces and scripts have that programs of torch.export have in another form."""

import pytest
import torch
from torch import nn

from test_export_onnx import given, run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


def outputs(value):
    return [value] if isinstance(value, torch.Tensor) else [one for part in value for one in outputs(part)]


def check(path, model, *sets):
    for args in sets:
        with torch.no_grad():
            want = outputs(model(*args))
        for got, one in zip(run(path, *args), want, strict=True):
            assert got.shape == one.shape and torch.allclose(torch.tensor(got), one, atol=1e-5), args


# --- bags


class Bags(nn.Module):
    """The last offset is where the last bag ends, so that there may be no bag at all."""

    def __init__(self, mode, drops=1):
        super().__init__()
        torch.manual_seed(0)
        self.bags, self.drops = nn.EmbeddingBag(10, 4, mode=mode), drops

    def forward(self, ids, offsets):
        return self.bags(ids, offsets[:-self.drops])


IDS = torch.tensor([1, 4, 9, 2, 2, 0, 7])


@pytest.mark.parametrize("mode", ["max", "sum", "mean"])
def test_bags_of_a_size_that_leaves_none_crashed(mlc, tmp_path, mode):
    # LibTorch dies of the largest of no bag, and mlc chose m=1 itself; ONNX had no answer to the others.
    model = Bags(mode)
    torch.jit.trace(model, (IDS, torch.tensor([0, 2, 2, 7]))).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4]=0"]))
    assert "m has to be at least 2" in result.stderr and "m=1" not in result.stdout
    check(tmp_path / "m.onnx", model, (IDS, torch.tensor([0, 3, 3, 5, 7])), (IDS, torch.tensor([0, 7])))


def test_a_trial_run_without_bags_crashed(mlc, tmp_path):
    model = Bags("max", 2)
    torch.jit.trace(model, (IDS, torch.tensor([0, 2, 2, 7]))).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4..9]=0"]))
    assert result.rc == 0, result.stderr
    check(tmp_path / "m.onnx", model, (IDS, torch.tensor([0, 3, 3, 5, 7])), (IDS, torch.tensor([0, 7, 7])))
    result = mlc("export-onnx", "m.pt", "-o", "n.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4]=0"]))
    assert result.rc in (0, 2), result.stderr
