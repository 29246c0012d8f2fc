"""Files that hold what another program, or nobody, put there; each test named after the failure."""

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
