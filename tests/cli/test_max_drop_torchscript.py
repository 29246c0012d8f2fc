"""`mlc quantize --torchscript --max-drop`: which layers stay in floats, measured again in PyTorch."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cpu import WIDTH, needs_whole_sums

pytestmark = pytest.mark.usefixtures("engine")
LAYERS = 6
BAD = {"layers.1.weight", "layers.4.weight"}


class Deep(nn.Module):
    """Residual layers; in two of them one input has weights so large that 8 bits leave little for the others."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64, bias=False) for _ in range(LAYERS))
        self.head = nn.Linear(64, 10)
        mask = torch.ones(64)
        mask[0] = 0  # the large weights do nothing but take up the codes
        self.register_buffer("mask", mask)

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.tanh(layer(x * self.mask))
        return self.head(x)


class Pooled(nn.Module):
    """Convolutions with pools between, whose ranges nobody needs unless the layer before is a float."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 16, 3, padding=1)
        self.c = nn.Conv2d(16, 16, 3, padding=1)
        self.fc = nn.Linear(16, 10)

    def forward(self, image):
        x = F.max_pool2d(F.relu(self.a(image)), 2)
        x = F.max_pool2d(F.relu(self.b(x)), 2)
        x = F.adaptive_avg_pool2d(F.relu(self.c(x)), 1)
        return self.fc(torch.flatten(x, 1))


@pytest.fixture
def deep(tmp_path):
    torch.manual_seed(0)
    module = Deep().eval()
    with torch.no_grad():
        for i in (1, 4):
            module.layers[i].weight[:, 0] = 40 * torch.randn(64).sign()
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "x.npy", x.numpy())
    torch.jit.trace(module, x[:1]).save(str(tmp_path / "m.pt"))
    return module, x


def outputs(path, x):
    """Sample by sample, as activations share a scale over a batch."""
    module = torch.jit.load(str(path))
    with torch.no_grad():
        return torch.cat([module(x[i:i + 1]) for i in range(len(x))]).double()


def cosine_drop(module, path, x):
    with torch.no_grad():
        want = torch.cat([module(x[i:i + 1]) for i in range(len(x))]).double()
    return 1 - F.cosine_similarity(want, outputs(path, x)).min().item()


def args(form, *more):
    return ("quantize", "m.pt", "-o", "q.pt", "--torchscript", form, "--calib", "x.npy", "--min-elements", "0", *more)


LIMITS = [pytest.param("dynamic", 1e-3, marks=needs_whole_sums), pytest.param("static", 2e-3, marks=needs_whole_sums)]


@pytest.mark.parametrize("form, limit", LIMITS)
def test_the_layers_that_cost_most_stay_in_floats(mlc, tmp_path, valid, deep, form, limit):
    module, x = deep
    answer = mlc.ok(*args(form, "--max-drop", str(limit), "--json")).json
    valid(answer, "quantize-torchscript")
    found = answer["max_drop"]
    assert set(found["in_floats"]) == BAD and found["in_bytes"] == []
    assert [layer["name"] for layer in found["layers"]][:2] == found["in_floats"]
    assert found["drop"] <= limit < found["trail"][0]["drop"]
    assert abs(cosine_drop(module, tmp_path / "q.pt", x) - found["drop"]) < 1e-5 + 0.05 * found["drop"]
    assert len(found["layers"]) == LAYERS + 1 and len(found["trail"]) <= 1 + math.ceil(math.log2(LAYERS + 1))
    assert {one["name"] for one in answer["quantized"]} == {f"layers.{i}.weight" for i in (0, 2, 3, 5)} | {"head.weight"}
    kept = {one["name"]: one["reason"] for one in answer["kept"]}
    assert all(kept[name] == "in floats for the outputs' sake" for name in BAD)
    # With the worst but one it would not do.
    more = ("--calib", "x.npy") if form == "static" else ()
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "-f", "--torchscript", form, *more, "--min-elements", "0", "--exclude", found["in_floats"][0], "--min-cosine", "-1")
    assert cosine_drop(module, tmp_path / "q.pt", x) > limit


@needs_whole_sums
@pytest.mark.parametrize("method", [(), ("--calib-method", "mse")], ids=" ".join)
def test_ranges_of_trials_are_those_of_one_run(mlc, tmp_path, deep, method):
    """Samples are not run again for a trial: what was looked at before is what a run of its own finds."""
    found = mlc.ok(*args("static", "--max-drop", "0.2%", "--json", *method)).json["max_drop"]["in_floats"]
    assert found
    excluded = [arg for name in found for arg in ("--exclude", name)]
    mlc.ok("quantize", "m.pt", "-o", "p.pt", "--torchscript", "static", "--calib", "x.npy", "--min-elements", "0", *excluded, *method, "--min-cosine", "-1")
    assert torch.equal(outputs(tmp_path / "q.pt", deep[1]), outputs(tmp_path / "p.pt", deep[1]))


@needs_whole_sums
def test_pools_behind_a_layer_in_floats_have_ranges_of_their_own(mlc, tmp_path, valid):
    torch.manual_seed(0)
    module = Pooled().eval()
    with torch.no_grad():  # two channels of images, of which one hides the other
        module.a.weight[:, 0] *= 60
    images = torch.randn(24, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    images[:, 0] *= 1e-3
    np.save(tmp_path / "x.npy", images.numpy())
    torch.jit.trace(module, images[:1]).save(str(tmp_path / "m.pt"))
    answer = mlc.ok(*args("static", "--max-drop", "0.01%", "--json")).json
    valid(answer, "quantize-torchscript")
    found = answer["max_drop"]["in_floats"]
    assert "a.weight" in found and len(found) < 4
    assert cosine_drop(module, tmp_path / "q.pt", images) <= 1e-4 * 1.05
    excluded = [arg for name in found for arg in ("--exclude", name)]
    mlc.ok("quantize", "m.pt", "-o", "p.pt", "--torchscript", "static", "--calib", "x.npy", "--min-elements", "0", *excluded)
    assert torch.equal(outputs(tmp_path / "q.pt", images), outputs(tmp_path / "p.pt", images))


@needs_whole_sums
def test_a_goal_that_is_met_costs_one_run(mlc, deep):
    found = mlc.ok(*args("dynamic", "--max-drop", "90%", "--json")).json["max_drop"]
    assert len(found["trail"]) == 1 and found["layers"] == [] and found["in_floats"] == []


@needs_whole_sums
@pytest.mark.parametrize("form, limit", LIMITS)
def test_the_trail_is_told_in_text_and_on_the_page(mlc, tmp_path, deep, form, limit):
    done = mlc.ok(*args(form, "--max-drop", str(limit), "--report", "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert "of cosine with 2 weights in floats" in done.stdout and "COSTS MOST ALONE" in done.stdout and "taken" in done.stdout
    assert "The way to --max-drop" in page and "Layers alone" in page and "of cosine with 2 weights in floats" in page


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_what_cannot_be_reached_writes_nothing_but_the_page(mlc, tmp_path, deep, form):
    done = mlc(*args(form, "--max-drop", "0", "--report", "page.html"))
    assert done.rc == 1 and done.stdout == ""
    assert re.search(r"at the least, with \d weights? in floats: more than --max-drop 0 %; nothing was written", done.stderr), done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pt", "page.html", "x.npy"]
    assert "No model was written" in (tmp_path / "page.html").read_text()
    assert mlc(*args(form, "--max-drop", "0", "-f", "--json")).error["kind"] == "conflict"


@needs_whole_sums
def test_a_dry_run_tells_it_without_an_output(mlc, tmp_path, deep):
    found = mlc.ok("quantize", "m.pt", "-n", "--torchscript", "dynamic", "--calib", "x.npy", "--min-elements", "0", "--max-drop", "0.1%", "--json").json
    assert set(found["max_drop"]["in_floats"]) == BAD and sorted(p.name for p in tmp_path.iterdir()) == ["m.pt", "x.npy"]


@needs_whole_sums
def test_without_samples_random_inputs_do(mlc, deep):
    found = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--input", "x:f32[1,64]", "--min-elements", "0", "--max-drop", "0.1%", "--seed", "3",
                   "--samples", "9", "--json").json
    assert found["max_drop"]["samples"] == 9 and set(found["max_drop"]["in_floats"]) >= BAD


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_labels_are_told_as_often_as_asked_for(mlc, tmp_path, valid, deep, form):
    module, x = deep
    with torch.no_grad():
        labels = module(x).argmax(1).numpy()
    labels[:8] = (labels[:8] + 1) % 10  # that the float model does not tell
    labels[20:24] = -100                # not to be counted
    np.save(tmp_path / "labels.npy", labels)
    answer = mlc.ok(*args(form, "--labels", "labels.npy", "--max-drop", "1%", "--json", *WIDTH)).json
    valid(answer, "quantize-torchscript")
    found, counted = answer["max_drop"], labels >= 0
    assert found["of"] == "labels" and found["right"] == pytest.approx(28 / 36)
    told = (outputs(tmp_path / "q.pt", x).argmax(1).numpy() == labels)[counted].mean()
    assert found["drop"] == pytest.approx(max(0, 28 / 36 - told)) and found["drop"] <= 0.01


def test_top1_is_of_rows_whose_largest_value_moved(mlc, tmp_path, deep):
    module, x = deep
    found = mlc.ok(*args("dynamic", "--drop-of", "top1", "--max-drop", "3%", "--json", *WIDTH)).json["max_drop"]
    with torch.no_grad():
        moved = (module(x).argmax(1) != outputs(tmp_path / "q.pt", x).argmax(1)).double().mean().item()
    assert found["of"] == "top1" and found["drop"] == pytest.approx(moved) and moved <= 0.03


@needs_whole_sums
def test_a_checkpoint_with_its_architecture_has_it_too(mlc, tmp_path, deep):
    module, _ = deep
    torch.save(module.state_dict(), tmp_path / "w.pt")
    (tmp_path / "arch.yaml").write_text(f"""
mlc: architecture/1
inputs: ["x:f32[batch=1,64]"]
modules:
  layers: {{repeat: {LAYERS}, type: Linear, in_features: 64, out_features: 64, bias: false}}
  head: {{type: Linear, in_features: 64, out_features: 10}}
buffers:
  mask: {{shape: [64]}}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      for layer in self.layers:
          x = x + torch.tanh(layer(x * self.mask))
      return self.head(x)
""")
    for form, limit in (("dynamic", "0.1%"), ("static", "0.2%")):
        found = mlc.ok("quantize", "w.pt", "-o", "q.pt", "-f", "--arch", "arch.yaml", "--torchscript", form, "--calib", "x.npy", "--min-elements", "0", "--max-drop",
                       limit, "--json").json["max_drop"]
        assert set(found["in_floats"]) == BAD, form


def test_progress_counts_samples_apart_from_layers(mlc, tmp_path, deep):
    np.save(tmp_path / "many.npy", np.tile(deep[1].numpy(), (500, 1)))
    code, screen = mlc.tty("quantize", "m.pt", "-o", "q.pt", "--torchscript", "static", "--calib", "many.npy", "--min-elements", "0", "--max-drop", "0.001%")
    assert code in (0, 1) and re.search(r"calibrating  \d+%  [\d,]+ samples of 20,000 samples", screen), screen
    counts = re.findall(r"alone  \d+%  ([\d,]+) layers? of 7 layers", screen)
    assert all(int(count.replace(",", "")) <= 7 for count in counts), counts


@pytest.mark.parametrize("given, code, says", [
    ("--max-drop 2", 2, "no part of the whole"),
    ("--max-drop 1% --no-verify", 2, "contradicts"),
    ("--labels few.npy", 2, "--max-drop X is missing"),
    ("--drop-of top1", 2, "--max-drop X is missing"),
    ("--max-drop 1% --labels few.npy", 2, "--calib FILE is missing"),
    ("--max-drop 1% --calib x.npy --labels few.npy", 2, "3 labels for 40 samples"),
    ("--max-drop 1% --calib x.npy --labels few.npy --drop-of top1", 2, "exclude each other"),
    ("--max-drop 1% --calib x.npy --calib-method mse", 2, "are for --torchscript static"),
    ("--calib x.npy", 2, "with --max-drop --calib has the samples"),
    ("--max-drop 1% --target-size 1MB", 2, "two goals"),
])
def test_bad_input(mlc, tmp_path, deep, given, code, says):
    np.save(tmp_path / "few.npy", np.zeros(3, np.int64))
    done = mlc("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--min-elements", "0", *given.split())
    assert done.rc == code and says in done.stderr, done.stderr
    assert not (tmp_path / "q.pt").exists()
