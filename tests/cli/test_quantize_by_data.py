"""`mlc quantize --rounding gptq`: codes chosen by what the weights are multiplied with, judged on inputs that were not seen."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import quantized_weights as quantized

pytestmark = pytest.mark.usefixtures("engine")

ARCHITECTURE = """
mlc: architecture/1
inputs: ["image:f32[batch=1..64,4,8,8]"]
modules:
  conv: {type: Conv2d, in_channels: 4, out_channels: 32, kernel_size: 3, padding: 1}
  wide: {type: Conv1d, in_channels: 32, out_channels: 48, kernel_size: 3, padding: 1, bias: false}
  grouped: {type: Conv1d, in_channels: 48, out_channels: 48, kernel_size: 3, padding: 1, groups: 4}
  up: {type: Linear, in_features: 48, out_features: 96}
  head: {type: Linear, in_features: 96, out_features: 40, bias: false}
forward: |
  def forward(self, image: Tensor) -> Tensor:
      x = F.relu(self.conv(image)).flatten(2)
      x = self.grouped(F.relu(self.wide(x)))
      return self.head(F.gelu(self.up(x.mean(-1))))
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 32, 3, padding=1)
        self.wide = nn.Conv1d(32, 48, 3, padding=1, bias=False)
        self.grouped = nn.Conv1d(48, 48, 3, padding=1, groups=4)
        self.up = nn.Linear(48, 96)
        self.head = nn.Linear(96, 40, bias=False)

    def forward(self, image):
        x = F.relu(self.conv(image)).flatten(2)
        x = self.grouped(F.relu(self.wide(x)))
        return self.head(F.gelu(self.up(x.mean(-1))))


def images(count, seed):
    """Smooth, and one channel much larger than the others, as real inputs are."""
    generator = torch.Generator().manual_seed(seed)
    small = F.interpolate(torch.randn(count, 4, 3, 3, generator=generator), (8, 8), mode="bilinear")
    return (small + 0.1 * torch.randn(small.shape, generator=generator)) * torch.tensor([1.0, 10, 1, 0.3])[:, None, None]


@pytest.fixture
def net(tmp_path):
    torch.manual_seed(0)
    module = Net().eval()
    torch.save(module.state_dict(), tmp_path / "w.pt")
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)
    np.save(tmp_path / "x.npy", images(48, 1).numpy())
    return module


GPTQ = ("--scheme", "int4", "--min-elements", "500", "--rounding", "gptq", "--arch", "arch.yaml", "--calib", "x.npy")


def layer_db(module, state, name, inputs):
    """Of what layer NAME gives with the weights in STATE on its own INPUTS."""
    layer = module.get_submodule(name)
    with torch.no_grad():
        want = layer(inputs)
        kept = layer.weight.data
        layer.weight.data = state[f"{name}.weight"]
        got = layer(inputs)
        layer.weight.data = kept
    return 10 * torch.log10(want.square().sum() / (want - got).square().sum()).item()


def test_outputs_are_nearer_than_with_the_nearest_codes(mlc, tmp_path, net):
    answer = mlc.ok("quantize", "w.pt", "-o", "g.pt", *GPTQ, "--json").json
    mlc.ok("quantize", "w.pt", "-o", "n.pt", *GPTQ[:4])
    states = {}
    for name in "gn":
        mlc.ok("dequantize", f"{name}.pt", "-o", f"{name}.f.pt")
        states[name] = torch.load(tmp_path / f"{name}.f.pt", weights_only=True)
    inputs = {}
    for name in ("conv", "wide", "grouped", "up", "head"):
        net.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: inputs.__setitem__(name, args[0]))
    net(images(64, 2))
    gains = {name: layer_db(net, states["g"], name, x) - layer_db(net, states["n"], name, x) for name, x in dict(inputs).items()}
    assert min(gains[name] for name in ("conv", "wide", "up", "head")) > 1, gains
    assert gains["grouped"] == 0, "layers with groups keep the nearest codes"
    by_data = answer["by_data"]
    assert by_data["weights"] == 4 and by_data["samples"] == 48
    assert by_data["output_sqnr_db"] > by_data["output_sqnr_db_nearest"] + 2
    assert answer["rounding"] == "gptq"


@pytest.mark.parametrize("scheme, least", [("int8", 40), ("int4", 20), ("int8:g64", 40)])
def test_weights_became_zero_whose_inputs_the_samples_never_show(mlc, tmp_path, net, scheme, least):
    data = images(48, 1).numpy()
    data[:, 2:] = 0
    np.save(tmp_path / "x.npy", data)
    done = mlc.ok("quantize", "w.pt", "-o", "g.pt", "--scheme", scheme, *GPTQ[2:])
    assert "18 inputs of 1 layer never vary, they are 0 in all samples (conv.weight); their weights get the nearest codes" in done.stderr
    mlc.ok("dequantize", "g.pt", "-o", "f.pt")
    state = torch.load(tmp_path / "f.pt", weights_only=True)
    want, got = net.conv.weight.detach()[:, 2:], state["conv.weight"][:, 2:]
    assert 10 * torch.log10(want.square().sum() / (want - got).square().sum()) > least


def test_codes_are_read_by_anything_that_reads_those_of_rtn(mlc, tmp_path, net):
    for scheme in ("int8", "int4", "int4:sym", "int8:g64"):
        mlc.ok("quantize", "w.pt", "-o", "g.pt", "--scheme", scheme, *GPTQ[2:], "-f")
        state, tensors, layout = quantized.load(tmp_path / "g.pt")
        mlc.ok("dequantize", "g.pt", "-o", "f.pt", "-f")
        back = torch.load(tmp_path / "f.pt", weights_only=True)
        assert layout == "plain" and len(tensors) == 5
        for name in tensors:
            assert torch.equal(quantized.dequantize(state, name, tensors[name], layout), back[name]), name


def test_same_samples_same_bytes(mlc, tmp_path, net):
    """Sums over inputs are LibTorch's, on one thread; what follows is mlc's."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        mlc.ok("quantize", "w.pt", "-o", f"{folder}/g.pt", *GPTQ, "--threads", "1")
    assert (tmp_path / "a/g.pt").read_bytes() == (tmp_path / "b/g.pt").read_bytes()


def test_a_dry_run_tells_what_the_file_will_lose(mlc, tmp_path, net):
    dry = mlc.ok("quantize", "w.pt", "-n", *GPTQ, "--threads", "1", "--json").json
    wet = mlc.ok("quantize", "w.pt", "-o", "g.pt", *GPTQ, "--threads", "1", "--json").json
    assert dry["quantized"] == wet["quantized"] and dry["by_data"] == wet["by_data"]


@pytest.mark.parametrize("args, rc, said", [
    (GPTQ[:-2], 2, "--calib FILE is missing"),
    ((*GPTQ[:6], "--calib", "x.npy"), 4, "--arch"),
    ((*GPTQ, "--min-sqnr", "20"), 2, "which --rounding gptq moves away"),
    ((*GPTQ, "--calib-method", "mse"), 2, "it is no ONNX model"),
    ((*GPTQ[:-1], "bad.npy"), 2, "the input 8"),
    ((*GPTQ[:-1], "nix.npy"), 3, "nix.npy"),
    ((*GPTQ, "--exclude", "[cwuh]*"), 1, "no linear layer or convolution"),
])
def test_bad_input(mlc, tmp_path, net, args, rc, said):
    np.save(tmp_path / "bad.npy", np.zeros((9, 4, 8, 7), np.float32))
    result = mlc("quantize", "w.pt", "-o", "g.pt", *args)
    assert (result.rc, said in result.stderr) == (rc, True), (result.rc, result.stderr)
    assert not (tmp_path / "g.pt").exists()


def test_json_fits_its_schema_and_recipes_know_it(mlc, tmp_path, net, valid):
    valid(mlc.ok("quantize", "w.pt", "-o", "g.pt", *GPTQ, "--write-recipe", "r.yaml", "--json").json, "quantize")
    assert "rounding: gptq" in (tmp_path / "r.yaml").read_text()
    mlc.ok("quantize", "w.pt", "-o", "h.pt", "--recipe", "r.yaml", "--arch", "arch.yaml", "--calib", "x.npy", "--threads", "1")
    assert json.loads(mlc.ok("load", "h.pt", "--json").stdout)["state_dicts"]
