"""Files that hold what another program, or nobody, put there; each test named after the failure."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from checkpoints import ordered, write


def header_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_long_header_of_safetensors_comes_back_from_a_pt(mlc, tmp_path):
    note = "x" * 20_000_000
    save_file({"a": torch.ones(3)}, tmp_path / "in.safetensors", metadata={"note": note})
    assert mlc("save", "in.safetensors", "-o", "through.pt").rc == 0
    assert mlc("load", "through.pt", "--summary").rc == 0
    assert mlc("save", "through.pt", "-o", "out.safetensors").rc == 0
    assert header_of(tmp_path / "out.safetensors")["note"] == note


@pytest.mark.parametrize("value", ["llm", '{"mlc": "0.1.0"}', "- a list"])
def test_entry_called_mlc_of_another_program_does_not_hide_the_file(mlc, tmp_path, value):
    save_file({"a": torch.ones(3)}, tmp_path / "in.safetensors", metadata={"mlc": value})
    loaded = mlc("load", "in.safetensors")
    assert loaded.rc == 0
    assert 'the entry "mlc" of __metadata__' in loaded.stderr
    done = mlc("metadata", "in.safetensors", "--set", "name=x", "-o", "out.safetensors")
    assert done.rc == 0
    assert header_of(tmp_path / "out.safetensors")["mlc"].startswith("mlc: metadata/1")


def test_torch_file_called_distcp_is_read_by_its_content(mlc, tmp_path):
    write(tmp_path / "x.distcp", ordered(a=torch.ones(2)))
    assert mlc("load", "x.distcp").rc == 0


def test_merge_names_the_header_entries_it_leaves_out(mlc, tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors", metadata={"author": "first"})
    save_file({"b": torch.ones(1)}, tmp_path / "b.safetensors", metadata={"license": "MIT"})
    done = mlc("save", "a.safetensors", "b.safetensors", "--merge", "-o", "out.safetensors")
    assert done.rc == 0
    assert 'not merged from b.safetensors: the entry "license" of its header' in done.stderr


def test_dry_run_of_a_damaged_file_says_no_as_the_run_does(mlc, tmp_path):
    path = write(tmp_path / "in.pt", ordered(a=torch.arange(64, dtype=torch.float32)))
    damaged = bytearray(path.read_bytes())
    at = damaged.index(torch.arange(64, dtype=torch.float32).numpy().tobytes())
    damaged[at + 5] ^= 1
    path.write_bytes(damaged)
    dry = mlc("save", "in.pt", "-n", "-o", "out.pt")
    assert dry.rc == mlc("save", "in.pt", "-o", "out.pt").rc == 3
    assert mlc("save", "in.pt", "-n", "-o", "out.pt", "--json").error["kind"] == "corrupt"


def test_dcp_folder_of_safetensors_was_called_damaged(mlc, tmp_path):
    from torch.distributed.checkpoint import FileSystemWriter, save  # pylint: disable=import-outside-toplevel
    from torch.distributed.checkpoint.filesystem import SerializationFormat  # pylint: disable=import-outside-toplevel
    writer = FileSystemWriter(tmp_path / "dcp", serialization_format=SerializationFormat.SAFETENSORS)
    save({"a": torch.ones(2)}, storage_writer=writer, no_dist=True)
    failed = mlc("load", "dcp", "--json")
    assert failed.rc == 4 and "SerializationFormat.SAFETENSORS" in failed.error["message"]


def test_adapters_and_variants_were_no_checkpoints(mlc, tmp_path):
    for name in ("adapter_model.safetensors", "model.fp16.safetensors"):
        folder = tmp_path / name.split(".", maxsplit=1)[0]
        folder.mkdir()
        save_file({"a": torch.ones(3)}, folder / name)
        assert mlc.ok("load", folder, "--json").json["file"].endswith("/" + name)
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    save_file({"a": torch.ones(3)}, sharded / "model.fp16-00001-of-00001.safetensors")
    index = {"weight_map": {"a": "model.fp16-00001-of-00001.safetensors"}}
    (sharded / "model.safetensors.index.fp16.json").write_text(json.dumps(index))
    assert len(mlc.ok("load", sharded, "--json").json["tensors"]) == 1
    save_file({"a": torch.ones(3)}, sharded / "model.bf16.safetensors")
    failed = mlc("load", sharded)
    assert failed.rc == 3 and "model.bf16.safetensors and model.safetensors.index.fp16.json" in failed.stderr


def test_parts_of_tensors_in_safetensors_had_no_name(mlc, tmp_path):
    sharding = {"DCP_SHARDING_INFO": '{"a": {"saved_offsets": [0]}}', "DCP_VERSION": "1.0"}
    name = "shard-00001-model-00001-of-00001.safetensors"
    save_file({"a": torch.ones(3)}, tmp_path / name, metadata=sharding)
    failed = mlc("load", tmp_path, "--json")
    assert failed.rc == 4 and "HuggingFaceStorageWriter" in failed.error["message"]


def test_folder_of_checkpoints_was_called_empty(mlc, tmp_path):
    (tmp_path / "ddp").mkdir()
    for name in ("rank0.pt", "rank1.pt"):
        write(tmp_path / "ddp" / name, ordered(a=torch.ones(2)))
    failed = mlc("strip-module-prefix", "ddp/", "--add", "x", "-o", "out.pt", "--json")
    assert "2 pt files" in failed.error["message"] and "ddp/*.pt" in failed.error["hint"]
    (tmp_path / "ddp" / "rank1.pt").unlink()
    assert "ddp/rank0.pt" in mlc("load", "ddp", "--json").error["hint"]
    (tmp_path / "empty").mkdir()
    assert "without a checkpoint" in mlc("load", "empty", "--json").error["message"]
