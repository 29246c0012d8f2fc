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


@pytest.mark.parametrize("length", [0x0408, 0x3A0408])
def test_verbs_that_take_onnx_took_a_header_length_for_a_model(mlc, tmp_path, length):
    safetensors_with_header_of(tmp_path / "a.safetensors", length)
    mlc.ok("quantize", "a.safetensors", "-o", "q.safetensors", "--min-elements", "0")
    mlc.ok("prune", "a.safetensors", "-o", "p.safetensors", "--amount", "1", "--tensor", "w=1")


def test_a_shard_whose_header_length_looks_like_json_is_read(mlc, tmp_path):
    safetensors_with_header_of(tmp_path / "one.safetensors", 0x7B)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "one.safetensors"}}))
    assert mlc.ok("load", ".", "--json").json["totals"]["tensors"] == 1


def test_a_cut_off_file_whose_header_length_looks_like_json_is_no_index(mlc, tmp_path):
    path = safetensors_with_header_of(tmp_path / "a.safetensors", 0x7B)
    path.write_bytes(path.read_bytes()[:100])
    result = mlc("load", path)
    assert result.rc == 3 and "its header claims 123 bytes of 100" in result.stderr


def test_placeholders_of_deepspeed_were_mere_empty_tensors(mlc, valid, tmp_path):
    shapes = [{"a.weight": torch.Size([4, 3])}, {"a.bias": torch.Size([4]), "none": torch.Size([0, 3])}]
    module = {"a.weight": torch.empty(0), "a.bias": torch.empty(0), "none": torch.empty(0, 3), "buffer": torch.ones(2)}
    model = {"module": module, "buffer_names": ["buffer"], "param_shapes": shapes, "ds_version": "0.14"}
    torch.save(model, tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    states = {"optimizer_state_dict": {"zero_stage": 3, "partition_count": 2, "fp32_flat_groups": [torch.ones(16)]}}
    torch.save(states, tmp_path / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    torch.save({**model, "module": {"a.weight": torch.ones(4, 3), "a.bias": torch.ones(4), "buffer": torch.ones(2)}}, tmp_path / "whole.pt")
    done = mlc.ok("load", "zero_pp_rank_0_mp_rank_00_model_states.pt")
    assert "deepspeed    2 ZeRO-3 placeholders without elements: the weights are in pieces in the zero_pp_rank_*_optim_states.pt" in done.stdout
    assert "a.weight  f32 placeholder of [4, 3]  [0]" in done.stdout and "none      f32                        [0, 3]" in done.stdout
    report = mlc.ok("load", "zero_pp_rank_0_mp_rank_00_model_states.pt", "--json").json
    valid(report, "load")
    assert report["deepspeed"] == {"placeholders": 2, "flat_parts": 0, "zero_stage": 3}
    assert [row.get("placeholder_of") for row in report["tensors"]] == [[4, 3], [4], None, None]
    done = mlc.ok("load", "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert "deepspeed    1 flat tensor with the part of one rank in all weights (ZeRO-3)" in done.stdout
    report = mlc.ok("load", "zero_pp_rank_0_mp_rank_00_optim_states.pt", "--json").json
    valid(report, "load")
    assert report["deepspeed"] == {"placeholders": 0, "flat_parts": 1, "zero_stage": 3}
    whole = mlc.ok("load", "whole.pt", "--json").json
    assert "deepspeed" not in whole and all("placeholder_of" not in row for row in whole["tensors"])
    # A file that only looks like one.
    torch.save({"module": {"w": torch.empty(0)}, "param_shapes": [{"w": torch.Size([0])}, 3, {"w": 5, 7: None}]}, tmp_path / "odd.pt")
    assert "deepspeed" not in mlc.ok("load", "odd.pt", "--json").json
