"""Keys that a sentence would hide: empty, a dot, with a blank at the end."""

import pytest
import torch

from checkpoints import write

ODD = ["", ".", "..", "a.", "a ", " a", "- -"]


def quoted(key):
    return f'"{key}"'


def test_empty_keys_were_invisible_in_messages(mlc, tmp_path):
    write(tmp_path / "a.pt", {"module.w": torch.ones(1), "": torch.ones(1), "x": torch.ones(1)})
    refused = mlc("strip-module-prefix", "a.pt", "-n")
    assert refused.rc == 1 and 'but 2 keys do not (first "")' in refused.stderr
    write(tmp_path / "b.pt", {"module.": torch.ones(1), "": torch.ones(1)})
    refused = mlc("diff", "b.pt", "b.pt", "--strip-prefix", "module.")
    assert refused.rc == 1 and 'has "" with and without the prefix module.' in refused.stderr


@pytest.mark.parametrize("key", ODD)
def test_odd_keys_were_run_into_the_sentence(mlc, tmp_path, key):
    write(tmp_path / "a.pt", {key: torch.ones(1), "b": torch.ones(1)})
    refused = mlc("remap-keys", "a.pt", "--regex", "s/^.*$/x/", "-n")
    assert refused.rc == 1 and f"{quoted(key)} and b both become x" in refused.stderr
    shown = mlc.ok("remap-keys", "a.pt", "--add-prefix", "p", "-n").stdout
    assert f"{quoted(key)} -> " in shown and "b -> pb" in shown


@pytest.mark.parametrize("key", ["a.b", "_", "日本", "a b", "1", "x-"])
def test_usual_keys_get_no_quotes(mlc, tmp_path, key):
    write(tmp_path / "a.pt", {key: torch.ones(1), "b": torch.ones(1)})
    refused = mlc("remap-keys", "a.pt", "--regex", "s/^.*$/x/", "-n")
    shown = quoted(key) if key == "_" else key
    assert f"{shown} and b both become x" in refused.stderr
