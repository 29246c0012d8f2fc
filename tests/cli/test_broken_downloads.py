"""Files that a transfer has spoiled: what is said of them, and the exit code."""

import zipfile

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint

from checkpoints import write

FEEDS = {f"layer\n{i}": torch.full((9,), 1e-30 * 10) for i in range(20)}


def spoilt(data, how):
    """The bytes of DATA after a transfer that went wrong, and the hint that is due."""
    middle = len(data) // 2
    if how == "missing":
        return data[:middle] + data[middle + 100 :], "100 bytes are missing in front of it: the file is damaged or was cut"
    if how == "twice":
        return data[:middle] + data[middle - 1000 :], "1,000 bytes are too many in front of it"
    return data.replace(b"\n", b"\r\n"), "the file was transferred as text; fetch it again as binary"


@pytest.mark.parametrize("how", ["missing", "twice", "text"])
@pytest.mark.parametrize("writer", ["torch", "zipfile"])
def test_zips_of_another_length_had_no_hint(mlc, tmp_path, how, writer):
    path = write(tmp_path / "a.pt", {**FEEDS, "w": torch.zeros(999)})
    if writer == "zipfile":  # without zip64
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        path = tmp_path / "b.pt"
    data, hint = spoilt(path.read_bytes(), how)
    path.write_bytes(data)
    if how in ("twice", "text") and writer == "zipfile":
        hint = "bytes that were put before or into the archive move everything in it"
    result = mlc("load", path)
    assert result.rc == 3 and hint in result.stderr, result.stderr


@pytest.mark.parametrize("name, content, said", [
    ("a.pt", b"Access denied\n", 'is text, not a checkpoint: it starts with "Access denied"'),
    ("0123abcd", b"Entry not found", 'is text, not a checkpoint: it starts with "Entry not found"'),
    ("a.safetensors", b'{"error":"Repository not found"}', "is the error message of a server, not a checkpoint"),
    ("a.json", b'{"message":"Bad credentials"}', "is the error message of a server, not a checkpoint"),
    ("a.ckpt", b'{"a":1}', "is text, not a checkpoint"),
    ("a.safetensors", b"\xe0\x11\0\0\0", "has 5 bytes only, too few for a checkpoint"),
    ("a.pt", b"PK\3", "has 3 bytes only, too few for a checkpoint"),
], ids=["text", "no ending", "error", "message", "JSON", "safetensors", "zip"])
def test_remains_of_downloads_were_called_unsupported(mlc, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    result = mlc("load", name)
    assert result.rc == 3 and said in result.stderr and "fetch it again" in result.stderr


@pytest.mark.parametrize("name, content", [("a.txt", b"Access denied\n"), ("config.json", b'{"layers": 3}'),
                                           ("a.bin", b"\1" * 100)])
def test_what_was_never_a_checkpoint_is_unsupported(mlc, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert mlc("load", name).rc == 4


def test_a_dcp_folder_without_its_index_was_one_without_a_checkpoint(mlc, tmp_path):
    folder = tmp_path / "dcp"
    torch.distributed.checkpoint.save({"w": torch.ones(9)}, checkpoint_id=folder)
    (folder / ".metadata").unlink()
    result = mlc("load", folder)
    assert result.rc == 3 and "with 1 .distcp file, but without .metadata" in result.stderr
    assert "the save did not finish" in result.stderr
    result = mlc("load", folder / "__0_0.distcp")
    assert result.rc == 3 and ".metadata is not beside it" in result.stderr


def test_a_cut_off_safetensors_file_did_not_say_its_whole_size(mlc, tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({name: torch.ones(100) for name in "abcd"}, path)
    whole = path.read_bytes()
    for missing, said in [(600, '2 of 4 tensors are whole, the first that is not is "c"'),
                          (1, '3 of 4 tensors are whole, the first that is not is "d"')]:
        path.write_bytes(whole[:-missing])
        result = mlc("load", path)
        assert result.rc == 3
        size = f"the header tells of {len(whole):,} bytes, the file has {len(whole) - missing:,}"
        assert f"{size}: {said}" in result.stderr


def reserved(path, tensors, written):
    """A safetensors file of which the first WRITTEN bytes of data came, in a space that was reserved."""
    safetensors.torch.save_file(tensors, path)
    data = path.read_bytes()
    kept = data[: 8 + int.from_bytes(data[:8], "little") + written]
    path.write_bytes(kept + bytes(len(data) - len(kept)))
    return len(data) - len(kept)


def test_zeros_at_the_end_of_a_safetensors_file_passed_in_silence(mlc, valid, tmp_path):
    zeros = reserved(tmp_path / "a.safetensors", {name: torch.full((10_000,), 1.1) for name in "abcd"}, 50_000)
    result = mlc.ok("load", "a.safetensors", "--check", "crc")
    assert f"a.safetensors: its last {zeros:,} bytes are zeros, 2 whole tensors from c on: " in result.stderr
    report = mlc.ok("load", "a.safetensors", "--check", "crc", "--json").json
    valid(report, "load")
    assert report["check"]["zero_tails"] == [{"file": "a.safetensors", "bytes": zeros, "tensors": 2, "first": "c"}]
    assert "zeros" not in mlc.ok("load", "a.safetensors").stderr


@pytest.mark.parametrize("written, tensors", [(160_000, 0), (120_000, 0), (119_000, 1), (80_000, 2), (0, 4)])
def test_zeros_of_one_tensor_alone_are_no_broken_download(mlc, tmp_path, written, tensors):
    reserved(tmp_path / "a.safetensors", {name: torch.full((10_000,), 1.1) for name in "abcd"}, written)
    said = mlc.ok("load", "a.safetensors", "--check", "crc").stderr
    assert (f"{tensors} whole tensor" in said) if tensors else not said
    reserved(tmp_path / "b.safetensors", {name: torch.full((500,), 1.1) for name in "abcd"}, 1000)
    assert not mlc.ok("load", "b.safetensors", "--check", "crc").stderr  # too few to speak of


def test_a_shard_with_zeros_at_its_end_is_named(mlc, tmp_path):
    safetensors.torch.save_file({name: torch.full((10_000,), 1.1) for name in "abcd"}, tmp_path / "a.safetensors")
    mlc.ok("save", "a.safetensors", "-o", "shards", "--max-shard-size", "80KB")
    (shard,) = (tmp_path / "shards").glob("*-00002-of-*.safetensors")
    reserved(shard, safetensors.torch.load_file(shard), 0)
    said = mlc.ok("load", "shards", "--check", "crc").stderr
    assert f"{shard.name}: its last 80,000 bytes are zeros, 2 whole tensors from c on" in said
