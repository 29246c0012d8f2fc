"""The HTML pages of `mlc quantize` and `mlc prune`: what stands in them, and that they need nothing else."""

import html.parser
import math

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

import onnx_models
from checkpoints import write
from cpu import WIDTH


class Page(html.parser.HTMLParser):
    """Texts and tags of a page, and that nothing in it is fetched or runs."""

    def __init__(self, path):
        super().__init__()
        self.texts, self.tags, self.points = [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        assert tag not in ("script", "link", "img", "iframe") and not {"src", "href", "onload"} & set(attrs)
        if tag == "circle":
            self.points.append((float(attrs["cx"].rstrip("%")), float(attrs["cy"])))

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def model(tmp_path):
    """Weights of which larger ones lose more, a bias, and one with a NaN."""
    generator = torch.Generator().manual_seed(0)
    state = {"0.weight": torch.rand(64, 128, generator=generator), "1.weight": torch.randn(256, 128, generator=generator),
             "2.weight": torch.randn(1024, 128, generator=generator) ** 3}
    state["0.bias"] = torch.randn(64)
    state["<b>&"] = torch.full((100, 100), math.nan)
    return write(tmp_path / "model.pt", state)


def test_quantised_checkpoint(mlc, tmp_path, model):
    command = ("quantize", model, "-o", "q.pt", "--scheme", "int4", "--report", "q.html", "-f")
    answer = mlc.ok(*command, "--json").json
    page = Page(tmp_path / "q.html")
    assert {"svg", "table"} <= set(page.tags) and "b" not in page.tags
    worst = answer["quantized"][0]
    for words in ("q.pt", f"{answer['bits_per_weight']:.2f} a weight, kept ones included", f"{worst['name']}: int4, [1024, 128]",
                  f"{worst['sqnr_db']:.1f} dB", "0.bias", "of one dimension", "int4 3",
                  "1 kept, not finite: <b>&"):
        assert words in page.texts, words
    # Larger weights stand further to the right, and here lower.
    assert page.points == sorted(page.points, reverse=True) and len(page.points) == 3
    across, down = zip(*sorted(page.points), strict=True)
    assert list(down) == sorted(down)
    # A quarter of the bytes is the same step each time: the axis is logarithmic.
    assert across[2] - across[1] == pytest.approx(across[1] - across[0], abs=0.6)
    text = (tmp_path / "q.html").read_text()
    mlc.ok(*command)
    assert (tmp_path / "q.html").read_text() == text  # no date, no chance


def test_pruned_checkpoint(mlc, tmp_path, model):
    answer = mlc.ok("prune", model, "-o", "p.pt", "--amount", "0.5", "--report", "p.html", "--json").json
    page = Page(tmp_path / "p.html")
    kept = answer["pruned"][0]["squares_kept"]
    for words in ("p.pt", "50 %, smallest magnitude, of each tensor", "as before: dense kernels multiply zeros like any weight",
                  f"{-10 * math.log10(1 - kept):.1f} dB"):
        assert words in page.texts, words


def test_a_failed_gate_of_a_checkpoint_wrote_no_page(mlc, tmp_path, model):
    result = mlc("prune", model, "-o", "p.pt", "--amount", "0.5", "--min-sqnr", "90", "--report", "p.html")
    assert result.rc == 1 and not (tmp_path / "p.pt").exists()
    page = Page(tmp_path / "p.html")
    assert "No model was written" in page.texts and "p.pt" not in page.texts
    assert any("below --min-sqnr 90" in text for text in page.texts)


@pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
def test_quantised_onnx(mlc, tmp_path):
    def weight(name, *sizes):
        return numpy_helper.from_array(np.random.default_rng(len(name)).standard_normal(sizes, np.float32), name)

    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
    inputs = [onnx_models.value("x", ("n", 64))]
    proto = onnx_models.model(nodes, inputs, [onnx_models.value("y", ("n", 4))], [weight("w", 64, 256), weight("v", 256, 4)])
    onnx_models.save(proto, tmp_path / "m.onnx")
    command = ("quantize", "m.onnx", "-o", "q.onnx", "--report", "q.html", "--threads", "1", *WIDTH)
    answer = mlc.ok(*command, "--json").json
    page = Page(tmp_path / "q.html")
    for words in ("dynamic" + (", 7 bits" if WIDTH else ""), "Latency", "float model", f"{answer['seconds_after'] * 1e3:.3g} ms", "v",
                  f"{answer['outputs'][0]['min_cosine']:.6f}", "w: int8, [64, 256]"):
        assert words in page.texts, words
    assert any(answer["engine"] in text and answer["cpu"] in text and "1 thread" in text for text in page.texts)
    # Where a gate fails, the page is all that is written.
    (tmp_path / "q.onnx").unlink()
    assert mlc(*command, "-f", "--min-sqnr", "90").rc == 1
    page = Page(tmp_path / "q.html")
    assert "No model was written" in page.texts and not (tmp_path / "q.onnx").exists()


def test_report_replaces_nothing_and_a_dry_run_writes_none(mlc, tmp_path, model):
    before = model.read_bytes()
    for verb in (("quantize",), ("prune", "--amount", "0.5")):
        assert mlc(*verb, model, "-o", "out.pt", "--report", "out.pt", "-f").rc == 2
        assert mlc(*verb, model, "-o", "out.pt", "--report", model, "-f").rc == 2
        assert mlc(*verb, model, model, "--out-dir", "out", "--report", "r.html").rc == 2
        (tmp_path / "r.html").write_text("mine")
        assert mlc(*verb, model, "-o", "out.pt", "--report", "r.html").rc == 5
        mlc.ok(*verb, model, "-o", "out.pt", "--report", "r.html", "-f", "-n")
        assert (tmp_path / "r.html").read_text() == "mine"
    assert model.read_bytes() == before and not (tmp_path / "out.pt").exists()


@pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine")
def test_pruned_channels(mlc, tmp_path):
    def weight(name, *sizes):
        return numpy_helper.from_array(np.random.default_rng(len(name)).standard_normal(sizes, np.float32), name)

    nodes = [helper.make_node("MatMul", ["x", "first"], ["a"], "one"), helper.make_node("Relu", ["a"], ["b"], "two"),
             helper.make_node("MatMul", ["b", "second<i>"], ["y"], "three")]
    inputs, outputs = ([helper.make_tensor_value_info(name, 1, ["n", width])] for name, width in (("x", 32), ("y", 10)))
    onnx_models.save(onnx_models.model(nodes, inputs, outputs, [weight("first", 32, 64), weight("second<i>", 64, 10)]), tmp_path / "in.onnx")
    command = ("prune", "in.onnx", "-o", "out.onnx", "--method", "channels", "--amount", "0.5", "--report", "p.html")
    answer = mlc.ok(*command, "--json").json
    page = Page(tmp_path / "p.html")
    assert {"svg", "table"} <= set(page.tags) and "i" not in page.tags
    group = answer["groups"][0]
    for words in ("out.onnx", "32 of 64", "50 % of each group, smallest l1 norm", group["name"], "whole model", "pruned", "Channels that stay"):
        assert words in page.texts, words
    refused = mlc(*command, "-f", "--min-cosine", "1")
    assert refused.rc == 1 and any(text.endswith("below 1; nothing was written.") for text in Page(tmp_path / "p.html").texts)
    assert mlc(*command[:3], "--method", "channels", "--list-groups", "--report", "p.html").rc == 2
