"""`mlc quantize --rounding awq` of checkpoints: scales of inputs, chosen and carried out again in numpy, and what reads them."""

import math
import struct

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import quantized_weights as quantized
from test_quantize_by_data import layer_db

pytestmark = pytest.mark.usefixtures("engine")

ARCHITECTURE = """
mlc: architecture/1
inputs: ["image:f32[batch=1..256,4,8,8]"]
modules:
  conv: {type: Conv2d, in_channels: 4, out_channels: 32, kernel_size: 3, padding: 1}
  same: {type: Linear, in_features: 64, out_features: 64}
  up: {type: Linear, in_features: 64, out_features: 192}
  head: {type: Linear, in_features: 192, out_features: 48, bias: false}
forward: |
  def forward(self, image: Tensor) -> Tensor:
      x = F.relu(self.conv(image)).flatten(2).mean(1)
      x = self.same(x)
      x = self.same(torch.tanh(x))
      return self.head(F.gelu(self.up(x)))
"""


class Net(nn.Module):
    """A convolution, a layer that two places read, and two that one does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 32, 3, padding=1)
        self.same = nn.Linear(64, 64)
        self.up = nn.Linear(64, 192)
        self.head = nn.Linear(192, 48, bias=False)

    def forward(self, image):
        x = F.relu(self.conv(image)).flatten(2).mean(1)
        x = self.same(x)
        x = self.same(torch.tanh(x))
        return self.head(F.gelu(self.up(x)))


LAYERS = ("conv", "same", "up", "head")


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, 8, 8, generator=generator) * torch.tensor([1.0, 20, 1, 0.2])[:, None, None]


@pytest.fixture
def net(tmp_path):
    torch.manual_seed(0)
    module = Net().eval()
    with torch.no_grad():  # outputs that the next layer gets as large inputs
        for row in (3, 17, 40):
            module.same.weight[row] *= 30
            module.up.weight[row] *= 20
    torch.save(module.state_dict(), tmp_path / "w.pt")
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)
    np.save(tmp_path / "x.npy", images(96, 1).numpy())
    return module


AWQ = ("--scheme", "int4", "--min-elements", "500", "--rounding", "awq", "--arch", "arch.yaml", "--calib", "x.npy")


def rows_of(module, data):
    """What each weight, as [rows, columns], is multiplied with: all calls of its layer together."""
    seen = {name: [] for name in LAYERS}
    hooks = [module.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: seen[name].append(args[0])) for name in LAYERS]
    with torch.no_grad():
        module(data)
    for hook in hooks:
        hook.remove()
    seen["conv"] = [F.unfold(x, 3, padding=1).transpose(1, 2) for x in seen["conv"]]
    return {name: torch.cat([x.reshape(-1, x.shape[-1]) for x in found]).numpy().astype(np.float64) for name, found in seen.items()}


def groups_of(weight):
    """Scales and zero points of int4 in groups of 32, as numbers for each column, in float32 as mlc computes."""
    rows, columns = weight.shape
    scale, zero = np.empty_like(weight), np.empty_like(weight)
    for begin in range(0, columns, 32):
        part = weight[:, begin:begin + 32]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        step = (high / np.float32(15) - low / np.float32(15)).astype(np.float16).astype(np.float32)
        step[step == 0] = 1
        scale[:, begin:begin + 32] = step[:, None]
        zero[:, begin:begin + 32] = np.clip(np.rint(-low / step), 0, 15)[:, None]
    return scale, zero


def codes_of(weight):
    scale, zero = groups_of(weight)
    return np.clip(np.rint(weight / scale + zero), 0, 15), scale, zero


def rounded(weight, factors):
    codes, scale, zero = codes_of(weight * factors)
    return (codes - zero) * scale / factors


def factors_of(means, power):
    means = np.maximum(means, 1e-4)
    return ((means / math.sqrt(means.min() * means.max())) ** power).astype(np.float32)


def choice(weight, x):
    """(power, noise with each of 21 powers) by the sum of squares of what outputs change by, of at most 64 rows of WEIGHT."""
    count = min(len(weight), 64)
    some = weight[[k * len(weight) // count for k in range(count)]]
    noise = []
    for step in range(21):
        change = rounded(some, factors_of(np.abs(x).mean(0), step / 20)) - some
        noise.append(np.square(x @ change.T.astype(np.float64)).sum())
    best = int(np.argmin(noise))
    return (best / 20 if noise[best] < 0.99 * noise[0] else 0), noise


def test_powers_and_codes_are_those_of_numpy(mlc, tmp_path, net, valid):
    answer = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, "--json").json
    valid(answer, "quantize")
    state, _, _ = quantized.load(tmp_path / "q.pt")
    inputs = rows_of(net, torch.from_numpy(np.load(tmp_path / "x.npy")))
    powers = {one["name"]: one.get("input_power", 0) for one in answer["quantized"]}
    before = after = signal = 0
    for name in LAYERS:
        weight = net.get_submodule(name).weight.detach().numpy()
        weight = weight.reshape(len(weight), -1)
        power, noise = choice(weight, inputs[name])
        assert powers[f"{name}.weight"] == pytest.approx(power), name
        stored = state.get(f"{name}.weight_input_scale")
        assert (stored is None) == (power == 0), name
        factors = np.ones(weight.shape[1], np.float32) if stored is None else stored.numpy()
        np.testing.assert_allclose(factors, factors_of(np.abs(inputs[name]).mean(0), power), rtol=1e-5)
        codes, scale, zero = codes_of(weight * factors)
        packed = state[f"{name}.weight_packed"]
        found = torch.stack([packed & 15, packed >> 4], -1).flatten(1)[:, :weight.shape[1]].numpy()
        assert np.array_equal(found, codes), name
        assert np.array_equal(state[f"{name}.weight_scale"].float().numpy(), scale[:, ::32])
        assert np.array_equal(state[f"{name}.weight_zero_point"].numpy(), zero[:, ::32])
        count = min(len(weight), 64)
        some = weight[[k * len(weight) // count for k in range(count)]]
        signal += np.square(inputs[name] @ some.T.astype(np.float64)).sum()
        before, after = before + noise[0], after + noise[round(power * 20)]
    by_data = answer["by_data"]
    assert by_data["weights"] == 4 and by_data["scaled"] == sum(power > 0 for power in powers.values()) >= 3
    assert by_data["output_sqnr_db_nearest"] == pytest.approx(10 * math.log10(signal / before), abs=0.01)
    assert by_data["output_sqnr_db"] == pytest.approx(10 * math.log10(signal / after), abs=0.01)


def test_outputs_of_layers_with_large_inputs_are_nearer_than_by_rtn(mlc, tmp_path, net):
    mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ)
    mlc.ok("quantize", "w.pt", "-o", "n.pt", *AWQ[:4])
    states = {}
    for name in "qn":
        mlc.ok("dequantize", f"{name}.pt", "-o", f"{name}.f.pt")
        states[name] = torch.load(tmp_path / f"{name}.f.pt", weights_only=True)
    unseen = {name: torch.from_numpy(rows).float() for name, rows in rows_of(net, images(64, 2)).items() if name != "conv"}
    gains = {name: layer_db(net, states["q"], name, x) - layer_db(net, states["n"], name, x) for name, x in unseen.items()}
    assert gains["up"] > 2 and gains["head"] > 2, gains


@pytest.mark.parametrize("scheme", ["int4", "int4:g64:sym", "int4:channel"])
@pytest.mark.parametrize("out", ["q.pt", "q.safetensors"])
def test_torch_reads_what_dequantize_gives(mlc, tmp_path, net, root, scheme, out):
    mlc.ok("quantize", "w.pt", "-o", out, "--scheme", scheme, *AWQ[2:])
    state, tensors, layout = quantized.load(tmp_path / out)
    mlc.ok("dequantize", out, "-o", "f.pt")
    back = torch.load(tmp_path / "f.pt", weights_only=True)
    assert sorted(back) == sorted(net.state_dict())
    assert "up.weight_input_scale" in state and len(tensors) == 4
    for name in tensors:
        assert torch.equal(quantized.dequantize(state, name, tensors[name], layout), back[name]), name
    if scheme != "int4" or out != "q.pt":
        return
    text = (root / "README.md").read_text()
    lines = text[text.index('state = torch.load("model.int8.pt"'):].split("```")[0].split("\n\n")
    code = lines[0].splitlines()[0] + "\n" + lines[1]
    names = {"torch": torch, "math": math}
    exec(code.replace("model.int8.pt", str(tmp_path / out)).replace("fc.", "up."), names)  # pylint: disable=exec-used
    assert torch.equal(names["w"], back["up.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_of_other_types_have_them_again(mlc, tmp_path, net, dtype):
    torch.save({key: value.to(dtype) for key, value in net.state_dict().items()}, tmp_path / "w.pt")
    answer = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, "--json").json
    state, tensors, layout = quantized.load(tmp_path / "q.pt")
    mlc.ok("dequantize", "q.pt", "-o", "f.pt")
    back = torch.load(tmp_path / "f.pt", weights_only=True)
    want = quantized.dequantize(state, "up.weight", tensors["up.weight"], layout)
    assert back["up.weight"].dtype == dtype and torch.equal(back["up.weight"], want.to(dtype)) and "up.weight_input_scale" in state
    told = next(one for one in answer["quantized"] if one["name"] == "up.weight")["sqnr_db"]
    assert told == pytest.approx(quantized.sqnr(net.up.weight.detach().to(dtype), want), abs=1e-3)


def test_a_layer_that_gains_nothing_has_no_more_tensors_than_by_rtn(mlc, tmp_path):
    """Inputs of one size: all factors are 1."""
    (tmp_path / "arch.yaml").write_text("mlc: architecture/1\ninputs: ['x:f32[batch=1..64,64]']\nmodules:\n  fc: {type: Linear, in_features: 64, out_features: 32}\n"
                                        "forward: |\n  def forward(self, x: Tensor) -> Tensor:\n      return self.fc(x)\n")
    torch.save({f"fc.{key}": value for key, value in nn.Linear(64, 32).state_dict().items()}, tmp_path / "w.pt")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).choice([-1, 1], (48, 64)).astype(np.float32))
    answer = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, "--json").json
    assert answer["by_data"]["scaled"] == 0 and answer["by_data"]["weights"] == 1
    assert answer["by_data"]["output_sqnr_db"] == answer["by_data"]["output_sqnr_db_nearest"]
    mlc.ok("quantize", "w.pt", "-o", "n.pt", *AWQ[:4])
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("q.pt", "n.pt"))
    assert list(one) == list(two) and all(torch.equal(one[key], two[key]) for key in one)


def test_other_tensors_have_the_nearest_codes(mlc, tmp_path, net):
    """Those that no layer reads, and those of another scheme."""
    torch.save(net.state_dict() | {"table": torch.randn(90, 64)}, tmp_path / "w.pt")
    how = ("--tensor", "head=int8")
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE.replace("modules:", "parameters:\n  table: {shape: [90, 64]}\nmodules:"))
    answer = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, *how, "--json").json
    mlc.ok("quantize", "w.pt", "-o", "n.pt", *AWQ[:4], *how)
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("q.pt", "n.pt"))
    assert answer["by_data"]["weights"] == 3 and "up.weight_input_scale" in one and "head.weight_input_scale" not in one
    for key in ("table_packed", "table_scale", "head.weight", "head.weight_scale"):
        assert torch.equal(one[key], two[key]), key


def test_sizes_that_are_told_are_those_that_are_written(mlc, tmp_path, net):
    dry = mlc.ok("quantize", "w.pt", "-n", *AWQ, "--threads", "1", "--json").json
    wet = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, "--threads", "1", "--json").json
    assert dry["quantized"] == wet["quantized"] and dry["by_data"] == wet["by_data"] and dry["bytes_after"] == wet["bytes_after"]
    state = torch.load(tmp_path / "q.pt", weights_only=True)
    assert wet["bytes_after"] == sum(value.nbytes for value in state.values())
    (tmp_path / "again").mkdir()
    mlc.ok("quantize", "w.pt", "-o", "again/q.pt", *AWQ, "--threads", "1")
    assert (tmp_path / "again/q.pt").read_bytes() == (tmp_path / "q.pt").read_bytes()


@pytest.mark.parametrize("share", [0, 0.02, 0.8])
def test_scales_have_a_place_in_the_target_size(mlc, tmp_path, net, share):
    """The smallest file that can be had, and larger ones: none exceeds its size."""
    least = mlc("quantize", "w.pt", "-o", "q.pt", "--target-size", "10000", *AWQ[2:])
    assert least.rc == 1
    smallest = int(least.stderr.split("would have ")[1].split(" bytes")[0].replace(",", ""))
    size = round(smallest + share * ((tmp_path / "w.pt").stat().st_size - smallest))
    done = mlc.ok("quantize", "w.pt", "-o", "q.pt", "--target-size", str(size), *AWQ[2:], "--json")
    assert (tmp_path / "q.pt").stat().st_size == done.json["file_bytes"] <= size
    if share == 0.8:
        assert "by_data" not in done.json and "for that size no weight that a layer reads is int4" in done.stderr
    else:
        assert done.json["by_data"]["scaled"] >= 1


def test_keys_and_casts_take_the_scales_along(mlc, tmp_path, net):
    mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ)
    mlc.ok("dequantize", "q.pt", "-o", "want.pt")
    want = torch.load(tmp_path / "want.pt", weights_only=True)
    mlc.ok("remap-keys", "q.pt", "-o", "r.pt", "--regex", "s/^up[.]/net.up./")
    mlc.ok("dequantize", "r.pt", "-o", "f.pt")
    assert torch.equal(torch.load(tmp_path / "f.pt", weights_only=True)["net.up.weight"], want["up.weight"])
    for args in (("--drop", "up.weight_input_scale"), ("--regex", "s/up.weight_input_scale/up.scale/")):
        done = mlc("remap-keys", "q.pt", "-o", "no.pt", *args)
        assert done.rc == 1 and "would not stay together" in done.stderr, done.stderr
    done = mlc("save", "q.pt", "--exclude", "up.weight_input_scale", "-o", "no.pt")
    assert done.rc == 1 and "would lose a part" in done.stderr, done.stderr
    assert "up.weight_input_scale" in mlc.ok("save", "q.pt", "--include", "up.*", "--dtype", "fp16", "-o", "half.pt").stderr
    mlc.ok("dequantize", "half.pt", "-o", "half.f.pt")
    half = torch.load(tmp_path / "half.f.pt", weights_only=True)["up.weight"]
    assert F.cosine_similarity(half.flatten(), want["up.weight"].flatten(), 0) > 0.99999 and not torch.equal(half, want["up.weight"])


def test_quantising_again_starts_from_the_weights(mlc, tmp_path, net):
    mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ)
    assert mlc("quantize", "q.pt", "-o", "again.pt").rc == 1
    mlc.ok("dequantize", "q.pt", "-o", "f.pt")
    mlc.ok("quantize", "f.pt", "-o", "want.pt", "--min-elements", "500")
    mlc.ok("quantize", "q.pt", "-o", "again.pt", "--min-elements", "500", "--allow-requantize")
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("again.pt", "want.pt"))
    assert sorted(one) == sorted(two) and all(torch.equal(one[key], two[key]) for key in two)


def test_scales_that_lie(mlc, tmp_path, net):
    mlc.ok("quantize", "w.pt", "-o", "q.safetensors", *AWQ)
    good = (tmp_path / "q.safetensors").read_bytes()
    factor = quantized.load(tmp_path / "q.safetensors")[0]["up.weight_input_scale"].numpy().tobytes()
    assert good.count(factor) == 1
    for bad in (0.0, -1.0, math.inf, math.nan):
        (tmp_path / "q.safetensors").write_bytes(good.replace(factor, factor[:8] + struct.pack("<f", bad) + factor[12:]))
        done = mlc("dequantize", "q.safetensors", "-o", "f.pt")
        assert done.rc == 3 and '"up.weight_input_scale" has a number that is no scale' in done.stderr, done.stderr
    (tmp_path / "q.safetensors").write_bytes(good)
    text = good.replace(b"input_scale: true", b"input_scale: 2222", 1)
    assert text != good
    (tmp_path / "q.safetensors").write_bytes(text)
    done = mlc("dequantize", "q.safetensors", "-o", "f.pt")
    assert done.rc == 3 and "neither true nor false" in done.stderr, done.stderr
    assert not (tmp_path / "f.pt").exists()


def test_text_and_page_tell_of_scales(mlc, tmp_path, net):
    done = mlc.ok("quantize", "w.pt", "-o", "q.pt", *AWQ, "--report", "r.html", "--write-recipe", "r.yaml")
    assert "4 weights by 96 samples, " in done.stdout and " with scales of inputs: outputs of their layers " in done.stdout and "int4 awq 0." in done.stdout
    page = (tmp_path / "r.html").read_text()
    assert " with scales of inputs: " in page and "int4 awq 0." in page
    assert "rounding: awq" in (tmp_path / "r.yaml").read_text()
    mlc.ok("quantize", "w.pt", "-o", "h.pt", "--recipe", "r.yaml", "--arch", "arch.yaml", "--calib", "x.npy")


@pytest.mark.parametrize("args, rc, said", [
    (AWQ[:-2], 2, "--rounding awq needs samples of inputs"),
    ((*AWQ[:6], "--calib", "x.npy"), 4, "--arch"),
    ((*AWQ, "--min-sqnr", "20"), 2, "which --rounding awq moves away"),
    ((*AWQ, "--calib-method", "mse"), 2, "it is no ONNX model"),
    ((*AWQ[:-1], "nix.npy"), 3, "nix.npy"),
    ((*AWQ[:-1], "huge.npy"), 1, "not finite"),
    (("--scheme", "int8", *AWQ[2:]), 2, "--rounding awq is for int4"),
    ((*AWQ, "--tensor", "weight=int8"), 1, "no linear layer or convolution of the model reads a weight that is int4"),
    ((*AWQ, "--format", "compressed-tensors"), 2, "compressed-tensors has no place for the scales of inputs"),
])
def test_bad_input(mlc, tmp_path, net, args, rc, said):
    np.save(tmp_path / "huge.npy", images(9, 1).numpy() * np.float32(1e30))  # whose squares are infinite
    done = mlc("quantize", "w.pt", "-o", "q.safetensors", *args)
    assert (done.rc, said in done.stderr) == (rc, True), (done.rc, done.stderr)
    assert not (tmp_path / "q.safetensors").exists()
