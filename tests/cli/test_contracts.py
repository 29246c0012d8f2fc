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
