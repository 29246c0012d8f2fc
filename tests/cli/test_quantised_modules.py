"""What torch.ao.quantization saves: weights inside tuples, C++ objects and classes that pickle in a way of their own."""

import json
import warnings

import pytest
import torch
from torch import nn

from checkpoints import assert_same, write

pytestmark = pytest.mark.filterwarnings("ignore")


def quantised(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(net.eval(), {nn.Linear}, dtype=torch.qint8)


def convolution():
    net = nn.Sequential(torch.ao.quantization.QuantStub(), nn.Conv2d(1, 2, 3), torch.ao.quantization.DeQuantStub()).eval()
    net.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    ready = torch.ao.quantization.prepare(net)
    ready(torch.randn(2, 1, 5, 5))
    return torch.ao.quantization.convert(ready)


def test_weights_only_dropped_the_weights_of_quantised_modules(mlc, tmp_path):
    state = quantised().state_dict()
    torch.save({"model": state, "epoch": 3}, tmp_path / "train.pt")
    result = mlc.ok("save", "train.pt", "--weights-only", "-o", "out.pt")
    assert "dropped" not in result.stderr
    saved = torch.load(tmp_path / "out.pt", weights_only=True)
    assert list(saved) == list(state)
    other = quantised(1)
    other.load_state_dict(saved)
    x = torch.randn(5, 4)
    assert torch.equal(other(x), quantised()(x))


@pytest.mark.parametrize("output", [("-o", "out.safetensors"), ("-o", "folder", "--max-shard-size", "1MB")])
@pytest.mark.parametrize("dry", [(), ("-n",)])
def test_safetensors_lost_the_weights_of_quantised_modules(mlc, tmp_path, output, dry):
    write(tmp_path / "q.pt", quantised().state_dict())
    result = mlc("save", "q.pt", *output, *dry)
    assert result.rc == 4 and '"0._packed_params._packed_params", a value with 2 tensors' in result.stderr
    assert not (tmp_path / output[1]).exists()
    mlc.ok("save", "q.pt", *output, *dry, "--exclude", "0.*")


@pytest.mark.parametrize(("make", "packed"), [(quantised, "0._packed_params._packed_params"), (convolution, ": 1")])
def test_pickled_quantised_modules_lost_their_weights(mlc, tmp_path, make, packed):
    torch.save(make(), tmp_path / "module.pt")
    for verb in (("save",), ("strip-module-prefix", "--add", "m"), ("remap-keys", "--add-prefix", "m.")):
        result = mlc(verb[0], "module.pt", *verb[1:], "-o", "out.pt")
        assert result.rc == 4 and "packs weights in a way that only its classes know" in result.stderr, result
        assert packed in result.stderr and not (tmp_path / "out.pt").exists()
    assert "also here" in mlc.ok("load", "module.pt").stdout


def test_diff_called_other_packed_weights_equal(mlc, tmp_path):
    torch.save(quantised(0), tmp_path / "a.pt")
    torch.save(quantised(1), tmp_path / "b.pt")
    assert "not compared: _modules.0._modules._packed_params" in mlc("diff", "a.pt", "b.pt").stderr
    assert mlc("diff", "a.pt", "b.pt", "--key", ".").rc == 1


def test_diff_called_other_attributes_of_modules_equal(mlc, tmp_path):
    for name, value in (("a.pt", 1.0), ("b.pt", 2.0)):
        module = nn.Linear(2, 2)
        nn.init.ones_(module.weight), nn.init.ones_(module.bias)
        module.anchors = [torch.full((2,), value)]
        torch.save(module, tmp_path / name)
    result = mlc("diff", "a.pt", "b.pt")
    assert result.rc == 0 and "not compared: anchors.0" in result.stderr
    assert mlc("diff", "a.pt", "b.pt", "--key", ".").rc == 1


class Holder(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        nn.init.ones_(self.fc.weight), nn.init.ones_(self.fc.bias)
        self.table = torch.full((2,), value)
        self.rows = [torch.full((3,), value)]

    def forward(self, x):
        return self.fc(x) + self.table + self.rows[0].sum()


def test_attributes_of_torchscript_were_invisible(mlc, tmp_path):
    for name, value in (("a.pt", 1.0), ("b.pt", 2.0)):
        torch.jit.script(Holder(value)).save(str(tmp_path / name))
    assert "2 tensors in constants" in mlc.ok("load", "a.pt").stdout
    assert "not compared: constants" in mlc("diff", "a.pt", "b.pt").stderr
    found = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json").json["differences"]
    assert sorted(one["name"] for one in found) == ["constants.rows.(0).0", "constants.table"]
    torch.jit.script(quantised()).save(str(tmp_path / "q.pt"))
    assert "2 tensors in constants" in mlc("save", "q.pt", "-o", "out.safetensors").stderr


def test_dtype_did_not_say_that_packed_weights_stay(mlc, tmp_path):
    state = quantised().state_dict()
    write(tmp_path / "q.pt", state)
    result = mlc.ok("save", "q.pt", "--dtype", "bf16", "-o", "out.pt")
    assert "being parts of other values: 0._packed_params._packed_params.0" in result.stderr
    packed = torch.load(tmp_path / "out.pt", weights_only=True)["0._packed_params._packed_params"]
    assert_same(packed[1].detach(), state["0._packed_params._packed_params"][1].detach())


def test_from_mixed_scales_of_one_file_with_weights_of_another(mlc, tmp_path):
    for name, seed in (("a.pt", 0), ("b.pt", 1)):
        write(tmp_path / name, quantised(seed).state_dict())
    result = mlc("save", "a.pt", "--from", "b.pt", "-o", "out.pt")
    assert result.rc == 4 and "both files pack weights into values, which --from cannot take" in result.stderr
    assert "--merge b.pt --on-conflict last" in result.stderr and not (tmp_path / "out.pt").exists()
    mlc.ok("save", "a.pt", "b.pt", "--merge", "--on-conflict", "last", "-o", "out.pt")
    assert mlc("diff", "out.pt", "b.pt", "--key", ".").rc == 0


def test_from_left_extra_state_behind_without_a_word(mlc, tmp_path):
    for name, value in (("a.pt", 1.0), ("b.pt", 2.0)):
        write(tmp_path / name, {"fc.weight": torch.full((2,), value), "fc._extra_state": {"amax": torch.full((1,), value)}})
    result = mlc.ok("save", "a.pt", "--from", "b.pt", "-o", "out.pt")
    assert "kept as they were, though b.pt has them too: fc._extra_state" in result.stderr


def test_load_did_not_say_that_a_module_is_recovered_in_part(mlc, tmp_path):
    torch.save(quantised(), tmp_path / "module.pt")
    assert ("recovered from a pickled module but for what only its classes know: 0._packed_params._packed_params)"
            in mlc.ok("load", "module.pt").stdout)
    assert "'0._packed_params._packed_params': tuple of 2" in _tree(mlc, tmp_path)


def _tree(mlc, tmp_path):
    write(tmp_path / "state.pt", quantised().state_dict())
    return mlc.ok("load", "state.pt", "--tree").stdout


def dynamic(n):
    model = nn.Sequential(nn.Linear(4, n)).eval()
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def test_parameters_of_a_quantised_state_dict_were_its_scales(mlc, tmp_path):
    write(tmp_path / "a.pt", dynamic(3).state_dict())
    totals = json.loads(mlc.ok("load", "a.pt", "--json").stdout)["totals"]
    assert totals["parameters"] == 12 + 3 + 2  # weight, bias, scale and zero point
    write(tmp_path / "b.pt", {"w": torch.ones(2), "fc._extra_state": {"amax": torch.ones(4)}})
    assert json.loads(mlc.ok("load", "b.pt", "--json").stdout)["totals"]["parameters"] == 2


def test_packed_weights_of_another_shape_were_as_expected(mlc, tmp_path):
    write(tmp_path / "three.pt", dynamic(3).state_dict())
    write(tmp_path / "eight.pt", dynamic(8).state_dict())
    (tmp_path / "three.json").write_text(mlc.ok("load", "three.pt", "--json").stdout)
    for expected in ("three.pt", "three.json"):
        assert mlc("load", "three.pt", "--expect", expected).rc == 0
        result = mlc("load", "eight.pt", "--expect", expected)
        assert result.rc == 1
        assert "size mismatch for 0._packed_params._packed_params.0: copying a param with shape torch.Size([8, 4])" in result.stdout
        assert mlc("load", "eight.pt", "--expect", expected, "--ignore-mismatched-shapes").rc == 0


def test_module_of_packed_weights_alone_vanished_under_weights_only(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": dynamic(3), "fp": nn.Linear(2, 2), "loss": nn.MSELoss()})
    done = mlc.ok("save", "a.pt", "--weights-only", "-o", "out.pt")
    assert "without a state_dict that mlc can recover: 2 tensors in model\n" in done.stderr
