"""mlc bench: every number is there, makes sense, and belongs to its artefact alone."""

import html.parser
import json
import os
import pathlib
import signal
import time

import numpy as np
import pytest
import torch

import torchscript_models

pytestmark = pytest.mark.usefixtures("engine")
IMAGE = "image:f32[batch=2,1,8,8]"
FAST = ("--warmup", "2", "--runs", "20")


class Heavy(torch.nn.Module):
    """Larger and slower than the others, so that rows can be told apart."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(64, 160_000))

    def forward(self, image: torch.Tensor):
        return torch.mm(image.flatten(1), self.table)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    torch.jit.trace(torchscript_models.net(), torch.randn(1, 1, 8, 8)).save(folder / "small.pt")
    torch.jit.script(Heavy()).save(folder / "heavy.pt")
    return folder


def test_numbers_of_each_artefact(mlc, models, valid):
    answer = mlc.ok("bench", models / "small.pt", models / "heavy.pt", "--input", IMAGE, *FAST, "--json").json
    valid(answer, "bench")
    small, heavy = answer["artefacts"]
    for row in (small, heavy):
        times = row["latency_ms"]
        assert row["runs"] == 20
        assert times["min"] <= times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
        assert row["calls_per_s"] == pytest.approx(1e3 / times["mean"])
        assert row["items_per_s"] == pytest.approx(2 * row["calls_per_s"])
        assert row["file_bytes"] == os.path.getsize(row["file"])
    assert heavy["latency_ms"]["p50"] > small["latency_ms"]["p50"]
    assert heavy["speedup"] == pytest.approx(small["latency_ms"]["p50"] / heavy["latency_ms"]["p50"])
    assert heavy["peak_rss_bytes"] > small["peak_rss_bytes"] + 20e6
    assert "speedup" not in small


def test_an_artefact_leaves_nothing_to_the_next(mlc, models):
    """In one process the small model would have the memory peak of the heavy one before it."""
    answer = mlc.ok("bench", models / "heavy.pt", models / "small.pt", "--input", IMAGE, *FAST, "--json").json
    heavy, small = answer["artefacts"]
    assert small["peak_rss_bytes"] < heavy["peak_rss_bytes"] - 20e6


def test_table(mlc, models):
    text = mlc.ok("bench", models / "small.pt", models / "heavy.pt", "--input", IMAGE, *FAST, "--threads", "1").stdout
    lines = text.splitlines()
    assert lines[0].startswith("LibTorch 2.13.0") and lines[0].endswith("on cpu, 1 thread; 2 warm-up calls, then 20 calls")
    assert lines[1] == f"input {IMAGE}"
    assert lines[3].split() == [
        "ARTEFACT", "CHANNELS", "BATCH", "SIZE", "LOAD", "FIRST", "P50", "P90", "P99", "ITEMS/S", "PEAK", "RSS", "SPEED"]
    assert lines[6:] == [f"channels last in memory: {models / 'small.pt'}"]


def test_batch_sizes_and_the_best_of_them(mlc, models, valid):
    sweep = ("--batch", "1", "--batch", "4", *FAST)
    answer = mlc.ok("bench", models / "small.pt", "--input", IMAGE, *sweep, "--json").json
    valid(answer, "bench")
    assert [row["batch"] for row in answer["artefacts"]] == [1, 4]
    best = max(answer["artefacts"], key=lambda row: row["items_per_s"])
    assert answer["best_batches"] == [{"file": best["file"], "batch": best["batch"], "items_per_s": best["items_per_s"]}]
    text = mlc.ok("bench", models / "small.pt", "--input", IMAGE, *sweep).stdout
    assert text.splitlines()[-1].startswith(f"best batch size of {models / 'small.pt'}: ")
    for batch in ("0", "x", "1,,2", "1,0", "n=3..9", "4]"):
        assert mlc("bench", models / "small.pt", "--input", IMAGE, "--batch", batch).rc == 2
    assert "batch=1" in mlc("bench", models / "small.pt", "--input", "image:f32[2,1,8,8]", "--batch", "1").stderr


def test_a_list_of_batch_sizes_and_the_best_in_the_report(mlc, tmp_path, models):
    """`--batch 1,4` was "no size" without a hint, and the page did not say which is best."""
    text = mlc.ok("bench", models / "small.pt", "--input", IMAGE, "--batch", "1,4", *FAST, "--report", tmp_path / "b.html").stdout
    best = text.splitlines()[-1]
    page = (tmp_path / "b.html").read_text()
    assert best.startswith("best batch size of ") and best in page
    machine = mlc.ok("doctor", "--json").json["machine"]
    assert f"Machine: {machine['processor']}, " in page and " ".join(machine["features"]) in page
    assert "--batch 1,8,64" in mlc("bench", models / "small.pt", "--input", IMAGE, "--batch", "x").stderr


def test_batch_sizes_are_measured_once_and_within_their_bounds(mlc, models):
    bounded = ("bench", models / "small.pt", "--input", "image:f32[batch=2..8,1,8,8]", *FAST)
    assert "is given twice" in mlc(*bounded, "--batch", "8", "--batch", "8").stderr
    for batch in ("1", "9"):
        result = mlc(*bounded, "--batch", batch)
        assert result.rc == 2 and "outside of batch=2..8" in result.stderr
    twice = mlc.ok("bench", models / "small.pt", models / "small.pt", "--input", "image:f32[2,1,8,8]", *FAST)
    assert "best batch size" not in twice.stdout


def test_time_decides_without_runs(mlc, models):
    answer = mlc.ok("bench", models / "small.pt", "--input", IMAGE, "--seconds", "0.001", "--json").json
    assert answer["artefacts"][0]["runs"] >= 10


def test_errors_are_those_of_run(mlc, models, tmp_path):
    """They come from another process, and still with file, code and hint."""
    result = mlc("bench", models / "small.pt", "--input", "imgae:f32[1]", *FAST)
    assert (result.rc, result.stdout) == (2, "")
    assert f"{models / 'small.pt'}: the model has no input" in result.stderr and "did you mean image?" in result.stderr
    torch.save({"a": torch.ones(1)}, tmp_path / "weights.pt")
    result = mlc("bench", "weights.pt", "--input", IMAGE, *FAST, "--json")
    assert result.rc == 4
    assert result.error["kind"] == "unsupported" and result.error["file"] == "weights.pt"
    assert mlc("bench", "nope.pt", "--input", IMAGE).rc == 3


def test_an_input_that_the_only_artefact_lacks_is_refused_as_run_does(mlc, models):
    """Its values went to the one input there is, under a name that run, verify and trace refuse."""
    given = ("--input", "pixels:f32[batch=1,1,8,8]", "--json")
    result = mlc("bench", models / "small.pt", *given, *FAST)
    assert (result.rc, result.stdout) == (2, "")
    alone = mlc("run", models / "small.pt", *given)
    assert (result.error["message"], result.error["hint"]) == (alone.error["message"], alone.error["hint"])


def test_the_measuring_process_ends_with_its_parent(mlc, models):
    """A signal to mlc alone, as from `timeout` or CI, left the other process running for hours."""
    torchscript_models.write_slow(models / "slow.pt")
    process = mlc.start("bench", models / "slow.pt", "--input", "x:f32[64,64]")
    time.sleep(1)
    (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    deadline = time.monotonic() + 10
    while pathlib.Path(f"/proc/{child}/stat").exists() and time.monotonic() < deadline:
        if pathlib.Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not pathlib.Path(f"/proc/{child}").exists()


def test_a_model_that_ends_its_process_is_told(mlc, models):
    torchscript_models.write_slow(models / "slow.pt")
    process = mlc.start("bench", models / "slow.pt", "--input", "x:f32[64,64]")
    time.sleep(1)
    (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert process.wait(10) == 3
    error = process.stderr.read().decode()
    assert "ended by signal 9 (Killed)" in error and "memory may not suffice" in error


def test_a_crash_is_no_fault_of_the_input(mlc, models):
    torchscript_models.write_slow(models / "slow.pt")
    process = mlc.start("bench", models / "slow.pt", "--input", "x:f32[64,64]")
    time.sleep(1)
    (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGSEGV)
    assert process.wait(10) == 70
    assert "the library that runs the model crashed: signal 11" in process.stderr.read().decode()


class Page(html.parser.HTMLParser):
    """Every tag with its attributes; unbalanced tags fail."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_report_is_one_page_that_needs_nothing_else(mlc, models, tmp_path):
    odd = tmp_path / "a<b&c.pt"
    odd.write_bytes((models / "small.pt").read_bytes())
    result = mlc.ok("bench", odd, models / "heavy.pt", "--input", IMAGE, *FAST, "--batch", "1", "--batch", "2",
                    "--report", "out.html")
    assert "wrote out.html" in result.stderr
    text = (tmp_path / "out.html").read_text()
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert names.count("section") == 3 and names.count("svg") == names.count("rect") == 12 and names.count("tr") == 5
    assert "script" not in names and "link" not in names and "img" not in names
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert "a<b&c.pt" in page.words and "heavy.pt" in page.words and IMAGE in page.words
    # Bars stretch with the page, texts keep their size: no viewBox, which made letters of 7 pixels on a phone.
    widths = [float(attrs["width"].removesuffix("%")) for tag, attrs in page.tags if tag == "rect"]
    assert 50 < max(widths) <= 60 and min(widths) >= 0
    assert "viewBox" not in text and "(p90 " in page.words


def test_report_is_not_overwritten(mlc, models, tmp_path):
    (tmp_path / "out.html").write_text("mine")
    command = ("bench", models / "small.pt", "--input", IMAGE, *FAST, "--report", "out.html")
    assert mlc(*command).rc == 5
    assert (tmp_path / "out.html").read_text() == "mine"
    mlc.ok(*command, "--force")
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")


def test_report_never_replaces_an_artefact_or_an_input(mlc, models, tmp_path):
    """--force wrote the page over the model, or over the input that the model had just read."""
    model, image = tmp_path / "keep.pt", tmp_path / "image.npy"
    model.write_bytes((models / "small.pt").read_bytes())
    np.save(image, np.ones((2, 1, 8, 8), np.float32))
    (tmp_path / "link.html").symlink_to(model)
    before = [model.read_bytes(), image.read_bytes()]
    for report in ("keep.pt", "image.npy", "link.html"):
        assert mlc("bench", "keep.pt", "--input", "image=@image.npy", *FAST, "--report", report, "--force").rc == 2
    assert [model.read_bytes(), image.read_bytes()] == before


def test_shipped_example_fits_its_schema(root, valid):
    valid(json.loads((root / "schemas/examples/bench.json").read_text()), "bench")


# --- channels last


class Pool(torch.nn.Module):
    """One convolution; VIEW: an image is flattened with view(), which needs its channels first."""

    def __init__(self, view=False):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.view = view

    def forward(self, x):
        x = self.conv(x)
        return x.view(x.size(0), -1) if self.view else x.flatten(1)


def bench_pool(mlc, tmp_path, view, *options):
    torch.jit.script(Pool(view).eval()).save(tmp_path / "pool.pt")
    return mlc("bench", "pool.pt", "--input", "x:f32[2,3,9,8]", "--runs", 3, "--warmup", 0, *options)


@pytest.mark.parametrize(("view", "how", "used"), [(False, "auto", True), (False, "on", True), (False, "off", False), (True, "auto", False),
                                                   (True, "off", False)])
def test_channels_last_where_it_runs(mlc, tmp_path, valid, view, how, used):
    answer = bench_pool(mlc, tmp_path, view, "--channels-last", how, "--json").json
    valid(answer, "bench")
    assert answer["artefacts"][0]["channels_last"] is used
    assert ("channels last in memory: pool.pt" in bench_pool(mlc, tmp_path, view, "--channels-last", how).stdout) is used


def test_rows_that_differ_in_it_are_marked(mlc, tmp_path):
    """A line below named the files; which row of the table, and of the page, ran that way was not to be seen."""
    torch.jit.script(Pool(True).eval()).save(tmp_path / "plain.pt")
    result = bench_pool(mlc, tmp_path, False, "plain.pt", "--report", "r.html")
    rows = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if line.startswith(("pool.pt", "plain.pt", "ARTEFACT"))}
    assert rows == {"ARTEFACT": "CHANNELS", "pool.pt": "last", "plain.pt": "-"}
    page = (tmp_path / "r.html").read_text()
    assert "<td>pool.pt, channels last</td>" in page and "<td>plain.pt</td>" in page


def test_channels_last_on_demand_that_a_model_refuses_is_an_error(mlc, tmp_path):
    result = bench_pool(mlc, tmp_path, True, "--channels-last", "on")
    assert result.rc == 2 and "view size" in result.stderr


def test_a_model_without_convolutions_has_no_channels_last(mlc, tmp_path):
    torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3)).save(tmp_path / "linear.pt")
    answer = mlc.ok("bench", "linear.pt", "--input", "input:f32[1,3]", "--runs", 2, "--json").json
    assert answer["artefacts"][0]["channels_last"] is False


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_channels_last_changes_no_output(mlc, tmp_path, dtype):
    torch.jit.script(Pool().eval()).save(tmp_path / "pool.pt")
    for how in ("on", "off"):
        mlc.ok("run", "pool.pt", "--input", "x:f32[2,3,9,8]", "--channels-last", how, "--dtype", dtype, "-o", f"{how}.pt")
    on, off = (torch.load(tmp_path / f"{how}.pt")["output"] for how in ("on", "off"))
    assert on.is_contiguous()
    torch.testing.assert_close(on, off)
