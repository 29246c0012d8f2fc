"""Checkpoints whose integer buffers are floating: load_state_dict() copies them, and so does mlc."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

ARCHITECTURE = yaml.safe_dump({
    "mlc": "architecture/1",
    "modules": {"norm": {"type": "BatchNorm1d", "num_features": 2}},
    "buffers": {"cnt": {"shape": [3], "dtype": "int64"}, "few": {"shape": [2], "dtype": "int8"}},
    "forward": "def forward(self, x: Tensor):\n  return self.norm(x), self.cnt * 2, self.few\n"})


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("cnt", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("few", torch.zeros(2, dtype=torch.int8))

    def forward(self, x):
        return self.norm(x), self.cnt * 2, self.few


@pytest.fixture
def given(tmp_path):
    (tmp_path / "a.yaml").write_text(ARCHITECTURE)
    state = {key: value.half() for key, value in Model().state_dict().items()}
    state["cnt"] = torch.tensor([1.0, -2.75, 3.0])
    state["few"] = torch.tensor([127.0, -5.0], dtype=torch.float64)
    return state


def test_floating_counters_were_refused(mlc, tmp_path, given):
    """A state_dict as {key: value.half()} fitted, and did not run."""
    torch.save(given, tmp_path / "m.pt")
    model = Model().eval()
    model.load_state_dict(given)
    x = torch.randn(3, 2)
    np.save(tmp_path / "x.npy", x.numpy())
    done = mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.npz")
    assert "'cnt' is int64 and loses what 1 value of the checkpoint's float32 has behind the point" in done.stderr.replace('"', "'")
    assert "few" not in done.stderr and "num_batches_tracked" not in done.stderr
    traced = mlc.ok("trace", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.pt")
    assert "loses" in traced.stderr
    found = np.load(tmp_path / "out.npz")
    for i, (wanted, made) in enumerate(zip(model(x), torch.jit.load(tmp_path / "out.pt")(x))):
        for ours in (torch.as_tensor(found[f"output.{i}"]), made):
            assert ours.dtype == wanted.dtype
            torch.testing.assert_close(ours, wanted)
    assert torch.equal(torch.jit.load(tmp_path / "out.pt").state_dict()["norm.num_batches_tracked"], torch.tensor(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 128.0, 1e300])
def test_values_that_no_integer_holds_are_refused(mlc, tmp_path, given, value):
    given["few"][0] = value
    torch.save(given, tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[3,2]")
    assert result.rc == 4
    assert "buffer few: the checkpoint has float64 with values that no int8 of the architecture can be" in result.stderr
