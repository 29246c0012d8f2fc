"""Promises of the command line that were once broken, each test named after the failure."""

import os
import pathlib
import stat

import pytest
import torch

from checkpoints import ordered, small_model, training_checkpoint, write


@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "a.pt", small_model().state_dict())


@pytest.fixture
def training(tmp_path):
    return write(tmp_path / "train.pt", training_checkpoint())


def snapshot(folder):
    """Every file below FOLDER with its bytes: what a refused command must not change."""
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


# --- a lone dash


@pytest.mark.parametrize("arguments", [
    ["load", "-"], ["load", "a.pt", "--expect", "-"], ["diff", "a.pt", "-"], ["metadata", "-"],
    ["metadata", "a.pt", "--from", "-", "-n"], ["validate-version", "-"], ["save", "-", "-o", "x.pt"],
    ["save", "a.pt", "-o", "-", "--format", "pt"], ["save", "a.pt", "--out-dir", "-"],
    ["save", "a.pt", "--meta", "-", "-n"], ["remap-keys", "a.pt", "--rules", "-", "-n"],
    ["remap-keys", "a.pt", "--map", "0.weight=w", "-o", "x.pt", "--emit-inverse", "-"]])
def test_a_dash_became_a_file_of_that_name(mlc, tmp_path, plain, arguments):
    before = snapshot(tmp_path)
    result = mlc(*arguments)
    assert result.rc == 2 and "`-` (standard input or output) is not supported" in result.stderr, result
    assert "hint: `./-` is the file of that name" in result.stderr
    assert snapshot(tmp_path) == before


def test_a_file_called_dash_is_still_reachable(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "./-", "--format", "pt")
    mlc.ok("diff", plain, "./-")


# --- options without an effect


@pytest.mark.parametrize("arguments, sentence", [
    (["load", "a.pt", "--strict"], "--strict means nothing without --expect"),
    (["load", "a.pt", "--no-strict"], "--no-strict means nothing without --expect"),
    (["load", "a.pt", "--ignore-missing", "x"], "--ignore-missing means nothing without --expect"),
    (["load", "a.pt", "--ignore-mismatched-shapes"], "--ignore-mismatched-shapes means nothing without --expect"),
    (["load", "a.pt", "--map-location", "bogus"], '--map-location: no such device: "bogus"'),
    (["load", "a.pt", "--map-location", "cpu=bogus:1"], '--map-location: no such device: "bogus:1"'),
    (["save", "a.pt", "-o", "b.pt", "--map-location", "bogus"], '--map-location: no such device: "bogus"'),
    (["save", "a.pt", "-o", "b.safetensors", "--map-location", "cuda"], "--map-location means nothing for safetensors"),
    (["save", "a.pt", "-o", "b.pt", "--shared", "clone"], "--shared means nothing for a .pt"),
    (["diff", "a.pt", "a.pt", "--no-values", "--atol", "1"], "--atol and --rtol mean nothing with --no-values"),
    (["diff", "a.pt", "a.pt", "--keys-only", "--rtol", "1"], "--atol and --rtol mean nothing with --keys-only"),
    (["diff", "a.pt", "a.pt", "--keys-only", "--ignore-dtype"], "--ignore-dtype means nothing with --keys-only")])
def test_an_option_was_silently_ignored(mlc, tmp_path, plain, arguments, sentence):
    before = snapshot(tmp_path)
    result = mlc(*arguments)
    assert result.rc == 2 and sentence in result.stderr and result.stdout == "", result
    assert snapshot(tmp_path) == before


def test_the_devices_line_ignored_map_location(mlc, plain):
    shown = mlc.ok("load", plain, "--summary", "--map-location", "cuda:1").stdout
    assert "\ndevices      cuda:1 9\n" in shown
    assert "\ndevices " not in mlc.ok("load", plain, "--summary", "--map-location", "cpu").stdout


# --- load


def test_no_damage_was_said_of_a_file_without_crcs(mlc, tmp_path, plain):
    torch.serialization.set_crc32_options(False)
    try:
        write(tmp_path / "b.pt", {"w": torch.ones(3)})
    finally:
        torch.serialization.set_crc32_options(True)
    shown = mlc.ok("load", "b.pt", "--check", "crc", "--summary").stdout
    assert "no damage" not in shown and "; no CRC to compare\n" in shown
    assert "has a CRC; nothing was compared" in shown
    both = mlc.ok("load", "b.pt", "a.pt", "--check", "crc").stdout.splitlines()
    assert both[0].endswith("no CRC to compare") and both[1].endswith("no damage")


def test_optimizer_state_counted_as_parameters_beside_two_state_dicts(mlc, tmp_path):
    checkpoint = training_checkpoint()
    checkpoint["ema"] = {key: value.clone() for key, value in checkpoint["model"].items()}
    write(tmp_path / "two.pt", checkpoint)
    elements = sum(value.numel() for value in checkpoint["model"].values())
    states = sum(len(state) for state in checkpoint["optimizer"]["state"].values())
    assert mlc.ok("load", "two.pt", "--json").json["totals"]["parameters"] == 2 * elements
    shown = mlc.ok("load", "two.pt", "--summary").stdout
    assert f" {2 * elements} parameters, " in shown and f"; {states} tensors in none of the state_dicts\n" in shown


def test_groups_of_shared_tensors_were_joined_by_and(mlc, tmp_path):
    one, two = torch.ones(3), torch.ones(2)
    write(tmp_path / "tied.pt", ordered(a=one, b=one, c=two, d=two))
    assert "\nshared       2 storages: a and b; c and d\n" in mlc.ok("load", "tied.pt", "--summary").stdout


def test_statistics_without_the_table_had_no_line_on_nan(mlc, tmp_path, plain):
    write(tmp_path / "n.pt", ordered(a=torch.tensor([1.0, float("nan")]), b=torch.tensor([float("inf")])))
    assert "; 1 NaN and 1 Inf in 2 tensors\n" in mlc.ok("load", "n.pt", "--stats", "--summary").stdout
    both = mlc.ok("load", "n.pt", "a.pt", "--stats", "--summary").stdout.splitlines()
    assert [line.rsplit("; ", 1)[1] for line in both] == ["1 NaN and 1 Inf in 2 tensors", "no NaN or Inf"]


@pytest.mark.parametrize("option, sign", [("--stats", "MEAN"), ("--tree", "dict"), ("--globals", "weights_only")])
def test_several_files_ignored_what_was_asked_for(mlc, plain, training, option, sign):
    alone = mlc.ok("load", plain, option).stdout
    assert sign in alone
    assert mlc.ok("load", plain, training, option).stdout == alone + "\n" + mlc.ok("load", training, option).stdout


def test_damaged_files_of_a_batch_were_missing_in_the_list(mlc, tmp_path, plain):
    (tmp_path / "cut.pt").write_bytes(plain.read_bytes()[:500])
    result = mlc("load", "cut.pt", "a.pt", "--keep-going")
    assert result.rc == 3
    assert [line.split(": ")[0] for line in result.stdout.splitlines()] == ["cut.pt", "a.pt"]
    assert result.stdout.startswith("cut.pt: failed\n") and "mlc: error: cut.pt: " in result.stderr
    rc, screen = mlc.tty("load", "a.pt", "cut.pt", "a.pt", "--keep-going", "--color", "never")
    words = [line.split(":")[0] for line in screen.splitlines()]
    assert rc == 3 and words == ["a.pt", "cut.pt", "mlc", "hint", "a.pt", "3 files, 1 failed"], screen


def test_a_warning_in_a_batch_named_its_file_twice(mlc, tmp_path, plain):
    data = plain.read_bytes()
    (tmp_path / "odd.pt").write_bytes(data[:-1] + b"\x01")
    result = mlc("load", "odd.pt", "a.pt")
    assert "mlc: warning: odd.pt: " in result.stderr and "odd.pt: odd.pt" not in result.stderr


def test_quiet_batches_still_said_what_they_wrote(mlc, tmp_path, plain, training):
    result = mlc.ok("save", plain, training, "--out-dir", "out", "-q")
    assert result.stdout == "" and result.stderr == "" and len(snapshot(tmp_path / "out")) == 2
    assert len(mlc.ok("load", plain, training, "-q").stdout.splitlines()) == 2  # an answer
