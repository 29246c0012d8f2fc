"""Which format a file is of goes by its content, whatever else its first bytes look like."""

import json

import pytest
import safetensors.torch
import torch

from checkpoints import assert_same


def safetensors_with_header_of(path, length):
    """A file that safetensors reads, whose header has LENGTH bytes."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, separators=(",", ":"))
    values = torch.arange(2.0).numpy().tobytes()
    path.write_bytes(length.to_bytes(8, "little") + header.ljust(length).encode() + values)
    assert_same({"w": torch.arange(2.0)}, safetensors.torch.load_file(path))
    return path


@pytest.mark.parametrize("length", [0x7B, 0x17B, 0x7B20, 0x8B1F, 0x685A42],
                         ids=["brace", "brace-1", "space-brace", "gzip", "bzip2"])
def test_a_header_length_that_looks_like_another_format_is_still_safetensors(mlc, tmp_path, length):
    path = safetensors_with_header_of(tmp_path / "a.safetensors", length)
    assert mlc.ok("load", path, "--json").json["format"] == "safetensors"
    mlc.ok("save", path, "-o", "b.pt")
    assert_same({"w": torch.arange(2.0)}, torch.load(tmp_path / "b.pt"))
    mlc.ok("load", "b.pt", "--expect", path)


def test_a_shard_whose_header_length_looks_like_json_is_read(mlc, tmp_path):
    safetensors_with_header_of(tmp_path / "one.safetensors", 0x7B)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "one.safetensors"}}))
    assert mlc.ok("load", ".", "--json").json["totals"]["tensors"] == 1


def test_a_cut_off_file_whose_header_length_looks_like_json_is_no_index(mlc, tmp_path):
    path = safetensors_with_header_of(tmp_path / "a.safetensors", 0x7B)
    path.write_bytes(path.read_bytes()[:100])
    result = mlc("load", path)
    assert result.rc == 3 and "its header claims 123 bytes of 100" in result.stderr
