"""export-onnx of TorchScript: what traces and scripts have that programs of torch.export have in another form."""

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn

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


# --- packed sequences


class Packed(nn.Module):
    def __init__(self, total=False, begun=0, **options):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.total, self.begun = nn.LSTM(4, 5, batch_first=True, **options), total, begun

    def forward(self, x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        if self.begun > 0:
            first = x[:, 0, 0].view(1, -1, 1).expand(4, -1, 5)
            steps, (h, c) = self.layer(packed, (first[:, :, :self.begun].tanh(), first))
        else:
            steps, (h, c) = self.layer(packed)
        if self.total:
            y, counts = rnn.pad_packed_sequence(steps, batch_first=True, total_length=x.size(1))
        else:
            y, counts = rnn.pad_packed_sequence(steps, batch_first=True)
        return y, counts, h, c


PACKED = {
    "plain": {},
    "total": {"total": True},
    "deep": {"num_layers": 2, "bidirectional": True},
    "projected": {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    "begun": {"num_layers": 2, "bidirectional": True, "begun": 5},
    "projected and begun": {"num_layers": 2, "bidirectional": True, "proj_size": 3, "begun": 3},
}
LENGTHS = [torch.tensor(one) for one in ([6, 2, 4], [1, 3, 3], [5, 5, 5])]


@pytest.mark.parametrize("name", sorted(PACKED))
@pytest.mark.parametrize("kind", ["script", "trace"])
def test_a_length_that_hangs_on_values_was_refused(mlc, tmp_path, name, kind):
    # pad_packed_sequence() gives its length as total_length, where a constant was wanted.
    model = Packed(**PACKED[name]).eval()
    x = torch.randn(3, 6, 4)
    made = torch.jit.script(model) if kind == "script" else torch.jit.trace(model, (x, LENGTHS[0]), check_trace=False)
    made.save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=3,t=6,4]", "lengths:i64[b=3]=1..6"]), timeout=180)
    check(tmp_path / "m.onnx", model, *[(x, one) for one in LENGTHS], (torch.randn(2, 9, 4), torch.tensor([3, 8])))


# --- parts


class Parts(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


PARTS = {
    "sections": lambda x: torch.tensor_split(x, 3, 1),
    "indices": lambda x: torch.tensor_split(x, (2, 4, 3), 1),
    "from the end": lambda x: torch.tensor_split(x, (2, -2), 1),
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_parts_of_a_size_that_varies_had_unknown_sizes(mlc, tmp_path, name):
    model = Parts(PARTS[name])
    torch.jit.trace(model, torch.randn(4, 6)).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=4,m=6]"]))
    check(tmp_path / "m.onnx", model, *[(torch.randn(2, size),) for size in (1, 3, 4, 5, 7, 8, 12)])


# --- diagonals


@pytest.mark.parametrize("wrap", [False, True])
def test_diagonals_could_not_be_filled(mlc, tmp_path, wrap):
    model = Parts(lambda x: x.clone().fill_diagonal_(0.5, wrap=wrap))
    torch.jit.trace(model, torch.randn(4, 3)).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=4,m=3]"]))
    check(tmp_path / "m.onnx", model, *[(torch.randn(*sizes),) for sizes in ((1, 1), (2, 7), (9, 3), (8, 3), (5, 1))])
